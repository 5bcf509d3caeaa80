/*
 * Directories and files for tests to work in, and what is in them. Whatever cannot be done ends the
 * program: with 77, a skip, where no directory can be made, else with 1.
 */
#ifndef PST_TESTS_SUPPORT_SCRATCH_H
#define PST_TESTS_SUPPORT_SCRATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SCRATCH_PATH_BYTES 512u

/* A new, empty directory below base: "." is on disk, "/dev/shm" is tmpfs, NULL is $TMPDIR or /tmp.
 * path has room for SCRATCH_PATH_BYTES. */
void make_scratch(char *path, const char *base);

/* Removes a file or a directory with all that is in it, whatever its rights; not there: nothing. */
void remove_tree(const char *path);

/* The same directory by value, and paths below it. */
struct made_place {
    char path[PATH_MAX];
};
struct made_place make_place(void);
/* In memory where there is a /dev/shm: for tests that open thousands of files. */
struct made_place make_fast_place(void);
void remove_place(const struct made_place *place);
struct made_place place_below(const struct made_place *place, const char *name);

/* The same directory, open, with no directory in it that is not empty. */
struct scratch {
    int dirfd;
    char path[SCRATCH_PATH_BYTES];
};
void scratch_open(struct scratch *scratch, const char *base);
void scratch_empty(const struct scratch *scratch);
void scratch_close(struct scratch *scratch);
/* The names in the directory in order, each followed by '\n'. Static storage. */
const char *scratch_list(const struct scratch *scratch);

/* "A/B" in one of eight static buffers. */
const char *join(const char *directory, const char *name);

bool path_exists(const char *path); /* a symlink is not followed */
bool is_empty_directory(const char *path);
unsigned count_open_fds(void);

/* Creates or overwrites a file with these bytes. */
void write_file(const char *path, const void *data, size_t bytes);
/* One bit of the byte at offset, which is there. */
void flip_bit(const char *path, off_t offset);

#endif
