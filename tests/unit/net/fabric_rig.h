/*
 * For tests of fabrics: nodes that record the events they get, and for the shm fabric a cluster
 * directory of their own.
 */
#ifndef PST_TESTS_UNIT_NET_FABRIC_RIG_H
#define PST_TESTS_UNIT_NET_FABRIC_RIG_H

#include "net/shm/shm_fabric.h"

/* Nothing in these tests takes that long: whoever waits longer has found a fault. */
#define RIG_PATIENCE_NS UINT64_C(30000000000)

struct rig_node {
    struct pst_fabric *fabric;
    uint32_t node;
    uint32_t joined[PST_NODES_MAX + 1];
    uint32_t failed[PST_NODES_MAX + 1];
    enum pst_fabric_failure failure[PST_NODES_MAX + 1];
    uint64_t received[PST_NODES_MAX + 1];  /* signals */
    uint64_t misplaced[PST_NODES_MAX + 1]; /* not the next one of rig_signal() */
    bool mourns;                           /* does not readmit nodes that have failed */
    uint32_t expelled;
    uint32_t expelled_by;
    uint64_t incarnation; /* of the node that joined last */
    uint8_t option;       /* likewise, the first byte of its options */
    char reason[128];     /* of the last failure */
};

/* A new directory's name; removed with all that is in it by rig_remove_directory(). */
const char *rig_make_directory(void);
void rig_remove_directory(const char *directory);

/* failure_ns: 0 for one that is longer than the patience. */
struct pst_shm_config rig_config(const char *directory, uint32_t node, uint64_t incarnation,
                                 uint64_t failure_ns);
void rig_open(struct rig_node *node, const struct pst_shm_config *config);
void rig_close(struct rig_node *node);

/* The number-th signal to a node. */
struct pst_signal rig_signal(uint64_t number);

/* One round. Whether it found anything. */
bool rig_poll(struct rig_node *node);

/* A round; if it found nothing, sleep as a hub does, at most until the next heartbeat, or extra_fd
 * is readable. */
void rig_poll_and_sleep(struct rig_node *node, int extra_fd);

/* A time of the test's own, which moves by RIG_ROUND_NS with each round of all nodes; 0, which is
 * the default: the system's clock. */
#define RIG_ROUND_NS UINT64_C(1000000)
void rig_set_clock(uint64_t now_ns);

/* A round of each node that is open. */
void rig_round(struct rig_node *nodes, uint32_t count);

/* Rounds of all nodes by turns until *value is at least wanted; false: the patience is over. */
bool rig_until(struct rig_node *nodes, uint32_t count, const uint32_t *value, uint32_t wanted);
bool rig_until_received(struct rig_node *nodes, uint32_t count, const uint64_t *value,
                        uint64_t wanted);

#endif
