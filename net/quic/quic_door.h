/*
 * Where packets come in: hands each to its link, and answers those that have none. Private to
 * net/quic; the hub's thread alone.
 */
#ifndef PST_NET_QUIC_QUIC_DOOR_H
#define PST_NET_QUIC_QUIC_DOOR_H

#include "net/quic/quic_parts.h"

void quic_door_take(struct quic_fabric *fabric, const struct packet *packet);

#endif
