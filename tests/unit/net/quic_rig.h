/*
 * For tests of the quic fabric: a network of nodes on loopback addresses of their own, and a relay
 * between two of them that does to their datagrams what networks and attackers do.
 */
#ifndef PST_TESTS_UNIT_NET_QUIC_RIG_H
#define PST_TESTS_UNIT_NET_QUIC_RIG_H

#include "net/quic/quic_fabric.h"
#include "net/quic/quic_wire.h"

/* Tests that use this rig link with -Wl,--wrap=quic_hello_write. Changes what a node says of
 * itself; NULL: nothing does. */
extern void (*quic_rig_on_hello)(struct quic_hello *hello);

/* With a relay, or another stand-in for an address, the nodes' lists of members differ by
 * necessity: then none is sent. */
extern bool quic_rig_hides_members;

/* Nodes 1…count, each on an address that no other process of the test suite has, and one key. The
 * caller frees it. */
struct pst_quic_network *quic_rig_network(uint32_t count);

/* Aborts where it cannot be opened. */
struct pst_fabric *quic_rig_open(const struct pst_quic_config *config);

#define QUIC_RIG_KEPT 64u
#define QUIC_RIG_DATAGRAM_BYTES 2048u

struct quic_rig_datagram {
    size_t size_bytes;
    uint8_t bytes[QUIC_RIG_DATAGRAM_BYTES];
};

/* One way between nodes 1 and 2. */
struct quic_rig_way {
    int socket; /* at the address that the sender takes for the receiver's */
    struct sockaddr_in to;
    bool is_cut;
    uint64_t carried;
    struct quic_rig_datagram held; /* to be overtaken; size 0: none */
    struct quic_rig_datagram kept[QUIC_RIG_KEPT];
};

/* Chances in a thousand, for each datagram. */
struct quic_rig_relay {
    uint64_t state; /* of the random numbers, never 0 */
    uint32_t lost, copied, overtaken;
    size_t size_bytes_max;              /* a larger one is lost; 0: none is */
    uint32_t flipped, replayed, forged; /* sent besides */
    struct quic_rig_way ways[2];        /* from node 1, from node 2 */
};

/* Places a relay between nodes 1 and 2: changes networks[i], which node i + 1 is to be opened with.
 * seed: not 0. The caller frees it by quic_rig_remove(). */
struct quic_rig_relay *quic_rig_place(struct pst_quic_network *networks[2], uint64_t seed);
void quic_rig_remove(struct quic_rig_relay *relay);

/* Sends a datagram to node 1 in node 2's name. */
void quic_rig_inject(struct quic_rig_relay *relay, const uint8_t *bytes, size_t size_bytes);

/* Carries all that has come. */
void quic_rig_carry(struct quic_rig_relay *relay);

#endif
