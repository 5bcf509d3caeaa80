/*
 * The other nodes of the cluster, as the hub sees them: what comes from them and what goes to them.
 *
 * A signal that its ring has no room for waits here, in order, until there is; PST_OUTBOX_SIGNALS
 * at most for each node. A node that reads so little, or sends more than can be asked for, is cut
 * off: it has failed for this node, learns so, and is ignored until it joins anew. A node that
 * has failed, however it did, joins again only after pst_peers_readmit().
 *
 * The hub's thread alone.
 */
#ifndef PST_ENGINE_NODE_PEERS_H
#define PST_ENGINE_NODE_PEERS_H

#include "engine/node/node.h"
#include "net/fabric.h"

struct pst_peers;

struct pst_peers_handlers {
    /* From a node that has joined, in its own name, to a machine of this one. */
    void (*on_signal)(void *context, const struct pst_signal *signal);
    /* change: the node that has joined or failed. Strictly in turns for each node. */
    void (*on_change)(void *context, bool joined, const struct pst_node_change *change);
    void *context;
};

/* What this node sends the others when it joins the cluster that config->cluster names; for whoever
 * opens its fabric. */
struct pst_fabric_hello peers_hello(const struct pst_node_config *config, uint64_t incarnation);

/* fabric: opened with peers_hello(); closed by pst_peers_close(), or here on an error. 0 or
 * -ENOMEM. */
PST_MUST_USE int pst_peers_open(const struct pst_node_config *config, struct pst_fabric *fabric,
                                const struct pst_peers_handlers *handlers,
                                struct pst_peers **peers);

/* Leaves the cluster. No effect for NULL. */
void pst_peers_close(struct pst_peers *peers);

/* Hands over what has come, and sends what waited. 1: there was something; 0; or -errno: the fabric
 * is broken, every node has failed, and the peers are to be closed. */
PST_MUST_USE int pst_peers_poll(struct pst_peers *peers);

/* To a machine of another node. One that is not there gets nothing: its failure is an event. */
void pst_peers_send(struct pst_peers *peers, const struct pst_signal *signal);

/* No thread of this node has anything more for the incarnation that failed: the node may join. */
void pst_peers_readmit(struct pst_peers *peers, uint32_t node);

/* A node has done what a sound one does not: it is not heard any more, and fails with the next
 * poll. */
void pst_peers_cut_off(struct pst_peers *peers, uint32_t node, const char *reason);

/* The nodes that live, this one included, by id - 1. */
struct pst_set pst_peers_live(const struct pst_peers *peers);

/* Those of the others that know SOURCE_TEXT_REP: not all are of this version. */
struct pst_set pst_peers_with_texts(const struct pst_peers *peers);

/* Whether a source of one of the others may hold up writers: nodes of older versions do not say
 * that theirs do not. */
bool peers_may_freeze(const struct pst_peers *peers);

struct pst_fabric *pst_peers_fabric(struct pst_peers *peers);

/* Signals that were dropped, since the start: in another's name, malformed, or to nobody. */
uint64_t peers_refused(const struct pst_peers *peers);

#endif
