/*
 * The files that a worker of the data pass has open while pieces of them come in. What is large and
 * has no holes goes past the page cache, written on the worker's ring while it reads on; all else
 * is written at once. Private to engine/restore/; that worker's thread.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_FILES_H
#define PST_ENGINE_RESTORE_RESTORE_FILES_H

#include "engine/restore/restore_object.h"

struct restore_files;

/* NULL: no memory. */
struct restore_files *restore_files_make(struct restore_run *run, uint32_t worker);

/* Once nothing is being read or written; any thread. 0, or what ends the restore. */
PST_MUST_USE int restore_files_close(struct restore_files *files);

/* Writes a piece of an object, of which data are the bytes, in the chunk that is being taken, and
 * counts it once it is written. What fails is reported. 0, or what ends the restore. */
PST_MUST_USE int restore_files_write(struct restore_files *files, struct object_record *record,
                                     const struct pst_object *object,
                                     const struct pst_chunk_piece *piece, const uint8_t *data);

/* As chunk_reading.watch. */
void restore_files_watch(void *context, const struct pst_io_op *op);

/* The file takes nothing more, because of this error: 0, or what ends the restore. */
PST_MUST_USE int restore_refuse(struct restore_run *run, int error, struct object_record *record,
                                const char *what);

/* So many bytes of its contents are in the file. */
void restore_count(struct restore_run *run, struct object_record *record, uint64_t bytes);

/* All of it, with pwrite(2). 0 or -errno. */
PST_MUST_USE int restore_write_all(int fd, const uint8_t *data, size_t bytes, uint64_t offset);

#endif
