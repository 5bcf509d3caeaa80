/*
 * What the tests of lmdb sources share: environments and their users, which are child processes, as
 * they are in life. All paths are below the test's directory; the environment is "env". Whatever
 * cannot be set up ends the program.
 */
#ifndef PST_TESTS_UNIT_SOURCE_LMDB_RIG_H
#define PST_TESTS_UNIT_SOURCE_LMDB_RIG_H

#include <sys/types.h>

#include <lmdb.h>

#include "engine/base/clock.h"
#include "tests/support/pause.h"
#include "tests/unit/source/source_test.h"

#define MAP_BYTES (32u << 20)
#define S UINT64_C(1000000000)
#define MS UINT64_C(1000000)

/* An environment, and a row of so many bytes, each row + 1. */
MDB_env *open_env(unsigned flags, size_t map_bytes);
void put_row(MDB_env *env, uint64_t row, size_t bytes);

/* A child that does this work and ends well; wait_for() checks that it did. */
pid_t in_child(void (*work)(int fd), int fd);
void wait_for(pid_t pid);
void run_child(void (*work)(int fd));

/* For children: an empty environment; rows 0 to 19 of 500000 bytes; row 1 of 600000. */
void make_nothing(int fd);
void fill(int fd);
void write_one(int fd);

/* A child that holds the write lock until it is killed. */
pid_t start_holder(void);
void end_holder(pid_t pid);

/* A source whose environment a child has made so; done with it. */
struct pst_source *make(void (*work)(int fd));
void done(struct pst_source *source);

/* Prepares, freezes, takes a snapshot, thaws. */
int cut(struct pst_source *source);

/* The pages of a snapshot as a restore would have them, as an environment of its own. */
void restore(struct pst_source *source, const struct collected *collected);

/* Length of row 1 in the restored environment, which LMDB opens and walks. */
size_t restored_row(void);

#endif
