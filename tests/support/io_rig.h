/*
 * What the tests of io/ share: buffers that tell their place, and operations that are waited for.
 */
#ifndef PST_TESTS_SUPPORT_IO_RIG_H
#define PST_TESTS_SUPPORT_IO_RIG_H

#include "io/file.h"
#include "tests/support/scratch.h"

/* 4096-aligned memory that no two offsets of a file fill alike; release with free(). */
char *aligned_buffer(size_t bytes);
void fill_pattern(char *data, size_t bytes, uint64_t offset);
bool has_pattern(const char *data, size_t bytes, uint64_t offset);

/* What of struct pst_ring_polling a test's only argument asks for: "sqpoll", "iopoll", "both". */
struct pst_ring_polling polling_of(int argc, char **argv);

/* Start, drain, return the result. */
int await_open(struct pst_ring *ring, struct pst_file *file, const struct pst_open *how);
int await_read(struct pst_ring *ring, struct pst_file *file, void *data, uint32_t bytes,
               uint64_t offset, int buffer_index);
int await_write(struct pst_ring *ring, struct pst_file *file, const void *data, uint32_t bytes,
                uint64_t offset, int buffer_index);
int await_close(struct pst_ring *ring, struct pst_file *file);

#endif
