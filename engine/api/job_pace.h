/*
 * The pace of a job. Private to engine/api; any thread.
 */
#ifndef PST_ENGINE_API_JOB_PACE_H
#define PST_ENGINE_API_JOB_PACE_H

#include "engine/pace/pace_text.h"

/* pace: NULL: the default; min_rate: 0: none is set. -EINVAL, with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int job_pace_read(const char *pace, uint64_t min_rate,
                               struct pst_pace_setting *setting, char *message);

#endif
