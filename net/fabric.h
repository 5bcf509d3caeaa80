/*
 * A fabric carries signals between the hubs of a cluster's nodes, and reports which nodes are
 * there. net/shm/shm_fabric.h opens one between the nodes of a host; net/fabric_ops.h is for those
 * who write another.
 *
 * One thread, the hub's, makes all calls: the one that opened the fabric (asserted). No call waits
 * for a peer, whatever the peer does. The hub's loop and its sleep:
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
 * What a peer sends arrives whole, once and in order, or its link is reset and the peer is declared
 * dead. Signals of a node that was declared dead are not delivered until it has joined again, in a
 * new session; and it joins again only after pst_fabric_readmit().
 *
 * A death concerns one link. Both of its ends report FAILED, both are readmitted, and the two nodes
 * meet again. Some fabrics go further and expel: where all nodes share a host, a node that one peer
 * has declared dead loses all its peers, learns of it by PST_FABRIC_EXPELLED, and is refused under
 * its old incarnation until it calls pst_fabric_rejoin(). Callers handle both kinds alike: a fabric
 * that does not expel never reports EXPELLED.
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

/* How long a peer may give no sign of life (failure_ns), by default and at least. */
#define PST_FABRIC_FAILURE_NS UINT64_C(450000000)
#define PST_FABRIC_FAILURE_NS_MIN UINT64_C(60000000)

/* What every node sends the others when it joins. The cluster's name and id must be equal
 * everywhere; the options are the runtime's own, and the fabric does not look into them. */
struct pst_fabric_hello {
    char cluster[PST_CLUSTER_NAME_MAX];
    uint32_t cluster_id;
    uint32_t node; /* 1…PST_NODES_MAX; each only once in a cluster */
    uint64_t incarnation;
    uint8_t options[PST_FABRIC_OPTIONS_BYTES];
};

/* Of each node in strict order: JOINED, any number of SIGNALS, FAILED. */
enum pst_fabric_event_type {
    PST_FABRIC_SIGNALS,  /* a burst from a node that has joined */
    PST_FABRIC_JOINED,   /* before the node's first signal */
    PST_FABRIC_FAILED,   /* after its last one */
    PST_FABRIC_EXPELLED, /* a peer has declared this node dead: after FAILED for every node that
                            had joined. No more events before pst_fabric_rejoin() */
};

enum pst_fabric_failure {
    PST_FABRIC_LEFT = 1,  /* it announced its end: it has closed, or rejoins */
    PST_FABRIC_DIED,      /* its process is gone */
    PST_FABRIC_SUSPECTED, /* no sign of life within failure_ns: stopped, starved, or hung */
    PST_FABRIC_DAMAGED,   /* its ring, or a message from it, is not what the fabric wrote */
    PST_FABRIC_CUT_OFF,   /* by pst_fabric_cut_off() */
    PST_FABRIC_LOST, /* it may be well, but this node was declared dead: by that node, or, where
                        nodes are expelled, by any */
};

/* Whether the node does nothing more under the incarnation that failed. Any other may still run,
 * and still write files, until it learns what was decided. */
static inline bool pst_fabric_failure_is_certain(enum pst_fabric_failure failure)
{
    return failure == PST_FABRIC_LEFT || failure == PST_FABRIC_DIED;
}

struct pst_fabric_event {
    enum pst_fabric_event_type type;
    uint32_t node; /* EXPELLED: the peer that decided it */
    uint64_t incarnation;
    uint32_t signals_count;           /* SIGNALS: 1…PST_FABRIC_BURST */
    const struct pst_signal *signals; /* the fabric's, whole until the next poll, rejoin or close */
    const uint8_t *options;           /* JOINED: PST_FABRIC_OPTIONS_BYTES; likewise */
    enum pst_fabric_failure failure;  /* FAILED; EXPELLED: why the peer declared this node dead */
    const char *reason;               /* FAILED, EXPELLED: for people; likewise */
};

