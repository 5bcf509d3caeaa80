/*
 * Reads and writes Ethernet, 802.1Q, IPv4 and UDP headers, and answers pings. Pure; called by
 * packet_ethdev.c on the hub's thread.
 */
#include "net/packet/frame.h"

#include <linux/if_ether.h>
#include <stdbool.h>
#include <string.h>

#define IP_BYTES 20u
#define UDP_BYTES 8u
#define ICMP_BYTES 8u

#define IP_FIRST 0x45u           /* version 4, a header of 20 bytes */
#define IP_DONT_FRAGMENT 0x4000u /* the one bit of its field that may be set */
#define HOPS 64u

#define ICMP_ECHO_REQUEST 8u
#define ICMP_ECHO_REPLY 0u

static size_t ethernet_bytes(const struct frame_end *own)
{
    return ETH_HLEN + (own->vlan != 0 ? FRAME_TAG_BYTES : 0);
}

size_t frame_header_bytes(const struct frame_end *own)
{
    return ethernet_bytes(own) + IP_BYTES + UDP_BYTES;
}

/* RFC 1071: 0 of bytes that contain their own. */
static uint16_t checksum_of(const uint8_t *bytes, size_t size_bytes)
{
    uint32_t sum = 0; /* of 64 KiB at most */
    for (size_t i = 0; i + 1 < size_bytes; i += 2)
        sum += frame_get16(bytes + i);
    if (size_bytes % 2 != 0)
        sum += (uint32_t)bytes[size_bytes - 1] << 8;
    while (sum > UINT16_MAX)
        sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)~sum;
}

static enum frame_kind read_udp(const struct frame_end *own, const uint8_t *udp, size_t size_bytes,
                                struct frame_content *content)
{
    if (size_bytes < UDP_BYTES || frame_get16(udp + 4) != size_bytes ||
        memcmp(udp + 2, &own->address.sin_port, 2) != 0)
        return FRAME_FOREIGN;
    memcpy(&content->from.sin_port, udp, 2);
    content->bytes = udp + UDP_BYTES;
    content->size_bytes = size_bytes - UDP_BYTES;
    return content->from.sin_port != 0 ? FRAME_DATAGRAM : FRAME_FOREIGN;
}

static enum frame_kind read_icmp(const uint8_t *icmp, size_t size_bytes)
{
    bool is_echo = size_bytes >= ICMP_BYTES && icmp[0] == ICMP_ECHO_REQUEST && icmp[1] == 0 &&
                   checksum_of(icmp, size_bytes) == 0;
    return is_echo ? FRAME_ECHO : FRAME_FOREIGN;
}

/* Whether a host may have it. */
static bool is_unicast(struct in_addr address)
{
    uint32_t first = ntohl(address.s_addr) >> 24;
    return first != 0 && first < 224;
}

/* The frame may be longer: padded. */
static enum frame_kind read_ip(const struct frame_end *own, const uint8_t *ip, size_t size_bytes,
                               struct frame_content *content)
{
    if (size_bytes < IP_BYTES || ip[0] != IP_FIRST)
        return FRAME_FOREIGN;
    size_t total_bytes = frame_get16(ip + 2);
    if (total_bytes < IP_BYTES || total_bytes > size_bytes ||
        (frame_get16(ip + 6) & ~IP_DONT_FRAGMENT) != 0 || checksum_of(ip, IP_BYTES) != 0 ||
        memcmp(ip + 16, &own->address.sin_addr, 4) != 0)
        return FRAME_FOREIGN;
    content->from = (struct sockaddr_in){.sin_family = AF_INET};
    memcpy(&content->from.sin_addr, ip + 12, 4);
    if (!is_unicast(content->from.sin_addr) ||
        content->from.sin_addr.s_addr == own->address.sin_addr.s_addr)
        return FRAME_FOREIGN;
    if (ip[9] == IPPROTO_UDP)
        return read_udp(own, ip + IP_BYTES, total_bytes - IP_BYTES, content);
    return ip[9] == IPPROTO_ICMP ? read_icmp(ip + IP_BYTES, total_bytes - IP_BYTES) : FRAME_FOREIGN;
}

