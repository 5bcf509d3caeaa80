/*
 * ARP on the wire, byte by byte; what is asked, when, and of whom; what is believed; what is
 * answered. 10.20.0.11/24 is this end.
 */
#include <arpa/inet.h>
#include <string.h>

#include "net/packet/arp.h"
#include "tests/suite.h"

#define NOW_NS UINT64_C(1000000000000)

static struct frame_end own = {.mac = {2, 0, 0, 0, 0, 11}};
static struct arp arp;

static const uint8_t question[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  11, 8, 6,
                                     0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,  0,  0, 11,
                                     10,   20,   0,    11,   0,    0,    0, 0, 0, 0, 10, 20, 0, 12};
static const uint8_t their_question[60] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,  0,  0,  0, 0,  12, 8, 6, 0, 1, 8, 0,  6,  4, 0,
    1,    2,    0,    0,    0,    0,    12, 10, 20, 0, 12, 0,  0, 0, 0, 0, 0, 10, 20, 0, 11};
static const uint8_t our_answer[60] = {2,  0,  0, 0,  0, 12, 2, 0, 0, 0,  0,  11, 8, 6,
                                       0,  1,  8, 0,  6, 4,  0, 2, 2, 0,  0,  0,  0, 11,
                                       10, 20, 0, 11, 2, 0,  0, 0, 0, 12, 10, 20, 0, 12};
static const uint8_t their_answer[60] = {2,  0,  0, 0,  0, 11, 2, 0, 0, 0,  0,  12, 8, 6,
                                         0,  1,  8, 0,  6, 4,  0, 2, 2, 0,  0,  0,  0, 12,
                                         10, 20, 0, 12, 2, 0,  0, 0, 0, 11, 10, 20, 0, 11};

static struct in_addr address(const char *text)
{
    return (struct in_addr){inet_addr(text)};
}

static void begin(const char *gateway)
{
    own.vlan = 0;
    own.address.sin_family = AF_INET;
    own.address.sin_addr = address("10.20.0.11");
    arp_open(&arp, &own, 24, address(gateway));
}

static enum arp_result take(const uint8_t *frame, uint64_t now_ns)
{
    const struct frame_content packet = {.bytes = frame + 14, .size_bytes = 46};
    return arp_take(&arp, &packet, now_ns);
}

/* Whom it would be asked for; with what is known then in *mac. */
static const char *asked_for(const char *to, uint64_t now_ns, const uint8_t **mac)
{
    struct in_addr ask;
    *mac = arp_find(&arp, address(to), now_ns, &ask);
    return inet_ntoa(ask);
}

static void a_question_and_its_answer(void)
{
    uint8_t frame[64];
    const uint8_t *mac;
    begin("0.0.0.0");
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.0.12", NOW_NS, &mac), "10.20.0.12");
    CU_ASSERT_PTR_NULL(mac);
    memset(frame, 0xee, sizeof(frame));
    CU_ASSERT_EQUAL(arp_write_request(&arp, frame, address("10.20.0.12")), 60);
    CU_ASSERT_EQUAL(memcmp(frame, question, 60), 0);
    CU_ASSERT_EQUAL(take(their_answer, NOW_NS), ARP_NOTHING);
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.0.12", NOW_NS, &mac), "0.0.0.0");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mac);
    CU_ASSERT_EQUAL(memcmp(mac, their_answer + 6, 6), 0);
}

