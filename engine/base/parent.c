/* Looks where something would be made, before it is. Called on any thread. */
#include "engine/base/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int pst_new_directory(const char *path, char *parent)
{
    char copy[PATH_MAX];
    if (strlen(path) >= sizeof(copy))
        return -ENAMETOOLONG;
    strcpy(copy, path);
    strcpy(parent, dirname(copy));
    return 0;
}

int pst_new_is_possible(const char *path)
{
    char parent[PATH_MAX];
    int error = pst_new_directory(path, parent);
    if (error)
        return error;
    return faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

char *pst_absolute_path(const char *path)
{
    char *absolute = NULL;
    if (*path == '/')
        return strdup(path);
    char *here = getcwd(NULL, 0);
    if (!here)
        return NULL;
    if (asprintf(&absolute, "%s/%s", here, path) < 0) {
        absolute = NULL;
        errno = ENOMEM;
    }
    free(here);
    return absolute;
}
