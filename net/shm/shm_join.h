/*
 * Private to net/shm: how two nodes of a host find each other and agree on a link (the handshake is
 * drawn in shm_wire.h), and how a node leaves them all. The hub's thread alone.
 */
#ifndef PST_NET_SHM_SHM_JOIN_H
#define PST_NET_SHM_SHM_JOIN_H

#include "net/shm/shm_parts.h"

/* Whose socket it is that epoll reports, in the upper half of its data; which, in the lower half.
 */
enum shm_fd_kind { SHM_FD_LISTEN, SHM_FD_PENDING, SHM_FD_LINK };

/* Lets nodes connect. Once, until shm_join_close_doors(). 0 or -errno. */
PST_MUST_USE int shm_join_open_doors(struct shm_fabric *fabric);

/* From now on nobody new can connect, or wake us. Twice is as good as once. */
void shm_join_close_doors(struct shm_fabric *fabric);

/* Connects to the nodes below this one that are there and not linked. 0 or -errno. */
PST_MUST_USE int shm_join_discover(struct shm_fabric *fabric);

/* Closes the connections that were accepted and sent no HELLO in time. */
void shm_join_expire(struct shm_fabric *fabric);

/* Nodes wait at the listening socket. */
void shm_join_accept(struct shm_fabric *fabric);

/* A connection that was accepted has sent something, or has ended. */
void shm_join_pending(struct shm_fabric *fabric, struct shm_pending *pending);

/* HELLO_SENT: the peer has answered with its HELLO. Takes fd. The link may be freed. */
void shm_join_answered(struct shm_fabric *fabric, struct shm_link *link, union shm_message *message,
                       int fd);

/* HELLO_SENT, HELLO_SEEN: the peer has refused us. The link is freed. */
void shm_join_refused(struct shm_fabric *fabric, struct shm_link *link,
                      const struct shm_notice *notice);

/* This node was declared dead: it loses all its peers. */
void shm_join_expel(struct shm_fabric *fabric, uint32_t by, enum pst_fabric_failure failure,
                    const char *reason);

#endif
