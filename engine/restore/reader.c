#include "engine/restore/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int pst_reader_open(struct pst_reader *reader, unsigned depth)
{
    const struct pst_ring_options options = {.entries = depth};
    return pst_ring_open(&reader->ring, &options);
}

void pst_reader_close(struct pst_reader *reader)
{
    pst_ring_close(reader->ring);
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

static int wait_for_it(struct pst_reader *reader)
{
    while (!reader->done)
        pst_ring_wait(reader->ring, -1);
    return reader->result;
}

int pst_reader_open_file(struct pst_reader *reader, int dirfd, const char *path,
                         struct pst_file *file)
{
    const struct pst_open how = {
        .dirfd = dirfd,
        .path = path,
        .flags = O_RDONLY | O_NONBLOCK, /* a FIFO in the place of a part must not hang us */
        .beneath = true,
        .direct = PST_DIRECT_AUTO,
    };
    prepare(reader);
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
void pst_reader_close_file(struct pst_reader *reader, struct pst_file *file)
{
    prepare(reader);
    pst_io_close(reader->ring, &reader->op, file);
    (void)wait_for_it(reader);
}

int pst_reader_read(struct pst_reader *reader, struct pst_file *file, void *data, uint32_t bytes,
                    uint64_t offset)
{
    prepare(reader);
    pst_io_read(reader->ring, &reader->op, file, data, bytes, offset, -1);
    return wait_for_it(reader);
}

static int read_all(int fd, char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t got = read(fd, bytes + done, size - done);
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return -PST_E_CHANGED;
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int size_of(int fd, size_t bytes_max, size_t *size)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if ((uint64_t)status.st_size > bytes_max)
        return -EFBIG;
    *size = (size_t)status.st_size;
    return 0;
}

int pst_small_file_read(int dirfd, const char *name, size_t bytes_max, char **bytes, size_t *size)
{
    const int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = size_of(fd, bytes_max, size);
    if (error)
        goto err_after_open;
    *bytes = malloc(*size + 1);
    if (*bytes == NULL) {
        error = -ENOMEM;
        goto err_after_open;
    }
    error = read_all(fd, *bytes, *size);
    if (error)
        free(*bytes);
err_after_open:
    close(fd);
    return error;
}
