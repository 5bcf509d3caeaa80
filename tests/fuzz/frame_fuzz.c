/* What a network may bring to a port that DPDK drives: a frame, taken as packet_ethdev.c takes it,
 * on a network without tags and on one with them. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "net/packet/arp.h"
#include "tests/fuzz/fuzz.h"

/* The checksum of an IP header made right, as an attacker would. */
static void fix(uint8_t *frame, size_t size, size_t ip)
{
    uint32_t sum = 0;
    if (size < ip + 20)
        return;
    frame[ip + 10] = frame[ip + 11] = 0;
    for (size_t i = 0; i < 20; i += 2)
        sum += frame_get16(frame + ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    frame_put16(frame + ip + 10, (uint16_t) ~(sum + (sum >> 16)));
}

/* An answer is written over the frame, in a buffer that is larger. */
static void answer(const struct frame_end *own, const struct arp *arp, const uint8_t *frame,
                   size_t size)
{
    uint8_t *buffer = calloc(1, size + FRAME_BYTES_MIN);
    if (!buffer)
        abort();
    memcpy(buffer, frame, size);
    size_t bytes = arp ? arp_write_answer(arp, buffer) : frame_answer_echo(own, buffer);
    if (bytes < FRAME_BYTES_MIN || bytes > size + FRAME_BYTES_MIN ||
        memcmp(buffer + 6, own->mac, FRAME_MAC_BYTES) != 0)
        abort();
    free(buffer);
}

static void take(struct arp *arp, const uint8_t *frame, size_t size)
{
    const struct frame_end *own = arp->own;
    struct frame_content content;
    switch (frame_read(own, frame, size, &content)) {
    case FRAME_DATAGRAM:
        if (content.bytes < frame || content.size_bytes > size ||
            content.bytes + content.size_bytes > frame + size)
            abort();
        free(fuzz_copy(content.bytes, content.size_bytes)); /* reads all of it */
        break;
    case FRAME_ARP:
        if (arp_take(arp, &content, 1000) == ARP_ASKED)
            answer(own, arp, frame, size);
        break;
    case FRAME_ECHO:
        answer(own, NULL, frame, size);
        break;
    case FRAME_FOREIGN:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_end own = {.mac = {2, 0, 0, 0, 0, 11}};
    own.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(7420)};
    own.address.sin_addr.s_addr = htonl(0x0a14000b);
    for (uint16_t vlan = 0; vlan <= 42; vlan += 42) {
        struct in_addr ask, none = {0}, other = {htonl(0x0a14000c)};
        struct arp arp;
        own.vlan = vlan;
        arp_open(&arp, &own, 24, none);
        (void)arp_find(&arp, other, 1000, &ask);
        uint8_t *copy = fuzz_copy(data, size);
        take(&arp, copy, size);
        fix(copy, size, vlan != 0 ? 18 : 14);
        take(&arp, copy, size);
        if (arp.count != 1)
            abort();
        free(copy);
    }
    return 0;
}
