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

/* *has_half: of these bytes. Whether the kernel answers. */
static bool ask(int fd, const struct pst_io_range *range, bool *has_half)
{
    struct cached_range asked = {range->offset, range->bytes};
    struct cached_pages pages;
    if (range->bytes == 0 || syscall(__NR_cachestat, fd, &asked, &pages, 0u) != 0)
        return false;
    *has_half = pages.cached >= range->bytes / (uint64_t)sysconf(_SC_PAGESIZE) / 2;
    return true;
}

bool page_cache_lacks(int fd, const struct pst_io_range *range)
{
    bool has_half;
    return ask(fd, range, &has_half) && !has_half;
}

bool page_cache_has(int fd, const struct pst_io_range *range)
{
    bool has_half;
    return ask(fd, range, &has_half) && has_half;
}
