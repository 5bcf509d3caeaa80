/*
 * A ring, and files read through it one request at a time. For engine/repository/ and
 * engine/restore/; one thread.
 */
#ifndef PST_ENGINE_REPOSITORY_READER_H
#define PST_ENGINE_REPOSITORY_READER_H

#include "engine/repository/part_opener.h"
#include "io/file.h"

struct pst_reader {
    struct pst_ring *ring;
    struct pst_io_op op;
    const char *name; /* of the file that was opened last */
    bool done;
    int result;
    struct part_opener opener; /* of what is sealed */
};

int pst_reader_open(struct pst_reader *reader, unsigned depth) PST_MUST_USE;
void pst_reader_close(struct pst_reader *reader);

/* Opens a regular file beneath dirfd (else -EINVAL), never through a symlink. path is kept until
 * another is opened, for whoever watches the thread (engine/base/activity.h). */
int pst_reader_open_file(struct pst_reader *reader, int dirfd, const char *path,
                         enum pst_direct direct, struct pst_file *file) PST_MUST_USE;
/* Closes the file that it goes on in, too, which is malloc'd; or that alone. */
void pst_reader_close_file(struct pst_reader *reader, struct pst_file *file);
void reader_close_rest(struct pst_reader *reader, struct pst_file *file);

/* Waits until something that was started on the ring has ended; name: the file that it is about. */
void pst_reader_wait(struct pst_reader *reader, const char *name);

/* Bytes read, fewer than asked for only at the end of the file, or -errno. */
int pst_reader_read(struct pst_reader *reader, struct pst_file *file, void *data, uint32_t bytes,
                    uint64_t offset) PST_MUST_USE;

#endif
