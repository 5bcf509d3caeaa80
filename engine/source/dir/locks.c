/* Reads and searches /proc/locks. Called by databases.c on the source's thread. */
#include "engine/source/dir/locks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "engine/base/grow.h"

/* "1: POSIX  ADVISORY  WRITE 1234 08:01:131090 0 EOF", a waiter's with "->" behind the number. */
static bool parse(const char *line, struct lock *lock)
{
    unsigned high, low;
    unsigned long long inode, from;
    if (sscanf(line, "%*s %*s %*s %*s %*s %x:%x:%llu %llu", &high, &low, &inode, &from) != 4)
        return false;
    *lock = (struct lock){makedev(high, low), (ino_t)inode, from};
    return true;
}

static int by_inode(const void *a, const void *b)
{
    const struct lock *one = a, *other = b;
    return (one->inode > other->inode) - (one->inode < other->inode);
}

int locks_read(struct locks *locks)
{
    size_t room = 0, line_room = 0;
    char *line = NULL;
    struct lock lock;
    *locks = (struct locks){0};
    FILE *file = fopen("/proc/locks", "re");
    if (!file)
        return -errno;
    int error = 0;
    while (!error && getline(&line, &line_room, file) >= 0) {
        if (!parse(line, &lock))
            continue;
        error = pst_grow((void **)&locks->list, locks->count, &room, sizeof(lock));
        if (!error)
            locks->list[locks->count++] = lock;
    }
    free(line);
    fclose(file);
    if (error)
        locks_free(locks);
    else if (locks->count > 0)
        qsort(locks->list, locks->count, sizeof(lock), by_inode);
    return error;
}

void locks_free(struct locks *locks)
{
    free(locks->list);
    *locks = (struct locks){0};
}

/* Subvolumes of Btrfs, and overlays, have devices of their own, that no block device has, and their
 * locks that of the whole file system, which has none either. */
static bool may_be_one(dev_t locked, dev_t device)
{
    return locked == device || (major(locked) == 0 && major(device) == 0);
}

bool locks_find(const struct locks *locks, const struct stat *status, uint64_t from, uint64_t until)
{
    const struct lock wanted = {.inode = status->st_ino};
    const struct lock *found =
        locks->count > 0 ? bsearch(&wanted, locks->list, locks->count, sizeof(wanted), by_inode)
                         : NULL;
    const struct lock *end = locks->list + locks->count;
    while (found && found > locks->list && found[-1].inode == wanted.inode)
        found--;
    for (; found && found < end && found->inode == wanted.inode; found++) {
        if (may_be_one(found->device, status->st_dev) && found->from >= from && found->from < until)
            return true;
    }
    return false;
}
