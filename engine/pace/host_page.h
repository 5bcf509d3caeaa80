/*
 * What all paces of one user on one host share, so that they do not take each other for somebody
 * else: a page of memory with sums that only grow and a time. Nothing in it belongs to a process,
 * so nothing is left to clean up after one that was killed. Private to engine/pace; any thread.
 */
#ifndef PST_ENGINE_PACE_HOST_PAGE_H
#define PST_ENGINE_PACE_HOST_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

#include "engine/base/limits.h"

/* Of the threads that share it: no two do, as long as there are fewer than HOST_SUMS. */
struct host_sums {
    _Atomic uint64_t io_ns;  /* reads or writes of theirs were in flight: of each thread */
    _Atomic uint64_t cpu_ns; /* likewise: they were ready, and did not run */
} __attribute__((aligned(PST_LINE_BYTES)));

#define HOST_SUMS 63u

struct host_page {
    _Atomic uint64_t quiet_until_ns; /* CLOCK_MONOTONIC: none of them reads until then */
    _Atomic uint32_t threads;        /* that were given sums */
    struct host_sums sums[HOST_SUMS];
};
_Static_assert(sizeof(struct host_page) == 4096, "a page of lines");

/* Where it cannot be had, that of this process alone. */
struct host_page *host_page_open(void);
void host_page_close(struct host_page *page);

/* Those of a thread that begins, and what all have noted: io_ns, cpu_ns. */
struct host_sums *host_page_sums(struct host_page *page);
void host_page_total(const struct host_page *page, uint64_t *io_ns, uint64_t *cpu_ns);

/* The file's path must be one that only the user can have made, and its memory be there: a write
 * into what a full tmpfs does not have is a SIGBUS. NULL: it is not so. */
struct host_page *host_page_map(const char *path);

#endif
