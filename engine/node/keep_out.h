/*
 * Nodes that are kept out after their failure, and the threads of this node that have not taken
 * note of it. What such a thread sent the failed node must not reach the node's next incarnation,
 * so the node is let in again only when no thread is left. A thread that hangs keeps it out for as
 * long.
 *
 * Threads are known by their ref. The hub's thread alone.
 */
#ifndef PST_ENGINE_NODE_KEEP_OUT_H
#define PST_ENGINE_NODE_KEEP_OUT_H

#include "engine/base/check.h"
#include "engine/protocol/signal.h"

#define KEEP_OUT_THREADS_MAX (PST_LDMS_MAX + 3) /* LDMs, archive, client, hub */

struct keep_out {
    struct {
        pst_ref ref;          /* 0: free */
        struct pst_set nodes; /* by id - 1: failures that it has not taken note of */
    } threads[KEEP_OUT_THREADS_MAX];
    struct pst_set nodes;  /* of all threads */
    struct pst_set logged; /* of these, those about which a line was logged */
    uint64_t log_at_ns;    /* PST_DEADLINE_NONE: there is nothing to log */
    struct pst_thread_owner owner;
};

/* No node is kept out. */
void keep_out_init(struct keep_out *kept_out);

/* A thread is sent the order about a failure. It has taken note of that node's earlier ones. */
void keep_out_add(struct keep_out *kept_out, pst_ref thread, uint32_t node, uint64_t now_ns);

/* A thread has taken note. true: it was the last one, and the node may join. */
bool keep_out_remove(struct keep_out *kept_out, pst_ref thread, uint32_t node);

/* At log_at_ns: logs a line for each node that has been kept out for long, with a thread that it
 * waits for. */
void keep_out_log(struct keep_out *kept_out, uint64_t now_ns);

#endif
