/*
 * Ethernet frames with IPv4 and UDP in them, as bytes: what is not exactly as we would write it is
 * not for us. Pure; packet_ethdev.c on the hub's thread, and tests. Private to net/packet.
 */
#ifndef PST_NET_PACKET_FRAME_H
#define PST_NET_PACKET_FRAME_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAC_BYTES 6u
#define FRAME_BYTES_MIN 60u   /* Ethernet's, without its checksum: shorter ones are padded */
#define FRAME_TAG_BYTES 4u    /* of 802.1Q */
#define FRAME_OUTER_BYTES 18u /* what a frame has besides an IP packet, at most */

/* This end. */
struct frame_end {
    uint8_t mac[FRAME_MAC_BYTES];
    struct sockaddr_in address;
    uint16_t vlan; /* 1…4094: every frame carries this tag; 0: none does */
};

enum frame_kind {
    FRAME_FOREIGN,  /* not for us, not whole, or of no use */
    FRAME_DATAGRAM, /* of UDP, to our address and port */
    FRAME_ARP,      /* whatever it says */
    FRAME_ECHO,     /* a ping to our address */
};

/* Of a frame: a datagram's payload, or what follows the Ethernet header of an ARP packet; and who
 * sent a datagram. */
struct frame_content {
    const uint8_t *bytes;
    size_t size_bytes;
    struct sockaddr_in from;
};

/*
 * What a frame of size_bytes is. content: of a DATAGRAM and of ARP. Refused are fragments, options,
 * lengths that contradict each other, wrong checksums of IP headers and of pings, and senders that
 * are nobody's address. UDP's own checksum is not looked at: QUIC's AEAD says more, and the kernel
 * leaves it open between interfaces of one host.
 */
enum frame_kind frame_read(const struct frame_end *own, const uint8_t *frame, size_t size_bytes,
                           struct frame_content *content);

/* Writes an Ethernet header (linux/if_ether.h: type). Returns its bytes. */
size_t frame_write_ethernet(const struct frame_end *own, uint8_t *frame, const uint8_t *mac,
                            uint16_t type);

/* Fills a frame up to FRAME_BYTES_MIN, for which it has room. Returns its bytes. */
size_t frame_pad(uint8_t *frame, size_t size_bytes);

/* Bytes before a datagram's payload. */
size_t frame_header_bytes(const struct frame_end *own);

/* Writes what is before a payload that is in place, and padding behind it: frame has room for
 * FRAME_BYTES_MIN at least. Nothing on the way may fragment it. Returns the frame's bytes. */
size_t frame_write_datagram(const struct frame_end *own, uint8_t *frame, const uint8_t *mac,
                            const struct sockaddr_in *to, size_t payload_bytes);

/* Turns an ECHO into its answer, in place. Returns the frame's bytes. */
size_t frame_answer_echo(const struct frame_end *own, uint8_t *frame);

/* Numbers in network order, at any address. */
static inline uint16_t frame_get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline void frame_put16(uint8_t *bytes, size_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

#endif
