/* Priorities of threads by the scheduler's policies and nice values; called by the threads of a
 * node and of a source, each for itself. */
#include "engine/base/priority.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>

#define NICE_MIN (-20)

/* Of the calling thread. */
static _Thread_local struct {
    bool is_known;
    bool is_usual; /* its policy */
    int nice;      /* at first */
    enum pst_priority priority;
    int error; /* that priority's */
    bool may_spin;
} own;

static void learn(void)
{
    if (own.is_known)
        return;
    own.is_known = true;
    own.is_usual = (sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_OTHER;
    own.nice = getpriority(PRIO_PROCESS, 0); /* the thread's; -1 may be one, and does not fail */
}

static int set_policy(pid_t thread, int policy, int priority)
{
    const struct sched_param param = {.sched_priority = priority};
    return sched_setscheduler(thread, policy | SCHED_RESET_ON_FORK, &param) < 0 ? -errno : 0;
}

/* thread: 0: the calling one. */
static int apply(pid_t thread, enum pst_priority priority)
{
    if (priority == PST_PRIORITY_URGENT) {
        int error = set_policy(thread, SCHED_FIFO, 1);
        if (error)
            (void)setpriority(PRIO_PROCESS, (id_t)thread, NICE_MIN);
        return error;
    }
    (void)set_policy(thread, SCHED_OTHER, 0);
    (void)setpriority(PRIO_PROCESS, (id_t)thread, own.nice);
    return 0;
}

int pst_priority_set(enum pst_priority priority)
{
    learn();
    if (own.is_usual && priority != own.priority) {
        own.error = apply(0, priority);
        own.priority = priority;
    }
    return own.error;
}

bool pst_priority_is_urgent(void)
{
    return own.priority == PST_PRIORITY_URGENT;
}

void pst_priority_let_spin(bool may)
{
    own.may_spin = may;
}

bool pst_priority_may_spin(void)
{
    return own.may_spin;
}

int pst_priority_hurry_process(pid_t process, bool is_urgent)
{
    learn();
    return own.is_usual ? apply(process, is_urgent ? PST_PRIORITY_URGENT : PST_PRIORITY_NORMAL) : 0;
}
