/*
 * Private to net/: the cluster's directory on a host. In it lie, for each node that ever ran,
 * node-N.lock, which the running process of that id holds (flock(2)) and which stays, and for each
 * running one node-N.sock.
 */
#ifndef PST_NET_SHM_SHM_PLACE_H
#define PST_NET_SHM_SHM_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/protocol/signal.h"
#include "penstock/error.h"

struct shm_place {
    int directory_fd;
    int lock_fd;
    int listen_fd;
    uint32_t node;
};

/* Makes the directory if need be, takes the node's lock, replaces a dead process's socket, listens.
 * 0, or -errno with message. */
PST_MUST_USE int shm_place_open(struct shm_place *place, const char *directory, uint32_t node,
                                char *message, uint32_t message_bytes);
void shm_place_close(struct shm_place *place);

/* The nodes below this one that have a socket, by id - 1. 0 or -errno. */
PST_MUST_USE int shm_place_lower_nodes(const struct shm_place *place, struct pst_set *nodes);

/* Connects without waiting. A socket, or -errno. */
PST_MUST_USE int shm_place_connect(const struct shm_place *place, uint32_t node);

/* A connection that waits to be accepted, or -errno (EAGAIN: none). */
PST_MUST_USE int shm_place_accept(const struct shm_place *place);

/* Whether the process at the other end is ours, or root's. */
bool shm_is_ours(int socket);

#endif
