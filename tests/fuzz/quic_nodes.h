/*
 * For fuzz targets of the quic fabric: nodes 1 and 2 of a cluster in one process, over ports in
 * memory and in a time of their own. Aborts where an event is not as net/fabric.h has it.
 */
#ifndef PST_TESTS_FUZZ_QUIC_NODES_H
#define PST_TESTS_FUZZ_QUIC_NODES_H

#include "net/quic/quic_parts.h"

#define FUZZ_ROUND_NS UINT64_C(1000000)

struct fuzz_node {
    struct pst_fabric *fabric; /* NULL: not open */
    uint32_t joins, failures;
    uint64_t received; /* signals */
};

extern struct fuzz_node fuzz_nodes[2]; /* ids 1, 2 */

/* Of a member, 1…3, or of a stranger. */
const struct sockaddr_in *fuzz_address(uint32_t node);

/* Before the first call; the log is silenced. */
void fuzz_nodes_begin(void);

void fuzz_node_open(uint32_t node);

/* A round of each node that is open, then time passes. */
void fuzz_nodes_round(uint64_t passing_ns);

void fuzz_nodes_close(void);

struct quic_fabric *fuzz_fabric(uint32_t node);

#endif
