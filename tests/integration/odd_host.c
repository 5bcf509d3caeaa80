/*
 * Preloaded into penstock by odd_host_test.sh and mixed_test.sh: a host with files that cannot be
 * reached, or go, as on a network's file system, and with a wrong clock. UNREACHABLE=NUMBER:
 * fstatat(2) and statx(2) of a name that begins with "bad" fail with that errno. UNREACHABLE=gone:
 * the first file that is looked at is removed when the second is. UNREACHABLE=changed: a file
 * cut-BYTES is cut to that when it was looked at, one called "grown" gets longer, and "replaced"
 * another. UNREACHABLE=moved: when "mover" was looked at, MOVED_FROM is renamed to MOVED_TO.
 * CLOCK=SECONDS: the time since 1970, with CLOCK_FROM=PATH from when there is such a file.
 * FILE_SYSTEM=MAGIC: by fstatfs(2) all files lie on a file system of this kind.
 * IGNORED=1: chown(2) and chmod(2) do nothing, and say that it is done.
 * UNSYNCED=PATH: syncfs(2) of the file system there fails, as where a disk has lost what it took.
 * LOCKS=none: flock(2) sees no lock of others and shows them none, as where a file system keeps
 * locks to one host.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

typedef int (*clock_function)(clockid_t clock, struct timespec *time);
typedef int (*fchmod_function)(int fd, mode_t mode);
typedef int (*fchownat_function)(int directory, const char *name, uid_t uid, gid_t gid, int flags);
typedef int (*flock_function)(int fd, int operation);
typedef int (*fstatfs_function)(int fd, struct statfs *system);
typedef int (*fstatat_function)(int directory, const char *name, struct stat *status, int flags);
typedef int (*syncfs_function)(int fd);
typedef int (*statx_function)(int directory, const char *name, int flags, unsigned mask,
                              struct statx *status);

static void remove_first(int directory, const char *name)
{
    static char first[256];
    if (first[0] != '\0')
        unlinkat(directory, first, 0);
    else
        snprintf(first, sizeof(first), "%s", name);
}

static void change(int directory, const char *name)
{
    int fd = openat(directory, name, O_WRONLY | O_APPEND);
    if (strncmp(name, "cut-", 4) == 0)
        (void)!ftruncate(fd, atol(name + 4));
    else if (strcmp(name, "grown") == 0)
        (void)!write(fd, name, strlen(name));
    else if (strcmp(name, "replaced") == 0)
        renameat(directory, "../other", directory, name);
    close(fd);
}

static int fails(const char *name)
{
    const char *mode = getenv("UNREACHABLE");
    errno = mode ? atoi(mode) : 0;
    return errno > 0 && strncmp(name, "bad", 3) == 0;
}

static void looked_at(int directory, const char *name, int result, mode_t type)
{
    const char *mode = getenv("UNREACHABLE");
    if (!mode || result != 0 || !S_ISREG(type))
        return;
    if (strcmp(mode, "gone") == 0)
        remove_first(directory, name);
    if (strcmp(mode, "changed") == 0)
        change(directory, name);
    if (strcmp(mode, "moved") == 0 && strcmp(name, "mover") == 0)
        rename(getenv("MOVED_FROM"), getenv("MOVED_TO"));
}

int fstatat(int directory, const char *restrict name, struct stat *restrict status, int flags)
{
    static fstatat_function real;
    if (!real)
        real = (fstatat_function)dlsym(RTLD_NEXT, "fstatat");
    if (fails(name))
        return -1;
    int result = real(directory, name, status, flags);
    looked_at(directory, name, result, status->st_mode);
    return result;
}

int statx(int directory, const char *restrict name, int flags, unsigned mask,
          struct statx *restrict status)
{
    static statx_function real;
    if (!real)
        real = (statx_function)dlsym(RTLD_NEXT, "statx");
    if (fails(name))
        return -1;
    int result = real(directory, name, flags, mask, status);
    looked_at(directory, name, result, status->stx_mode);
    return result;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static clock_function real;
    const char *seconds = getenv("CLOCK");
    if (!real)
        real = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    const char *from = getenv("CLOCK_FROM");
    if (seconds && clock == CLOCK_REALTIME && (!from || access(from, F_OK) == 0))
        time->tv_sec = atoll(seconds);
    return result;
}

int fstatfs(int fd, struct statfs *system)
{
    static fstatfs_function real;
    const char *magic = getenv("FILE_SYSTEM");
    if (!real)
        real = (fstatfs_function)dlsym(RTLD_NEXT, "fstatfs");
    int result = real(fd, system);
    if (magic && result == 0)
        system->f_type = strtol(magic, NULL, 0);
    return result;
}

int fchownat(int directory, const char *name, uid_t uid, gid_t gid, int flags)
{
    static fchownat_function real;
    if (!real)
        real = (fchownat_function)dlsym(RTLD_NEXT, "fchownat");
    return getenv("IGNORED") ? 0 : real(directory, name, uid, gid, flags);
}

int fchmod(int fd, mode_t mode)
{
    static fchmod_function real;
    if (!real)
        real = (fchmod_function)dlsym(RTLD_NEXT, "fchmod");
    return getenv("IGNORED") ? 0 : real(fd, mode);
}

int syncfs(int fd)
{
    static syncfs_function real;
    const char *path = getenv("UNSYNCED");
    struct stat status, unsynced;
    if (!real)
        real = (syncfs_function)dlsym(RTLD_NEXT, "syncfs");
    if (path && stat(path, &unsynced) == 0 && fstat(fd, &status) == 0 &&
        status.st_dev == unsynced.st_dev) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int flock(int fd, int operation)
{
    static flock_function real;
    if (!real)
        real = (flock_function)dlsym(RTLD_NEXT, "flock");
    return getenv("LOCKS") ? 0 : real(fd, operation);
}
