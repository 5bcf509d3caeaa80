/*
 * The files that a scan reads: opened through the ring, read, compared with what was listed, and
 * closed. Knows neither scans nor chunks: it reports upwards through the functions that it was
 * created with. Private to engine/pipeline/; the LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_SCAN_FILE_H
#define PST_ENGINE_PIPELINE_SCAN_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/operation.h"
#include "io/ring.h"
#include "penstock/fragment.h"

/* At most so many are open at a time. */
#define SCAN_FILES_MAX 64u
#define SCAN_DEADLINE_NONE UINT64_MAX

struct scan_files;
struct scan_file;

/* A run of bytes to be read. The caller's, untouched until done. */
struct scan_read {
    void *memory;
    uint32_t bytes;
    uint64_t offset;  /* in the file */
    int buffer_index; /* of the registered buffer that memory lies in; -1: in none */
    /* result: bytes read, fewer than asked for only at the end of the file, or -errno. */
    void (*done)(struct scan_read *read, int result);

    /* From here on the file's own. */
    struct pst_io_op op;
    struct scan_file *file;
    struct scan_read *next;
};

/* What is reported to the user of a file; context is what the file was taken with. */
struct scan_file_reports {
    /* The file could not be opened (PST_OBJECT_UNREADABLE), or is not what was listed
     * (PST_OBJECT_CHANGED). error: negative; one of pst_is_own_error, or -ECANCELED, says nothing
     * about the file. May come more than once for a file. */
    void (*bad)(void *context, const struct pst_fragment_file *listed, uint8_t flag, int error);
    /* The file is shorter than it was listed, now that all was read. */
    void (*shrunk)(void *context, const struct pst_fragment_file *listed, uint64_t size_bytes);
    /* The file is closed; nothing more is reported of it. */
    void (*closed)(void *context);
};

/* ring, the reports' functions and files_max stay the caller's. files_max: fewer than
 * SCAN_FILES_MAX are to be open; NULL: not fewer. -ENOMEM. */
int scan_files_create(struct pst_ring *ring, const struct scan_file_reports *reports,
                      const _Atomic uint32_t *files_max, struct scan_files **files);

/* Asserts that none is in use. NULL is allowed. */
void scan_files_destroy(struct scan_files *files);

/* Starts to open a listed file beneath root_fd, by the first of its names that leads to it; listed
 * must stay until it is closed. blocks: what will be read of it, where all reads begin on a block
 * of file and memory and may fill their last one: past the page cache, if that has less than half;
 * without bytes: not so. NULL: as many as may be are open. The caller lets go of it in the end. */
struct scan_file *scan_file_take(struct scan_files *files, int root_fd,
                                 const struct pst_fragment_file *listed, struct pst_io_range blocks,
                                 void *context);

/* Reads once the file is open. read->done comes later, or from within this call if the file could
 * not be opened, with the open's error. */
void scan_file_read(struct scan_file *file, struct scan_read *read);

/* The caller wants no more reads: the file is closed when the last one has ended. */
void scan_file_let_go(struct scan_file *file);

/*
 * An open or a read that failed because the process or the kernel was short of descriptors or
 * memory is made again, here, when a file was closed or scan_files_retry_ns() has come. After
 * PST_SHORTAGE_NS without success, or at once if must_stop, it ends with its error, or -ECANCELED.
 * false: there was nothing to do.
 */
bool scan_files_retry(struct scan_files *files, bool must_stop);

/* When to call it next, CLOCK_MONOTONIC; SCAN_DEADLINE_NONE: nothing waits. */
uint64_t scan_files_retry_ns(const struct scan_files *files);

/* The file that is this one, as it was listed, and its context; NULL: none is. */
const struct pst_fragment_file *scan_files_find(const struct scan_files *files,
                                                const struct pst_file *file, void **context);

uint32_t scan_files_in_use(const struct scan_files *files);

/* Asserts that the slots are in order. reads: the caller's count of reads that are not done. */
void scan_files_check(const struct scan_files *files, uint32_t reads);

#endif
