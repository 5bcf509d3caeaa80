/*
 * How a node sleeps until its port of DPDK has received something: by the driver's interrupt; where
 * it has none and the kernel sees the frames too (af_packet), by a packet socket of our own; else
 * by naps. The hub's thread. Private to net/packet.
 */
#ifndef PST_NET_PACKET_ETHDEV_SLEEP_H
#define PST_NET_PACKET_ETHDEV_SLEEP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "penstock/error.h"

#define ETHDEV_NAP_NS 5000000

enum ethdev_sleep_way { ETHDEV_INTERRUPT, ETHDEV_SOCKET, ETHDEV_NAP };

struct ethdev_sleep {
    enum ethdev_sleep_way way;
    uint16_t port; /* INTERRUPT: of DPDK */
    uint32_t own;  /* SOCKET: the address, in host order */
    int fd;        /* readable when it is time to look; -1: not open */
};

/* For af_packet, BEFORE its driver opens sockets on the interface: the kernel serves those first
 * that were opened last, so what the socket lets pass is in the driver's ring by then, and what it
 * drops too, before we look into that. 0 or -errno. */
PST_MUST_USE int ethdev_sleep_open_socket(struct ethdev_sleep *sleep, const char *interface,
                                          struct in_addr own);

/* For any other, of which the port is started; has_interrupts: its driver may have. 0 or -errno. */
PST_MUST_USE int ethdev_sleep_open(struct ethdev_sleep *sleep, uint16_t port, bool has_interrupts);

/* From now on fd becomes readable when a frame for us comes. The caller looks once more. */
void ethdev_sleep_announce(const struct ethdev_sleep *sleep);
void ethdev_sleep_cancel(const struct ethdev_sleep *sleep);
void ethdev_sleep_close(struct ethdev_sleep *sleep);

#endif
