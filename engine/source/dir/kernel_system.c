/* Knows the file systems of the kernel's own. Called by dir.c and tree.c on the source's thread. */
#include "engine/source/dir/kernel_system.h"

#include <errno.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

/* Not in linux/magic.h. */
#define CONFIGFS_MAGIC 0x62656570
#define FUSE_CONTROL_MAGIC 0x65735543
#define MQUEUE_MAGIC 0x19800202
#define NFSD_MAGIC 0x6e667364
#define RPC_PIPEFS_MAGIC 0x67596969

/* Those of the kernel's own that hold no data of anybody's; some of their files never end. */
static const uint32_t kernel_file_systems[] = {
    PROC_SUPER_MAGIC,     SYSFS_MAGIC,   CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
    DEBUGFS_MAGIC,        TRACEFS_MAGIC, DEVPTS_SUPER_MAGIC, SECURITYFS_MAGIC,
    SELINUX_MAGIC,        BPF_FS_MAGIC,  PSTOREFS_MAGIC,     EFIVARFS_MAGIC,
    BINFMTFS_MAGIC,       NSFS_MAGIC,    SMACK_MAGIC,        CONFIGFS_MAGIC,
    FUSE_CONTROL_MAGIC,   MQUEUE_MAGIC,  NFSD_MAGIC,         RPC_PIPEFS_MAGIC,
    RDTGROUP_SUPER_MAGIC,
};

int kernel_system_holds(int fd)
{
    struct statfs file_system;
    if (fstatfs(fd, &file_system))
        return -errno;
    for (size_t i = 0; i < sizeof(kernel_file_systems) / sizeof(kernel_file_systems[0]); i++)
        if ((uint32_t)file_system.f_type == kernel_file_systems[i])
            return 1;
    return 0;
}
