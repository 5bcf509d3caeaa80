/* The pace that a job asks for. Called by session.c and read_job.c, and by
 * engine/cli/cmd_pace.c. */
#include "engine/api/job_pace.h"

#include <errno.h>
#include <stdio.h>

#include "penstock/limits.h"

#define PACE_DEFAULT "auto"

int job_pace_read(const char *pace, uint64_t min_rate, struct pst_pace_setting *setting,
                  char *message)
{
    *setting = (struct pst_pace_setting){.min_rate = min_rate};
    if (min_rate > 0 && (min_rate < PST_PACE_MIN || min_rate > PST_PACE_MOST)) {
        snprintf(message, PST_MESSAGE_BYTES, "a least rate of %llu bytes a second: give 1M to 1T",
                 (unsigned long long)min_rate);
        return -EINVAL;
    }
    int error = pst_pace_parse(pace ? pace : PACE_DEFAULT, setting);
    if (error)
        snprintf(message, PST_MESSAGE_BYTES,
                 "pace %s: give max, auto, or bytes a second from 1M to 1T, such as 50M", pace);
    return error;
}

int pst_job_pace_check(const char *pace, char *message)
{
    struct pst_pace_setting setting;
    return job_pace_read(pace, 0, &setting, message);
}
