/*
 * Preloaded into penstock by unreachable_test.sh: files that cannot be reached, or go, as on a
 * network's file system. UNREACHABLE=NUMBER: fstatat(2) of a name that begins with "bad" fails with
 * that errno. UNREACHABLE=gone: the first file that is looked at is removed when the second is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int (*fstatat_function)(int directory, const char *name, struct stat *status, int flags);

static void remove_first(int directory, const char *name)
{
    static char first[256];
    if (first[0] != '\0')
        unlinkat(directory, first, 0);
    else
        snprintf(first, sizeof(first), "%s", name);
}

int fstatat(int directory, const char *restrict name, struct stat *restrict status, int flags)
{
    static fstatat_function real;
    const char *mode = getenv("UNREACHABLE");
    if (!real)
        real = (fstatat_function)dlsym(RTLD_NEXT, "fstatat");
    if (mode && atoi(mode) > 0 && strncmp(name, "bad", 3) == 0) {
        errno = atoi(mode);
        return -1;
    }
    int result = real(directory, name, status, flags);
    if (mode && strcmp(mode, "gone") == 0 && result == 0 && S_ISREG(status->st_mode))
        remove_first(directory, name);
    return result;
}
