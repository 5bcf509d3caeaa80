/*
 * Ports in memory, for tests that are linked with --wrap=pst_packet_udp_open: the nodes of one
 * process exchange datagrams without the kernel. What is sent lies in the receiver's queue at once;
 * what finds a full queue, or nobody, is lost. One thread; no clock, and no memory but at open.
 */
#ifndef PST_TESTS_SUPPORT_PACKET_PIPE_H
#define PST_TESTS_SUPPORT_PACKET_PIPE_H

#include "net/packet/packet.h"

#define PACKET_PIPE_PORTS 8u
#define PACKET_PIPE_BYTES 2048u /* of a datagram, at most */

/* Puts a datagram into the queue of the port with this address, in from's name. */
void packet_pipe_put(const struct sockaddr_in *from, const struct sockaddr_in *to,
                     const uint8_t *bytes, size_t size_bytes);

/* If not NULL: sees every datagram that a port sends, and says whether it goes on. */
extern bool (*packet_pipe_filter)(const struct sockaddr_in *from, const struct sockaddr_in *to,
                                  uint8_t *bytes, size_t size_bytes);

#endif
