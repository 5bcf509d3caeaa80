/*
 * The fabric of the nodes of one host: a ring in shared memory for each ordered pair of nodes, and
 * a socket for each pair (docs/adr/0014-shm-fabric.md). It expels: what one node has declared dead
 * is dead for all, and must rejoin. While a node is awake, poll makes no system call but one look
 * at the sockets each millisecond.
 */
#ifndef PST_NET_SHM_SHM_FABRIC_H
#define PST_NET_SHM_SHM_FABRIC_H

#include "net/shm/shm_config.h"

/*
 * Opens it; the calling thread is the hub's from then on. The fabric copies what it needs of
 * config. 0, or -errno with message, for people, which names what failed: EEXIST: a process with
 * this node id runs; EPERM: the directory is not ours alone; EINVAL: a number in config is out of
 * range; …
 */
PST_MUST_USE int pst_shm_fabric_open(const struct pst_shm_config *config,
                                     struct pst_fabric **fabric, char *message,
                                     uint32_t message_bytes);

/* Whether the directory is one where it could be opened. Makes nothing; any thread. 0, or -errno
 * with message. */
PST_MUST_USE int pst_shm_fabric_check(const char *directory, char *message, uint32_t message_bytes);

#endif
