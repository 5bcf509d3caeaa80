/*
 * Which threads of a node have yet to hear that another node failed. What one of them sent that
 * node before it heard must not reach the node's next incarnation, so the node is let in again only
 * when nobody is left here. A thread that hangs keeps it out for as long.
 *
 * Threads are told apart by their ref. The hub's thread alone.
 */
#ifndef PST_ENGINE_NODE_UNHEARD_H
#define PST_ENGINE_NODE_UNHEARD_H

#include "engine/base/check.h"
#include "engine/protocol/signal.h"

#define PST_LISTENERS_MAX (PST_LDMS_MAX + 2) /* LDMs, archive, client */

struct pst_unheard {
    struct {
        pst_ref ref;          /* 0: free */
        struct pst_set nodes; /* by id - 1: whose failure it has not heard of */
    } listeners[PST_LISTENERS_MAX];
    struct pst_set nodes; /* of all listeners */
    struct pst_set said;  /* of these, those about which a line was logged */
    uint64_t say_at_ns;   /* PST_DEADLINE_NONE: nothing is to be said */
    struct pst_thread_owner owner;
};

/* Nobody has anything to hear. */
void pst_unheard_init(struct pst_unheard *unheard);

/* A thread is told of a failure. It has heard of that node's earlier ones. */
void pst_unheard_add(struct pst_unheard *unheard, pst_ref listener, uint32_t node, uint64_t now_ns);

/* A thread has heard. true: it was the last one, and the node may join. */
bool pst_unheard_remove(struct pst_unheard *unheard, pst_ref listener, uint32_t node);

/* At say_at_ns: one line in the log for each node that is kept out for long, with a thread that has
 * not heard. */
void pst_unheard_say(struct pst_unheard *unheard, uint64_t now_ns);

#endif
