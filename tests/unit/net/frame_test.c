/*
 * Frames on the wire, byte by byte, and each thing that may be wrong with one: 10.20.0.11 port 7420
 * is this end, 10.20.0.12 port 9000 the other. With and without a tag of 802.1Q.
 */
#include <arpa/inet.h>
#include <string.h>

#include "net/packet/frame.h"
#include "tests/suite.h"

static const uint8_t other_mac[] = {2, 0, 0, 0, 0, 12};
static struct frame_end own = {.mac = {2, 0, 0, 0, 0, 11}};
static const uint16_t tags[] = {0, 42};

static const uint8_t datagram_in[] = {
    0x45, 0x00, 0x00, 0x21, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x26, 0x8e, /* IP */
    0x0a, 0x14, 0x00, 0x0c, 0x0a, 0x14, 0x00, 0x0b,                         /* addresses */
    0x23, 0x28, 0x1c, 0xfc, 0x00, 0x0d, 0x00, 0x00,                         /* UDP */
    'h',  'e',  'l',  'l',  'o'};
static const uint8_t datagram_out[] = {
    0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x26, 0x90, /* IP */
    0x0a, 0x14, 0x00, 0x0b, 0x0a, 0x14, 0x00, 0x0c,                         /* addresses */
    0x1c, 0xfc, 0x23, 0x28, 0x00, 0x0b, 0x00, 0x00,                         /* UDP */
    'a',  'b',  'c'};
static const uint8_t ping_in[] = {0x45, 0x00, 0x00, 0x21, 0x00, 0x00, 0x40, 0x00,
                                  0x40, 0x01, 0x26, 0x9e,                         /* IP */
                                  0x0a, 0x14, 0x00, 0x0c, 0x0a, 0x14, 0x00, 0x0b, /* addresses */
                                  0x08, 0x00, 0xbc, 0x03, 0x12, 0x34, 0x00, 0x01, /* ICMP */
                                  'a',  'b',  'c',  'd',  'e'};
static const uint8_t ping_out[] = {0x45, 0x00, 0x00, 0x21, 0x00, 0x00, 0x40, 0x00,
                                   0x40, 0x01, 0x26, 0x9e,                         /* IP */
                                   0x0a, 0x14, 0x00, 0x0b, 0x0a, 0x14, 0x00, 0x0c, /* addresses */
                                   0x00, 0x00, 0xc4, 0x03, 0x12, 0x34, 0x00, 0x01, /* ICMP */
                                   'a',  'b',  'c',  'd',  'e'};

struct sample {
    uint8_t frame[128];
    size_t bytes;
    size_t ip; /* where it begins */
};

static void begin(uint16_t vlan)
{
    own.vlan = vlan;
    own.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(7420)};
    own.address.sin_addr.s_addr = inet_addr("10.20.0.11");
}

/* The frame that an IP packet comes in, or goes out in. */
static struct sample sample_of(const uint8_t *packet, size_t packet_bytes, const uint8_t *to,
                               const uint8_t *from)
{
    struct sample sample = {{0}, 0, 12};
    memcpy(sample.frame, to, 6);
    memcpy(sample.frame + 6, from, 6);
    if (own.vlan != 0) {
        memcpy(sample.frame + 12, (uint8_t[]){0x81, 0x00, 0x00, (uint8_t)own.vlan}, 4);
        sample.ip += 4;
    }
    memcpy(sample.frame + sample.ip, (uint8_t[]){0x08, 0x00}, 2);
    sample.ip += 2;
    memcpy(sample.frame + sample.ip, packet, packet_bytes);
    sample.bytes = sample.ip + packet_bytes;
    return sample;
}

static struct sample incoming(const uint8_t *packet, size_t packet_bytes)
{
    return sample_of(packet, packet_bytes, own.mac, other_mac);
}

/* Makes the IP header's checksum right, as whoever wrote it would. */
static void sum(struct sample *sample)
{
    uint8_t *ip = sample->frame + sample->ip;
    uint32_t total = 0;
    ip[10] = ip[11] = 0;
    for (uint32_t i = 0; i < 20; i += 2)
        total += (uint32_t)ip[i] * 256 + ip[i + 1];
    total = total % 65535 == 0 ? 65535 : total % 65535;
    total = 65535 - total;
    ip[10] = (uint8_t)(total / 256);
    ip[11] = (uint8_t)(total % 256);
}

