/*
 * The fabric of nodes on different hosts: a QUIC connection for each pair of nodes, in UDP packets,
 * for those who hold the cluster's key (docs/adr/0024-quic-fabric.md). It does not expel: a death
 * concerns one link. A round makes a system call to receive, another if one datagram was there, and
 * one to send.
 */
#ifndef PST_NET_QUIC_QUIC_FABRIC_H
#define PST_NET_QUIC_QUIC_FABRIC_H

#include "net/quic/quic_network.h"

/*
 * Opens it; the calling thread is the hub's from then on. 0, or -errno with message, for people,
 * which names what failed: EADDRINUSE: another process has bound the node's address;
 * EADDRNOTAVAIL: it is no address of this host; EINVAL: what config says is impossible; …
 */
PST_MUST_USE int pst_quic_fabric_open(const struct pst_quic_config *config,
                                      struct pst_fabric **fabric, char *message,
                                      uint32_t message_bytes);

#endif
