/*
 * The hub's routing, without its thread: which way each signal of the node goes, what the proxy and
 * the outcome machine do with those that are theirs, and what becomes of a node that fails or
 * joins. It owns no ring, no fabric and no clock: hub.c, or a simulator, gives it these.
 *
 * One thread's: the hub's.
 */
#ifndef PST_ENGINE_NODE_ROUTING_H
#define PST_ENGINE_NODE_ROUTING_H

#include "engine/node/keep_out.h"
#include "engine/node/peers.h"
#include "engine/protocol/outcome.h"
#include "engine/protocol/proxy.h"

/* The actions of one machine's step. They are performed before the machine steps again: nothing
 * that it sends may come back to it on the way. */
struct routing_turn {
    struct pst_actions actions;
    bool is_taken;
};

/* Zeros but for the first lines, which its owner sets, and may set to NULL when the peers are gone.
 */
struct routing {
    const struct pst_node_config *config;
    struct pst_proxy *proxy;
    struct pst_outcome_machine
        *outcome;            /* NULL: a node alone; what is decided here, is known here */
    struct pst_peers *peers; /* likewise */
    uint64_t (*now_ns)(void *context);
    /* To another thread of this node; there is room. false: there is none of that name. */
    bool (*deliver)(void *context, const struct pst_signal *signal);
    /* How many more there is room for; UINT32_MAX: there is no such thread. */
    uint32_t (*room)(void *context, pst_ref receiver_ref);
    void (*on_proxy)(void *context); /* after each step of the proxy */
    void *context;

    struct routing_turn proxy_turn;
    struct routing_turn outcome_turn;
    struct keep_out kept_out;
    bool is_hung;
    struct pst_set held_out; /* by id - 1: kept out while this node is hung */
    uint64_t asked;          /* the backup whose request the master has, or had last; 0: none */
    bool is_running;
    uint64_t nodes_failed;
};

void routing_init(struct routing *routing);

/* A signal from a thread of this node, to any. */
void routing_take(struct routing *routing, const struct pst_signal *signal);

/* What the peers report: pst_peers_handlers, the context being the routing. */
void routing_on_peer_signal(void *context, const struct pst_signal *signal);
void routing_on_peer_change(void *context, bool joined, const struct pst_node_change *change);

/* Whether this node is hung, again and again while it is: it cuts itself off from all others, which
 * go on without it, and lets them in when it is hung no more. */
void routing_note_hung(struct routing *routing, bool is_hung);

/* The passing of time, and when it is to be called next. */
void routing_keep_time(struct routing *routing);
uint64_t routing_deadline_ns(const struct routing *routing);

#endif
