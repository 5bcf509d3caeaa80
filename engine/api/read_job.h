/*
 * The jobs that read a backup, for `penstock`: what it asks for and prints beyond the public jobs
 * (penstock/run.h). Private to the engine.
 *
 * Blocking, on the caller's thread; all that is passed is borrowed for the call. cancel may be set
 * by anyone, a signal handler too: the job stops soon; NULL: run.cancel_fd alone cancels. An
 * outcome's number is 0 if and only if no backup was opened.
 */
#ifndef PST_ENGINE_API_READ_JOB_H
#define PST_ENGINE_API_READ_JOB_H

#include <stdatomic.h>

#include "penstock/run.h"

struct pst_keyring;

/* As pst_run_verify. keyring: opens what is sealed, in the place of job->keys, which are read by
 * each job; NULL: they do. */
PST_MUST_USE int pst_job_verify(const struct pst_verify_job *job, const struct pst_keyring *keyring,
                                const atomic_bool *cancel, struct pst_verify_outcome *outcome);

struct pst_restore_report {
    struct pst_restore_outcome outcome;
    uint64_t unreadable_at_backup; /* objects, by the cluster manifest */
    bool owners_skipped;           /* not root: files belong to the caller */
};

/* As pst_run_restore, and -ENOKEY: the backup has no source that job->only names. */
PST_MUST_USE int pst_job_restore(const struct pst_restore_job *job, const atomic_bool *cancel,
                                 struct pst_restore_report *report);

/* Tables of one source of a logical backup, into the directory restore.target by
 * restore.open_sink. */
struct pst_export_job {
    struct pst_restore_job restore;
    const char *source;        /* NAME or NODE/NAME; NULL: the only one */
    const char *const *tables; /* escaped names; count 0: all */
    uint32_t tables_count;
};

/* As pst_run_restore, and
 *   -ENOTSUP         the source has no rows
 *   -ENOKEY          there is no such source, or there are several and none is named
 *   -PST_E_NO_TABLE  the source has no such table */
PST_MUST_USE int pst_job_export(const struct pst_export_job *job, const atomic_bool *cancel,
                                struct pst_restore_report *report);

#endif
