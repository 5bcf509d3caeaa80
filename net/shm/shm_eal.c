#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include "net/shm/shm_memory.h"

#define PAGE_BYTES ((size_t)RTE_PGSIZE_2M)

/* Without files, devices and worker threads: only its memory is wanted. */
int pst_eal_open(const char *name, char *message, uint32_t message_bytes)
{
    char prefix[64], lcores[32], *arguments[] = {"penstock",         prefix,     lcores,
                                                 "--in-memory",      "--no-pci", "--no-telemetry",
                                                 "--log-level=error"};
    (void)snprintf(prefix, sizeof(prefix), "--file-prefix=%s", name);
    (void)snprintf(lcores, sizeof(lcores), "--lcores=0@%d", sched_getcpu());
    cpu_set_t affinity;
    int error = pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);
    if (!error && rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) < 0)
        error = rte_errno != 0 ? rte_errno : EIO;
    if (!error)
        error = pthread_setaffinity_np(pthread_self(), sizeof(affinity), &affinity);
    if (error)
        (void)snprintf(message, message_bytes,
                       "DPDK's EAL does not start: %s: reserve 2 MiB hugepages "
                       "(/proc/sys/vm/nr_hugepages), or run without --eal",
                       pst_error_text(-error));
    return -error;
}

void pst_eal_close(void)
{
    (void)rte_eal_cleanup();
}

static int segment_of(const struct rte_memzone *zone, struct shm_memory *memory)
{
    size_t offset;
    const struct rte_memseg *segment = rte_mem_virt2memseg(zone->addr, NULL);
    int fd = segment ? rte_memseg_get_fd(segment) : -1;
    if (fd < 0 || rte_memseg_get_fd_offset(segment, &offset) < 0)
        return -ENOTSUP;
    memory->offset = offset + (uint64_t)((char *)zone->addr - (char *)segment->addr);
    memory->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return memory->fd < 0 ? -errno : 0;
}

/* A page for each ring, so that what a wild peer overwrites is that ring and nothing else. */
int shm_eal_reserve(struct shm_memory *memory, size_t size)
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
    *memory = (struct shm_memory){.fd = -1, .size = PAGE_BYTES, .owner = zone};
    int error = segment_of(zone, memory);
    if (error) {
        shm_eal_release(zone);
        *memory = (struct shm_memory){.fd = -1};
    }
    return error;
}

void shm_eal_release(const void *owner)
{
    (void)rte_memzone_free(owner);
}
