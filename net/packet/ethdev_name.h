/*
 * What a network device is called: af_packet:INTERFACE, af_xdp:INTERFACE, memif:ARGUMENTS, or the
 * address of a PCI function; and whether this process could open it. Any thread. Private to
 * net/packet.
 */
#ifndef PST_NET_PACKET_ETHDEV_NAME_H
#define PST_NET_PACKET_ETHDEV_NAME_H

#include <stdint.h>

#include "penstock/error.h"

enum ethdev_kind { ETHDEV_AF_PACKET, ETHDEV_AF_XDP, ETHDEV_MEMIF, ETHDEV_PCI };

struct ethdev_name {
    enum ethdev_kind kind;
    const char *rest;    /* of text: interface, driver's arguments, or the PCI function */
    const char *driver;  /* static: DPDK's name for it */
    const char *package; /* static: of Debian, which has the driver */
};

/* 0, or -EINVAL with message: it is none of these. */
PST_MUST_USE int ethdev_name_read(const char *text, struct ethdev_name *name, char *message,
                                  uint32_t message_bytes);

/* Looks for the interface or the function, whether it can be used for packets of as many bytes, and
 * for the rights that its driver needs. 0, or -errno with message. */
PST_MUST_USE int ethdev_name_check(const struct ethdev_name *name, uint32_t mtu_bytes,
                                   char *message, uint32_t message_bytes);

#endif
