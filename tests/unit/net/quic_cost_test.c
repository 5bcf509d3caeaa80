/*
 * What signals between hosts cost: no memory, once a link is up, and no datagram but their own; and
 * a flood of datagrams leaves nothing behind. Two nodes in one thread, in a time of the test's own,
 * over ports in memory.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "net/quic/quic_parts.h"
#include "tests/suite.h"
#include "tests/support/packet_pipe.h"
#include "tests/unit/net/fabric_rig.h"
#include "tests/unit/net/quic_rig.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static bool counts;
static uint64_t allocations;

#if !SANITIZED
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    allocations += counts;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    allocations += counts;
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    allocations += counts;
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    allocations += counts;
    return __libc_memalign(alignment, bytes);
}
#endif

static struct pst_quic_network *network;
static struct rig_node nodes[2];

static void open_node(uint32_t node)
{
    const struct pst_quic_config config = {.network = network,
                                           .hello = rig_config("", node, 1000 + node, 0).hello};
    nodes[node - 1] = (struct rig_node){.node = node, .fabric = quic_rig_open(&config)};
}

static void begin(void)
{
    rig_set_clock(UINT64_C(1000000000));
    network = quic_rig_network(2);
    open_node(1);
    open_node(2);
    CU_ASSERT_TRUE_FATAL(rig_until(nodes, 2, &nodes[0].joined[2], 1));
    CU_ASSERT_TRUE_FATAL(rig_until(nodes, 2, &nodes[1].joined[1], 1));
}

static void end(void)
{
    rig_close(&nodes[0]);
    rig_close(&nodes[1]);
    free(network);
}

/* As many signals each way in every round. */
static void exchange(uint32_t rounds, uint32_t burst)
{
    static uint64_t sent[2];
    if (nodes[0].received[2] + nodes[1].received[1] == 0)
        sent[0] = sent[1] = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        for (uint32_t from = 0; from < 2; from++) {
            for (uint32_t k = 0; k < burst; k++) {
                struct pst_signal signal = rig_signal(sent[from]);
                sent[from] += pst_fabric_send(nodes[from].fabric, 2 - from, &signal) == 0;
            }
        }
        rig_round(nodes, 2);
    }
    CU_ASSERT_TRUE(rig_until_received(nodes, 2, &nodes[0].received[2], sent[1]));
    CU_ASSERT_TRUE(rig_until_received(nodes, 2, &nodes[1].received[1], sent[0]));
    CU_ASSERT_EQUAL(nodes[0].misplaced[2] + nodes[1].misplaced[1], 0);
}

static void a_signal_costs_no_allocation(void)
{
    static const uint32_t bursts[] = {1, 7, 200};
    counts = true;
    begin();
    counts = false;
    CU_ASSERT_TRUE(SANITIZED || allocations > 0); /* so it counts */
    for (uint32_t i = 0; i < 3; i++)
        exchange(2000, bursts[i]);
    for (uint32_t i = 0; i < 3; i++) {
        allocations = 0;
        counts = true;
        exchange(2000, bursts[i]);
        counts = false;
        CU_ASSERT_EQUAL(allocations, 0);
        printf("%u a round: %lu; ", bursts[i], (unsigned long)allocations);
    }
    end();
}

static uint64_t datagrams;

static bool count_datagram(const struct sockaddr_in *from, const struct sockaddr_in *to,
                           uint8_t *bytes, size_t size_bytes)
{
    (void)from, (void)to, (void)bytes, (void)size_bytes;
    datagrams++;
    return true;
}

/* The answer takes the acknowledgement along. */
static void a_round_trip_costs_two_datagrams(void)
{
    const struct pst_signal signal = rig_signal(0);
    uint64_t now_ns = UINT64_C(100000000000);
    begin();
    exchange(100, 1);
    packet_pipe_filter = count_datagram;
    datagrams = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t from = i % 2;
        rig_set_clock(now_ns += 10000);
        CU_ASSERT_EQUAL(pst_fabric_send(nodes[from].fabric, 2 - from, &signal), 0);
        rig_poll(&nodes[from]);
        rig_poll(&nodes[1 - from]);
    }
    packet_pipe_filter = NULL;
    CU_ASSERT_TRUE(datagrams >= 2000 && datagrams < 2020); /* BEATs, too */
    end();
}

static uint64_t memory_in_use(void)
{
    return mallinfo2().uordblks;
}

/* Long headers from the member's address and a stranger's, each once more as a packet of a life
 * that node 1 does not have: it answers, and keeps nothing. */
static void flood(void)
{
    struct sockaddr_in stranger = network->members[2];
    uint8_t packet[1200] = {0xc0, 0, 0, 0, 1, 8};
    stranger.sin_port ^= 1;
    packet[14] = 8;
    for (uint32_t i = 0; i < 20000; i++) {
        packet[0] = i % 4 < 2 ? 0xc0 : 0x40;
        memcpy(packet + 6, &i, sizeof(i));
        packet_pipe_put(i % 2 ? &stranger : &network->members[2], &network->members[1], packet,
                        sizeof(packet));
        if (i % 100 == 0)
            rig_round(nodes, 2);
    }
    rig_round(nodes, 2);
}

static void a_flood_leaves_nothing_behind(void)
{
    begin();
    exchange(100, 1);
    flood();
    uint64_t before = memory_in_use();
    flood();
    CU_ASSERT_EQUAL(memory_in_use(), before);
    exchange(100, 1);
    CU_ASSERT_EQUAL(nodes[0].failed[2] + nodes[1].failed[1], 0);
    rig_close(&nodes[1]);
    CU_ASSERT_TRUE_FATAL(rig_until(nodes, 1, &nodes[0].failed[2], 1));
    flood();
    before = memory_in_use();
    flood(); /* the member is not there: each gets a Retry */
    CU_ASSERT_EQUAL(memory_in_use(), before);
    CU_ASSERT_TRUE(pst_fabric_counters(nodes[0].fabric, 0).refusals >= 40000);
    end();
}

static CU_TestInfo tests[] = {
    {"a signal costs no allocation", a_signal_costs_no_allocation},
    {"a round trip costs two datagrams", a_round_trip_costs_two_datagrams},
    {"a flood leaves nothing behind", a_flood_leaves_nothing_behind},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return suite_run("net quic cost", tests);
}
