/*
 * Private to net/shm: the link to a peer, once there is one: how it comes up, how it ends, and what
 * must hold of it. The hub's thread alone.
 */
#ifndef PST_NET_SHM_SHM_LINK_H
#define PST_NET_SHM_SHM_LINK_H

#include "net/shm/shm_parts.h"

/* The handshake is over. */
void shm_link_up(struct shm_fabric *fabric, struct shm_link *link);

/* Ends a link. If it was up, the peer is declared dead and told so, and poll reports FAILED; else
 * the link is freed. No effect on a link that is ending already. reason: for people; copied. */
void shm_link_end(struct shm_fabric *fabric, struct shm_link *link, enum pst_fabric_failure failure,
                  const char *reason);

/* Closes and forgets a link at once, without an event. */
void shm_link_free(struct shm_fabric *fabric, struct shm_link *link);

/* Asserts what must hold of a node's link, or of having none, whenever no call is in progress. */
void shm_link_check(const struct shm_fabric *fabric, uint32_t node);

#endif
