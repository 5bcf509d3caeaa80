/* Reads directories: the loops over readdir(3) of engine and io. Any thread that may block. */
#include "io/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int pst_directory_open(struct pst_directory *directory, int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    directory->stream = fdopendir(fd);
    if (directory->stream)
        return 0;
    int error = -errno;
    close(fd);
    return error;
}

int pst_directory_next(struct pst_directory *directory, const char **name)
{
    for (;;) {
        errno = 0; /* NULL is the end, or with an errno an error */
        const struct dirent *entry = readdir(directory->stream);
        if (!entry)
            return -errno;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        *name = entry->d_name;
        return 1;
    }
}

int io_directory_fd(const struct pst_directory *directory)
{
    return dirfd(directory->stream);
}

void pst_directory_close(struct pst_directory *directory)
{
    closedir(directory->stream);
}
