/* Reads files through io_uring, one request at a time. Workers of verify and restore, each with a
 * reader of its own. */
#include "engine/repository/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/base/activity.h"

int pst_reader_open(struct pst_reader *reader, unsigned depth)
{
    const struct pst_ring_options options = {.entries = depth};
    reader->opener = (struct part_opener){0};
    int error = pst_ring_open(&reader->ring, &options);
    return error == -ENOSYS || error == -EPERM || error == -EACCES ? -PST_E_NO_RING : error;
}

void pst_reader_close(struct pst_reader *reader)
{
    pst_ring_close(reader->ring);
    part_opener_close(&reader->opener);
}

static void note_done(struct pst_io_op *op, int result)
{
    struct pst_reader *reader = PST_IO_OP_OF(op, struct pst_reader, op);
    reader->result = result;
    reader->done = true;
}

static void prepare(struct pst_reader *reader)
{
    reader->done = false;
    reader->op.done = note_done;
}

/* What the completions do may have steps of its own. */
void pst_reader_wait(struct pst_reader *reader, const char *name)
{
    pst_activity_begin("read", name);
    while (pst_ring_wait(reader->ring, -1) == 0)
        continue; /* it was interrupted, and still waits for the same */
    pst_activity_end();
}

static int wait_for_it(struct pst_reader *reader)
{
    while (!reader->done)
        pst_reader_wait(reader, reader->name);
    return reader->result;
}

int pst_reader_open_file(struct pst_reader *reader, int dirfd, const char *path,
                         enum pst_direct direct, struct pst_file *file)
{
    const struct pst_open how = {
        .dirfd = dirfd,
        .path = path,
        .flags = O_RDONLY | O_NONBLOCK, /* a FIFO in the place of a part must not hang us */
        .beneath = true,
        .direct = direct,
    };
    prepare(reader);
    reader->name = path;
    pst_io_open(reader->ring, &reader->op, file, &how);
    int error = wait_for_it(reader);
    if (error)
        return error;
    if (S_ISREG(file->mode))
        return 0;
    pst_reader_close_file(reader, file);
    return -EINVAL;
}

/* Closing a file that was only read has no error that matters. */
static void close_file(struct pst_reader *reader, struct pst_file *file)
{
    prepare(reader);
    pst_io_close(reader->ring, &reader->op, file);
    (void)wait_for_it(reader);
}

void reader_close_rest(struct pst_reader *reader, struct pst_file *file)
{
    if (!file->rest)
        return;
    close_file(reader, file->rest);
    free(file->rest);
    file->rest = NULL;
}

void pst_reader_close_file(struct pst_reader *reader, struct pst_file *file)
{
    reader_close_rest(reader, file);
    close_file(reader, file);
}

int pst_reader_read(struct pst_reader *reader, struct pst_file *file, void *data, uint32_t bytes,
                    uint64_t offset)
{
    prepare(reader);
    pst_io_read(reader->ring, &reader->op, file, data, bytes, offset, -1);
    return wait_for_it(reader);
}
