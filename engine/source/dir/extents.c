/* Asks a file for its data. Called by dir_list.c on the source's thread. */
#include "engine/source/dir/extents.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/base/own_error.h"
#include "engine/source/dir/identity.h"

/* *fd -1: the file has no holes, or cannot be opened. */
static int open_for_holes(struct tree *tree, const struct extents_of *of, int *fd)
{
    uint64_t size = (uint64_t)of->status->st_size;
    *fd = -1;
    if (size <= PST_BLOCK_BYTES || (uint64_t)of->status->st_blocks * 512 >= size)
        return 0;
    pst_activity_begin("look for holes in", of->path);
    int opened = tree_open_file(tree, of->directory, of->name,
                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    pst_activity_end();
    if (opened < 0)
        return pst_is_own_error(opened) ? opened : 0;
    if (identity_is_of(opened, of->status))
        *fd = opened;
    else
        close(opened);
    return 0;
}

/* From the first data at or after *offset, *length bytes up to the next hole or the size; a
 * length of 0: there are none. A file system without holes reports that all is data. */
static void next_data(int fd, uint64_t size, uint64_t *offset, uint64_t *length)
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

static void find_first(struct extents *extents, int fd, uint64_t size)
{
    uint64_t offset = 0, length = size;
    extents->count = 0;
    extents->is_all = true;
    while (offset < size) {
        if (fd >= 0)
            next_data(fd, size, &offset, &length);
        if (length == 0)
            return;
        extents->is_all = extents->count < EXTENTS_AHEAD;
        if (!extents->is_all)
            return;
        extents->list[extents->count++] = (struct extent){offset, length};
        offset += length;
    }
}

int extents_find(struct extents *extents, struct tree *tree, const struct extents_of *of)
{
    int fd, error = open_for_holes(tree, of, &fd);
    if (error)
        return error;
    find_first(extents, fd, (uint64_t)of->status->st_size);
    if (fd >= 0)
        close(fd);
    return 0;
}

/* What lies behind the extents that were kept. */
static int add_more(struct tree *tree, struct pst_packer *packer, const struct extents_of *of,
                    uint64_t offset)
{
    uint64_t size = (uint64_t)of->status->st_size;
    int fd, error = open_for_holes(tree, of, &fd);
    while (!error && offset < size) {
        uint64_t length = size - offset;
        if (fd >= 0)
            next_data(fd, size, &offset, &length);
        if (length == 0)
            break;
        error = pst_packer_extent(packer, offset, length);
        offset += length;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

int extents_add(const struct extents *extents, struct tree *tree, struct pst_packer *packer,
                const struct extents_of *of)
{
    uint64_t end = 0;
    int error = extents->count == 0 ? pst_packer_look(packer) : 0;
    for (uint32_t i = 0; !error && i < extents->count; i++) {
        error = pst_packer_extent(packer, extents->list[i].offset, extents->list[i].length);
        end = extents->list[i].offset + extents->list[i].length;
    }
    return error || extents->is_all ? error : add_more(tree, packer, of, end);
}

uint64_t extents_bytes(const struct extents *extents)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < extents->count; i++)
        bytes += extents->list[i].length;
    return bytes;
}
