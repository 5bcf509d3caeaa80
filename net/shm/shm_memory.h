/*
 * Private to net/: memory for one ring, made here or handed over by the peer as a descriptor.
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
    uint64_t offset;   /* of the bytes in fd */
    int fd;            /* to hand over; -1 when it was */
    const void *owner; /* EAL's memzone; NULL: none */
};

/* At least so many bytes, sealed against shrinking unless they are EAL's. Where hugepages are
 * wanted and not to be had, *kind becomes PST_SHM_NORMAL. 0 or -errno. */
PST_MUST_USE int shm_memory_make(struct shm_memory *memory, enum pst_shm_memory *kind, size_t size);

/* Maps what a peer handed over. fd becomes the memory's, in case of an error too. 0 or -errno;
 * EINVAL: it is not what the peer says, or could shrink under our feet. */
PST_MUST_USE int shm_memory_attach(struct shm_memory *memory, enum pst_shm_memory kind, int fd,
                                   uint64_t offset, uint64_t size);

/* The peer has its own descriptor now. */
void shm_memory_close_fd(struct shm_memory *memory);
void shm_memory_free(struct shm_memory *memory);

#endif
