/* A pause of a test's thread, at least this long. */
#ifndef PST_TESTS_SUPPORT_PAUSE_H
#define PST_TESTS_SUPPORT_PAUSE_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

static inline void pause_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

#endif
