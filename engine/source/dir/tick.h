/*
 * Changes closer together than a tick of the kernel's clock, or of the file system's, may leave one
 * time: the second one does not show. On the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_TICK_H
#define PST_ENGINE_SOURCE_DIR_TICK_H

#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#define TICK_NS INT64_C(20000000)

/* The clock of a file system on another host is no further ahead. */
#define TICK_AHEAD_NS INT64_C(60000000000)

/* What is known of the clock of the file system; zeros: nothing. */
struct ticks {
    int64_t past_ns;  /* what changed no later is older than a tick */
    int64_t lead_ns;  /* so far, at least, it is ahead of CLOCK_MONOTONIC */
    int64_t rests_ns; /* for files, in all */
};

static inline int64_t tick_ns_of(const struct timespec *time)
{
    return (int64_t)((uint64_t)time->tv_sec * UINT64_C(1000000000) + (uint64_t)time->tv_nsec);
}

void tick_rest(int64_t ns);

/* Before a file is read: waits until any change of it would leave other times than status has; 20 s
 * in all, and not where times are whole seconds. */
void tick_await(struct ticks *ticks, const struct stat *status);

/* A file that a program writes anew is empty first, for a moment: one that is, and has changed
 * since the walk began, is looked at until it does not change, which is what status is then; eight
 * times at most. */
void tick_await_contents(struct ticks *ticks, int directory, const char *name,
                         const struct timespec *began, struct stat *status);

#endif
