/*
 * What the tests of io/ share: a scratch directory, and operations that are waited for.
 */
#ifndef PST_TESTS_IO_TEST_H
#define PST_TESTS_IO_TEST_H

#include "io/file.h"

struct scratch {
    int dirfd;
    char path[256];
};

/* A new, empty directory below base: "." is on disk, "/dev/shm" is tmpfs. Exits 77 if impossible.
 */
void scratch_open(struct scratch *scratch, const char *base);
void scratch_empty(const struct scratch *scratch);
void scratch_close(struct scratch *scratch);

/* Names of the directory in order, each followed by '\n'. Static storage. */
const char *scratch_list(const struct scratch *scratch);

unsigned count_open_fds(void);

/* 4096-aligned memory that no two offsets of a file fill alike; release with free(). */
char *aligned_buffer(size_t bytes);
void fill_pattern(char *data, size_t bytes, uint64_t offset);
bool has_pattern(const char *data, size_t bytes, uint64_t offset);

/* Start, drain, return the result. */
int await_open(struct pst_ring *ring, struct pst_file *file, const struct pst_open *how);
int await_read(struct pst_ring *ring, struct pst_file *file, void *data, uint32_t bytes,
               uint64_t offset, int buffer_index);
int await_write(struct pst_ring *ring, struct pst_file *file, const void *data, uint32_t bytes,
                uint64_t offset, int buffer_index);
int await_close(struct pst_ring *ring, struct pst_file *file);

#endif
