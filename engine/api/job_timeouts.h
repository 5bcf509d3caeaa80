/*
 * The limits of a job as the protocol's machines take them.
 */
#ifndef PST_ENGINE_API_JOB_TIMEOUTS_H
#define PST_ENGINE_API_JOB_TIMEOUTS_H

#include "engine/node/node.h"
#include "penstock/run.h"

#define JOB_PROGRESS_NS UINT64_C(200000000)

/* Each waits for the one before, and so a quarter of it longer. A scan is given up after its stall
 * limit alone, within which it reports how far it is more than once. */
static inline struct pst_timeouts job_timeouts(const struct pst_backup_job *job)
{
    return (struct pst_timeouts){
        .ldm_ns = job->request_limit_ns,
        .proxy_ns = job->request_limit_ns + job->request_limit_ns / 4,
        .master_ns = job->request_limit_ns + job->request_limit_ns / 2,
        .stall_ns = job->stall_limit_ns,
        .progress_ns =
            job->stall_limit_ns / 4 < JOB_PROGRESS_NS ? job->stall_limit_ns / 4 : JOB_PROGRESS_NS,
        .thawed_ns = UINT64_C(100000000),
        .ask_ns = UINT64_C(2000000000),
    };
}

#endif
