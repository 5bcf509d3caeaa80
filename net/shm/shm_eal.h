/*
 * Private to net/shm, the hub's thread: pages of the memory of DPDK's EAL (net/eal.h), for rings
 * (PST_SHM_EAL).
 */
#ifndef PST_NET_SHM_SHM_EAL_H
#define PST_NET_SHM_SHM_EAL_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

/* A page for one ring. */
struct shm_eal_page {
    const void *zone; /* for shm_eal_release() */
    size_t bytes;
    int fd; /* of the file that the page lies in, at offset; the caller's */
    uint64_t offset;
};

/* 0 or -errno; E2BIG: size bytes need more than a page. */
PST_MUST_USE int shm_eal_reserve(size_t size, struct shm_eal_page *page);
void shm_eal_release(const void *zone);

#endif