static bool is_broadcast(const uint8_t *mac)
{
    static const uint8_t everybody[FRAME_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return memcmp(mac, everybody, sizeof(everybody)) == 0;
}

enum frame_kind frame_read(const struct frame_end *own, const uint8_t *frame, size_t size_bytes,
                           struct frame_content *content)
{
    size_t header_bytes = ethernet_bytes(own);
    if (size_bytes < header_bytes)
        return FRAME_FOREIGN;
    if (own->vlan != 0 && (frame_get16(frame + 12) != ETH_P_8021Q ||
                           (frame_get16(frame + ETH_HLEN) & 0x0fff) != own->vlan))
        return FRAME_FOREIGN;
    uint16_t type = frame_get16(frame + header_bytes - 2);
    bool is_ours = memcmp(frame, own->mac, sizeof(own->mac)) == 0;
    content->bytes = frame + header_bytes;
    content->size_bytes = size_bytes - header_bytes;
    if (type == ETH_P_ARP && (is_ours || is_broadcast(frame)))
        return FRAME_ARP;
    return type == ETH_P_IP && is_ours ? read_ip(own, content->bytes, content->size_bytes, content)
                                       : FRAME_FOREIGN;
}

size_t frame_write_ethernet(const struct frame_end *own, uint8_t *frame, const uint8_t *mac,
                            uint16_t type)
{
    size_t header_bytes = ethernet_bytes(own);
    memmove(frame, mac, FRAME_MAC_BYTES); /* may be that of the frame that is answered */
    memcpy(frame + FRAME_MAC_BYTES, own->mac, FRAME_MAC_BYTES);
    if (own->vlan != 0) {
        frame_put16(frame + 12, ETH_P_8021Q);
        frame_put16(frame + ETH_HLEN, own->vlan);
    }
    frame_put16(frame + header_bytes - 2, type);
    return header_bytes;
}

static void sum_ip(uint8_t *ip)
{
    frame_put16(ip + 10, 0);
    frame_put16(ip + 10, checksum_of(ip, IP_BYTES));
}

size_t frame_pad(uint8_t *frame, size_t size_bytes)
{
    if (size_bytes >= FRAME_BYTES_MIN)
        return size_bytes;
    memset(frame + size_bytes, 0, FRAME_BYTES_MIN - size_bytes);
    return FRAME_BYTES_MIN;
}

/* Identification 0: what is not fragmented needs none (RFC 6864). UDP's checksum 0: there is none
 * (RFC 768). */
size_t frame_write_datagram(const struct frame_end *own, uint8_t *frame, const uint8_t *mac,
                            const struct sockaddr_in *to, size_t payload_bytes)
{
    uint8_t *ip = frame + frame_write_ethernet(own, frame, mac, ETH_P_IP);
    uint8_t *udp = ip + IP_BYTES;
    memset(ip, 0, IP_BYTES + UDP_BYTES);
    ip[0] = IP_FIRST;
    frame_put16(ip + 2, IP_BYTES + UDP_BYTES + payload_bytes);
    frame_put16(ip + 6, IP_DONT_FRAGMENT);
    ip[8] = HOPS;
    ip[9] = IPPROTO_UDP;
    memcpy(ip + 12, &own->address.sin_addr, 4);
    memcpy(ip + 16, &to->sin_addr, 4);
    sum_ip(ip);
    memcpy(udp, &own->address.sin_port, 2);
    memcpy(udp + 2, &to->sin_port, 2);
    frame_put16(udp + 4, UDP_BYTES + payload_bytes);
    return frame_pad(frame, (size_t)(udp - frame) + UDP_BYTES + payload_bytes);
}

size_t frame_answer_echo(const struct frame_end *own, uint8_t *frame)
{
    uint8_t *ip = frame + frame_write_ethernet(own, frame, frame + FRAME_MAC_BYTES, ETH_P_IP);
    uint8_t *icmp = ip + IP_BYTES;
    size_t total_bytes = frame_get16(ip + 2);
    memcpy(ip + 16, ip + 12, 4);
    memcpy(ip + 12, &own->address.sin_addr, 4);
    ip[8] = HOPS;
    sum_ip(ip);
    icmp[0] = ICMP_ECHO_REPLY;
    frame_put16(icmp + 2, 0);
    frame_put16(icmp + 2, checksum_of(icmp, total_bytes - IP_BYTES));
    return frame_pad(frame, (size_t)(ip - frame) + total_bytes);
}