static enum frame_kind kind_of(const struct sample *sample)
{
    struct frame_content content;
    return frame_read(&own, sample->frame, sample->bytes, &content);
}

static void a_datagram_is_read(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct frame_content content;
        begin(tags[i]);
        struct sample sample = incoming(datagram_in, sizeof(datagram_in));
        for (uint32_t padding = 0; padding < 30; padding++) {
            enum frame_kind kind = frame_read(&own, sample.frame, sample.bytes + padding, &content);
            CU_ASSERT_EQUAL_FATAL(kind, FRAME_DATAGRAM);
            CU_ASSERT_EQUAL(content.size_bytes, 5);
            CU_ASSERT_EQUAL(memcmp(content.bytes, "hello", 5), 0);
            CU_ASSERT_EQUAL(content.from.sin_family, AF_INET);
            CU_ASSERT_EQUAL(content.from.sin_port, htons(9000));
            CU_ASSERT_EQUAL(content.from.sin_addr.s_addr, inet_addr("10.20.0.12"));
        }
        for (sample.bytes--; sample.bytes > 0; sample.bytes--) /* not whole */
            CU_ASSERT_EQUAL(kind_of(&sample), FRAME_FOREIGN);
    }
}

static void a_datagram_is_written(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t frame[128];
        const struct sockaddr_in to = {.sin_family = AF_INET,
                                       .sin_port = htons(9000),
                                       .sin_addr.s_addr = inet_addr("10.20.0.12")};
        begin(tags[i]);
        struct sample expected = sample_of(datagram_out, sizeof(datagram_out), other_mac, own.mac);
        memset(frame, 0xee, sizeof(frame));
        memcpy(frame + frame_header_bytes(&own), "abc", 3);
        CU_ASSERT_EQUAL(frame_write_datagram(&own, frame, other_mac, &to, 3), 60);
        CU_ASSERT_EQUAL(memcmp(frame, expected.frame, 60), 0); /* padded with zeros */
        CU_ASSERT_EQUAL(frame[60], 0xee);
        memset(frame + frame_header_bytes(&own), 'x', 40);
        CU_ASSERT_EQUAL(frame_write_datagram(&own, frame, other_mac, &to, 40),
                        frame_header_bytes(&own) + 40);
    }
}

static void a_ping_is_answered(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        begin(tags[i]);
        struct sample sample = incoming(ping_in, sizeof(ping_in));
        struct sample expected = sample_of(ping_out, sizeof(ping_out), other_mac, own.mac);
        CU_ASSERT_EQUAL(kind_of(&sample), FRAME_ECHO);
        sample.frame[sample.ip + 8] = 3; /* it has come a long way */
        sum(&sample);
        memset(sample.frame + sample.bytes, 0xee, 20);
        CU_ASSERT_EQUAL(kind_of(&sample), FRAME_ECHO);
        CU_ASSERT_EQUAL(frame_answer_echo(&own, sample.frame), 60);
        CU_ASSERT_EQUAL(memcmp(sample.frame, expected.frame, 60), 0);
        sample = incoming(ping_in, sizeof(ping_in));
        sample.frame[sample.bytes - 1] ^= 1; /* its checksum is wrong */
        CU_ASSERT_EQUAL(kind_of(&sample), FRAME_FOREIGN);
        sample = incoming(ping_out, sizeof(ping_out)); /* an answer */
        memcpy(sample.frame + sample.ip + 12, ping_in + 12, 8);
        sum(&sample);
        CU_ASSERT_EQUAL(kind_of(&sample), FRAME_FOREIGN);
    }
}

