/* What a file is known by. Called by dir_list.c, on the source's thread. */
#include "engine/source/dir/identity.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/base/log.h"

/* Not in linux/magic.h. */
#define BCACHEFS_MAGIC 0xca451a4e
#define GFS2_MAGIC 0x01161970
#define JFS_MAGIC 0x3153464a
#define UBIFS_MAGIC 0x24051905
#define ZFS_MAGIC 0x2fc12fc1

/* Those that have a ctime which nobody can set. Of others (FUSE, SMB, …) some show the mtime in its
 * place, as do images that are made whole (squashfs, EROFS): the next one, with all times set to
 * one, differs in nothing else. */
static const uint32_t with_ctime[] = {
    EXT4_SUPER_MAGIC,  XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC,
    NFS_SUPER_MAGIC,   F2FS_SUPER_MAGIC, CEPH_SUPER_MAGIC,  NILFS_SUPER_MAGIC,
    OCFS2_SUPER_MAGIC, BCACHEFS_MAGIC,   GFS2_MAGIC,        JFS_MAGIC,
    UBIFS_MAGIC,       ZFS_MAGIC,
};

/* In memory nothing is written back; FAT and exFAT keep no ctime that nobody can set. */
static bool hides_changes(uint32_t type)
{
    return type == TMPFS_MAGIC || type == RAMFS_MAGIC || type == HUGETLBFS_MAGIC ||
           type == MSDOS_SUPER_MAGIC || type == EXFAT_SUPER_MAGIC;
}

static enum identity_trust trust_of(uint32_t type)
{
    if (hides_changes(type))
        return IDENTITY_HIDDEN;
    for (size_t i = 0; i < sizeof(with_ctime) / sizeof(with_ctime[0]); i++)
        if (type == with_ctime[i])
            return IDENTITY_SURE;
    return IDENTITY_IF_APART;
}

static bool is_ctime_apart(const struct stat *status)
{
    return status->st_ctim.tv_sec != status->st_mtim.tv_sec ||
           status->st_ctim.tv_nsec != status->st_mtim.tv_nsec;
}

/* Finds out how far the times of files on the file's device can be trusted. */
static bool look_at_system(struct identity_system *system, const struct identity_of *of)
{
    struct stat now;
    struct statfs found;
    int fd = openat(of->directory, of->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_found =
        fstat(fd, &now) == 0 && now.st_dev == of->status->st_dev && fstatfs(fd, &found) == 0;
    (void)close(fd);
    if (!is_found)
        return false;
    system->device = of->status->st_dev;
    system->is_known = true;
    system->trust = trust_of((uint32_t)found.f_type);
    return true;
}

/* Whether a file whose times are as they were is as it was, if it was old enough. */
static bool is_sure(struct identity_system *system, const struct identity_of *of)
{
    bool is_same = system->is_known && system->device == of->status->st_dev;
    if (!is_same && !look_at_system(system, of))
        return false;
    bool is_sure = system->trust == IDENTITY_SURE ||
                   (system->trust == IDENTITY_IF_APART && is_ctime_apart(of->status));
    if (!is_sure && !system->has_said) {
        pst_log(PST_LOG_INFO,
                "files on tmpfs, FAT and the like are read: their times do not show all changes");
        system->has_said = true;
    }
    return is_sure;
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

bool identity_is_of(int fd, const struct stat *status)
{
    struct stat now;
    return fstat(fd, &now) == 0 && now.st_dev == status->st_dev && now.st_ino == status->st_ino &&
           S_ISREG(now.st_mode);
}
