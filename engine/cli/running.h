/* Whether a backup that is not complete is being written. Main thread only. */
#ifndef PST_ENGINE_CLI_RUNNING_H
#define PST_ENGINE_CLI_RUNNING_H

#include <stdbool.h>

#include "engine/repository/catalog.h"

/* Whether another process is writing the backup now, as far as the kernel's list of locks shows. */
bool cli_backup_is_running(const struct pst_backup *backup);

#endif
