/*
 * Datagrams through UDP sockets on the loopback interface, which go through the kernel several at a
 * time, and come out as they were put in: in one thread, with system calls that count, and refuse.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/packet/packet_udp.h"
#include "tests/suite.h"

#define PORTS 3u
#define MTU 9000u

static struct sockaddr_in addresses[PORTS];
static struct packet_port *ports[PORTS];
static uint32_t messages;  /* that the kernel took */
static int merged_refusal; /* an error for messages of several datagrams; 0: they are taken */
static int lone_refusal;   /* an error for those of one to port 2 */

ssize_t __real_sendto(int fd, const void *bytes, size_t size_bytes, int flags,
                      const struct sockaddr *to, socklen_t to_bytes);
ssize_t __wrap_sendto(int fd, const void *bytes, size_t size_bytes, int flags,
                      const struct sockaddr *to, socklen_t to_bytes);
int __real_sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags);

static int refusal_of(const struct msghdr *header)
{
    const struct sockaddr_in *to = header->msg_name;
    if (header->msg_controllen > 0)
        return merged_refusal;
    return to->sin_addr.s_addr == addresses[2].sin_addr.s_addr ? lone_refusal : 0;
}

/* As the kernel does: what comes before one that is refused is sent. */
int __wrap_sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags)
{
    unsigned good = 0;
    while (good < count && refusal_of(&headers[good].msg_hdr) == 0)
        good++;
    if (good == 0) {
        errno = refusal_of(&headers[0].msg_hdr);
        return -1;
    }
    int sent = __real_sendmmsg(fd, headers, good, flags);
    messages += sent > 0 ? (uint32_t)sent : 0;
    return sent;
}

ssize_t __wrap_sendto(int fd, const void *bytes, size_t size_bytes, int flags,
                      const struct sockaddr *to, socklen_t to_bytes)
{
    const struct sockaddr_in *address = (const struct sockaddr_in *)(const void *)to;
    const struct msghdr header = {.msg_name = (void *)(uintptr_t)address};
    errno = refusal_of(&header);
    messages += errno == 0;
    return errno == 0 ? __real_sendto(fd, bytes, size_bytes, flags, to, to_bytes) : -1;
}

static void begin(uint32_t mtu_bytes)
{
    uint32_t process = (uint32_t)getpid() & 0x7fff; /* 127.128.0.0…127.255.255.0 */
    messages = 0;
    merged_refusal = lone_refusal = 0;
    for (uint32_t i = 0; i < PORTS; i++) {
        addresses[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(7430)};
        addresses[i].sin_addr.s_addr = htonl(0x7f800000u | process << 8 | (i + 1));
        CU_ASSERT_EQUAL_FATAL(pst_packet_udp_open(&addresses[i], mtu_bytes, &ports[i]), 0);
    }
}

static void end(void)
{
    for (uint32_t i = 0; i < PORTS; i++)
        ports[i]->ops->close(ports[i]);
}

/* The number-th datagram from port 0. */
static void put(uint32_t to, uint8_t number, size_t size_bytes)
{
    memset(ports[0]->ops->buffer(ports[0]), number, size_bytes);
    ports[0]->ops->send(ports[0], size_bytes, &addresses[to]);
}

static void flush(void)
{
    ports[0]->ops->flush(ports[0]);
}

static bool is_whole(const struct packet *packet, uint8_t number, size_t size_bytes)
{
    for (size_t i = 0; i < packet->size_bytes; i++) {
        if (packet->bytes[i] != number)
            return false;
    }
    return packet->size_bytes == size_bytes &&
           packet->from.sin_addr.s_addr == addresses[0].sin_addr.s_addr &&
           packet->from.sin_port == addresses[0].sin_port;
}

/* The sizes of datagrams 0…count - 1 to a port, which has to have received them, in bursts. */
static void expect(uint32_t at, const size_t *sizes_bytes, uint32_t count)
{
    struct packet packets[PACKET_BURST];
    uint32_t got = 0;
    int some;
    while ((some = ports[at]->ops->receive(ports[at], packets)) > 0) {
        for (int i = 0; i < some && got < count; i++, got++)
            CU_ASSERT_TRUE(is_whole(&packets[i], (uint8_t)got, sizes_bytes[got]));
    }
    CU_ASSERT_EQUAL(got, count);
}

static void datagrams_come_as_they_were_sent(void)
{
    static const size_t kinds_bytes[] = {1472, 1472, 1472, 31,   1200, 1200,
                                         60,   60,   61,   1472, 1,    8000};
    size_t sizes_bytes[2][100];
    uint32_t sent[2] = {0};
    begin(MTU);
    for (uint32_t i = 0; i < 150; i++) { /* to the two in turns, and not */
        uint32_t which = i % 5 < 2;
        sizes_bytes[which][sent[which]] = kinds_bytes[i * 7 % 60 / 5];
        put(which + 1, (uint8_t)sent[which], sizes_bytes[which][sent[which]]);
        sent[which]++;
    }
    flush();
    for (uint32_t i = 0; i < 2; i++) {
        expect(i + 1, sizes_bytes[i], sent[i]);
        CU_ASSERT_EQUAL(ports[i + 1]->counters.received, sent[i]);
    }
    CU_ASSERT_EQUAL(ports[0]->counters.sent, 150);
    CU_ASSERT_TRUE(messages < 120);
    end();
}

