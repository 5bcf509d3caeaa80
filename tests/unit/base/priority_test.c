/* Threads that are urgent, and come back. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/priority.h"
#include "tests/suite.h"
#include "tests/support/child.h"

#define CANNOT_RUN 77 /* not allowed to raise a limit, or to become another user */

static int policy_of(pid_t thread)
{
    return sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK;
}

/* Whether this process may have real-time threads. */
static bool may_hurry(void)
{
    const struct sched_param real_time = {.sched_priority = 1}, none = {0};
    bool may = sched_setscheduler(0, SCHED_FIFO, &real_time) == 0;
    return sched_setscheduler(0, SCHED_OTHER, &none) == 0 && may;
}

static void on_a_thread(void *(*run)(void *))
{
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run, NULL), 0);
    pthread_join(thread, NULL);
}

static int report_policy(void *context)
{
    (void)context;
    return policy_of(0);
}

static void *be_urgent(void *unused)
{
    bool may = may_hurry();
    int before = getpriority(PRIO_PROCESS, 0);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(pst_priority_set(PST_PRIORITY_URGENT), may ? 0 : -EPERM);
        CU_ASSERT_EQUAL(policy_of(0), may ? SCHED_FIFO : SCHED_OTHER);
        CU_ASSERT_EQUAL(child_wait(child_start(report_policy, NULL)), SCHED_OTHER);
        CU_ASSERT_EQUAL(pst_priority_set(PST_PRIORITY_NORMAL), 0);
        CU_ASSERT_EQUAL(policy_of(0), SCHED_OTHER);
        CU_ASSERT_EQUAL(getpriority(PRIO_PROCESS, 0), before);
    }
    return unused;
}

static void urgent_until_normal(void)
{
    on_a_thread(be_urgent);
}

static void *have_another_policy(void *unused)
{
    const struct sched_param none = {0};
    CU_ASSERT_EQUAL(sched_setscheduler(0, SCHED_BATCH, &none), 0);
    CU_ASSERT_EQUAL(pst_priority_set(PST_PRIORITY_URGENT), 0);
    CU_ASSERT_EQUAL(policy_of(0), SCHED_BATCH);
    CU_ASSERT_EQUAL(pst_priority_set(PST_PRIORITY_NORMAL), 0);
    CU_ASSERT_EQUAL(policy_of(0), SCHED_BATCH);
    return unused;
}

static void another_policy_is_left(void)
{
    on_a_thread(have_another_policy);
}

/* Of a user who has no right but, perhaps, that limit. */
static int be_urgent_by_limit(void *limit)
{
    const struct rlimit real_time = {*(rlim_t *)limit, *(rlim_t *)limit};
    if (setrlimit(RLIMIT_RTPRIO, &real_time) < 0 || setresuid(65534, 65534, 65534) < 0)
        return CANNOT_RUN;
    int error = pst_priority_set(PST_PRIORITY_URGENT);
    bool is_real_time = policy_of(0) == SCHED_FIFO;
    (void)pst_priority_set(PST_PRIORITY_NORMAL);
    if (policy_of(0) != SCHED_OTHER || is_real_time != (error == 0))
        return 1;
    return -error;
}

static void the_limit_suffices(void)
{
    for (rlim_t limit = 0; limit < 2; limit++) {
        int result = child_wait(child_start(be_urgent_by_limit, &limit));
        if (result != CANNOT_RUN)
            CU_ASSERT_EQUAL(result, limit == 1 ? 0 : EPERM);
    }
}

static int wait_for_signal(void *context)
{
    (void)context;
    pause();
    return 0;
}

static void a_child_is_urgent(void)
{
    pid_t child = child_start(wait_for_signal, NULL);
    pst_priority_hurry_process(child, true);
    CU_ASSERT_EQUAL(policy_of(child), may_hurry() ? SCHED_FIFO : SCHED_OTHER);
    pst_priority_hurry_process(child, false);
    CU_ASSERT_EQUAL(policy_of(child), SCHED_OTHER);
    kill(child, SIGKILL);
    CU_ASSERT_NOT_EQUAL(child_wait(child), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"urgent until normal", urgent_until_normal},
        {"another policy is left", another_policy_is_left},
        {"the limit suffices", the_limit_suffices},
        {"a child is urgent", a_child_is_urgent},
        CU_TEST_INFO_NULL,
    };
    return suite_run("priority", tests);
}
