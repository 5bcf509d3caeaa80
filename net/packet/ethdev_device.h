/*
 * A port of DPDK: found by its name, set up with one queue each way, started, and closed. The hub's
 * thread. Private to net/packet.
 */
#ifndef PST_NET_PACKET_ETHDEV_DEVICE_H
#define PST_NET_PACKET_ETHDEV_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/packet/frame.h"
#include "penstock/error.h"

struct rte_mempool; /* DPDK */

struct ethdev_device {
    uint16_t port;
    bool is_started;
    char virtual_name[32]; /* of one that was made here; "": it was there */
    struct rte_mempool *pool;
    uint8_t mac[FRAME_MAC_BYTES];
};

/* text: as of packet_ethdev.h; mtu_bytes: of an IP packet. 0, or -errno with message for people.
 * Either way it must be closed; zeros are a device that is. */
PST_MUST_USE int ethdev_device_open(struct ethdev_device *device, const char *text,
                                    uint32_t mtu_bytes, char *message, uint32_t message_bytes);
void ethdev_device_close(struct ethdev_device *device);

#endif
