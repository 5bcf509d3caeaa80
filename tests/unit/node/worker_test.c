/* A thread that hangs at its start is given up, and its memory left to it. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/node/threads.h"
#include "tests/suite.h"

#define START_NS UINT64_C(30000000000)

static atomic_bool may_end;

static void *hang(void *argument)
{
    struct pst_worker *worker = argument;
    while (!atomic_load(&may_end))
        sched_yield();
    worker_report_start(worker, 0); /* too late */
    return NULL;
}

static void *fail(void *argument)
{
    worker_report_start(argument, -ENOMEM);
    return NULL;
}

static void *work(void *argument)
{
    struct pst_worker *worker = argument;
    worker_report_start(worker, worker_open(worker));
    while (!atomic_load(&worker->must_stop))
        sched_yield();
    return NULL;
}

static struct pst_node *node_with_bell(void)
{
    static struct pst_node node;
    memset(&node, 0, sizeof(node));
    CU_ASSERT_EQUAL_FATAL(pst_doorbell_open(&node.hub_bell), 0);
    return &node;
}

static void a_start_that_hangs_is_given_up(void)
{
    struct pst_node *node = node_with_bell();
    static struct pst_worker worker;
    atomic_store(&may_end, false);
    CU_ASSERT_EQUAL(worker_start(&worker, node, 64, hang, 50000000), -ETIMEDOUT);
    CU_ASSERT_TRUE(worker.is_lost);
    worker_stop(&worker, &node->hub_bell, 0); /* does not wait for it */
    CU_ASSERT_TRUE(atomic_load(&worker.must_stop));
    atomic_store(&may_end, true);
    pthread_join(worker.thread, NULL);
    pst_doorbell_close(&node->hub_bell);
}

static void a_start_that_fails_says_why(void)
{
    struct pst_node *node = node_with_bell();
    struct pst_worker worker = {0};
    CU_ASSERT_EQUAL(worker_start(&worker, node, 64, fail, START_NS), -ENOMEM);
    CU_ASSERT_FALSE(worker.is_lost);
    worker_stop(&worker, &node->hub_bell, pst_monotonic_ns() + START_NS);
    pst_doorbell_close(&node->hub_bell);
}

static void a_worker_opens_its_own_channel(void)
{
    struct pst_node *node = node_with_bell();
    struct pst_worker worker = {0};
    CU_ASSERT_EQUAL_FATAL(worker_start(&worker, node, 64, work, START_NS), 0);
    CU_ASSERT_PTR_NOT_NULL(worker.channel.to_peer);
    worker_stop(&worker, &worker.channel.bell, pst_monotonic_ns() + START_NS);
    channel_close(&worker.channel);
    pst_doorbell_close(&node->hub_bell);
}

static atomic_int starting;

/* Starts only while another does. */
static void *meet(void *argument)
{
    atomic_fetch_add(&starting, 1);
    while (atomic_load(&starting) < 2)
        sched_yield();
    worker_report_start(argument, 0);
    return NULL;
}

static void workers_that_are_launched_start_at_once(void)
{
    struct pst_node *node = node_with_bell();
    struct pst_worker workers[2] = {0};
    for (uint32_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(worker_launch(&workers[i], node, 64, meet), 0);
    for (uint32_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(worker_await_start(&workers[i], START_NS), 0);
    for (uint32_t i = 0; i < 2; i++)
        worker_stop(&workers[i], &node->hub_bell, pst_monotonic_ns() + START_NS);
    pst_doorbell_close(&node->hub_bell);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a start that hangs is given up", a_start_that_hangs_is_given_up},
        {"a start that fails says why", a_start_that_fails_says_why},
        {"workers that are launched start at once", workers_that_are_launched_start_at_once},
        {"a worker opens its own channel", a_worker_opens_its_own_channel},
        CU_TEST_INFO_NULL,
    };
    return suite_run("worker", tests);
}
