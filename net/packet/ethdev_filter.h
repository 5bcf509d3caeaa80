/*
 * Which frames of an interface the kernel puts into packet sockets: af_packet's driver and the
 * socket of a sleeping node would else be given all that the host receives and sends there. The
 * hub's thread. Private to net/packet.
 */
#ifndef PST_NET_PACKET_ETHDEV_FILTER_H
#define PST_NET_PACKET_ETHDEV_FILTER_H

#include <netinet/in.h>
#include <stdint.h>

/* None. */
void ethdev_filter_nothing(int fd);

/* A byte of what is for our address: IP, and ARP. own: in host order. */
void ethdev_filter_wake(int fd, uint32_t own);

/* IP for our address, and ARP, for the sockets that the driver has just opened on the interface,
 * and keeps to itself: those of this process that have no filter yet. */
void ethdev_filter_driver(const char *interface, struct in_addr own);

#endif
