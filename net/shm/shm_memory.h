/*
 * Private to net/shm: memory for one ring, made here or handed over by the peer as a descriptor.
 * The hub's thread.
 */
#ifndef PST_NET_SHM_SHM_MEMORY_H
#define PST_NET_SHM_SHM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "net/shm/shm_config.h"
#include "penstock/error.h"

struct shm_memory {
    void *bytes; /* mapped; NULL: nothing here */
    size_t size;
    uint64_t offset;               /* of the bytes in the file */
    int fd;                        /* to hand over; -1 after that */
    const void *owner;             /* EAL's memzone; NULL: none */
    const struct pst_eal_ops *eal; /* of the owner */
};

/* Makes memory of at least size bytes, sealed against shrinking unless it is EAL's. eal: for
 * PST_SHM_EAL. If *kind is PST_SHM_HUGE_IF_FREE and no hugepage is free, it becomes PST_SHM_NORMAL.
 * 0 or -errno. */
PST_MUST_USE int shm_memory_make(struct shm_memory *memory, enum pst_shm_memory *kind, size_t size,
                                 const struct pst_eal_ops *eal);

/* Maps what a peer handed over. Takes fd, on an error too. 0 or -errno; EINVAL: it is not what the
 * peer said, or could shrink while it is mapped. */
PST_MUST_USE int shm_memory_attach(struct shm_memory *memory, enum pst_shm_memory kind, int fd,
                                   uint64_t offset, uint64_t size);

/* The peer has its own descriptor now. */
void shm_memory_close_fd(struct shm_memory *memory);

/* Unmaps it, and gives a page of EAL's back if owner is not NULL. */
void shm_memory_free(struct shm_memory *memory);

#endif
