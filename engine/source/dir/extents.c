/* Asks a file for its data. Called by dir_list.c on the source's thread. */
#include "engine/source/dir/extents.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/base/own_error.h"

int extents_open(struct tree *tree, int directory, const char *name, const char *path,
                 const struct stat *status, int *fd)
{
    uint64_t size = (uint64_t)status->st_size;
    *fd = -1;
    if (size <= PST_BLOCK_BYTES || (uint64_t)status->st_blocks * 512 >= size)
        return 0;
    pst_activity_begin("look for holes in", path);
    int opened = tree_open_file(tree, directory, name,
                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    pst_activity_end();
    if (opened < 0)
        return pst_is_own_error(opened) ? opened : 0;
    if (tree_is_file(opened, status))
        *fd = opened;
    else
        close(opened);
    return 0;
}

void extents_next(int fd, uint64_t size, uint64_t *offset, uint64_t *length)
{
    off_t data = lseek(fd, (off_t)*offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO)
        data = (off_t)size;
    if (data >= 0)
        *offset = (uint64_t)data;
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    uint64_t end = hole > data && (uint64_t)hole < size ? (uint64_t)hole : size;
    *length = end > *offset ? end - *offset : 0;
}

void extents_find(struct extents *extents, int fd, uint64_t size)
{
    uint64_t offset = 0, length = size;
    extents->count = 0;
    extents->is_all = true;
    while (offset < size) {
        if (fd >= 0)
            extents_next(fd, size, &offset, &length);
        if (length == 0)
            return;
        extents->is_all = extents->count < EXTENTS_AHEAD;
        if (!extents->is_all)
            return;
        extents->list[extents->count++] = (struct extent){offset, length};
        offset += length;
    }
}

uint64_t extents_bytes(const struct extents *extents)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < extents->count; i++)
        bytes += extents->list[i].length;
    return bytes;
}
