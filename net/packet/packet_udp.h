/*
 * A port that is a UDP socket of the kernel, which neither fragments nor waits.
 */
#ifndef PST_NET_PACKET_PACKET_UDP_H
#define PST_NET_PACKET_PACKET_UDP_H

#include "net/packet/packet.h"

/* Binds the address. 0, or -errno: EADDRINUSE, EADDRNOTAVAIL, ENOMEM, … Close it by ops->close. */
PST_MUST_USE int pst_packet_udp_open(const struct sockaddr_in *address, uint32_t mtu_bytes,
                                     struct packet_port **port);

#endif
