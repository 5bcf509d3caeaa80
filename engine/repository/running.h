/* Whether a backup that is not complete is being written. Blocking, any thread. */
#ifndef PST_ENGINE_REPOSITORY_RUNNING_H
#define PST_ENGINE_REPOSITORY_RUNNING_H

#include <stdbool.h>

#include "engine/repository/catalog.h"

/* Whether another process is writing the backup now, as far as the kernel's list of locks shows. */
bool pst_backup_is_running(const struct pst_backup *backup);

#endif
