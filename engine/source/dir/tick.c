/* Waits for ticks. Called by tree.c and dir_list.c on the source's thread. */
#include "engine/source/dir/tick.h"

#include "engine/base/clock.h"

void tick_rest(int64_t ns)
{
    const struct timespec pause = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&pause, NULL);
}

/* A clock that is ahead is waited for as long as it is, for all files together. */
void tick_await(struct ticks *ticks, const struct stat *status)
{
    int64_t ctime_ns = tick_ns_of(&status->st_ctim);
    if (ctime_ns <= ticks->past_ns)
        return;
    int64_t age_ns = (int64_t)pst_unix_ns() - ctime_ns,
            lead_ns = ctime_ns - (int64_t)pst_monotonic_ns();
    ticks->past_ns = ctime_ns + age_ns - TICK_NS;
    if (age_ns >= TICK_NS || age_ns < -TICK_AHEAD_NS || lead_ns + TICK_NS <= ticks->lead_ns)
        return;
    if (lead_ns > ticks->lead_ns)
        ticks->lead_ns = lead_ns;
    tick_rest(TICK_NS - (age_ns > 0 ? age_ns : 0));
}
