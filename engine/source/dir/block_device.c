/* Lists a block device as one object. Called by dir_list.c on the source's thread. */
#include "engine/source/dir/block_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/format/object.h"

#define OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

static int measure(const struct pst_source *source, const char *name, uint64_t *bytes)
{
    int fd = openat(source->root_fd, name, OPEN_FLAGS);
    if (fd < 0)
        return -errno;
    int error = ioctl(fd, BLKGETSIZE64, bytes) < 0 ? -errno : *bytes == 0 ? -ENOMEDIUM : 0;
    close(fd);
    if (error == -ENOMEDIUM)
        pst_log(PST_LOG_ERROR,
                "source %s: the device has no bytes: nothing is attached to it, or in it",
                source->name);
    return error;
}

/* A file system that is mounted, for instance, has it for itself. */
static void warn_of_use(const struct pst_source *source, const char *name)
{
    int fd = openat(source->root_fd, name, OPEN_FLAGS | O_EXCL);
    if (fd >= 0)
        close(fd);
    else if (errno == EBUSY)
        pst_log(PST_LOG_WARNING,
                "source %s: the device is in use: what is written while it is read is in the "
                "backup in part",
                source->name);
}

int block_device_add(const struct pst_source *source, struct pst_packer *packer, const char *name,
                     const char *path, const struct stat *status)
{
    uint8_t attribute[PST_OBJECT_DATA_ATTRIBUTE_BYTES];
    struct pst_object object = {
        .id = pst_source_object_id(source, 1),
        .type = PST_OBJECT_BLOCK_IMAGE,
        .path = path,
        .mtime_sec = status->st_mtim.tv_sec,
        .mtime_nsec = (uint32_t)status->st_mtim.tv_nsec,
        .mode = status->st_mode & 07777,
        .uid = status->st_uid,
        .gid = status->st_gid,
        .attributes = attribute,
    };
    int error = measure(source, name, &object.size);
    if (error)
        return error;
    warn_of_use(source, name);
    object.attributes_bytes = pst_object_data_encode(object.size, attribute);
    const struct pst_fragment_file file = {
        .path = name,
        .device = status->st_dev,
        .inode = status->st_ino,
        .size_bytes = object.size,
        .flags = PST_FRAGMENT_FILE_PINNED, /* stat(2) does not tell its size */
    };
    error = pst_packer_object(packer, &object, &file);
    return error ? error : pst_packer_extent(packer, 0, object.size);
}