static void our_address_is_answered(void)
{
    uint8_t frame[64];
    begin("0.0.0.0");
    memset(frame, 0xee, sizeof(frame));
    memcpy(frame, their_question, 42); /* one that is not padded */
    const struct frame_content packet = {.bytes = frame + 14, .size_bytes = 28};
    CU_ASSERT_EQUAL(arp_take(&arp, &packet, NOW_NS), ARP_ASKED);
    CU_ASSERT_EQUAL(arp_write_answer(&arp, frame), 60);
    CU_ASSERT_EQUAL(memcmp(frame, our_answer, 60), 0);
    CU_ASSERT_EQUAL(frame[60], 0xee);
    CU_ASSERT_EQUAL(arp.count, 0); /* who asks is not remembered for it */
    memcpy(frame, their_question, 60);
    frame[41] = 10; /* another's */
    CU_ASSERT_EQUAL(take(frame, NOW_NS), ARP_NOTHING);
    memcpy(frame, their_question, 60);
    memset(frame + 28, 0, 4); /* who has no address yet looks whether it is free (RFC 5227) */
    CU_ASSERT_EQUAL(take(frame, NOW_NS), ARP_ASKED);
}

static void questions_keep_their_distance(void)
{
    const uint8_t *mac;
    begin("0.0.0.0");
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.0.12", NOW_NS, &mac), "10.20.0.12");
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.0.12", NOW_NS + ARP_ASK_NS - 1, &mac), "0.0.0.0");
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.0.13", NOW_NS + ARP_ASK_NS - 1, &mac), "10.20.0.13");
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.0.12", NOW_NS + ARP_ASK_NS, &mac), "10.20.0.12");
    CU_ASSERT_PTR_NULL(mac);
}

static void what_is_known_ages(void)
{
    const uint8_t *mac;
    begin("0.0.0.0");
    (void)asked_for("10.20.0.12", NOW_NS, &mac);
    (void)take(their_answer, NOW_NS);
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.0.12", NOW_NS + ARP_STALE_NS - 1, &mac), "0.0.0.0");
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.0.12", NOW_NS + ARP_STALE_NS, &mac), "10.20.0.12");
    CU_ASSERT_PTR_NOT_NULL(mac); /* still used */
    (void)asked_for("10.20.0.12", NOW_NS + ARP_DEAD_NS - 1, &mac);
    CU_ASSERT_PTR_NOT_NULL(mac);
    (void)asked_for("10.20.0.12", NOW_NS + ARP_DEAD_NS, &mac);
    CU_ASSERT_PTR_NULL(mac);
    (void)take(their_question, NOW_NS + ARP_DEAD_NS); /* a question is as good as an answer */
    (void)asked_for("10.20.0.12", NOW_NS + 2 * ARP_DEAD_NS - 1, &mac);
    CU_ASSERT_PTR_NOT_NULL(mac);
}

/* Another card, another host: whoever has an address announces it. */
static void a_new_mac_is_taken(void)
{
    uint8_t frame[60];
    const uint8_t *mac;
    begin("0.0.0.0");
    (void)asked_for("10.20.0.12", NOW_NS, &mac);
    (void)take(their_answer, NOW_NS);
    memcpy(frame, their_question, sizeof(frame));
    frame[41] = 12; /* for itself */
    frame[27] = 99;
    CU_ASSERT_EQUAL(take(frame, NOW_NS + 1), ARP_NOTHING);
    (void)asked_for("10.20.0.12", NOW_NS + 1, &mac);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mac);
    CU_ASSERT_EQUAL(mac[5], 99);
}

static void other_networks_are_behind_the_gateway(void)
{
    uint8_t frame[60];
    const uint8_t *mac;
    begin("10.20.0.1");
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.1.12", NOW_NS, &mac), "10.20.0.1");
    memcpy(frame, their_answer, sizeof(frame));
    frame[31] = 1;
    (void)take(frame, NOW_NS);
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.1.12", NOW_NS, &mac), "0.0.0.0");
    CU_ASSERT_PTR_NOT_NULL(mac);
    (void)asked_for("192.168.7.7", NOW_NS, &mac);
    CU_ASSERT_PTR_NOT_NULL(mac);
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.0.12", NOW_NS, &mac), "10.20.0.12");
    CU_ASSERT_PTR_NULL(mac);
    CU_ASSERT_EQUAL(arp.count, 2);
    begin("0.0.0.0");
    CU_ASSERT_STRING_EQUAL(asked_for("10.20.1.12", NOW_NS, &mac), "0.0.0.0");
    CU_ASSERT_PTR_NULL(mac);
    CU_ASSERT_EQUAL(arp.count, 0);
}

