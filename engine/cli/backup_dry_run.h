/* penstock backup --dry-run. Main thread only. */
#ifndef PST_ENGINE_CLI_BACKUP_DRY_RUN_H
#define PST_ENGINE_CLI_BACKUP_DRY_RUN_H

#include "engine/cli/command.h"

struct pst_session;

/* Lists what the session would back up into the directory to, and prints it: the exit code of the
 * command, 1 where it may not fit. */
enum cli_exit cli_backup_dry_run(const struct cli_arguments *arguments, struct pst_session *session,
                                 const char *to);

#endif
