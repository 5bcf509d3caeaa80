/*
 * The network of a node whose cluster spans hosts, from what the operator wrote. One thread, any.
 */
#ifndef PST_ENGINE_SERVICE_NETWORK_H
#define PST_ENGINE_SERVICE_NETWORK_H

#include "engine/node/node.h"
#include "engine/service/daemon.h"

struct pst_eal_config; /* net/eal.h */

/* Of a job with members, after net_load(). *eal: what the node's port needs of DPDK's EAL, if it
 * needs it. 0, or -errno with message (PST_MESSAGE_BYTES): -EINVAL: members, key, device and
 * address are not as they must be, or do not fit together; others: the device cannot be used.
 * Closed by network_close.
 */
PST_MUST_USE int network_open(const struct pst_daemon_job *job, struct pst_quic_network **network,
                              struct pst_eal_config *eal, char *message);

/* Whether the kernel's ways to all members carry packets of the network's size. -EMSGSIZE with
 * message. */
PST_MUST_USE int network_check_mtu(const struct pst_quic_network *network, uint32_t node,
                                   char *message);

/* Opens the fabric; a pst_network_opener. */
PST_MUST_USE int network_open_fabric(const struct pst_cluster_config *cluster,
                                     const struct pst_fabric_hello *hello,
                                     struct pst_fabric **fabric, char *message);

/* Wipes the keys. Nothing for NULL. */
void network_close(struct pst_quic_network *network);

#endif
