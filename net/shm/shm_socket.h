/*
 * Private to net/shm: what the sockets report. The hub's thread alone.
 */
#ifndef PST_NET_SHM_SHM_SOCKET_H
#define PST_NET_SHM_SHM_SOCKET_H

#include "net/shm/shm_parts.h"

/* Looks at all sockets without waiting, and does what came over them. 0 or -errno. */
PST_MUST_USE int shm_socket_look(struct shm_fabric *fabric);

#endif
