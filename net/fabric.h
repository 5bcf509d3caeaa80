/*
 * A fabric carries signals between the hubs of a cluster's nodes, and tells who is there.
 *
 * One thread, the hub's, makes all calls. None of them waits for a peer, whatever the peer does.
 * The hub's loop and its sleep:
 *
 *     while (pst_fabric_poll(fabric, pst_monotonic_ns(), &event) > 0)
 *         …                                   one round: each peer had its turn
 *     no work anywhere for a while:
 *     pst_doorbell_announce(hub's own bell)
 *     pst_fabric_announce(fabric)
 *     if (anything waits || !pst_fabric_is_quiet(fabric))
 *         pst_doorbell_cancel(…)
 *     else
 *         pst_doorbell_wait(…, until pst_fabric_deadline_ns() at the latest, pst_fabric_fd())
 *     pst_fabric_cancel(fabric)
 *
 * What a peer sends arrives whole, once and in order, or its link is reset: then the peer is
 * declared dead. A node declared dead is not heard again before it joins under a new incarnation;
 * it finds out by PST_FABRIC_EXPELLED, and pst_fabric_rejoin() lets it begin anew. A node that has
 * failed, however it did, is let in again only after pst_fabric_readmit().
 */
#ifndef PST_NET_FABRIC_H
#define PST_NET_FABRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "engine/protocol/signal.h"
#include "penstock/error.h"

struct pst_fabric;

/* Signals in one event, at most. */
#define PST_FABRIC_BURST 32u

#define PST_CLUSTER_NAME_MAX 64u /* bytes, terminator included */
#define PST_FABRIC_OPTIONS_BYTES 64u

/* What every node tells the others when it joins. The cluster's name and id must be equal
 * everywhere; the options are the runtime's own, and the fabric does not look into them. */
struct pst_fabric_hello {
    char cluster[PST_CLUSTER_NAME_MAX];
    uint32_t cluster_id;
    uint32_t node; /* 1…PST_NODES_MAX; each only once in a cluster */
    uint64_t incarnation;
    uint8_t options[PST_FABRIC_OPTIONS_BYTES];
};

enum pst_fabric_event_type {
    PST_FABRIC_SIGNALS,  /* a burst from a node that has joined */
    PST_FABRIC_JOINED,   /* before the node's first signal */
    PST_FABRIC_FAILED,   /* after its last one */
    PST_FABRIC_EXPELLED, /* this node was declared dead by another: after FAILED for every node
                            that had joined. Nothing more happens before pst_fabric_rejoin() */
};

enum pst_fabric_failure {
    PST_FABRIC_LEFT = 1,  /* it said so: closed, or rejoins under another incarnation */
    PST_FABRIC_DIED,      /* its process is gone */
    PST_FABRIC_SUSPECTED, /* no sign of life within failure_ns: stopped, starved, or hung */
    PST_FABRIC_DAMAGED,   /* its ring, or a message of its, is not what the fabric wrote */
    PST_FABRIC_CUT_OFF,   /* by pst_fabric_cut_off() */
    PST_FABRIC_LOST,      /* it may be well: this node was expelled, and has lost everyone */
};

/* For people; static storage. */
const char *pst_fabric_failure_text(enum pst_fabric_failure failure);

/* Whether the node does nothing more under the incarnation that failed. Any other may still run,
 * and still write files, until it learns what was decided. */
static inline bool pst_fabric_failure_is_certain(enum pst_fabric_failure failure)
{
    return failure == PST_FABRIC_LEFT || failure == PST_FABRIC_DIED;
}

struct pst_fabric_event {
    enum pst_fabric_event_type type;
    uint32_t node; /* EXPELLED: by whom */
    uint64_t incarnation;
    uint32_t signals_count;
    const struct pst_signal *signals; /* the fabric's until the next call of any function */
    const uint8_t *options;           /* JOINED: PST_FABRIC_OPTIONS_BYTES; likewise */
    enum pst_fabric_failure failure;  /* FAILED; EXPELLED: what the other holds against us */
    const char *reason;               /* FAILED, EXPELLED: for people; likewise */
};

/* Of one peer, or of all of them since the fabric was opened. */
struct pst_fabric_counters {
    uint64_t signals_sent;
    uint64_t signals_received;
    uint64_t full;         /* sends refused with -EAGAIN */
    uint64_t wakes_sent;   /* system calls made to wake a peer that slept */
    uint64_t joins;        /* by the peer */
    uint64_t failures;     /* of the peer, for whatever reason */
    uint64_t refusals;     /* connections turned away: strangers, wrong cluster, malformed */
    uint64_t ring_bytes;   /* of the rings that are in use now, both ways */
    uint64_t joined_since; /* CLOCK_MONOTONIC, ns; 0: not joined. One peer's only */
};

/*
 * One round: each call returns 1 with an event, until every peer had its turn; then 0, and the
 * next call begins another round. Costs no system call but a look at the sockets every
 * millisecond, and after a sleep. now_ns: pst_monotonic_ns(). Or -errno: the fabric is broken
 * (ENOMEM, EMFILE…) and must be closed.
 */
