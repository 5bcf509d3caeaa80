/*
 * Private to net/shm: the structs of the shm fabric, which all of its files share. The hub's thread
 * alone.
 */
#ifndef PST_NET_SHM_SHM_PARTS_H
#define PST_NET_SHM_SHM_PARTS_H

#include "net/fabric_ops.h"
#include "net/shm/shared_ring.h"
#include "net/shm/shm_config.h"
#include "net/shm/shm_memory.h"
#include "net/shm/shm_place.h"
#include "net/shm/shm_wire.h"

/* Connections that were accepted and have not sent HELLO yet. One more, and the oldest is closed.
 */
#define SHM_PENDING_MAX 16u

/*
 * A link to one peer. shm_link_check() asserts what must hold in each state.
 *
 *     the higher id:  HELLO_SENT ──HELLO──┐
 *                                         ├──▶ UP ──shm_link_end()──▶ ENDING ──FAILED──▶ freed
 *     the lower id:   HELLO_SEEN ──READY──┘
 *
 * A link that ends before it is UP is freed at once: no event has mentioned it.
 */
enum shm_link_state {
    SHM_LINK_HELLO_SENT, /* we connected, and wait for HELLO */
    SHM_LINK_HELLO_SEEN, /* we accepted, sent HELLO, and wait for READY */
    SHM_LINK_UP,
    SHM_LINK_ENDING, /* FAILED is still to be reported, after what the peer sent before it */
};

struct shm_link {
    uint32_t node;
    enum shm_link_state state;
    int socket;                    /* -1: ENDING */
    bool is_new;                   /* JOINED is still to be reported */
    struct pst_fabric_hello hello; /* the peer's */
    struct shm_memory out_memory;
    struct shm_memory in_memory;
    struct shared_ring_end *out;
    struct shared_ring_end *in; /* NULL: HELLO_SENT */
    uint64_t deadline_ns;       /* of the handshake */
    uint32_t beats;
    uint64_t silent_ticks;
    enum pst_fabric_failure failure; /* ENDING */
    uint32_t drain_left;             /* ENDING: signals still to be delivered, at most */
    char reason[SHM_REASON_BYTES];   /* ENDING */
};

/* What is remembered of a node between its links. */
struct shm_peer {
    struct shm_link *link;
    bool has_died;
    uint64_t dead_incarnation;
    uint64_t next_try_ns;
    uint64_t backoff_ns;
    char logged[SHM_REASON_BYTES]; /* why it could not join, the last time; "": it has joined */
};

struct shm_pending {
    int socket; /* -1: free */
    uint64_t deadline_ns;
};

enum shm_membership {
    SHM_MEMBER,
    SHM_EXPELLED,          /* all links are ENDING; when they are gone, EXPELLED is reported */
    SHM_EXPELLED_REPORTED, /* nothing happens before rejoin */
};

struct shm_fabric {
    struct pst_fabric base; /* its fd is an epoll descriptor */
    struct shm_hello hello; /* ours, less what describes a ring */
    enum pst_shm_memory memory;
    const struct pst_eal_ops *eal; /* for PST_SHM_EAL */
    uint64_t tick_ns;
    uint64_t silent_ticks_max; /* as many, and a peer is suspected */
    struct shm_place place;
    uint64_t now_ns;
    uint64_t next_tick_ns;
    uint64_t next_look_ns;
    uint64_t next_log_ns;
    uint32_t cursor;            /* of the round: the node that had its turn last */
    struct pst_set linked;      /* by id - 1: those with a link */
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

#endif
