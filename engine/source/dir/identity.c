/* What a file is known by. Called by dir_list.c, on the source's thread. */
#include "engine/source/dir/identity.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool is_in_memory(const struct statfs *system)
{
    uint32_t type = (uint32_t)system->f_type;
    return type == TMPFS_MAGIC || type == RAMFS_MAGIC || type == HUGETLBFS_MAGIC;
}

bool identity_is_sure(struct identity_system *system, int directory, const char *name,
                      const struct stat *status)
{
    struct stat now;
    struct statfs found;
    if (system->is_known && system->device == status->st_dev)
        return system->is_sure;
    int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &now) == 0 && now.st_dev == status->st_dev && fstatfs(fd, &found) == 0)
        *system = (struct identity_system){status->st_dev, true, !is_in_memory(&found)};
    (void)close(fd);
    return system->is_known && system->device == status->st_dev && system->is_sure;
}

bool identity_find(struct pst_fragment_sink *sink, dev_t device, const struct stat *status,
                   const struct pst_object *object, struct attributes *attributes,
                   struct pst_fragment_file *file)
{
    const struct pst_object_identity identity = {
        .device = device,
        .inode = status->st_ino,
        .ctime_sec = status->st_ctim.tv_sec,
        .ctime_nsec = (uint32_t)status->st_ctim.tv_nsec,
    };
    uint64_t place, data_bytes;
    if (!sink->find_in_base)
        return false;
    attributes->bytes +=
        pst_object_identity_encode(&identity, attributes->encoded + attributes->bytes);
    if (!sink->find_in_base(sink, object, &identity, &place, &data_bytes))
        return false;
    attributes->bytes +=
        pst_object_data_encode(data_bytes, attributes->encoded + attributes->bytes);
    *file = (struct pst_fragment_file){.inode = place, .flags = PST_FRAGMENT_FILE_IN_BASE};
    return true;
}
