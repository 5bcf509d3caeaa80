/*
 * Files, and what an io_uring can do with them. All operations are asynchronous; see io/ring.h
 * for how they complete, and on which thread.
 *
 * Paths and data belong to the caller and must stay until done is called; so must the file.
 */
#ifndef PST_IO_FILE_H
#define PST_IO_FILE_H

#include "io/ring.h"

/*
 * Opens *file; done gets 0 or -errno. `how` is copied, its path is not. O_DIRECT is switched on
 * after the open with fcntl(2), so that a refusal leaves no created file behind. The alignment is
 * the kernel's (STATX_DIOALIGN), 4096 where it does not report one. A file that turns out to need
 * more than 4096, or is no regular file or block device, is used buffered under PST_DIRECT_AUTO.
 */
void pst_io_open(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file,
                 const struct pst_open *how);

/* Enters an open file into the ring's table, where there is room: cheaper for a file that is used
 * often, two system calls for nothing for one that is read once. The close takes it out again. */
void pst_ring_register_file(struct pst_ring *ring, struct pst_file *file);

/* Makes *file of a descriptor that was opened otherwise, for transfers; direct: as in struct
 * pst_open. The descriptor stays the caller's, to be closed by close(2) once nothing is in flight
 * on it. 0 or -errno. Blocking, but of an open inode. */
PST_MUST_USE int pst_io_adopt(struct pst_ring *ring, struct pst_file *file, int fd,
                              enum pst_direct direct);

/* Reads the attributes of an open file again: 0 or -errno. Blocking, but of an open inode. */
PST_MUST_USE int pst_file_stat(struct pst_file *file);

/* "O_DIRECT, aligned to 512", "buffered", "buffered: O_DIRECT is refused here". Static. */
const char *pst_file_describe(const struct pst_file *file);

/* What an operation in flight does to its file: "read". Static. */
const char *pst_io_op_text(const struct pst_io_op *op);

/*
 * Reads `bytes` (at most 1 GiB) at `offset`; done gets the bytes read, fewer than asked for only at
 * the end of the file, and where it goes on in another one, or -errno. On a direct file: offset and
 * data are aligned to align_bytes (4096 always is), and data has room for bytes rounded up to it;
 * what comes to lie behind `bytes` is undefined. buffer_index: of the registered buffer that holds
 * data, or -1.
 */
void pst_io_read(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file, void *data,
                 uint32_t bytes, uint64_t offset, int buffer_index);

/*
 * Writes all of `bytes` (at most 1 GiB) at `offset`; done gets bytes, or -errno. On a direct file
 * offset, data and bytes are aligned to align_bytes. If the first write shows that the file
 * system refuses O_DIRECT after all, the file falls back to buffered (see direct_refused).
 */
void pst_io_write(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file,
                  const void *data, uint32_t bytes, uint64_t offset, int buffer_index);

/* For io/part_file.c alone, from here on but for the close: fallocate(2) with its mode. done: 0 or
 * -errno. */
void io_fallocate(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file, int mode,
                  uint64_t offset, uint64_t bytes);

/* ftruncate(2); asynchronous from Linux 6.9 on, before it a blocking call at submission. */
void io_truncate(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file,
                 uint64_t size_bytes);

/* fdatasync(2). done: 0 or -errno; after an error the file's contents are unknown. */
void io_fdatasync(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file);

/* Closes; nothing else may be in flight on the file. Whatever done gets, the file is closed then
 * (fd == -1); so an interrupted close counts as done and is not repeated (close(2), NOTES). */
void pst_io_close(struct pst_ring *ring, struct pst_io_op *op, struct pst_file *file);

/* unlinkat(2). done: 0 or -errno. */
void io_unlink(struct pst_ring *ring, struct pst_io_op *op, int dirfd, const char *path, int flags);

#endif
