/*
 * What the commands share that look at backups: --from, the list below it, and how a backup is
 * printed. Main thread only.
 */
#ifndef PST_ENGINE_CLI_BACKUPS_H
#define PST_ENGINE_CLI_BACKUPS_H

#include "engine/cli/command.h"
#include "engine/repository/catalog.h"

struct json_t;

#define PST_FROM_OPTION                                                                            \
    {                                                                                              \
        .name = "from", .kind = PST_OPTION_TEXT, .argument = "DIR", .required = true,              \
        .repeatable = true,                                                                        \
        .help = "directory of the backups; of nodes with directories of their own, each of them"   \
    }

/* Reads --from. PST_EXIT_DONE, or the exit code, having said why. Released by the caller. */
PST_MUST_USE enum pst_exit pst_backups_read(const struct pst_arguments *arguments,
                                            struct pst_backup_list *list);

/* The exit code for an error of a backup or of reading it. */
enum pst_exit pst_backups_exit(int error);

/* Number, uid, state, times, sums, GCIs: what list shows of a backup, and show begins with. */
struct json_t *pst_backup_json(const struct pst_backup *backup) PST_MUST_USE;

/* The start GCI's time as "2026-01-31 12:34:56" in local time; text has PST_TIME_TEXT_BYTES. */
#define PST_TIME_TEXT_BYTES 32u
const char *pst_time_text(uint64_t unix_ns, char *text);

#endif
