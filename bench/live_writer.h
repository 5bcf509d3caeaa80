/*
 * Private to the live bench: a process that commits transactions to an LMDB environment as fast as
 * it can, and notes how long each took. All exit on errors.
 */
#ifndef PST_BENCH_LIVE_WRITER_H
#define PST_BENCH_LIVE_WRITER_H

#include <stdint.h>
#include <sys/types.h>

#define LIVE_COMMITS_MAX (UINT64_C(8) << 20)

/* Shared by the process and the one that measures. */
struct live_commit {
    uint64_t end_ns; /* CLOCK_MONOTONIC */
    uint64_t ns;     /* from before the transaction began, which waits for the lock */
};

struct live_commits {
    uint64_t count; /* that are complete; atomic */
    struct live_commit commits[LIVE_COMMITS_MAX];
};

struct live_commits *live_commits_map(void);

/* Makes an environment with rows of so many bytes, which the writer leaves alone. */
void live_environment_make(const char *path, uint64_t bytes, uint64_t seed);

/* Starts the writer, which ends by SIGKILL or when the commits are full. */
pid_t live_writer_start(const char *path, struct live_commits *commits, uint64_t seed);

#endif
