/*
 * What list, show, verify and restore share: finding the backup that is meant, and the progress of
 * a crew of readers.
 */
#ifndef PST_ENGINE_CLI_BACKUPS_H
#define PST_ENGINE_CLI_BACKUPS_H

#include <jansson.h>

#include "engine/cli/command.h"
#include "engine/cli/placement.h"
#include "engine/cli/progress.h"
#include "engine/restore/catalog.h"

#define PST_FROM_OPTION                                                                            \
    {                                                                                              \
        .name = "from", .kind = PST_OPTION_TEXT, .argument = "DIR", .required = true,              \
        .help = "directory of the backups"                                                         \
    }

/* Reads --from. PST_EXIT_DONE, or the exit code, having said why. Released by the caller. */
PST_MUST_USE enum pst_exit pst_backups_read(const struct pst_arguments *arguments,
                                            struct pst_backup_list *list);

/* Calls use with the backup that the first positional names, or, where there is none, the one that
 * pick says; it is use's for the call. use's exit code, or that of what went wrong before, which
 * was said. */
PST_MUST_USE enum pst_exit pst_backups_use(
    const struct pst_arguments *arguments, enum pst_backup_pick pick,
    enum pst_exit (*use)(const struct pst_arguments *arguments, const struct pst_backup *backup));

/* The exit code for an error of a backup or of reading it. */
enum pst_exit pst_backups_exit(int error);

/* Number, uid, state, times, sums, GCIs: what list shows of a backup, and show begins with. */
json_t *pst_backup_json(const struct pst_backup *backup) PST_MUST_USE;

/* The start GCI's time as "2026-01-31 12:34:56" in local time; text has PST_TIME_TEXT_BYTES. */
#define PST_TIME_TEXT_BYTES 32u
const char *pst_time_text(uint64_t unix_ns, char *text);

/* Readers as the placement options say, and their progress. Embeds what crew and callback need. */
struct pst_reading {
    struct pst_placements placements;
    struct pst_crew crew;
    struct pst_progress *progress;
};

/* PST_EXIT_DONE, or the exit code, having said why. label: "verify". Takes signals over. */
PST_MUST_USE enum pst_exit pst_reading_start(const struct pst_arguments *arguments,
                                             const char *label, struct pst_reading *reading);
void pst_reading_progress(void *reading, const struct pst_crew_progress *progress);
void pst_reading_finish(struct pst_reading *reading);

#endif
