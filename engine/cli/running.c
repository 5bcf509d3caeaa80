/*
 * Looks whether a backup that is not complete is being written at this moment. Called by list, show
 * and backups.c, on the main thread. It takes no lock: that could turn a backup away that starts.
 */
#include "engine/cli/running.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* How flock(2) holds a directory, by /proc/locks (proc(5)): "WRITE": by a backup of its own
 * process, "READ": by nodes of a cluster (engine/node/node.c), "": by none, or that is not to be
 * seen. */
static void find_lock(int directory_fd, char kind[8])
{
    char line[256], found[8];
    unsigned major_number, minor_number;
    unsigned long long inode;
    struct stat status;
    FILE *locks = fopen("/proc/locks", "re");
    bool is_known = fstat(directory_fd, &status) == 0;
    kind[0] = '\0';
    while (locks && is_known && kind[0] == '\0' && fgets(line, sizeof(line), locks)) {
        if (sscanf(line, "%*s FLOCK %*s %7s %*d %x:%x:%llu", found, &major_number, &minor_number,
                   &inode) == 4 &&
            inode == status.st_ino && major_number == major(status.st_dev) &&
            minor_number == minor(status.st_dev))
            strcpy(kind, found);
    }
    if (locks)
        fclose(locks);
}

/* A node at work on a backup has put its mark into it. */
static bool has_mark(int directory_fd, uint32_t number)
{
    char name[32];
    snprintf(name, sizeof(name), "BACKUP-%u", number);
    int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool found = false;
    while (dir && !found && (entry = readdir(dir)) != NULL) {
        const char *end = strrchr(entry->d_name, '.');
        found = end && strcmp(end, ".mark") == 0;
    }
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    return found;
}

bool cli_backup_is_running(const struct pst_backup *backup)
{
    char kind[8];
    for (uint32_t i = 0; backup->state == PST_BACKUP_INCOMPLETE && i < backup->directories->count;
         i++) {
        if (!(backup->found_in >> i & 1))
            continue;
        find_lock(backup->directories->fds[i], kind);
        if (strcmp(kind, "WRITE") == 0 ||
            (strcmp(kind, "READ") == 0 && has_mark(backup->directories->fds[i], backup->number)))
            return true;
    }
    return false;
}
