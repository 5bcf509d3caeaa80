/*
 * For tests of the mixed fabric: hosts, which are directories of the shm fabric, on a network of
 * quic_rig.h.
 */
#ifndef PST_TESTS_UNIT_NET_MIXED_RIG_H
#define PST_TESTS_UNIT_NET_MIXED_RIG_H

#include "net/fabric.h"

struct pst_quic_network;

/* Of each fabric, so that a ring's size says whose it is. */
#define MIXED_RIG_NEAR_SIGNALS 128u
#define MIXED_RIG_FAR_SIGNALS 64u
#define MIXED_RIG_FAR_RING_BYTES (2u * MIXED_RIG_FAR_SIGNALS * PST_SIGNAL_BYTES)

/* The fabric of a node on the host with that directory, on which the nodes of near are, by id - 1.
 * Aborts where it cannot be opened. */
struct pst_fabric *mixed_rig_open(const char *directory, uint64_t near,
                                  const struct pst_quic_network *network,
                                  const struct pst_fabric_hello *hello, uint64_t failure_ns);

#endif
