/* What a file is known by. Called by dir_list.c, on the source's thread. */
#include "engine/source/dir/identity.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/base/log.h"

/* In memory nothing is written back; FAT and exFAT keep no ctime that nobody can set. */
static bool hides_changes(const struct statfs *system)
{
    uint32_t type = (uint32_t)system->f_type;
    return type == TMPFS_MAGIC || type == RAMFS_MAGIC || type == HUGETLBFS_MAGIC ||
           type == MSDOS_SUPER_MAGIC || type == EXFAT_SUPER_MAGIC;
}

/* Whether a file whose times are as they were is as it was, if it was old enough. */
static bool is_sure(struct identity_system *system, const struct identity_of *of)
{
    struct stat now;
    struct statfs found;
    dev_t device = of->status->st_dev;
    if (system->is_known && system->device == device)
        return system->is_sure;
    int fd = openat(of->directory, of->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_found = fstat(fd, &now) == 0 && now.st_dev == device && fstatfs(fd, &found) == 0;
    (void)close(fd);
    if (is_found) {
        system->device = device;
        system->is_known = true;
        system->is_sure = !hides_changes(&found);
    }
    if (is_found && !system->is_sure && !system->has_said) {
        pst_log(PST_LOG_INFO,
                "files on tmpfs, FAT and the like are read: their times do not show all changes");
        system->has_said = true;
    }
    return is_found && system->is_sure;
}

bool identity_find(struct identity_system *system, struct pst_fragment_sink *sink,
                   const struct identity_of *of, const struct pst_object *object,
                   struct attributes *attributes, struct pst_fragment_file *file)
{
    const struct pst_object_identity identity = {
        .device = of->device,
        .inode = of->status->st_ino,
        .ctime_sec = of->status->st_ctim.tv_sec,
        .ctime_nsec = (uint32_t)of->status->st_ctim.tv_nsec,
    };
    uint64_t place, data_bytes;
    if (!sink->find_in_base)
        return false;
    attributes->bytes +=
        pst_object_identity_encode(&identity, attributes->encoded + attributes->bytes);
    if (!sink->find_in_base(sink, object, &identity, &place, &data_bytes) || !is_sure(system, of))
        return false;
    attributes->bytes +=
        pst_object_data_encode(data_bytes, attributes->encoded + attributes->bytes);
    *file = (struct pst_fragment_file){.inode = place, .flags = PST_FRAGMENT_FILE_IN_BASE};
    return true;
}
