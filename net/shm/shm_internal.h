/*
 * Private to net/: the shm fabric's parts. The hub's thread makes all calls.
 */
#ifndef PST_NET_SHM_SHM_INTERNAL_H
#define PST_NET_SHM_SHM_INTERNAL_H

#include "net/fabric_ops.h"
#include "net/shm/shared_ring.h"
#include "net/shm/shm_config.h"
#include "net/shm/shm_memory.h"
#include "net/shm/shm_place.h"
#include "net/shm/shm_wire.h"

/* Connections accepted, their HELLO not yet come. One more, and the oldest goes. */
#define SHM_PENDING_MAX 16u

/* Whether a peer is alive is looked at so often within failure_ns, at least. */
#define SHM_TICKS 6u

enum shm_link_state {
    SHM_LINK_HELLO_SENT, /* we connected, and wait for HELLO */
    SHM_LINK_HELLO_SEEN, /* we accepted, said HELLO, and wait for READY */
    SHM_LINK_UP,
    SHM_LINK_ENDING, /* FAILED is still to be told, what the peer sent before it first */
};

struct shm_link {
    uint32_t node;
    enum shm_link_state state;
    int socket;
    bool tell_joined;
    struct pst_fabric_hello hello; /* the peer's */
    struct shm_memory out_memory;
    struct shm_memory in_memory;
    struct shared_ring_end *out;
    struct shared_ring_end *in;
    uint64_t deadline_ns; /* of the handshake */
    uint32_t beats;
    uint64_t silent_ticks;
    enum pst_fabric_failure failure; /* ENDING */
    uint32_t drain_left;             /* ENDING: signals still to be heard, at most */
    char reason[SHM_REASON_BYTES];   /* ENDING */
};

/* What is remembered of a node between its links. */
struct shm_peer {
    struct shm_link *link;
    bool has_died;
    uint64_t dead_incarnation;
    uint64_t next_try_ns;
    uint64_t backoff_ns;
    enum shm_refusal refused_us; /* the last time; said in the log once */
};

struct shm_pending {
    int socket; /* -1: free */
    uint64_t deadline_ns;
};

enum shm_membership { SHM_MEMBER, SHM_EXPELLED, SHM_EXPELLED_TOLD };

struct shm_fabric {
    struct pst_fabric base;
    struct shm_hello hello; /* ours, less what describes a ring */
    enum pst_shm_memory memory;
    uint64_t tick_ns;
    uint64_t silent_ticks_max; /* more than these, and a peer is suspected */
    struct shm_place place;
    uint64_t now_ns;
    uint64_t next_tick_ns;
    uint64_t next_look_ns;
    uint64_t next_log_ns;
    uint32_t cursor; /* of the round: whose turn is next */
    struct pst_set linked;
    struct pst_set unpublished; /* what was sent to them is not to be seen yet */
    struct shm_peer peers[PST_NODES_MAX + 1];
    struct shm_pending pending[SHM_PENDING_MAX];

    enum shm_membership membership;
    uint32_t expelled_by;
    enum pst_fabric_failure expelled_for;

    /* What an event points to. */
    struct pst_signal burst[PST_FABRIC_BURST];
    uint8_t options[PST_FABRIC_OPTIONS_BYTES];
    char reason[SHM_REASON_BYTES];
};

/* What epoll tells: whose socket. */
enum shm_fd_kind { SHM_FD_LISTEN, SHM_FD_PENDING, SHM_FD_LINK };

/* shm_link.c */

/* Ends a link: a peer that had joined is declared dead, and told so; FAILED is told by poll. */
void shm_link_end(struct shm_fabric *fabric, struct shm_link *link, enum pst_fabric_failure failure,
                  const char *reason);

/* Forgets a link at once. */
void shm_link_free(struct shm_fabric *fabric, struct shm_link *link);

/* The handshake is over. */
void shm_link_up(struct shm_fabric *fabric, struct shm_link *link);

/* Takes one message from its socket, or its end. Whether there may be more; the link may be gone.
 */
bool shm_link_readable(struct shm_fabric *fabric, struct shm_link *link);

/* This node was declared dead: everyone is lost. */
void shm_expel(struct shm_fabric *fabric, uint32_t by, enum pst_fabric_failure failure,
               const char *reason);

/* shm_join.c */

/* Says HELLO to the nodes below that are there and not linked. 0 or -errno. */
PST_MUST_USE int shm_join_discover(struct shm_fabric *fabric);

/* The peer that we connected to has answered with its HELLO. fd is taken. */
void shm_join_answered(struct shm_fabric *fabric, struct shm_link *link, union shm_message *message,
                       int fd);

/* The peer that we said HELLO to does not want us. */
void shm_join_refused(struct shm_fabric *fabric, struct shm_link *link,
                      const struct shm_notice *notice);
void shm_join_accept(struct shm_fabric *fabric);
void shm_join_pending(struct shm_fabric *fabric, struct shm_pending *pending);
void shm_join_tick(struct shm_fabric *fabric);

/* Nobody new is heard, nor wakes us, between close (twice is as good as once) and watching the
 * listener again. */
void shm_join_close_doors(struct shm_fabric *fabric);

/* epoll_ctl(2). 0 or -errno. */
PST_MUST_USE int shm_join_watch(struct shm_fabric *fabric, int operation, int socket,
                                enum shm_fd_kind kind, uint32_t number);

#endif
