/*
 * Owner, mode and times of what a descriptor stands for, O_PATH too. By a name they would go to
 * whatever has come to that name meanwhile, or to where a link there leads; so nothing else in the
 * product changes them (scripts/check-structure). Any thread. 0 or -errno.
 */
#ifndef PST_IO_INODE_H
#define PST_IO_INODE_H

#include <sys/types.h>
#include <time.h>

#include "penstock/error.h"

PST_MUST_USE int pst_inode_set_owner(int fd, uid_t uid, gid_t gid);

/* mode: 07777 at most. -EOPNOTSUPP: a symlink. */
PST_MUST_USE int pst_inode_set_mode(int fd, mode_t mode);

/* The time of the last change of its contents. */
PST_MUST_USE int pst_inode_set_mtime(int fd, const struct timespec *mtime);

#endif