/* All but the last one of a message have one size, and one way. */
static void datagrams_of_one_size_are_one_message(void)
{
    static const size_t sizes_bytes[] = {1000, 1000, 1000, 500, 500, 1000, 1000, 1001};
    static const size_t other_bytes[] = {1001};
    begin(MTU);
    for (uint8_t i = 0; i < 8; i++)
        put(1, i, sizes_bytes[i]);
    put(2, 0, 1001);
    flush();
    CU_ASSERT_EQUAL(messages, 5); /* 4, 1, 2, 1, 1 */
    expect(1, sizes_bytes, 8);
    expect(2, other_bytes, 1);
    end();
}

/* A message carries 64 KiB. */
static void a_message_is_no_larger_than_a_packet(void)
{
    size_t sizes_bytes[PACKET_BURST];
    begin(MTU);
    for (uint8_t i = 0; i < PACKET_BURST; i++) {
        sizes_bytes[i] = MTU - 28;
        put(1, i, sizes_bytes[i]);
    }
    CU_ASSERT_EQUAL(messages, 5); /* 7 each: a full burst needs no flush */
    expect(1, sizes_bytes, PACKET_BURST);
    end();
}

/* After nothing; the others are there with the next call. */
static void the_first_is_taken_alone(void)
{
    struct packet packets[PACKET_BURST];
    begin(1500);
    for (uint32_t round = 0; round < 2; round++) {
        CU_ASSERT_EQUAL(ports[1]->ops->receive(ports[1], packets), 0);
        CU_ASSERT_FALSE(ports[1]->has_more);
        for (uint8_t i = 0; i < 3; i++)
            put(1, i, 1000u + i);
        flush();
        CU_ASSERT_EQUAL(ports[1]->ops->receive(ports[1], packets), 1);
        CU_ASSERT_TRUE(ports[1]->has_more);
        CU_ASSERT_EQUAL(ports[1]->ops->receive(ports[1], packets), 2);
        CU_ASSERT_FALSE(ports[1]->has_more);
    }
    end();
}

static void what_is_not_handed_out_yet_keeps_awake(void)
{
    struct packet packets[PACKET_BURST];
    begin(1500);
    CU_ASSERT_TRUE(ports[1]->ops->is_quiet(ports[1]));
    for (uint8_t i = 0; i < 2 * PACKET_BURST + 1; i++)
        put(1, i, 1000);
    flush();
    for (uint32_t left = 2 * PACKET_BURST + 1; left > 0;) {
        CU_ASSERT_FALSE(ports[1]->ops->is_quiet(ports[1]));
        int count = ports[1]->ops->receive(ports[1], packets);
        CU_ASSERT_TRUE_FATAL(count > 0);
        left -= (uint32_t)count;
    }
    CU_ASSERT_TRUE(ports[1]->ops->is_quiet(ports[1]));
    end();
}

/* As on an interface that leaves checksums to the processor, before Linux 6.11. */
static void a_network_that_cuts_nothing_is_asked_once(void)
{
    static const size_t sizes_bytes[] = {1000, 1000, 1000};
    begin(1500);
    merged_refusal = EIO;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint8_t i = 0; i < 3; i++)
            put(1, i, 1000);
        flush();
        expect(1, sizes_bytes, round == 0 ? 0 : 3);
        CU_ASSERT_EQUAL(ports[0]->counters.dropped, 3);
        CU_ASSERT_EQUAL(ports[0]->counters.sent, 3 * round);
    }
    end();
}

static void a_host_without_a_way_costs_the_others_nothing(void)
{
    static const size_t sizes_bytes[] = {900, 900};
    begin(1500);
    lone_refusal = EHOSTUNREACH;
    put(2, 0, 100);
    put(1, 0, 900);
    put(2, 0, 100);
    put(1, 1, 900);
    flush();
    expect(1, sizes_bytes, 2);
    expect(2, sizes_bytes, 0);
    CU_ASSERT_EQUAL(ports[0]->counters.dropped, 2);
    merged_refusal = EPERM; /* nothing that concerns merging */
    put(1, 0, 900);
    put(1, 0, 900);
    flush();
    merged_refusal = 0;
    messages = 0;
    put(1, 0, 900);
    put(1, 1, 900);
    flush();
    CU_ASSERT_EQUAL(messages, 1);
    expect(1, sizes_bytes, 2);
    end();
}

static CU_TestInfo tests[] = {
    {"datagrams come as they were sent", datagrams_come_as_they_were_sent},
    {"datagrams of one size are one message", datagrams_of_one_size_are_one_message},
    {"a message is no larger than a packet", a_message_is_no_larger_than_a_packet},
    {"the first is taken alone", the_first_is_taken_alone},
    {"what is not handed out yet keeps awake", what_is_not_handed_out_yet_keeps_awake},
    {"a network that cuts nothing is asked once", a_network_that_cuts_nothing_is_asked_once},
    {"a host without a way costs the others nothing",
     a_host_without_a_way_costs_the_others_nothing},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return suite_run("net packet udp", tests);
}
