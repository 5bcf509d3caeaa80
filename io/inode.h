/*
 * Owner, mode, times, extended attributes, flags and project id of what a descriptor stands for,
 * O_PATH too. By a name they would go to whatever has come to that name meanwhile, or to where a
 * link there leads; so nothing else in the product changes them (scripts/check-structure). Any
 * thread. 0 or -errno.
 */
#ifndef PST_IO_INODE_H
#define PST_IO_INODE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "penstock/error.h"

PST_MUST_USE int pst_inode_set_owner(int fd, uid_t uid, gid_t gid);

/* mode: 07777 at most. -EOPNOTSUPP: a symlink. */
PST_MUST_USE int pst_inode_set_mode(int fd, mode_t mode);

/* The time of the last change of its contents. */
PST_MUST_USE int pst_inode_set_mtime(int fd, const struct timespec *mtime);

PST_MUST_USE int pst_inode_set_xattr(int fd, const char *name, const void *value, size_t bytes);

/* Removes the POSIX ACLs, where there are any. */
PST_MUST_USE int pst_inode_drop_acls(int fd);

/* Of a file or directory, and fd is no O_PATH. flags: FS_…_FL of FS_IOC_SETFLAGS; those that are
 * set already stay. *missed: which are not set, for they cannot be, or the file system does not
 * know them; then 0 may be returned. */
PST_MUST_USE int pst_inode_add_flags(int fd, uint32_t flags, uint32_t *missed);

/* The project id. Before Linux 6.17 only of a file or directory, and fd is no O_PATH. */
PST_MUST_USE int pst_inode_set_project(int fd, uint32_t project);

#endif
