/*
 * Doorbells over futex(2) and eventfd(2), and how long an idle thread spins and yields before it
 * sleeps. Called by every thread of a node: by the sleeper itself, and by any thread that rings.
 */
#include "net/doorbell.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/priority.h"

#define NS_PER_S 1000000000u

/* The sleeper waits for the word alone: cheaper on both sides than a descriptor. */
#define IN_FUTEX (PST_ASLEEP + 1u)
/* futex(2) without a timeout would not end with a signal handler. */
#define LONG_NS (UINT64_C(86400) * NS_PER_S)

int pst_doorbell_open(struct pst_doorbell *bell)
{
    bell->state = PST_AWAKE;
    bell->writes = 0;
    bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return bell->fd < 0 ? -errno : 0;
}

void pst_doorbell_close(struct pst_doorbell *bell)
{
    close(bell->fd);
    bell->fd = -1;
}

void pst_doorbell_ring(struct pst_doorbell *bell)
{
    uint32_t was = pst_sleep_end(&bell->state);
    if (was == PST_AWAKE)
        return;
    __atomic_fetch_add(&bell->writes, 1, __ATOMIC_RELAXED);
    int saved_errno = errno;
    if (was == IN_FUTEX) {
        (void)syscall(SYS_futex, &bell->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    } else {
        ssize_t written = eventfd_write(bell->fd, 1);
        /* EAGAIN: the counter is at its maximum, so the fd is readable as it is. */
        assert(written == 0 || errno == EAGAIN);
    }
    errno = saved_errno;
}

void pst_doorbell_announce(struct pst_doorbell *bell)
{
    pst_sleep_announce(&bell->state);
}

void pst_doorbell_cancel(struct pst_doorbell *bell)
{
    pst_sleep_cancel(&bell->state);
}

int pst_doorbell_fd(const struct pst_doorbell *bell)
{
    return bell->fd;
}

void pst_doorbell_drain(struct pst_doorbell *bell)
{
    eventfd_t rings;
    int status = eventfd_read(bell->fd, &rings);
    assert(status == 0 || errno == EAGAIN);
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* If the exchange fails, a ring came after the announcement, and writes to the fd. */
static int wait_for_word(struct pst_doorbell *bell, uint64_t timeout_ns)
{
    const struct timespec timeout = timespec_of(timeout_ns < LONG_NS ? timeout_ns : LONG_NS);
    uint32_t announced = PST_ASLEEP;
    if (__atomic_compare_exchange_n(&bell->state, &announced, IN_FUTEX, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        (void)syscall(SYS_futex, &bell->state, FUTEX_WAIT_PRIVATE, IN_FUTEX, &timeout, NULL, 0);
    else
        pst_doorbell_drain(bell);
    return pst_sleep_end(&bell->state) == PST_AWAKE ? PST_DOORBELL_RANG : 0;
}

int pst_doorbell_wait(struct pst_doorbell *bell, uint64_t timeout_ns, int extra_fd)
{
    if (extra_fd < 0)
        return wait_for_word(bell, timeout_ns);
    struct pollfd fds[] = {{.fd = bell->fd, .events = POLLIN}, {.fd = extra_fd, .events = POLLIN}};
    const struct timespec timeout = timespec_of(timeout_ns);
    int ready = ppoll(fds, 2, timeout_ns == PST_DOORBELL_FOREVER ? NULL : &timeout, NULL);
    int error = ready < 0 && errno != EINTR ? errno : 0;
    pst_doorbell_cancel(bell);
    pst_doorbell_drain(bell);
    if (ready < 0)
        return -error;
    int wake = 0;
    if (fds[0].revents != 0)
        wake |= PST_DOORBELL_RANG;
    if (fds[1].revents != 0)
        wake |= PST_DOORBELL_EXTRA;
    return wake;
}

uint64_t pst_doorbell_writes(const struct pst_doorbell *bell)
{
    return __atomic_load_n(&bell->writes, __ATOMIC_RELAXED);
}

static void pause_core(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Until then no thread of the process yields. */
static _Atomic uint64_t crowded_until_ns;

bool pst_idle(struct pst_idle *idle)
{
    uint64_t now = pst_monotonic_ns();
    if (idle->since_ns == 0)
        idle->since_ns = now;
    uint64_t idle_ns = now - idle->since_ns;
    bool is_urgent = pst_priority_is_urgent();
    uint32_t yield_ns = idle->is_patient && !is_urgent ? PST_IDLE_PATIENT_NS : PST_IDLE_YIELD_NS;
    if (idle_ns >= PST_IDLE_SPIN_NS + yield_ns)
        return true;
    if (is_urgent || now < atomic_load_explicit(&crowded_until_ns, memory_order_relaxed)) {
        if (idle_ns >= PST_IDLE_SPIN_NS && !(is_urgent && pst_priority_may_spin()))
            return true;
        pause_core();
        return false;
    }
    sched_yield();
    uint64_t back = pst_monotonic_ns();
    if (back - now < PST_IDLE_AWAY_NS)
        return false;
    atomic_store_explicit(&crowded_until_ns, back + PST_IDLE_CROWDED_NS, memory_order_relaxed);
    return true;
}
