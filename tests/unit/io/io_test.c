#include "tests/unit/io/io_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void scratch_open(struct scratch *scratch, const char *base)
{
    (void)snprintf(scratch->path, sizeof(scratch->path), "%s/penstock-io-XXXXXX", base);
    if (mkdtemp(scratch->path))
        scratch->dirfd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    else
        scratch->dirfd = -1;
    if (scratch->dirfd < 0) {
        printf("cannot run here: no scratch directory in %s: %s\n", base, strerror(errno));
        exit(77);
    }
}

static int is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int list_names(const struct scratch *scratch, struct dirent ***entries)
{
    int count = scandirat(scratch->dirfd, ".", entries, is_entry, alphasort);
    if (count < 0) {
        perror("scandirat");
        exit(1);
    }
    return count;
}

static void free_names(struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

void scratch_empty(const struct scratch *scratch)
{
    struct dirent **entries;
    int count = list_names(scratch, &entries);
    for (int i = 0; i < count; i++) {
        if (unlinkat(scratch->dirfd, entries[i]->d_name, 0) != 0)
            (void)unlinkat(scratch->dirfd, entries[i]->d_name, AT_REMOVEDIR);
    }
    free_names(entries, count);
}

void scratch_close(struct scratch *scratch)
{
    scratch_empty(scratch);
    (void)close(scratch->dirfd);
    (void)rmdir(scratch->path);
}

const char *scratch_list(const struct scratch *scratch)
{
    static char text[4096];
    struct dirent **entries;
    int count = list_names(scratch, &entries);
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n", entries[i]->d_name);
    free_names(entries, count);
    return text;
}

unsigned count_open_fds(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) {
        printf("cannot run here: /proc is not mounted\n");
        exit(77);
    }
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

char *aligned_buffer(size_t bytes)
{
    void *data = NULL;
    if (posix_memalign(&data, 4096, bytes) != 0)
        exit(1);
    memset(data, 0xee, bytes);
    return data;
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