PST_MUST_USE int pst_fabric_poll(struct pst_fabric *fabric, uint64_t now_ns,
                                 struct pst_fabric_event *event);

/*
 * Sends a copy of signal to a node (not itself). It is seen there when it is published, which every
 * poll does, and announce, close and rejoin: a burst costs what one costs. 0; -EAGAIN: the ring
 * is full, nothing was sent, keep the signal and try again after the next round (the peer wakes us
 * when it has made room); -ENOTCONN: the node is not joined: drop it, FAILED has come or will.
 */
PST_MUST_USE int pst_fabric_send(struct pst_fabric *fabric, uint32_t node,
                                 const struct pst_signal *signal);

/* Declares a node dead that does what no sound one does: FAILED comes with the next round. Nothing
 * if it has not joined. reason: for people on both sides. */
void pst_fabric_cut_off(struct pst_fabric *fabric, uint32_t node, const char *reason);

/* After FAILED, when nothing is left that is meant for the incarnation that failed: the node may
 * join again. Until then it is turned away, and looked for no more. */
void pst_fabric_readmit(struct pst_fabric *fabric, uint32_t node);

/* Lets the nodes see what they were sent, and wakes those that sleep: for who will not call poll or
 * announce at once. */
void pst_fabric_publish(struct pst_fabric *fabric);

/* How many signals to a node can be sent just now, at least; 0 if it has not joined. */
uint32_t pst_fabric_room(struct pst_fabric *fabric, uint32_t node);

/* The nodes that have joined, this one included, by id - 1. */
struct pst_set pst_fabric_live(const struct pst_fabric *fabric);

/* node: a peer, or 0 for the sum of all. */
struct pst_fabric_counters pst_fabric_counters(const struct pst_fabric *fabric, uint32_t node);

/* From now on peers wake this node by making pst_fabric_fd() readable. Look next. */
void pst_fabric_announce(struct pst_fabric *fabric);

/* After announce: whether poll would find no signal. */
bool pst_fabric_is_quiet(struct pst_fabric *fabric);

/* Awake, or not gone to sleep after all. The next poll looks at the sockets. */
void pst_fabric_cancel(struct pst_fabric *fabric);

/* To poll for reading while asleep. The fabric's; the same one all the time. */
int pst_fabric_fd(const struct pst_fabric *fabric);

/* When poll must be called at the latest, CLOCK_MONOTONIC: the next heartbeat. */
uint64_t pst_fabric_deadline_ns(const struct pst_fabric *fabric);

/* After EXPELLED, or to leave and come back: FAILED is not told again. incarnation: a new one.
 * 0, or -errno: the fabric must be closed. */
PST_MUST_USE int pst_fabric_rejoin(struct pst_fabric *fabric, uint64_t incarnation);

/* Tells the peers that this node leaves, and frees everything. Nothing for NULL. */
void pst_fabric_close(struct pst_fabric *fabric);

/* Where the rings of an shm fabric come from. */
enum pst_shm_memory {
    PST_SHM_HUGE_IF_FREE, /* hugepages if the host has free ones, else normal pages; said in the
                             log */
    PST_SHM_NORMAL,
    PST_SHM_EAL, /* memory of DPDK's EAL, which pst_eal_open() has started; every node of the
                    cluster must use it */
};

struct pst_shm_config {
    const char *directory; /* one for each cluster and host; made if missing, 0700; its parent must
                              exist. Refused unless it is ours alone */
    struct pst_fabric_hello hello;
    enum pst_shm_memory memory;
    uint32_t ring_signals; /* a power of two; 0: PST_RING_SIGNALS */
    uint64_t failure_ns;   /* how long a peer may be silent; 0: PST_FABRIC_FAILURE_NS. A node must
                              come to poll at least six times as often */
};

#define PST_FABRIC_FAILURE_NS UINT64_C(450000000)
#define PST_FABRIC_FAILURE_NS_MIN UINT64_C(60000000)

/*
 * The fabric of the nodes of one host: a ring in shared memory for each ordered pair of them.
 * Nothing of config is kept but copies. 0, or -errno with why, in words that name what failed,
 * in message: EEXIST: a process with this node id runs; EPERM: the directory is not ours alone;
 * EINVAL: a number in config is out of range; …
 */
PST_MUST_USE int pst_shm_fabric_open(const struct pst_shm_config *config,
                                     struct pst_fabric **fabric, char *message,
                                     uint32_t message_bytes);

/*
 * Starts DPDK's EAL for PST_SHM_EAL, in memory of its own (no files remain, no NIC is touched),
 * once in a process. Needs hugepages. name tells processes of one host apart. Main thread; its CPU
 * affinity is kept. 0, or -errno with message.
 */
PST_MUST_USE int pst_eal_open(const char *name, char *message, uint32_t message_bytes);
void pst_eal_close(void);

#endif
