/*
 * Watches the threads of a node, so that a source or a disk that hangs has a name: a thread that
 * has been in one call for long is logged once, and shown in the node's status; a node that cannot
 * end a backup because of it is hung.
 *
 * The hub's thread alone.
 */
#ifndef PST_ENGINE_NODE_WATCH_H
#define PST_ENGINE_NODE_WATCH_H

#include "engine/base/check.h"
#include "engine/base/stall.h"
#include "engine/node/node.h"

struct pst_node;

/* One thread, or what its ring has in flight. */
struct watched {
    struct pst_stall stall;
    char thread[PST_STALL_THREAD_BYTES];
    bool is_ldm; /* whose thread acts for others: nobody else gives up what it hangs in */
};

struct watch {
    struct pst_node *node;
    struct watched *watched;
    uint32_t count;
    uint64_t due_ns;    /* of the next look */
    uint64_t ending_ns; /* since when a backup is being ended; 0: none is */
    bool is_hung;
    struct pst_thread_owner owner;
};

/* -ENOMEM. watch_close() in any case. */
PST_MUST_USE int watch_open(struct watch *watch, struct pst_node *node);
void watch_close(struct watch *watch);

/* At due_ns. ends: the hub's proxy ends a backup that was not made; what LDM 1 does is known. Sets
 * is_hung: a thread has not moved for the limit, and a backup has been waiting for it as long. */
void watch_look(struct watch *watch, bool ends, uint64_t now_ns);

/* Into the status, whose lock the caller holds. */
void watch_show(const struct watch *watch, struct pst_node_status *status);

#endif
