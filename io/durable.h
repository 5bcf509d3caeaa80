/*
 * Small files that must be there, whole, after a crash: manifests, markers, directories.
 *
 * Blocking: for the archive thread and for restore, never for the hub or an LDM. Any thread.
 * Pointers stay the caller's and are not kept.
 * Sources: rename(2), fsync(2) ("an explicit fsync() on a file descriptor for the directory is
 * also needed").
 */
#ifndef PST_IO_DURABLE_H
#define PST_IO_DURABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "penstock/error.h"

struct pst_io_fault;

/* Passed where the caller wants to know more than the errno, or is a test; may be NULL. */
struct pst_durable_context {
    const char *failed_step; /* out: "create", "write", "fsync", …; static text; else unchanged */
    struct pst_io_fault *fault; /* NULL outside tests */
};

/*
 * Writes `data` as file `name` in the directory dirfd: to a temporary name beside it,
 * fsync, rename, fsync of the directory. name has no '/'. With replace false an
 * existing file is kept and -EEXIST returned. After an error nothing of it is left; but if, with
 * replace, only the last fsync, of the directory, fails, the new file is there and whole, and a
 * crash may bring the old one back.
 */
PST_MUST_USE int pst_durable_write(int dirfd, const char *name, const void *data, size_t bytes,
                                   bool replace, struct pst_durable_context *context);

/* Makes the file `path`, which must not be there (-EEXIST), and syncs it and its directory. After
 * an error nothing of it is left, unless it is the sync of the directory that failed. 0 or -errno.
 */
PST_MUST_USE int pst_durable_create(const char *path, mode_t mode, const void *data, size_t bytes);

/* renameat2(2) with flags (RENAME_NOREPLACE) and fsync of both directories. failed_step says which
 * of them failed; the rename itself is not taken back. */
PST_MUST_USE int pst_durable_rename(int old_dirfd, const char *old_name, int new_dirfd,
                                    const char *new_name, unsigned flags,
                                    struct pst_durable_context *context);

/* For a file that was made just now: what root makes in the directory of another user is that
 * user's, who could not read it otherwise. */
void pst_give_to_owner(int dirfd, int fd);

/*
 * Single steps, for a caller that puts them together itself (engine/repository): each can be made
 * to fail by the context's fault, and says in it which system call failed. None syncs a directory.
 * create: a new file, mode 0600, of the directory's owner if root makes it, its contents written
 * and synced; after an error nothing is left of it. rename: inside one directory; without replace
 * -EEXIST where `to` is there.
 */
PST_MUST_USE int pst_step_create(int dirfd, const char *name, const void *data, size_t bytes,
                                 struct pst_durable_context *context);
PST_MUST_USE int pst_step_mkdir(int dirfd, const char *name, mode_t mode,
                                struct pst_durable_context *context);
PST_MUST_USE int pst_step_rename(int dirfd, const char *from, const char *to, bool replace,
                                 struct pst_durable_context *context);

/* Ends the file `name`, which is made where there is none: at `offset`, which is not beyond its
 * end, come these bytes, nothing is behind them, and all of the file is synced. */
PST_MUST_USE int pst_step_end_file(int dirfd, const char *name, uint64_t offset, const void *data,
                                   size_t bytes, struct pst_durable_context *context);

/* unlinkat(2) (flags: AT_REMOVEDIR for a directory) and fsync of dirfd. */
PST_MUST_USE int pst_durable_unlink(int dirfd, const char *name, int flags,
                                    struct pst_durable_context *context);

/* fsync(2) of a directory. A file system without (EINVAL) counts as done. */
PST_MUST_USE int pst_durable_sync_dir(int dirfd, struct pst_durable_context *context);

/* Reads such a file back, whole: malloc'd bytes. -EFBIG where it is longer than bytes_max; -EINVAL
 * where it is no regular file; -PST_E_CHANGED where it shrank meanwhile. */
PST_MUST_USE int pst_small_file_read(int dirfd, const char *name, size_t bytes_max, char **bytes,
                                     size_t *size);

/* The same of a file that was synced, from its disk, past the page cache. */
PST_MUST_USE int pst_small_file_read_stored(int dirfd, const char *name, size_t bytes_max,
                                            char **bytes, size_t *size);

#endif