/* Of one peer, or of all of them since the fabric was opened. */
struct pst_fabric_counters {
    uint64_t signals_sent;
    uint64_t signals_received;
    uint64_t full;       /* sends refused with -EAGAIN */
    uint64_t wakes_sent; /* system calls made to wake a peer that slept */
    uint64_t joins;      /* by the peer */
    uint64_t failures;   /* of the peer, for whatever reason */
    uint64_t refusals;   /* connections turned away: strangers, wrong cluster, malformed; 0 for one
                            peer */
    uint64_t ring_bytes; /* of the rings that are in use now, both ways */
    uint64_t packets_sent; /* between hosts; of the fabric, 0 for one peer, as the next two */
    uint64_t packets_received;
    uint64_t packets_dropped; /* that were to be sent */
    uint64_t joined_since;    /* CLOCK_MONOTONIC, ns; 0: not joined. One peer's only */
};

/*
 * One round: each call returns 1 with an event, until every peer had its turn; then 0, and the
 * next call begins another round. now_ns: pst_monotonic_ns(); never less than before. Or -errno:
 * the fabric is broken (ENOMEM, EMFILE…) and must be closed.
 */
PST_MUST_USE int pst_fabric_poll(struct pst_fabric *fabric, uint64_t now_ns,
                                 struct pst_fabric_event *event);

/*
 * Sends a copy of signal, whose gsn, version, flags and length must be legal (asserted), to another
 * node. The node sees it when it is published, which poll, announce, close and rejoin do: so a
 * burst costs what one signal costs. 0; -EAGAIN: the ring is full, nothing was sent, keep the
 * signal and try again after the next round (the peer wakes us when it has made room); -ENOTCONN:
 * the node is not joined: drop the signal, for FAILED has come or will come.
 */
PST_MUST_USE int pst_fabric_send(struct pst_fabric *fabric, uint32_t node,
                                 const struct pst_signal *signal);

/* Declares a node dead that does what no sound one does: FAILED comes with the next round. No
 * effect if the node has not joined. reason: for people on both sides; copied. */
void pst_fabric_cut_off(struct pst_fabric *fabric, uint32_t node, const char *reason);

/* After FAILED, once nothing is left that is meant for the incarnation that failed: the node may
 * join again. Until then it is turned away, and not looked for. */
void pst_fabric_readmit(struct pst_fabric *fabric, uint32_t node);

/* Shows the nodes what they were sent, and wakes those that sleep: for callers that will not call
 * poll or announce at once. */
void pst_fabric_publish(struct pst_fabric *fabric);

/* How many signals to a node can be sent just now, at least; 0 if it has not joined. */
uint32_t pst_fabric_room(struct pst_fabric *fabric, uint32_t node);

/* The nodes that have joined according to the events so far, this one included, by id - 1. */
struct pst_set pst_fabric_live(const struct pst_fabric *fabric);

/* node: a peer, or 0 for the sum of all. */
struct pst_fabric_counters pst_fabric_counters(const struct pst_fabric *fabric, uint32_t node);

/* From now on peers wake this node by making pst_fabric_fd() readable. Call is_quiet next. */
void pst_fabric_announce(struct pst_fabric *fabric);

/* After announce: whether poll would find no signal. */
bool pst_fabric_is_quiet(struct pst_fabric *fabric);

/* The node is awake, or has not gone to sleep after all. */
void pst_fabric_cancel(struct pst_fabric *fabric);

/* To poll for reading while asleep. Owned by the fabric; the same one as long as it is open. */
int pst_fabric_fd(const struct pst_fabric *fabric);

/* When poll must be called at the latest, CLOCK_MONOTONIC: the next heartbeat. */
uint64_t pst_fabric_deadline_ns(const struct pst_fabric *fabric);

/* Why a node that has not joined could not, the last time that it or this one tried: one line, for
 * people, as it was logged. "": nothing is known. The fabric's, until the next poll. */
const char *pst_fabric_refusal(const struct pst_fabric *fabric, uint32_t node);

/* Leaves and comes back under a new incarnation: after EXPELLED, or at any time. Peers that had
 * joined are not reported as FAILED. 0, or -errno: the fabric must be closed. */
PST_MUST_USE int pst_fabric_rejoin(struct pst_fabric *fabric, uint64_t incarnation);

/* Tells the peers that this node leaves, and frees everything. No effect for NULL. */
void pst_fabric_close(struct pst_fabric *fabric);

#endif
