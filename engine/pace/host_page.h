/*
 * What all paces of one user on one host share, so that they do not take each other for somebody
 * else: a page of memory with sums that only grow and a time. Nothing in it belongs to a process,
 * so nothing is left to clean up after one that was killed. Private to engine/pace; any thread.
 */
#ifndef PST_ENGINE_PACE_HOST_PAGE_H
#define PST_ENGINE_PACE_HOST_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

struct host_page {
    _Atomic uint64_t io_ns;          /* reads or writes of theirs were in flight: of each thread */
    _Atomic uint64_t cpu_ns;         /* likewise: they were ready, and did not run */
    _Atomic uint64_t quiet_until_ns; /* CLOCK_MONOTONIC: none of them reads until then */
};

/* Where it cannot be had, that of this process alone. */
struct host_page *host_page_open(void);
void host_page_close(struct host_page *page);

/* The file's path must be one that only the user can have made, and its memory be there: a write
 * into what a full tmpfs does not have is a SIGBUS. NULL: it is not so. */
struct host_page *host_page_map(const char *path);

#endif
