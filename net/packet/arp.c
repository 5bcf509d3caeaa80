/*
 * Asks and answers by ARP, and remembers what it was answered. Pure; called by packet_ethdev.c on
 * the hub's thread.
 */
#include "net/packet/arp.h"

#include <linux/if_ether.h>
#include <stdbool.h>
#include <string.h>

/* Of the packet: offsets and sizes of RFC 826 for Ethernet and IPv4. */
#define ARP_BYTES 28u
#define OPERATION 6u
#define SENDER_MAC 8u
#define SENDER 14u
#define TARGET_MAC 18u
#define TARGET 24u

#define REQUEST 1u
#define REPLY 2u

static const uint8_t head[OPERATION] = {0, 1, 8, 0, FRAME_MAC_BYTES, 4};

void arp_open(struct arp *arp, const struct frame_end *own, uint32_t prefix_bits,
              struct in_addr gateway)
{
    *arp = (struct arp){.own = own, .gateway = gateway};
    arp->mask.s_addr = htonl(UINT32_MAX << (32 - prefix_bits));
}

static struct in_addr address_at(const uint8_t *bytes)
{
    struct in_addr address;
    memcpy(&address, bytes, sizeof(address));
    return address;
}

static struct arp_entry *entry_of(struct arp *arp, struct in_addr address)
{
    for (uint32_t i = 0; i < arp->count; i++) {
        if (arp->entries[i].address.s_addr == address.s_addr)
            return &arp->entries[i];
    }
    return NULL;
}

static struct arp_entry *add_entry(struct arp *arp, struct in_addr address)
{
    if (arp->count == ARP_ENTRIES_MAX)
        return NULL;
    struct arp_entry *entry = &arp->entries[arp->count++];
    *entry = (struct arp_entry){.address = address};
    return entry;
}

/* 0: there is no way. */
static struct in_addr next_hop(const struct arp *arp, struct in_addr to)
{
    bool is_near = ((to.s_addr ^ arp->own->address.sin_addr.s_addr) & arp->mask.s_addr) == 0;
    return is_near ? to : arp->gateway;
}

const uint8_t *arp_find(struct arp *arp, struct in_addr to, uint64_t now_ns, struct in_addr *ask)
{
    struct in_addr hop = next_hop(arp, to);
    ask->s_addr = 0;
    if (hop.s_addr == 0)
        return NULL;
    struct arp_entry *entry = entry_of(arp, hop);
    if (!entry)
        entry = add_entry(arp, hop);
    if (!entry)
        return NULL;
    bool is_known = entry->confirmed_ns != 0 && now_ns - entry->confirmed_ns < ARP_DEAD_NS;
    bool is_fresh = is_known && now_ns - entry->confirmed_ns < ARP_STALE_NS;
    if (!is_fresh && (entry->asked_ns == 0 || now_ns - entry->asked_ns >= ARP_ASK_NS)) {
        entry->asked_ns = now_ns;
        *ask = hop;
    }
    return is_known ? entry->mac : NULL;
}

static size_t write_packet(const struct arp *arp, uint8_t *frame, size_t at, uint16_t operation,
                           const uint8_t *target_mac, struct in_addr target)
{
    uint8_t *packet = frame + at;
    memcpy(packet, head, sizeof(head));
    frame_put16(packet + OPERATION, operation);
    memcpy(packet + SENDER_MAC, arp->own->mac, FRAME_MAC_BYTES);
    memcpy(packet + SENDER, &arp->own->address.sin_addr, 4);
    memcpy(packet + TARGET_MAC, target_mac, FRAME_MAC_BYTES);
    memcpy(packet + TARGET, &target, 4);
    return frame_pad(frame, at + ARP_BYTES);
}

size_t arp_write_request(const struct arp *arp, uint8_t *frame, struct in_addr address)
{
    static const uint8_t everybody[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t unknown[FRAME_MAC_BYTES];
    size_t at = frame_write_ethernet(arp->own, frame, everybody, ETH_P_ARP);
    return write_packet(arp, frame, at, REQUEST, unknown, address);
}

size_t arp_write_answer(const struct arp *arp, uint8_t *frame)
{
    uint8_t asker[FRAME_MAC_BYTES];
    memcpy(asker, frame + FRAME_MAC_BYTES, sizeof(asker));
    size_t at = frame_write_ethernet(arp->own, frame, asker, ETH_P_ARP);
    memcpy(asker, frame + at + SENDER_MAC, sizeof(asker));
    return write_packet(arp, frame, at, REPLY, asker, address_at(frame + at + SENDER));
}

static bool is_sound(const uint8_t *packet, size_t size_bytes)
{
    static const uint8_t nobody[FRAME_MAC_BYTES];
    if (size_bytes < ARP_BYTES || memcmp(packet, head, sizeof(head)) != 0)
        return false;
    uint16_t operation = frame_get16(packet + OPERATION);
    return (operation == REQUEST || operation == REPLY) && (packet[SENDER_MAC] & 1) == 0 &&
           memcmp(packet + SENDER_MAC, nobody, sizeof(nobody)) != 0;
}

static void learn(struct arp *arp, const uint8_t *packet, uint64_t now_ns)
{
    struct arp_entry *entry = entry_of(arp, address_at(packet + SENDER));
    if (!entry)
        return;
    memcpy(entry->mac, packet + SENDER_MAC, sizeof(entry->mac));
    entry->confirmed_ns = now_ns;
}

enum arp_result arp_take(struct arp *arp, const struct frame_content *content, uint64_t now_ns)
{
    const uint8_t *packet = content->bytes;
    struct in_addr own = arp->own->address.sin_addr;
    if (!is_sound(packet, content->size_bytes))
        return ARP_NOTHING;
    bool is_from_us = memcmp(packet + SENDER_MAC, arp->own->mac, FRAME_MAC_BYTES) == 0;
    if (is_from_us)
        return ARP_NOTHING;
    if (address_at(packet + SENDER).s_addr == own.s_addr)
        return ARP_CONFLICT;
    learn(arp, packet, now_ns);
    bool is_asked = frame_get16(packet + OPERATION) == REQUEST &&
                    address_at(packet + TARGET).s_addr == own.s_addr;
    return is_asked ? ARP_ASKED : ARP_NOTHING;
}
