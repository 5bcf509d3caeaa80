/*
 * For tests of how a node deals with others: a real node with all its threads, and a peer that is
 * no more than a fabric, and so may do what no node does. The calling thread is the peer's hub and
 * the node's client.
 */
#ifndef PST_TESTS_NODE_PEER_H
#define PST_TESTS_NODE_PEER_H

#include "engine/format/manifest.h"
#include "engine/node/client.h"
#include "engine/node/threads.h"
#include "net/fabric.h"
#include "tests/support/node_rig.h"

#define PEER_NODE 2u
#define PEER_KEPT 4096u

/* Nothing here takes that long: whoever waits longer has found a fault. */
#define PEER_PATIENCE_NS UINT64_C(20000000000)

/* Node 1 of a cluster of two. */
struct host {
    struct rig rig;
    struct pst_cluster_config cluster;
    struct pst_node *node;
    char to[SCRATCH_PATH_BYTES];
    char fabric[SCRATCH_PATH_BYTES];
    char name[32];
    bool is_deaf; /* the client takes nothing */
    uint32_t joined;
    uint32_t failed;
};

#define HOST_CLUSTER_ID 5u

/* failure_ns: 0 for one that is longer than the patience. before: NULL, or called when host->to is
 * there and nothing runs yet. */
void host_open(struct host *host, uint32_t ldms, uint64_t failure_ns,
               void (*before)(const struct host *host));
void host_close(struct host *host);
struct pst_node_status host_status(struct host *host);

/* Leaves the manifest of a backup that was prepared on node 1 when its master, node 2, died. text:
 * NULL, or for the cluster manifest that node 2 has of it, with more bytes than a ring of pieces;
 * the caller's to free. */
void leave_in_doubt(const struct host *host, uint32_t number, uint32_t cluster_id,
                    struct pst_manifest_text *text);

/* The thread that this channel leads to hangs between the two, when it next looks for signals. */
void stall(struct pst_channel *channel);
void resume(void);

/* By all threads of the host's, from the hub, since it was opened; a child sees it too. */
uint64_t signals_taken(void);

struct peer {
    struct host *host;
    struct pst_fabric *fabric;
    bool is_blind; /* looks at nothing that comes, and so sees no death either */
    uint32_t joined;
    uint32_t failed;
    uint32_t expelled;
    char reason[128]; /* for which it was */
    uint32_t received;
    struct pst_signal signals[PEER_KEPT]; /* received[i % PEER_KEPT] */
};

void peer_open(struct peer *peer, struct host *host, uint64_t incarnation);
void peer_close(struct peer *peer); /* it leaves */

/* One round of both; then the processor is left to others. */
void peer_round(struct peer *peer);

/* As the hub tells it some time after this call, with rounds until then. */
struct pst_node_status host_fresh_status(struct host *host, struct peer *peer);

/* Rounds until *value is at least wanted; false: the patience is over. */
bool peer_until(struct peer *peer, const uint32_t *value, uint32_t wanted);

/* A request that the node refuses at once: an order for a backup that is not there, or a manifest
 * that is not there. receiver: LDM 1, PROXY 0 or the archive. */
struct pst_signal peer_question(pst_ref receiver, uint32_t sequence);
void peer_ask(struct peer *peer, pst_ref receiver, uint32_t sequence);

/* Rounds until an answer with that sequence has come; NULL: it has not. */
const struct pst_signal *peer_until_answer(struct peer *peer, uint32_t sequence);

/* How many signals with that sequence have come. */
uint32_t peer_count(const struct peer *peer, uint32_t sequence);

#endif
