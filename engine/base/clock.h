/*
 * The clocks, in nanoseconds. Any thread; never from engine/protocol, where time is an input.
 */
#ifndef PST_ENGINE_BASE_CLOCK_H
#define PST_ENGINE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t pst_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Never goes back; for deadlines and durations. */
static inline uint64_t pst_monotonic_ns(void)
{
    return pst_clock_ns(CLOCK_MONOTONIC);
}

/* Since 1970; may jump. */
static inline uint64_t pst_unix_ns(void)
{
    return pst_clock_ns(CLOCK_REALTIME);
}

/* CPU time of the calling thread. */
static inline uint64_t pst_thread_cpu_ns(void)
{
    return pst_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

#endif
