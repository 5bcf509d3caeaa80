/*
 * Memory for an LDM's buffers: mapped, bound to its NUMA node, and brought in where that cannot
 * wait for the first touch. Called by the LDM's thread as it starts, and by benches.
 */
#include <assert.h>
#include <errno.h>
#include <linux/mman.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <numaif.h>

#include "numa/place.h"

/* Pages that one move_pages call asks about. */
#define CENSUS_PAGES 256u

/* What the kernel makes a transparent hugepage of where pages are of 4 KiB; where they are not,
 * this alignment does no harm. */
#define TRANSPARENT_BYTES ((size_t)2 << 20)

#define BITS_PER_LONG (8 * sizeof(unsigned long))
#define MASK_LONGS (PST_CPUS_MAX / BITS_PER_LONG)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static void note(struct pst_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends a remark, separated from one before it. */
static void note(struct pst_arena *arena, const char *format, ...)
{
    size_t used = strlen(arena->note);
    if (used > 0 && used + 3 < sizeof(arena->note))
        used += (size_t)snprintf(arena->note + used, sizeof(arena->note) - used, "; ");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(arena->note + used, sizeof(arena->note) - used, format, arguments);
    va_end(arguments);
}

static int bind(const struct pst_arena *arena)
{
    unsigned long mask[MASK_LONGS] = {0};
    unsigned long node = (unsigned long)arena->numa_node;
    mask[node / BITS_PER_LONG] = 1UL << node % BITS_PER_LONG;
    /* The kernel uses one bit less than the number that it is given. */
    long bound = mbind(arena->base, arena->bytes, MPOL_BIND, mask, PST_CPUS_MAX + 1, 0);
    return bound == 0 ? 0 : -errno;
}

/* Writes to every page, where the kernel cannot do it for us. */
static void touch(struct pst_arena *arena)
{
    volatile char *bytes = arena->base;
    for (size_t at = 0; at < arena->bytes; at += arena->page_bytes)
        bytes[at] = 0;
}

/*
 * Brings every page in. The kernel's way reports what touching by hand would turn into SIGBUS: a
 * hugepage that the pool promised but the bound node does not have.
 */
static int populate(struct pst_arena *arena)
{
    int error;
    do
        error = madvise(arena->base, arena->bytes, MADV_POPULATE_WRITE);
    while (error && errno == EINTR);
    if (!error)
        return 0;
    if (errno != EINVAL || arena->hugepages)
        return -errno;
    touch(arena);
    return 0;
}

static void *map_anonymous(size_t bytes, int flags)
{
    void *base =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

/* Begins where a transparent hugepage can. */
static void *map_aligned(size_t bytes)
{
    uint8_t *mapped = map_anonymous(bytes + TRANSPARENT_BYTES, 0);
    if (!mapped)
        return NULL;
    size_t before = -(uintptr_t)mapped % TRANSPARENT_BYTES;
    int error = before > 0 ? munmap(mapped, before) : 0;
    error |= munmap(mapped + before + bytes, TRANSPARENT_BYTES - before);
    assert(!error); /* both are ends of the mapping just made */
    return mapped + before;
}

static int map(struct pst_arena *arena, size_t bytes, size_t page_bytes, int flags)
{
    if (bytes > SIZE_MAX - page_bytes - TRANSPARENT_BYTES)
        return -ENOMEM;
    arena->hugepages = (flags & MAP_HUGETLB) != 0;
    arena->page_bytes = page_bytes;
    arena->bytes = (bytes + page_bytes - 1) / page_bytes * page_bytes;
    arena->base = arena->hugepages ? map_anonymous(arena->bytes, flags) : map_aligned(arena->bytes);
    if (!arena->base)
        return -errno;
    /* fork(2) would at once copy what io_uring has pinned, into hugepages that nobody has reserved,
     * and so fail. The guards of sources are children, and do not use this memory. */
    int error = madvise(arena->base, arena->bytes, MADV_DONTFORK);
    assert(!error);
    /* A kernel that has none refuses. */
    arena->transparent =
        !arena->hugepages && madvise(arena->base, arena->bytes, MADV_HUGEPAGE) == 0;
    return 0;
}

/* Maps, binds, populates: the policy must stand before the first page comes. Normal pages can wait
 * for the first touch, unless only that decides where they lie. */
static int build(struct pst_arena *arena, size_t bytes, size_t page_bytes, int flags)
{
    int error = map(arena, bytes, page_bytes, flags);
    if (error)
        return error;
    int bind_error = arena->numa_node == PST_NUMA_NODE_UNKNOWN ? 0 : bind(arena);
    arena->bound = arena->numa_node != PST_NUMA_NODE_UNKNOWN && !bind_error;
    error = arena->hugepages || bind_error ? populate(arena) : 0;
    if (error) {
        pst_arena_destroy(arena);
        return error;
    }
    if (bind_error)
        note(arena,
             "memory is not bound to node %d (%s): it lies where this thread first touched it",
             arena->numa_node, pst_error_name(bind_error));
    return 0;
}

/* Huge pages of one size that the node, or without a node any node, has free. */
static uint64_t free_hugepages(const struct pst_topology *topology, int32_t numa_node,
                               uint64_t page_bytes)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < topology->node_count; i++) {
        const struct pst_topology_node *node = &topology->nodes[i];
        if (numa_node != PST_NUMA_NODE_UNKNOWN && numa_node != node->id)
            continue;
        for (uint32_t size = 0; size < node->hugepage_sizes; size++)
            if (node->hugepages[size].page_bytes == page_bytes)
                pages += node->hugepages[size].free_pages;
    }
    return pages;
}

