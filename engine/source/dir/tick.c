/* Waits for ticks. Called by tree.c and dir_list.c on the source's thread. */
#include "engine/source/dir/tick.h"

#include <fcntl.h>
#include <stdbool.h>

#include "engine/base/clock.h"

#define LOOKS_MAX 8u
#define RESTS_NS INT64_C(20000000000)

void tick_rest(int64_t ns)
{
    const struct timespec pause = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&pause, NULL);
}

/* A clock that is ahead is waited for as long as it is, for all files together. */
void tick_await(struct ticks *ticks, const struct stat *status)
{
    int64_t ctime_ns = tick_ns_of(&status->st_ctim);
    if (ctime_ns <= ticks->past_ns || ticks->rests_ns >= RESTS_NS)
        return;
    int64_t age_ns = (int64_t)pst_unix_ns() - ctime_ns,
            lead_ns = ctime_ns - (int64_t)pst_monotonic_ns();
    ticks->past_ns = ctime_ns + age_ns - TICK_NS;
    if (age_ns >= TICK_NS || age_ns < -TICK_AHEAD_NS || lead_ns + TICK_NS <= ticks->lead_ns)
        return;
    if (lead_ns > ticks->lead_ns)
        ticks->lead_ns = lead_ns;
    int64_t rest_ns = TICK_NS - (age_ns > 0 ? age_ns : 0);
    ticks->rests_ns += rest_ns;
    tick_rest(rest_ns);
}

void tick_await_contents(struct ticks *ticks, int directory, const char *name,
                         const struct timespec *began, struct stat *status)
{
    for (uint32_t i = 0; i < LOOKS_MAX; i++) {
        struct stat now;
        if (!S_ISREG(status->st_mode) || status->st_size > 0 ||
            tick_ns_of(&status->st_ctim) < tick_ns_of(began) - TICK_NS)
            return;
        tick_await(ticks, status);
        if (fstatat(directory, name, &now, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) ||
            now.st_dev != status->st_dev || now.st_ino != status->st_ino)
            return;
        bool is_as_it_was = tick_ns_of(&now.st_ctim) == tick_ns_of(&status->st_ctim);
        *status = now;
        if (is_as_it_was)
            return;
    }
}
