/*
 * Carrying out a placement: pins the calling thread and gives it memory on a NUMA node.
 * Sources: mbind(2), move_pages(2), madvise(2), mmap(2), sched_setaffinity(2).
 */
#ifndef PST_NUMA_PLACE_H
#define PST_NUMA_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "numa/topology.h"
#include "penstock/error.h"

#define PST_ARENA_NOTE_BYTES 160u

/* Binds the calling thread to one CPU; on return it runs there. -EINVAL: offline or not allowed. */
PST_MUST_USE int pst_place_pin(uint32_t cpu);

/*
 * Memory for buffers: zeroed, on one NUMA node. Read-only for the user; the memory belongs to the
 * arena until pst_arena_destroy.
 */
struct pst_arena {
    void *base;        /* aligned to page_bytes */
    size_t bytes;      /* what was asked for, rounded up to whole (transparent huge) pages */
    size_t page_bytes; /* of a hugepage if hugepages, else of a normal page */
    int32_t numa_node; /* asked for; PST_NUMA_NODE_UNKNOWN: none */
    bool hugepages;    /* MAP_HUGETLB */
    bool transparent;  /* the kernel was asked for transparent hugepages, MADV_HUGEPAGE */
    bool bound;        /* by mbind; otherwise the pages lie where they were first touched */
    char note[PST_ARENA_NOTE_BYTES]; /* what was given up, for the log; "" if nothing */
};

/*
 * Makes an arena of at least bytes on numa_node. Call it on the pinned thread that will use it:
 * where the kernel refuses mbind (no NUMA, seccomp), all of it is touched at once, which still puts
 * the pages near. Reserved hugepages are used, and brought in, where the node has enough free ones
 * of some size up to PST_ARENA_HUGEPAGE_MAX bytes each; else the kernel is asked for transparent
 * ones, for it cuts a request to a disk where the pages of its buffer are not neighbours, and each
 * comes when it is first touched. A child of fork(2) does not have it. topology is borrowed for the
 * call. -EINVAL: bytes is 0; -ENOMEM: no memory.
 */
PST_MUST_USE int pst_arena_create(const struct pst_topology *topology, size_t bytes,
                                  int32_t numa_node, struct pst_arena *arena);

#define PST_ARENA_HUGEPAGE_MAX (32u << 20) /* a 1 GiB page for a few MiB of buffers is a waste */

/*
 * The same without reserved hugepages and without a NUMA node: the first touch puts each page near.
 * For what may need little of it, or nothing. transparent: ask for such hugepages, where a disk
 * will use it. -ENOMEM.
 */
PST_MUST_USE int pst_arena_reserve(size_t bytes, bool transparent, struct pst_arena *arena);

/* What its pages are, for a log. */
const char *pst_arena_pages(const struct pst_arena *arena);

/* Unmaps it. An arena that is all zero, or whose creation failed, is left alone. */
void pst_arena_destroy(struct pst_arena *arena);

/* Where pages really lie. */
struct pst_arena_census {
    size_t pages;
    size_t misplaced; /* on another node than asked for */
    size_t absent;    /* not in memory: the kernel gave no node */
};

/*
 * Asks the kernel (move_pages) for the node of every page. Without a node asked for, no page is
 * misplaced. Any thread. -EPERM, -ENOSYS: the kernel does not report it; else -errno.
 */
PST_MUST_USE int pst_arena_check(const struct pst_arena *arena, struct pst_arena_census *census);

/* The same of any memory in normal pages that was to lie on numa_node; adds to census. */
PST_MUST_USE int pst_place_check(const void *memory, size_t bytes, int32_t numa_node,
                                 struct pst_arena_census *census);

#endif
