/* Whether an LMDB environment is open, and its lock file. The thread of a restore. */
#include "engine/restore/lmdb_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "io/beneath.h"

#define NAMES 2u

/* The names that a lock file may have; "": none. */
static void lock_names(const char *name, char names[NAMES][NAME_MAX + 1])
{
    int length = snprintf(names[0], sizeof(names[0]), "%s-lock", name);
    if (length < 0 || (size_t)length >= sizeof(names[0]))
        names[0][0] = '\0';
    snprintf(names[1], sizeof(names[1]), "%s", strcmp(name, "data.mdb") == 0 ? "lock.mdb" : "");
}

static int probe(int dirfd, const char *lock)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = pst_beneath_open(dirfd, lock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return fd == -ENOENT ? 0 : -fd;
    if (fcntl(fd, F_OFD_GETLK, &whole) < 0)
        return errno;
    return whole.l_type == F_UNLCK ? 0 : EBUSY;
}

/* In a process of its own: closing a file drops all locks on it that the process holds, and this
 * one may have the environment open. */
static int probe_apart(int dirfd, const char *lock)
{
    int ends[2];
    unsigned char found = EIO;
    if (faccessat(dirfd, lock, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t child = fork();
    int error = child < 0 ? -errno : 0;
    if (child == 0) {
        found = (unsigned char)probe(dirfd, lock);
        _exit(write(ends[1], &found, 1) != 1);
    }
    close(ends[1]);
    if (!error) {
        ssize_t got;
        while ((got = read(ends[0], &found, 1)) < 0 && errno == EINTR)
            ;
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
        error = got == 1 ? -(int)found : -EIO;
    }
    close(ends[0]);
    return error;
}

int lmdb_lock_check(int dirfd, const char *name, char *why)
{
    char names[NAMES][NAME_MAX + 1];
    lock_names(name, names);
    for (unsigned i = 0; i < NAMES; i++) {
        int error = names[i][0] ? probe_apart(dirfd, names[i]) : 0;
        if (!error)
            continue;
        if (error == -EBUSY)
            snprintf(why, PST_MESSAGE_BYTES,
                     "%.200s is locked: a process has that database open; end it first", names[i]);
        else
            snprintf(why, PST_MESSAGE_BYTES,
                     "%.200s: whether a process has that database open could not be found out (%s)",
                     names[i], pst_error_text(error));
        return error;
    }
    return 0;
}

int lmdb_lock_remove(int dirfd, const char *name, bool is_environment)
{
    char names[NAMES][NAME_MAX + 1];
    lock_names(name, names);
    for (unsigned i = is_environment ? 0 : 1; i < NAMES; i++) {
        if (names[i][0] && unlinkat(dirfd, names[i], 0) < 0 && errno != ENOENT && errno != EISDIR)
            return -errno;
    }
    return 0;
}
