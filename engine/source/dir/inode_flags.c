/* Flags and project ids by ioctl(2), and by file_getattr(2) of what cannot be opened. Called by
 * dir_list.c on the source's thread. */
#include "engine/source/dir/inode_flags.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/file_attr.h"
#include "engine/format/file_attributes.h"
#include "engine/source/dir/attributes.h"
#include "engine/source/dir/identity.h"

/* Linux 5.14; the number is the same everywhere. */
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

#define PROJECT_QUOTA 2 /* PRJQUOTA, which glibc does not have */

/* To ask such a file costs less than a hundredth of reading it. */
#define LARGE_BYTES (1 << 20)

bool inode_flags_are_counted(int fd)
{
    struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};
    return syscall(SYS_quotactl_fd, fd, QCMD(Q_XGETQSTATV, PROJECT_QUOTA), 0, &state) == 0 &&
           (state.qs_flags & FS_QUOTA_PDQ_ACCT);
}

static int error_of(int error)
{
    return error == ENOTTY || error == ENOSYS || error == EINVAL ? -EOPNOTSUPP : -error;
}

/* ---- one inode ---- */

/* 0 or -errno; -EOPNOTSUPP: its file system has no flags. */
static int ask(int fd, struct inode_flags *found)
{
    struct fsxattr attributes;
    unsigned flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return error_of(errno);
    found->flags = pst_object_flags_from_inode(flags);
    found->project = ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0 ? 0 : attributes.fsx_projid;
    return 0;
}

/* The flags that such an answer can have. */
static uint32_t flags_of(uint64_t xflags)
{
    return (xflags & FS_XFLAG_NODUMP ? PST_OBJECT_NO_DUMP : 0u) |
           (xflags & FS_XFLAG_NOATIME ? PST_OBJECT_NO_ATIME : 0u) |
           (xflags & FS_XFLAG_SYNC ? PST_OBJECT_SYNC : 0u) |
           (xflags & FS_XFLAG_DAX ? PST_OBJECT_DAX : 0u) |
           (xflags & FS_XFLAG_PROJINHERIT ? PST_OBJECT_PROJECT_INHERIT : 0u);
}

static int ask_unopened(const struct inode_flags_of *of, struct inode_flags *found)
{
    struct pst_file_attr answer = {0};
    if (syscall(SYS_file_getattr, of->directory, of->name, &answer, sizeof(answer),
                AT_SYMLINK_NOFOLLOW) < 0)
        return error_of(errno);
    *found = (struct inode_flags){.flags = flags_of(answer.xflags), .project = answer.project};
    return 0;
}

/* Of one that the caller may not open not all can be known. Another that cannot be opened now,
 * since somebody has a lease of it, may well be read later, so its flags are missed. */
static int ask_opened(struct tree *tree, const struct inode_flags_of *of, struct inode_flags *found)
{
    int fd = tree_open_file(tree, of->directory, of->name,
                            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return fd == -EACCES && ask_unopened(of, found) == 0 ? 0 : fd;
    int error = identity_is_of(fd, of->status) ? ask(fd, found) : -PST_E_CHANGED;
    close(fd);
    return error;
}

/* ---- whom to ask ---- */

static int ask_directory(struct tree *tree, const struct stat *status, struct inode_flags *found)
{
    if (!tree_is_in(tree, status)) /* another has its name by now */
        return -EOPNOTSUPP;
    int error = ask(tree_fd(tree), found);
    tree_set_asks(tree, error                            ? TREE_ASKS_NONE
                        : found->flags || found->project ? TREE_ASKS_EACH
                                                         : TREE_ASKS_LARGE);
    return error;
}

/* What a look tells of flags. */
#define TOLD                                                                                       \
    (ATTRIBUTES_IMMUTABLE | ATTRIBUTES_APPEND_ONLY | ATTRIBUTES_NO_DUMP | ATTRIBUTES_COMPRESSED)

static bool is_asked(const struct tree *tree, const struct inode_flags_of *of)
{
    if (!of->hints)
        return tree_root_asks(tree) != TREE_ASKS_NONE;
    enum tree_asks asks = tree_asks(tree);
    return asks == TREE_ASKS_EACH ||
           (asks == TREE_ASKS_LARGE && of->status->st_size >= LARGE_BYTES) || (of->hints & TOLD);
}

static int find(struct tree *tree, const struct inode_flags_of *of, struct inode_flags *found)
{
    if (of->is_entered)
        return ask_directory(tree, of->status, found);
    if (S_ISDIR(of->status->st_mode))
        return 0;
    bool is_file = S_ISREG(of->status->st_mode), is_to_be_asked = is_asked(tree, of);
    if (!is_to_be_asked && !of->is_counted)
        return 0;
    if (!is_file)
        return ask_unopened(of, found) == -ENOENT ? -ENOENT : 0;
    if (!is_to_be_asked && ask_unopened(of, found) == 0 && !found->flags && !found->project)
        return 0;
    return ask_opened(tree, of, found);
}

void inode_flags_find(struct tree *tree, const struct inode_flags_of *of, struct inode_flags *found)
{
    *found = (struct inode_flags){0};
    int error = find(tree, of, found);
    if (error != -EOPNOTSUPP)
        found->error = error;
}
