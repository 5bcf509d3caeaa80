/*
 * A fabric inside one process, for tests: its nodes exchange signals through queues in memory. It
 * has no threads and no clock. One thread polls all nodes of a network, and time is what it passes
 * to pst_fabric_poll(): the same calls give the same events.
 *
 * It does not expel: a death concerns the two ends of one link, which meet again in a new session,
 * under the same incarnations, when both have been readmitted. Errors are not returned: the process
 * aborts when it is out of memory.
 */
#ifndef PST_TESTS_SUPPORT_LOOP_FABRIC_H
#define PST_TESTS_SUPPORT_LOOP_FABRIC_H

#include "net/fabric.h"

/* Signals that a node may have sent to another and that are not yet taken. */
#define LOOP_QUEUE_SIGNALS 64u

struct loop_network;

struct loop_network *loop_network_open(void);

/* After the last of its fabrics has been closed or killed. */
void loop_network_close(struct loop_network *network);

/* hello->node is not open in the network (asserted); hello is copied. failure_ns: how long a peer
 * may be silent, at least PST_FABRIC_FAILURE_NS_MIN. Close it with pst_fabric_close(). */
struct pst_fabric *loop_fabric_open(struct loop_network *network,
                                    const struct pst_fabric_hello *hello, uint64_t failure_ns);

/* Instead of pst_fabric_close(): the end of a process that was killed. What it had not published is
 * lost, and its peers report PST_FABRIC_DIED. */
void loop_fabric_kill(struct pst_fabric *fabric);

#endif
