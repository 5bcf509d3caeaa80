/*
 * One backup job, taken apart for who wants to look in between: the command line tells of placement
 * and memory before it runs, and of each LDM afterwards. One thread.
 */
#ifndef PST_ENGINE_API_BACKUP_H
#define PST_ENGINE_API_BACKUP_H

#include "engine/api/placement.h"
#include "engine/node/one_backup.h"
#include "engine/source/registry/registry.h"
#include "penstock/run.h"

/* On the heap, for its size; all zeros before pst_session_open. */
struct pst_session {
    struct pst_backup_job job;
    struct pst_placements placements;
    struct pst_source *sources[PST_SOURCES_MAX]; /* in name order */
    const char *specs[PST_SOURCES_MAX];
    char own_specs[PST_SOURCES_MAX][PST_SOURCE_NAME_MAX + 1]; /* of the caller's sources */
    uint32_t sources_count;
    struct pst_table_filter tables;
    struct pst_backup_options options;
    struct pst_backup_report report;
    char message[PST_MESSAGE_BYTES]; /* after an error: why */
};

/* Checks the job, opens its sources, and plans where the threads run. -EINVAL: the job asks for
 * something impossible; else what failed. Closed in any case. */
PST_MUST_USE int pst_session_open(struct pst_session *session, const struct pst_backup_job *job);

/* Runs it: 0 or -session->report.error. */
PST_MUST_USE int pst_session_run(struct pst_session *session);

/* Closes what open opened; the caller's own sources are idle again. */
void pst_session_close(struct pst_session *session);

#endif
