/*
 * Memory for one ring: a sealed memfd, or a page of EAL's, mapped so that no peer can cause a
 * SIGBUS here. The hub's thread, from the handshake (shm_join.c) and the end of a link
 * (shm_link.c).
 */
#include "net/shm/shm_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "net/eal.h"

#define HUGEPAGE_BYTES ((size_t)2 << 20)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A forked child must not keep, let alone write, its parent's rings. */
static int map(struct shm_memory *memory)
{
    void *bytes = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd,
                       (off_t)memory->offset);
    if (bytes == MAP_FAILED)
        return -errno;
    memory->bytes = bytes;
    if (madvise(bytes, memory->size, MADV_DONTFORK) == 0)
        return 0;
    return -errno;
}

/* fallocate(2) takes the pages now: a lack of them is an error here, not a SIGBUS later. */
static int fill_memfd(struct shm_memory *memory)
{
    if (fallocate(memory->fd, 0, 0, (off_t)memory->size) < 0 ||
        fcntl(memory->fd, F_ADD_SEALS, SEALS) < 0)
        return -errno;
    return map(memory);
}

static int make_memfd(struct shm_memory *memory, size_t size, size_t page_bytes, unsigned flags)
{
    memory->size = (size + page_bytes - 1) & ~(page_bytes - 1);
    memory->fd = memfd_create("penstock-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
    if (memory->fd < 0)
        return -errno;
    int error = fill_memfd(memory);
    if (error)
        shm_memory_free(memory);
    return error;
}

static int make_eal(struct shm_memory *memory, size_t size, const struct pst_eal_ops *eal)
{
    struct pst_eal_page page;
    int error = eal->reserve(size, &page);
    if (error)
        return error;
    *memory = (struct shm_memory){
        .size = page.bytes, .offset = page.offset, .fd = page.fd, .owner = page.zone, .eal = eal};
    error = map(memory);
    if (error)
        shm_memory_free(memory);
    return error;
}

int shm_memory_make(struct shm_memory *memory, enum pst_shm_memory *kind, size_t size,
                    const struct pst_eal_ops *eal)
{
    *memory = (struct shm_memory){.fd = -1};
    if (*kind == PST_SHM_EAL)
        return make_eal(memory, size, eal);
    if (*kind == PST_SHM_HUGE_IF_FREE) {
        if (make_memfd(memory, size, HUGEPAGE_BYTES, MFD_HUGETLB | MFD_HUGE_2MB) == 0)
            return 0;
        *kind = PST_SHM_NORMAL;
    }
    return make_memfd(memory, size, (size_t)sysconf(_SC_PAGESIZE), 0);
}

/* Seals, which cannot be removed, keep the file from shrinking. EAL's files have none, but only a
 * call of ftruncate(2) shrinks them, never a process's end. */
static int check_file(const struct shm_memory *memory, enum pst_shm_memory kind)
{
    struct stat file;
    struct statfs system;
    if (fstat(memory->fd, &file) < 0 || fstatfs(memory->fd, &system) < 0)
        return -errno;
    if ((uint64_t)file.st_size < memory->offset ||
        (uint64_t)file.st_size - memory->offset < memory->size)
        return -EINVAL;
    if (kind == PST_SHM_EAL)
        return system.f_type == HUGETLBFS_MAGIC ? 0 : -EINVAL;
    int seals = fcntl(memory->fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS ? 0 : -EINVAL;
}

int shm_memory_attach(struct shm_memory *memory, enum pst_shm_memory kind, int fd, uint64_t offset,
                      uint64_t size)
{
    *memory = (struct shm_memory){.fd = fd, .offset = offset, .size = size};
    int error = check_file(memory, kind);
    if (!error)
        error = map(memory);
    if (error)
        shm_memory_free(memory);
    else
        shm_memory_close_fd(memory);
    return error;
}

void shm_memory_close_fd(struct shm_memory *memory)
{
    if (memory->fd >= 0)
        close(memory->fd);
    memory->fd = -1;
}

void shm_memory_free(struct shm_memory *memory)
{
    shm_memory_close_fd(memory);
    if (memory->bytes)
        munmap(memory->bytes, memory->size);
    if (memory->owner)
        memory->eal->release(memory->owner);
    *memory = (struct shm_memory){.fd = -1};
}
