/* Asks for what the page cache has of a file. Called by request.c, on the ring's thread. */
#include "io/page_cache.h"

#include <sys/syscall.h>
#include <unistd.h>

#ifndef __NR_cachestat
#define __NR_cachestat 451 /* on all architectures */
#endif

/* As the kernel has them, linux/mman.h of Linux 6.5. */
struct cached_range {
    uint64_t offset;
    uint64_t bytes;
};

struct cached_pages {
    uint64_t cached;
    uint64_t dirty;
    uint64_t writeback;
    uint64_t evicted;
    uint64_t recently_evicted;
};

/* Eighths of these bytes that are there, rounded down; -1: the kernel does not answer. */
static int cached_eighths(int fd, const struct pst_io_range *range)
{
    struct cached_range asked = {range->offset, range->bytes};
    struct cached_pages pages;
    if (range->bytes == 0 || syscall(__NR_cachestat, fd, &asked, &pages, 0u) != 0)
        return -1;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t all = (range->bytes + page_bytes - 1) / page_bytes;
    return pages.cached < all ? (int)(8 * pages.cached / all) : 8;
}

bool page_cache_lacks(int fd, const struct pst_io_range *range)
{
    int eighths = cached_eighths(fd, range);
    return eighths >= 0 && eighths < 4;
}

bool page_cache_has(int fd, const struct pst_io_range *range)
{
    return cached_eighths(fd, range) >= 7;
}
