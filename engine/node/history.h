/*
 * What becomes of the backups that a cluster's node takes part in: a line in the log for each
 * start and end, the last end, and how far the running one is, for the node's status. Follows the
 * node's proxies: the hub's, and LDM 1's of single-threaded backups; each on its proxy's thread.
 */
#ifndef PST_ENGINE_NODE_HISTORY_H
#define PST_ENGINE_NODE_HISTORY_H

#include "engine/base/check.h"
#include "engine/node/node.h"
#include "engine/protocol/proxy.h"

/* One proxy's; begins as zeros. */
struct history {
    enum pst_proxy_state state; /* when it was last looked at */
    uint64_t in_doubt;          /* how many the proxy had left so when this one began */
    uint64_t began_ns;
    uint32_t number;
    uint8_t uid[16];
    struct pst_set nodes; /* by id - 1: that take part */
    uint32_t error;       /* the last that the proxy knew of; 0: none */
    pst_ref where;
    bool is_started;
    bool has_read;                 /* its LDMs may have read something for it */
    struct pst_thread_owner owner; /* the thread that follows it */
};

/* After each step of the proxy. A node alone keeps no history: its client reports everything. */
void history_follow(struct history *history, struct pst_node *node, const struct pst_proxy *proxy);

/* How far the backup is that the node takes part in; rates aside. Any thread. */
void history_show(struct pst_node *node, struct pst_running_status *running);

#endif
