/*
 * ARP for one address (RFC 826), as bytes: which MAC leads to whom, what is asked and what is
 * answered. Only of those that we have sent something to is anything remembered. Pure;
 * packet_ethdev.c on the hub's thread, and tests. Private to net/packet.
 */
#ifndef PST_NET_PACKET_ARP_H
#define PST_NET_PACKET_ARP_H

#include "engine/base/limits.h"
#include "net/packet/frame.h"

/* A MAC is asked for again when it has not been confirmed for ARP_STALE_NS, and no longer used
 * after ARP_DEAD_NS; two questions of one address lie ARP_ASK_NS apart, at least. */
#define ARP_ASK_NS UINT64_C(250000000)
#define ARP_STALE_NS UINT64_C(20000000000)
#define ARP_DEAD_NS UINT64_C(60000000000)

/* All members and a gateway. */
#define ARP_ENTRIES_MAX (PST_NODES_MAX + 1u)

struct arp_entry {
    struct in_addr address;
    uint8_t mac[FRAME_MAC_BYTES];
    uint64_t confirmed_ns; /* 0: the MAC is not known */
    uint64_t asked_ns;     /* 0: never */
};

struct arp {
    const struct frame_end *own;
    struct in_addr mask;    /* of the network that own is in */
    struct in_addr gateway; /* to others; 0: there is none */
    uint32_t count;
    struct arp_entry entries[ARP_ENTRIES_MAX];
};

/* own must outlive it. prefix_bits: 1…32. */
void arp_open(struct arp *arp, const struct frame_end *own, uint32_t prefix_bits,
              struct in_addr gateway);

/* The MAC that leads to an address, or NULL: not known, or there is no way. *ask: whom
 * arp_write_request is to be sent for now; 0: nobody. now_ns: never 0. */
const uint8_t *arp_find(struct arp *arp, struct in_addr to, uint64_t now_ns, struct in_addr *ask);

/* Writes the question to all who has an address; with our own, it tells all what ours is. frame:
 * room for FRAME_BYTES_MIN. Returns the frame's bytes. */
size_t arp_write_request(const struct arp *arp, uint8_t *frame, struct in_addr address);

enum arp_result {
    ARP_NOTHING,
    ARP_ASKED,    /* for our address: arp_write_answer is to be sent */
    ARP_CONFLICT, /* another has our address */
};

/* Learns from the ARP packet of a frame (frame_read). */
enum arp_result arp_take(struct arp *arp, const struct frame_content *packet, uint64_t now_ns);

/* Turns the question into its answer, in place; frame: room for FRAME_BYTES_MIN. Returns the
 * frame's bytes. */
size_t arp_write_answer(const struct arp *arp, uint8_t *frame);

#endif
