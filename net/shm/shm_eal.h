/*
 * DPDK's EAL, for rings in its memory (PST_SHM_EAL): a primary of its own in each process.
 */
#ifndef PST_NET_SHM_SHM_EAL_H
#define PST_NET_SHM_SHM_EAL_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

/*
 * Starts it in memory of its own (no files remain, no NIC is touched), once in a process. Needs
 * hugepages. name keeps the processes of one host apart. Main thread; its CPU affinity is kept.
 * 0, or -errno with message.
 */
PST_MUST_USE int pst_eal_open(const char *name, char *message, uint32_t message_bytes);

/* Main thread, after the last fabric with memory from it was closed. */
void pst_eal_close(void);

/* Private to net/shm, the hub's thread: a page for one ring. */
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
