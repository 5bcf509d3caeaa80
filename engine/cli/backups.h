/*
 * What list, show, verify, restore and export share: the backup that is meant, opened, and the
 * progress of a crew of readers.
 */
#ifndef PST_ENGINE_CLI_BACKUPS_H
#define PST_ENGINE_CLI_BACKUPS_H

#include <jansson.h>

#include "engine/api/reading.h"
#include "engine/cli/command.h"
#include "engine/cli/progress.h"
#include "engine/repository/catalog.h"

#define PST_FROM_OPTION                                                                            \
    {                                                                                              \
        .name = "from", .kind = PST_OPTION_TEXT, .argument = "DIR", .required = true,              \
        .repeatable = true,                                                                        \
        .help = "directory of the backups; of nodes with directories of their own, each of them"   \
    }

/* Reads --from. PST_EXIT_DONE, or the exit code, having said why. Released by the caller. */
PST_MUST_USE enum pst_exit pst_backups_read(const struct pst_arguments *arguments,
                                            struct pst_backup_list *list);

/* A backup that is open to be read. */
struct pst_opened {
    const struct pst_arguments *arguments;
    struct pst_reading reading;
    struct pst_progress *progress;
};

/* Calls use with the backup that the first positional names, or, where there is none, the one that
 * pick says; it is use's for the call. label, such as "verify", of what reads it by a crew, as the
 * placement options say, which has a progress, and is stopped by signals; NULL: no crew is needed.
 * use's exit code, or that of what went wrong before, which was said. */
PST_MUST_USE enum pst_exit pst_backups_use(const struct pst_arguments *arguments,
                                           enum pst_backup_pick pick, const char *label,
                                           enum pst_exit (*use)(struct pst_opened *opened));

/* The progress callback of a crew; the context is the struct pst_opened. */
void pst_opened_progress(void *opened, const struct pst_crew_progress *progress);

/* The crew is done: nothing more is told. */
void pst_opened_finish(struct pst_opened *opened);

/* The exit code for an error of a backup or of reading it. */
enum pst_exit pst_backups_exit(int error);

/* Number, uid, state, times, sums, GCIs: what list shows of a backup, and show begins with. */
json_t *pst_backup_json(const struct pst_backup *backup) PST_MUST_USE;

/* The start GCI's time as "2026-01-31 12:34:56" in local time; text has PST_TIME_TEXT_BYTES. */
#define PST_TIME_TEXT_BYTES 32u
const char *pst_time_text(uint64_t unix_ns, char *text);

#endif