static void another_with_our_address_is_reported(void)
{
    uint8_t frame[60];
    begin("0.0.0.0");
    memcpy(frame, their_answer, sizeof(frame));
    frame[31] = 11;
    CU_ASSERT_EQUAL(take(frame, NOW_NS), ARP_CONFLICT);
    memcpy(frame + 22, own.mac, 6); /* our own announcement, which some switch sends back */
    CU_ASSERT_EQUAL(take(frame, NOW_NS), ARP_NOTHING);
}

/* Each of these would teach a wrong MAC. */
static void what_is_wrong_with_a_packet_is_refused(void)
{
    static const struct {
        uint8_t at, value;
    } changes[] = {{14, 1}, {15, 6}, {16, 0x86}, {17, 1}, {18, 8},
                   {19, 6}, {20, 1}, {21, 0},    {21, 3}, {22, 3}};
    const uint8_t *mac;
    uint8_t frame[60];
    begin("0.0.0.0");
    (void)asked_for("10.20.0.12", NOW_NS, &mac);
    for (uint32_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        memcpy(frame, their_answer, sizeof(frame));
        frame[changes[i].at] = changes[i].value;
        CU_ASSERT_EQUAL(take(frame, NOW_NS), ARP_NOTHING);
        memcpy(frame, their_question, sizeof(frame));
        frame[changes[i].at] = changes[i].value;
        CU_ASSERT_EQUAL(take(frame, NOW_NS), ARP_NOTHING);
    }
    memcpy(frame, their_answer, sizeof(frame));
    memset(frame + 22, 0, 6);
    (void)take(frame, NOW_NS);
    const struct frame_content cut = {.bytes = their_answer + 14, .size_bytes = 27};
    (void)arp_take(&arp, &cut, NOW_NS);
    (void)asked_for("10.20.0.12", NOW_NS, &mac);
    CU_ASSERT_PTR_NULL(mac);
}

/* Whoever answers what nobody asked is not remembered; and there is an end. */
static void nobody_fills_the_table(void)
{
    uint8_t frame[60];
    const uint8_t *mac;
    begin("0.0.0.0");
    memcpy(frame, their_answer, sizeof(frame));
    for (uint32_t i = 12; i < 255; i++) {
        frame[31] = (uint8_t)i;
        (void)take(frame, NOW_NS);
    }
    CU_ASSERT_EQUAL(arp.count, 0);
    arp_open(&arp, &own, 8, address("0.0.0.0"));
    for (uint32_t i = 0; i < 2 * ARP_ENTRIES_MAX; i++) {
        struct in_addr ask, to = {htonl(0x0a000001u + i)};
        CU_ASSERT_PTR_NULL(arp_find(&arp, to, NOW_NS, &ask));
    }
    CU_ASSERT_EQUAL(arp.count, ARP_ENTRIES_MAX);
    CU_ASSERT_STRING_EQUAL(asked_for("10.0.0.1", 2 * NOW_NS, &mac), "10.0.0.1");
}

static CU_TestInfo tests[] = {
    {"a question and its answer", a_question_and_its_answer},
    {"our address is answered", our_address_is_answered},
    {"questions keep their distance", questions_keep_their_distance},
    {"what is known ages", what_is_known_ages},
    {"a new MAC is taken", a_new_mac_is_taken},
    {"other networks are behind the gateway", other_networks_are_behind_the_gateway},
    {"another with our address is reported", another_with_our_address_is_reported},
    {"what is wrong with a packet is refused", what_is_wrong_with_a_packet_is_refused},
    {"nobody fills the table", nobody_fills_the_table},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return suite_run("net packet arp", tests);
}