/* Tries the hugepage sizes that the host has, the smallest first. -ENOENT: none is free. */
static int build_huge(const struct pst_topology *topology, struct pst_arena *arena, size_t bytes)
{
    int error = -ENOENT;
    const struct pst_topology_node *node = &topology->nodes[0]; /* sizes are the host's */
    for (uint32_t i = 0; i < node->hugepage_sizes && error; i++) {
        uint64_t page_bytes = node->hugepages[i].page_bytes;
        if (page_bytes == 0 || page_bytes > PST_ARENA_HUGEPAGE_MAX)
            continue;
        uint64_t pages = (bytes - 1) / page_bytes + 1;
        if (free_hugepages(topology, arena->numa_node, page_bytes) < pages)
            continue;
        int log2 = __builtin_ctzll(page_bytes);
        error = build(arena, bytes, (size_t)page_bytes, MAP_HUGETLB | log2 << MAP_HUGE_SHIFT);
    }
    return error;
}

int pst_arena_create(const struct pst_topology *topology, size_t bytes, int32_t numa_node,
                     struct pst_arena *arena)
{
    assert(topology && arena);
    *arena = (struct pst_arena){.numa_node = numa_node};
    if (bytes == 0 || numa_node >= (int32_t)PST_CPUS_MAX || numa_node < PST_NUMA_NODE_UNKNOWN)
        return -EINVAL;
    int error = build_huge(topology, arena, bytes);
    if (!error)
        return 0;
    if (error == -ENOENT)
        note(arena, "not enough free reserved hugepages");
    else
        note(arena, "reserved hugepages failed with %s", pst_error_name(error));
    /* A last hugepage is brought in faster than the small pages for a part of one. */
    if (bytes > TRANSPARENT_BYTES && bytes < SIZE_MAX - TRANSPARENT_BYTES)
        bytes = (bytes + TRANSPARENT_BYTES - 1) / TRANSPARENT_BYTES * TRANSPARENT_BYTES;
    return build(arena, bytes, (size_t)sysconf(_SC_PAGESIZE), 0);
}

int pst_arena_reserve(size_t bytes, bool transparent, struct pst_arena *arena)
{
    *arena = (struct pst_arena){.numa_node = PST_NUMA_NODE_UNKNOWN};
    int error = map(arena, bytes, (size_t)sysconf(_SC_PAGESIZE), 0);
    if (!error && !transparent && arena->transparent)
        arena->transparent = madvise(arena->base, arena->bytes, MADV_NOHUGEPAGE) != 0;
    return error;
}

const char *pst_arena_pages(const struct pst_arena *arena)
{
    if (arena->hugepages)
        return "huge";
    return arena->transparent ? "transparent huge" : "normal";
}

void pst_arena_destroy(struct pst_arena *arena)
{
    if (!arena->base)
        return;
    int error = munmap(arena->base, arena->bytes);
    assert(!error);
    *arena = (struct pst_arena){0};
}

static void count(struct pst_arena_census *census, int32_t numa_node, int node)
{
    census->pages++;
    if (node < 0)
        census->absent++;
    else if (numa_node != PST_NUMA_NODE_UNKNOWN && node != numa_node)
        census->misplaced++;
}

/* The pages from base to end. */
static int count_pages(char *base, const char *end, size_t page_bytes, int32_t numa_node,
                       struct pst_arena_census *census)
{
    while (base < end) {
        void *pages[CENSUS_PAGES];
        int nodes[CENSUS_PAGES];
        unsigned long batch = 0;
        for (; batch < CENSUS_PAGES && base < end; base += page_bytes)
            pages[batch++] = base;
        if (move_pages(0, batch, pages, NULL, nodes, 0) != 0)
            return -errno;
        for (unsigned long i = 0; i < batch; i++)
            count(census, numa_node, nodes[i]);
    }
    return 0;
}

int pst_arena_check(const struct pst_arena *arena, struct pst_arena_census *census)
{
    assert(arena && arena->base && census);
    *census = (struct pst_arena_census){0};
    return count_pages(arena->base, (char *)arena->base + arena->bytes, arena->page_bytes,
                       arena->numa_node, census);
}

int pst_place_check(const void *memory, size_t bytes, int32_t numa_node,
                    struct pst_arena_census *census)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    char *base = (char *)((uintptr_t)memory & ~(page_bytes - 1));
    assert(memory && census);
    return count_pages(base, (const char *)memory + bytes, page_bytes, numa_node, census);
}
