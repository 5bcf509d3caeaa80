/*
 * Looks whether a backup that is not complete is being written at this moment. Called by the
 * command line for list and show. It takes no lock: that could turn away a backup that starts.
 */
#include "engine/repository/running.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "engine/repository/archive_marks.h"

/* How flock(2) holds a directory, by /proc/locks (proc(5)): "WRITE": by a backup of its own
 * process, "READ": by nodes of a cluster (lease.c), "": by none, or by one that is not to be seen.
 */
static void find_lock(struct pst_repository *repository, char kind[8])
{
    char line[256], found[8];
    unsigned major_number, minor_number;
    unsigned long long inode;
    struct pst_repository_status status;
    FILE *locks = fopen("/proc/locks", "re");
    bool is_known = repository_status(repository, repository->root, NULL, &status) == 0;
    kind[0] = '\0';
    while (locks && is_known && kind[0] == '\0' && fgets(line, sizeof(line), locks)) {
        if (sscanf(line, "%*s FLOCK %*s %7s %*d %x:%x:%llu", found, &major_number, &minor_number,
                   &inode) == 4 &&
            inode == status.inode && major_number == major(status.device) &&
            minor_number == minor(status.device))
            strcpy(kind, found);
    }
    if (locks)
        fclose(locks);
}

/* A node at work on a backup has put its mark into it. */
static bool has_mark(struct pst_repository *repository, uint32_t number)
{
    int directory = repository_open_backup(repository, number);
    if (directory < 0)
        return false;
    bool found = archive_is_marked(repository, directory, number) > 0;
    repository_close(repository, directory);
    return found;
}

bool pst_backup_is_running(const struct pst_backup *backup)
{
    char kind[8];
    for (uint32_t i = 0; backup->state == PST_BACKUP_INCOMPLETE && i < backup->directories->count;
         i++) {
        struct pst_repository *repository = &backup->directories->repositories[i];
        if (!(backup->found_in >> i & 1))
            continue;
        find_lock(repository, kind);
        if (strcmp(kind, "WRITE") == 0 ||
            (strcmp(kind, "READ") == 0 && has_mark(repository, backup->number)))
            return true;
    }
    return false;
}
