/*
 * What net/fabric_ops.c asserts of every fabric and of its caller: a fabric that reports what its
 * test wants, in a child process, which aborts or does not.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/fabric_ops.h"
#include "tests/suite.h"
#include "tests/support/child.h"

#define SELF 1u
#define PEER 2u

static struct pst_fabric_event next; /* what poll reports */

static int odd_poll(struct pst_fabric *fabric, uint64_t now_ns, struct pst_fabric_event *event)
{
    (void)fabric;
    (void)now_ns;
    *event = next;
    return 1;
}

static int odd_send(struct pst_fabric *fabric, uint32_t node, const struct pst_signal *signal)
{
    (void)fabric;
    (void)node;
    (void)signal;
    return 0;
}

static int odd_rejoin(struct pst_fabric *fabric, uint64_t incarnation)
{
    (void)fabric;
    (void)incarnation;
    return 0;
}

static const struct pst_fabric_ops odd_ops = {
    .expels = true, .poll = odd_poll, .send = odd_send, .rejoin = odd_rejoin};
static const struct pst_fabric_ops mild_ops = {.expels = false, .poll = odd_poll};

static struct pst_fabric *odd_fabric(const struct pst_fabric_ops *ops)
{
    struct pst_fabric *fabric = calloc(1, sizeof(*fabric));
    CU_ASSERT_PTR_NOT_NULL_FATAL(fabric);
    pst_fabric_init(fabric, ops, SELF);
    return fabric;
}

static void poll_once(void *fabric)
{
    struct pst_fabric_event event;
    if (pst_fabric_poll(fabric, 1, &event) != 1)
        _exit(1);
}

/* ---- events ---- */

static const uint8_t options[PST_FABRIC_OPTIONS_BYTES];
static const struct pst_signal burst[PST_FABRIC_BURST];

static const struct pst_fabric_event joined = {
    .type = PST_FABRIC_JOINED, .node = PEER, .options = options};
static const struct pst_fabric_event signals = {
    .type = PST_FABRIC_SIGNALS, .node = PEER, .signals = burst, .signals_count = 1};
static const struct pst_fabric_event failed = {
    .type = PST_FABRIC_FAILED, .node = PEER, .failure = PST_FABRIC_LOST, .reason = "lost"};
static const struct pst_fabric_event expelled = {
    .type = PST_FABRIC_EXPELLED, .node = PEER, .reason = "lost"};

/* Reports it for good. */
static void report(struct pst_fabric *fabric, struct pst_fabric_event event)
{
    next = event;
    poll_once(fabric);
}

/* Whether reporting it next would abort. */
static bool is_refused(struct pst_fabric *fabric, struct pst_fabric_event event)
{
    next = event;
    return child_aborts(poll_once, fabric);
}

static void events_come_in_order(void)
{
    struct pst_fabric *fabric = odd_fabric(&odd_ops);
    CU_ASSERT_TRUE(is_refused(fabric, signals));
    CU_ASSERT_TRUE(is_refused(fabric, failed));
    CU_ASSERT_FALSE(is_refused(fabric, joined));
    report(fabric, joined);
    CU_ASSERT_TRUE(is_refused(fabric, joined));
    CU_ASSERT_TRUE(is_refused(fabric, expelled)); /* the peer has not failed yet */
    CU_ASSERT_FALSE(is_refused(fabric, signals));
    CU_ASSERT_FALSE(is_refused(fabric, failed));
    report(fabric, failed);
    CU_ASSERT_TRUE(is_refused(fabric, signals));
    CU_ASSERT_TRUE(is_refused(fabric, failed));
    CU_ASSERT_TRUE(is_refused(fabric, joined)); /* it has not been readmitted */
    pst_fabric_readmit(fabric, PEER);
    CU_ASSERT_FALSE(is_refused(fabric, joined));
    report(fabric, expelled);
    CU_ASSERT_TRUE(is_refused(fabric, joined));
    CU_ASSERT_TRUE(is_refused(fabric, expelled));
    CU_ASSERT_EQUAL(pst_fabric_rejoin(fabric, 2), 0);
    CU_ASSERT_FALSE(is_refused(fabric, joined));
    report(fabric, joined);
    CU_ASSERT_EQUAL(pst_fabric_rejoin(fabric, 3), 0); /* nobody is FAILED for that */
    CU_ASSERT_FALSE(is_refused(fabric, joined));
    free(fabric);
}

