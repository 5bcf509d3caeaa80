/* What waits for a node whose ring is full keeps its order, a node that was cut off in the middle
 * of a burst is not heard to its end, and a node says whether it may hold up writers. Two fabrics
 * in one thread; one of them is the peers'.
 */
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/node/peers.h"
#include "tests/suite.h"
#include "tests/support/loop_fabric.h"

#define FAILURE_NS UINT64_C(600000000000)
#define SENT 200u /* more than a queue of the fabric takes */

static struct loop_network *network;
static struct pst_peers *peers;  /* node 1 */
static struct pst_fabric *other; /* node 2 */
static struct pst_cluster_config cluster = {.name = "outbox", .id = 1};
static struct pst_plan plan = {.ldms = 1};
static const struct pst_node_config config = {.node = 1, .cluster = &cluster, .plan = &plan};
static struct pst_fabric_hello others_hello; /* of node 2, but for its id */
static uint32_t heard;                       /* by node 1 */
static uint32_t taken; /* by node 2: the last sequence, of which each follows on the one before */
static bool cuts_off;

static void on_signal(void *context, const struct pst_signal *signal)
{
    (void)context;
    (void)signal;
    heard++;
    if (cuts_off)
        pst_peers_cut_off(peers, 2, "the test wants it");
}

static void on_change(void *context, bool joined, const struct pst_node_change *change)
{
    (void)context, (void)joined, (void)change;
}

static struct pst_signal question(uint32_t from, uint32_t to, uint32_t sequence)
{
    struct pst_signal signal;
    pst_signal_init(&signal, PST_OUTCOME_REQ, pst_ref_make(from, PST_BLOCK_OUTCOME, 0),
                    pst_ref_make(to, PST_BLOCK_OUTCOME, 0), 7, sequence);
    return signal;
}

static void poll_other(void)
{
    struct pst_fabric_event event;
    while (pst_fabric_poll(other, pst_monotonic_ns(), &event) > 0) {
        for (uint32_t i = 0; event.type == PST_FABRIC_SIGNALS && i < event.signals_count; i++)
            CU_ASSERT_EQUAL(event.signals[i].sequence, ++taken);
    }
}

static void begin(void)
{
    const struct pst_peers_handlers handlers = {.on_signal = on_signal, .on_change = on_change};
    const struct pst_fabric_hello hello = peers_hello(&config, 1);
    struct pst_fabric_hello others = others_hello.node != 0 ? others_hello : hello;
    pst_log_set_level(PST_LOG_ERROR);
    others.node = 2;
    network = loop_network_open();
    CU_ASSERT_EQUAL_FATAL(
        pst_peers_open(&config, loop_fabric_open(network, &hello, FAILURE_NS), &handlers, &peers),
        0);
    other = loop_fabric_open(network, &others, FAILURE_NS);
    heard = taken = 0;
    struct pst_set both = {{3}};
    for (uint32_t i = 0; i < 100; i++) {
        CU_ASSERT_TRUE(pst_peers_poll(peers) >= 0);
        poll_other();
    }
    struct pst_set live = pst_peers_live(peers);
    CU_ASSERT_TRUE_FATAL(pst_set_is_within(&both, &live));
}

static void end(void)
{
    pst_peers_close(peers);
    pst_fabric_close(other);
    loop_network_close(network);
}

static void nothing_overtakes_the_outbox(void)
{
    begin();
    for (uint32_t sequence = 1; sequence <= SENT; sequence++) {
        struct pst_signal signal = question(1, 2, sequence);
        pst_peers_send(peers, &signal);
        if (sequence == SENT - 1) { /* there is room for the last one by now */
            pst_fabric_publish(pst_peers_fabric(peers));
            poll_other();
            CU_ASSERT_TRUE(taken > 0 && taken < sequence);
            CU_ASSERT_TRUE(pst_fabric_room(pst_peers_fabric(peers), 2) > 0);
        }
    }
    for (uint32_t i = 0; i < 100 && taken < SENT; i++) {
        CU_ASSERT_TRUE(pst_peers_poll(peers) >= 0);
        pst_fabric_publish(pst_peers_fabric(peers));
        poll_other();
    }
    CU_ASSERT_EQUAL(taken, SENT);
    end();
}

static void a_burst_ends_where_its_node_is_cut_off(void)
{
    begin();
    cuts_off = true;
    for (uint32_t sequence = 1; sequence <= 5; sequence++) {
        struct pst_signal signal = question(2, 1, sequence);
        CU_ASSERT_EQUAL(pst_fabric_send(other, 1, &signal), 0);
    }
    pst_fabric_publish(other);
    for (uint32_t i = 0; i < 10; i++)
        CU_ASSERT_TRUE(pst_peers_poll(peers) >= 0);
    cuts_off = false;
    CU_ASSERT_EQUAL(heard, 1);
    end();
}

static int hold_up(struct pst_source *source, uint64_t deadline_ns)
{
    (void)source, (void)deadline_ns;
    return 0;
}

static bool may_freeze_beside(const struct pst_fabric_hello *hello)
{
    others_hello = *hello;
    begin();
    bool may_freeze = peers_may_freeze(peers);
    pst_fabric_close(other);
    for (uint32_t i = 0; i < 10; i++)
        CU_ASSERT_TRUE(pst_peers_poll(peers) >= 0);
    CU_ASSERT_FALSE(peers_may_freeze(peers)); /* it has left */
    pst_peers_close(peers);
    loop_network_close(network);
    others_hello.node = 0;
    return may_freeze;
}

static void who_may_hold_up_writers_does_not_deny_it(void)
{
    struct pst_source source = {.freeze = hold_up};
    struct pst_source *sources[] = {&source};
    struct pst_node_config other_config = config;
    other_config.sources = sources;
    other_config.sources_count = 1;
    struct pst_fabric_hello hello = peers_hello(&other_config, 1);
    CU_ASSERT_TRUE(may_freeze_beside(&hello));
    source.freeze = NULL;
    hello = peers_hello(&other_config, 1);
    CU_ASSERT_FALSE(may_freeze_beside(&hello));
    memset(hello.options + sizeof(uint32_t), 0, sizeof(uint32_t)); /* an older version */
    CU_ASSERT_TRUE(may_freeze_beside(&hello));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"nothing overtakes the outbox", nothing_overtakes_the_outbox},
        {"a burst ends where its node is cut off", a_burst_ends_where_its_node_is_cut_off},
        {"who may hold up writers does not deny it", who_may_hold_up_writers_does_not_deny_it},
        CU_TEST_INFO_NULL,
    };
    return suite_run("outbox", tests);
}
