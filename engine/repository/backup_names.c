/* The directories that hold some of a backup, the names of its files and of its state for messages,
 * and whether it is sealed. Whoever lists, shows, verifies, restores or prunes. */
#include <stdio.h>

#include "engine/repository/catalog.h"
#include "engine/repository/layout.h"

struct pst_file_name backup_file_name(const struct pst_backup *backup, uint32_t i, const char *name)
{
    struct pst_file_name file = {0};
    if (i < PST_DIRECTORIES_MAX && backup->directories->count > 1)
        file.directory = backup->directories->paths[i];
    snprintf(file.text, sizeof(file.text), "%s/%s", layout_backup(backup->stored_as).text, name);
    return file;
}

uint32_t backup_next_in(const struct pst_backup *backup, uint32_t i)
{
    while (i < PST_DIRECTORIES_MAX && (backup->found_in >> i & 1) == 0)
        i++;
    return i;
}

bool pst_backup_is_sealed(const struct pst_backup *backup)
{
    bool is_sealed = false;
    for (uint32_t i = 0; i < PST_NODES_MAX; i++)
        is_sealed |= backup->is_sealed[i];
    return is_sealed;
}

const char *pst_backup_state_text(enum pst_backup_state state)
{
    static const char *const texts[] = {
        [PST_BACKUP_COMPLETE] = "complete", [PST_BACKUP_INCOMPLETE] = "incomplete",
        [PST_BACKUP_DAMAGED] = "damaged",   [PST_BACKUP_NEWER] = "newer",
        [PST_BACKUP_IN_DOUBT] = "in doubt", [PST_BACKUP_PARTIAL] = "partial",
        [PST_BACKUP_MISNAMED] = "misnamed", [PST_BACKUP_SPLIT] = "split",
        [PST_BACKUP_CUT_OFF] = "cut off",
    };
    return texts[state];
}
