/*
 * Pages of the memory of DPDK's EAL, for rings: taken and given back by the hub's thread, from
 * net/shm/shm_memory.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include "net/eal/eal_start.h"

#define PAGE_BYTES ((size_t)RTE_PGSIZE_2M)

static int file_of(const struct rte_memzone *zone, struct pst_eal_page *page)
{
    size_t offset;
    const struct rte_memseg *segment = rte_mem_virt2memseg(zone->addr, NULL);
    int fd = segment ? rte_memseg_get_fd(segment) : -1;
    if (fd < 0 || rte_memseg_get_fd_offset(segment, &offset) < 0)
        return -ENOTSUP;
    page->offset = offset + (uint64_t)((char *)zone->addr - (char *)segment->addr);
    page->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return page->fd < 0 ? -errno : 0;
}

/* A page for each ring, so that what a wild peer overwrites is that ring and nothing else. */
int eal_pages_reserve(size_t size, struct pst_eal_page *page)
{
    static unsigned serial;
    char name[RTE_MEMZONE_NAMESIZE];
    if (size > PAGE_BYTES)
        return -E2BIG;
    (void)snprintf(name, sizeof(name), "penstock-ring-%u", serial++);
    const struct rte_memzone *zone =
        rte_memzone_reserve_aligned(name, PAGE_BYTES, SOCKET_ID_ANY, RTE_MEMZONE_2MB, PAGE_BYTES);
    if (!zone)
        return -rte_errno;
    page->zone = zone;
    page->bytes = PAGE_BYTES;
    int error = file_of(zone, page);
    if (error)
        eal_pages_release(zone);
    return error;
}

void eal_pages_release(const void *zone)
{
    (void)rte_memzone_free(zone);
}
