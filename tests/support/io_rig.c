/* Operations of io/ that are waited for; the test's thread, which is the ring's, calls it. */
#include "tests/support/io_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *aligned_buffer(size_t bytes)
{
    void *data = NULL;
    if (posix_memalign(&data, 4096, bytes) != 0)
        exit(1);
    memset(data, 0xee, bytes);
    return data;
}

struct pst_ring_polling polling_of(int argc, char **argv)
{
    const char *name = argc == 2 ? argv[1] : "";
    bool both = strcmp(name, "both") == 0;
    return (struct pst_ring_polling){.sqpoll = both || strcmp(name, "sqpoll") == 0,
                                     .iopoll = both || strcmp(name, "iopoll") == 0};
}

static char pattern_at(uint64_t offset)
{
    return (char)(offset * 31 + (offset >> 8) * 17 + (offset >> 16) + 1);
}

void fill_pattern(char *data, size_t bytes, uint64_t offset)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = pattern_at(offset + i);
}

bool has_pattern(const char *data, size_t bytes, uint64_t offset)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != pattern_at(offset + i))
            return false;
    }
    return true;
}

struct awaited {
    struct pst_io_op op;
    unsigned calls;
    int result;
};

static void take_result(struct pst_io_op *op, int result)
{
    struct awaited *awaited = PST_IO_OP_OF(op, struct awaited, op);
    awaited->calls++;
    awaited->result = result;
}

static int await(struct pst_ring *ring, const struct awaited *awaited)
{
    pst_ring_drain(ring);
    if (awaited->calls != 1) {
        printf("done was called %u times\n", awaited->calls);
        exit(1);
    }
    return awaited->result;
}

int await_open(struct pst_ring *ring, struct pst_file *file, const struct pst_open *how)
{
    struct awaited awaited = {.op.done = take_result};
    pst_io_open(ring, &awaited.op, file, how);
    return await(ring, &awaited);
}

int await_read(struct pst_ring *ring, struct pst_file *file, void *data, uint32_t bytes,
               uint64_t offset, int buffer_index)
{
    struct awaited awaited = {.op.done = take_result};
    pst_io_read(ring, &awaited.op, file, data, bytes, offset, buffer_index);
    return await(ring, &awaited);
}

int await_write(struct pst_ring *ring, struct pst_file *file, const void *data, uint32_t bytes,
                uint64_t offset, int buffer_index)
{
    struct awaited awaited = {.op.done = take_result};
    pst_io_write(ring, &awaited.op, file, data, bytes, offset, buffer_index);
    return await(ring, &awaited);
}

int await_close(struct pst_ring *ring, struct pst_file *file)
{
    struct awaited awaited = {.op.done = take_result};
    pst_io_close(ring, &awaited.op, file);
    return await(ring, &awaited);
}
