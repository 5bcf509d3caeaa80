/*
 * Private to net/shm: the cluster's directory on a host. It holds node-N.lock for each node that
 * ever ran, which the process that runs under this id has locked (flock(2)), and node-N.sock for
 * each node that runs. The hub's thread.
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

/* Makes the directory if it is missing, takes the node's lock, replaces the socket that a dead
 * process left, and listens. 0, or -errno with message. */
PST_MUST_USE int shm_place_open(struct shm_place *place, const char *directory, uint32_t node,
                                char *message, uint32_t message_bytes);
void shm_place_close(struct shm_place *place);

/* Whether the directory is right, or could be made. Makes nothing; any thread. Likewise. */
PST_MUST_USE int shm_place_check(const char *directory, char *message, uint32_t message_bytes);

/* The nodes below this one that have a socket, by id - 1. 0 or -errno. */
PST_MUST_USE int shm_place_lower_nodes(const struct shm_place *place, struct pst_set *nodes);

/* Connects without waiting. A socket, or -errno. */
PST_MUST_USE int shm_place_connect(const struct shm_place *place, uint32_t node);

/* A connection that waits to be accepted, or -errno (EAGAIN: none). */
PST_MUST_USE int shm_place_accept(const struct shm_place *place);

/* Whether the process at the other end is ours, or root's. */
bool shm_is_ours(int socket);

#endif
