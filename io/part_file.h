/*
 * The file that one LDM writes for one backup: created exclusively, preallocated ahead in large
 * steps, written at offsets of the caller's choice, and then finished or abandoned.
 *
 * Everything is asynchronous, on the thread of the ring (io/ring.h). One of create, finish and
 * abandon runs at a time. Reading a part needs nothing of this: pst_io_open() and pst_io_read().
 *
 * Preallocation (fallocate(2), extending the size) cuts the CPU time of O_DIRECT writes to a
 * third on ext4. A step waits for the writes in flight, so steps are large: a 256th of the free
 * space, at most 1 GiB; so that even 256 LDMs do not take each other's space. Where that is less
 * than 16 MiB there is none. It is only an optimisation: where it fails (EOPNOTSUPP, ENOSPC, …)
 * `preallocate_error` is set and the writes go on without it; if the disk is really full, a write
 * will fail. On tmpfs it halves the rate and is left out.
 */
#ifndef PST_IO_PART_FILE_H
#define PST_IO_PART_FILE_H

#include "io/file.h"

/* Owned by the caller, and with it what it points to, until done of finish or abandon. */
struct pst_part_file {
    struct pst_file file;
    const char *failed_step; /* of the last failure: "create", "fdatasync", …; static text */
    bool preallocates;       /* false after an error, and on tmpfs */
    bool in_memory;          /* on tmpfs: a write is a copy, one after the other */
    bool is_discarded;       /* into /dev/null */
    int preallocate_error;   /* 0, or the -errno for which preallocation was given up */

    /* From here on io/'s own. */
    void (*done)(struct pst_part_file *part, int result);
    struct pst_ring *ring;
    const char *name;
    int dirfd;
    uint64_t device, inode; /* 0: not known */
    struct pst_io_op op;
    struct pst_io_op preallocate_op;
    uint64_t size_bytes;
    uint64_t allocated_bytes;
    uint64_t allocating_bytes;
    bool preallocating;
    void (*after_preallocation)(struct pst_part_file *part);
};

/*
 * Creates `name` (mode 0600, must not exist) under dirfd, and begins to preallocate the first step,
 * which finish and abandon wait for. dirfd and name stay the caller's and must stay until one of
 * them is done. done gets 0 or -errno, and after an error nothing is left of the file. part need
 * not be initialised.
 */
void pst_io_part_create(struct pst_part_file *part, struct pst_ring *ring, int dirfd,
                        const char *name, enum pst_direct direct,
                        void (*done)(struct pst_part_file *part, int result));

/* Likewise, a part that goes to /dev/null: nothing is made, truncated, synced or removed. */
void pst_io_part_discard(struct pst_part_file *part, struct pst_ring *ring,
                         void (*done)(struct pst_part_file *part, int result));

/* pst_io_write() that keeps the preallocation ahead. offset, bytes and data: multiples of
 * PST_BLOCK_BYTES, direct or not. */
void pst_io_part_write(struct pst_part_file *part, struct pst_io_op *op, const void *data,
                       uint32_t bytes, uint64_t offset, int buffer_index);

/*
 * Truncates to the end of the furthest write, fdatasyncs and closes; done gets 0 or -errno. No
 * write may be in flight. The name in the directory is durable once the directory is synced
 * (pst_durable_sync_dir). After an error the caller abandons.
 */
void pst_io_part_finish(struct pst_part_file *part,
                        void (*done)(struct pst_part_file *part, int result));

/* Closes, if open, and unlinks, unless the name is another file's by now; done gets 0 or -errno. No
 * write may be in flight. Of a part that is closed, done may be called from within. */
void pst_io_part_abandon(struct pst_part_file *part,
                         void (*done)(struct pst_part_file *part, int result));

#endif
