/*
 * The pace of a job. For engine/api, but for pst_job_pace_check; any thread.
 */
#ifndef PST_ENGINE_API_JOB_PACE_H
#define PST_ENGINE_API_JOB_PACE_H

#include "engine/pace/pace_text.h"

/* pace: NULL: the default; min_rate: 0: none is set. -EINVAL, with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int job_pace_read(const char *pace, uint64_t min_rate,
                               struct pst_pace_setting *setting, char *message);

/* Whether that is a pace: likewise. */
PST_MUST_USE int pst_job_pace_check(const char *pace, char *message);

#endif
