/*
 * For tests of fabrics: a cluster directory of their own, and nodes that keep what they were told.
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
    bool mourns;                           /* does not readmit who has failed */
    uint32_t expelled;
    uint32_t expelled_by;
    uint64_t incarnation; /* of whoever joined last */
    uint8_t option;       /* first byte of the options of whoever joined last */
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

/* Rounds of all nodes by turns until *value is at least wanted; false: the patience is over. */
bool rig_until(struct rig_node *nodes, uint32_t count, const uint32_t *value, uint32_t wanted);
bool rig_until_received(struct rig_node *nodes, uint32_t count, const uint64_t *value,
                        uint64_t wanted);

#endif
