/*
 * What the fabric between hosts is opened with: net/quic/quic_fabric.h.
 */
#ifndef PST_NET_QUIC_QUIC_NETWORK_H
#define PST_NET_QUIC_QUIC_NETWORK_H

#include <netinet/in.h>

#include "net/fabric.h"
#include "net/packet/packet_ethdev.h"

#define PST_CLUSTER_KEY_BYTES 32u
#define PST_CLUSTER_KEYS_MAX 2u

#define PST_QUIC_PORT 7420u /* of a member that is given none */

/* Bytes of an IPv4 packet. QUIC needs 1200 in a datagram (RFC 9000, section 14). */
#define PST_QUIC_MTU 1500u
#define PST_QUIC_MTU_MIN 1280u
#define PST_QUIC_MTU_MAX 9000u

/* The nodes of a cluster, and the secret by which they know each other. */
struct pst_quic_network {
    struct sockaddr_in members[PST_NODES_MAX + 1]; /* by id; sin_family 0: no member. The node's own
                                                      address is the one that it binds */
    struct pst_set near; /* by id - 1: members on the node's host, reached by another fabric */
    const char *device;  /* the port that the node uses: net/packet/packet_ethdev.h, as of the next
                            three; NULL: a UDP socket of the kernel */
    uint32_t prefix_bits;
    struct in_addr gateway;
    uint16_t vlan;
    uint32_t mtu_bytes;
    uint32_t keys_count; /* 1…PST_CLUSTER_KEYS_MAX: the first is offered, all are accepted */
    uint8_t keys[PST_CLUSTER_KEYS_MAX][PST_CLUSTER_KEY_BYTES];
};

/* The port that a node uses if network->device is not NULL. */
static inline struct packet_ethdev_config pst_quic_port(const struct pst_quic_network *network,
                                                        uint32_t node)
{
    return (struct packet_ethdev_config){.device = network->device,
                                         .address = network->members[node],
                                         .prefix_bits = network->prefix_bits,
                                         .gateway = network->gateway,
                                         .vlan = network->vlan,
                                         .mtu_bytes = network->mtu_bytes};
}

struct pst_quic_config {
    const struct pst_quic_network *network; /* must outlive the fabric */
    struct pst_fabric_hello hello;
    uint32_t ring_signals; /* that one node may have sent another which are not yet acknowledged, or
                              not yet polled; 0: PST_RING_SIGNALS */
    uint64_t failure_ns;   /* how long a peer may be silent; 0: PST_FABRIC_FAILURE_NS. A node must
                              call poll at least six times as often */
};

/* Eight digits that tell keys apart, as refusals in the log do, and betray nothing of the key.
 * text: PST_KEY_MARK_BYTES; returned. Any thread. */
#define PST_KEY_MARK_BYTES 9u
char *pst_quic_key_mark(const uint8_t *key, char *text);

#endif