static void events_are_sound(void)
{
    struct pst_fabric *fabric = odd_fabric(&odd_ops);
    struct pst_fabric_event event = joined;
    for (uint32_t node = 0; node <= PST_NODES_MAX + 1; node += PST_NODES_MAX + 1) {
        event.node = node;
        CU_ASSERT_TRUE(is_refused(fabric, event));
    }
    event.node = SELF;
    CU_ASSERT_TRUE(is_refused(fabric, event));
    event.node = PST_NODES_MAX;
    CU_ASSERT_FALSE(is_refused(fabric, event));
    event.options = NULL;
    CU_ASSERT_TRUE(is_refused(fabric, event));
    report(fabric, joined);
    event = signals;
    event.signals_count = 0;
    CU_ASSERT_TRUE(is_refused(fabric, event));
    event.signals_count = PST_FABRIC_BURST + 1;
    CU_ASSERT_TRUE(is_refused(fabric, event));
    event.signals_count = PST_FABRIC_BURST;
    CU_ASSERT_FALSE(is_refused(fabric, event));
    event.signals = NULL;
    CU_ASSERT_TRUE(is_refused(fabric, event));
    event = failed;
    event.failure = 0;
    CU_ASSERT_TRUE(is_refused(fabric, event));
    free(fabric);
}

static void only_some_fabrics_expel(void)
{
    struct pst_fabric *fabric = odd_fabric(&odd_ops);
    CU_ASSERT_FALSE(is_refused(fabric, expelled));
    free(fabric);
    fabric = odd_fabric(&mild_ops);
    CU_ASSERT_TRUE(is_refused(fabric, expelled));
    free(fabric);
}

/* ---- calls ---- */

static uint32_t receiver;

static void send_one(void *fabric)
{
    struct pst_signal signal = {0};
    _exit(pst_fabric_send(fabric, receiver, &signal));
}

static void only_a_peer_is_sent_to(void)
{
    static const uint32_t nobody[] = {0, SELF, PST_NODES_MAX + 1};
    struct pst_fabric *fabric = odd_fabric(&odd_ops);
    for (uint32_t i = 0; i < 3; i++) {
        receiver = nobody[i];
        CU_ASSERT_TRUE(child_aborts(send_one, fabric));
    }
    receiver = PEER;
    CU_ASSERT_FALSE(child_aborts(send_one, fabric));
    free(fabric);
}

static void *call(void *fabric)
{
    next = joined;
    poll_once(fabric);
    return NULL;
}

static void call_on_another_thread(void *fabric)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, call, fabric) == 0)
        pthread_join(thread, NULL);
}

static void another_thread_may_not_call(void)
{
    struct pst_fabric *fabric = odd_fabric(&odd_ops);
    CU_ASSERT_TRUE(child_aborts(call_on_another_thread, fabric));
    CU_ASSERT_FALSE(is_refused(fabric, joined));
    free(fabric);
}

static void counters_add_up(void)
{
    struct pst_fabric *fabric = odd_fabric(&odd_ops);
    fabric->counters[0].refusals = 5;
    fabric->counters[2] = (struct pst_fabric_counters){1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11};
    fabric->counters[255] =
        (struct pst_fabric_counters){10, 20, 30, 40, 50, 60, 0, 70, 80, 90, 100, 110};
    struct pst_fabric_counters sum = pst_fabric_counters(fabric, 0);
    CU_ASSERT_EQUAL(sum.signals_sent, 11);
    CU_ASSERT_EQUAL(sum.signals_received, 22);
    CU_ASSERT_EQUAL(sum.full, 33);
    CU_ASSERT_EQUAL(sum.wakes_sent, 44);
    CU_ASSERT_EQUAL(sum.joins, 55);
    CU_ASSERT_EQUAL(sum.failures, 66);
    CU_ASSERT_EQUAL(sum.refusals, 5);
    CU_ASSERT_EQUAL(sum.ring_bytes, 77);
    CU_ASSERT_EQUAL(sum.packets_sent, 88);
    CU_ASSERT_EQUAL(sum.packets_received, 99);
    CU_ASSERT_EQUAL(sum.packets_dropped, 110);
    CU_ASSERT_EQUAL(sum.joined_since, 0);
    CU_ASSERT_EQUAL(pst_fabric_counters(fabric, 255).joined_since, 110);
    free(fabric);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"events come in order", events_come_in_order},
        {"events are sound", events_are_sound},
        {"only some fabrics expel", only_some_fabrics_expel},
        {"only a peer is sent to", only_a_peer_is_sent_to},
        {"another thread may not call", another_thread_may_not_call},
        {"counters add up", counters_add_up},
        CU_TEST_INFO_NULL,
    };
    return suite_run("net fabric", tests);
}