/* A byte of the IP packet, which whoever wrote it has taken into the checksum. */
static void what_is_wrong_with_a_packet_is_refused(void)
{
    static const struct {
        uint8_t at, value;
    } changes[] = {
        {0, 0x46},  /* options */
        {0, 0x44},  /* a header of 16 bytes */
        {0, 0x65},  /* IPv6 */
        {3, 19},    /* shorter than its header */
        {3, 27},    /* shorter than UDP's */
        {3, 34},    /* longer than the frame */
        {3, 32},    /* shorter than its datagram */
        {2, 1},     /* much longer */
        {6, 0x60},  /* the first fragment */
        {7, 1},     /* a later one */
        {6, 0xc0},  /* the reserved bit */
        {9, 6},     /* TCP */
        {12, 0},    /* from this network's nobody */
        {12, 224},  /* from a group */
        {12, 255},  /* from everybody */
        {15, 11},   /* from ourselves */
        {19, 10},   /* to another */
        {23, 0xfb}, /* to another port */
        {25, 12},   /* UDP's length: too short for the packet */
        {25, 14},   /* too long */
        {25, 7},    /* less than its header */
        {24, 1},    /* much too long */
    };
    for (uint32_t tag = 0; tag < 2; tag++) {
        begin(tags[tag]);
        for (uint32_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
            struct sample sample = incoming(datagram_in, sizeof(datagram_in));
            sample.frame[sample.ip + changes[i].at] = changes[i].value;
            sum(&sample);
            CU_ASSERT_EQUAL(kind_of(&sample), FRAME_FOREIGN);
        }
        struct sample sample = incoming(datagram_in, sizeof(datagram_in));
        memset(sample.frame + sample.ip + 20, 0, 2); /* from no port */
        CU_ASSERT_EQUAL(kind_of(&sample), FRAME_FOREIGN);
        sample = incoming(datagram_in, sizeof(datagram_in));
        sample.frame[sample.ip + 11] ^= 1; /* the checksum itself */
        CU_ASSERT_EQUAL(kind_of(&sample), FRAME_FOREIGN);
    }
}

static void frames_of_others_are_refused(void)
{
    begin(42);
    struct sample tagged = incoming(datagram_in, sizeof(datagram_in));
    begin(0);
    struct sample plain = incoming(datagram_in, sizeof(datagram_in));
    CU_ASSERT_EQUAL(kind_of(&plain), FRAME_DATAGRAM);
    CU_ASSERT_EQUAL(kind_of(&tagged), FRAME_FOREIGN);
    begin(42);
    CU_ASSERT_EQUAL(kind_of(&tagged), FRAME_DATAGRAM);
    CU_ASSERT_EQUAL(kind_of(&plain), FRAME_FOREIGN);
    tagged.frame[14] = 0xe0; /* priority is no part of the tag's id */
    CU_ASSERT_EQUAL(kind_of(&tagged), FRAME_DATAGRAM);
    tagged.frame[14] = 1; /* the id is of 12 bits */
    CU_ASSERT_EQUAL(kind_of(&tagged), FRAME_FOREIGN);
    begin(0);
    plain.frame[5] ^= 1; /* to another MAC */
    CU_ASSERT_EQUAL(kind_of(&plain), FRAME_FOREIGN);
    memset(plain.frame, 0xff, 6);
    CU_ASSERT_EQUAL(kind_of(&plain), FRAME_FOREIGN);
    plain.frame[13] = 6; /* ARP, to all */
    CU_ASSERT_EQUAL(kind_of(&plain), FRAME_ARP);
    plain.frame[5] = 0;
    CU_ASSERT_EQUAL(kind_of(&plain), FRAME_FOREIGN);
    memcpy(plain.frame, own.mac, 6);
    CU_ASSERT_EQUAL(kind_of(&plain), FRAME_ARP);
    plain.frame[12] = 0x86; /* IPv6 has 86dd, this nobody */
    CU_ASSERT_EQUAL(kind_of(&plain), FRAME_FOREIGN);
}

static CU_TestInfo tests[] = {
    {"a datagram is read", a_datagram_is_read},
    {"a datagram is written", a_datagram_is_written},
    {"a ping is answered", a_ping_is_answered},
    {"what is wrong with a packet is refused", what_is_wrong_with_a_packet_is_refused},
    {"frames of others are refused", frames_of_others_are_refused},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return suite_run("net packet frame", tests);
}
