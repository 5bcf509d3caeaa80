/*
 * A port that DPDK drives, without the kernel's network stack: an address of our own, in frames
 * that we send and receive ourselves.
 */
#ifndef PST_NET_PACKET_PACKET_ETHDEV_H
#define PST_NET_PACKET_PACKET_ETHDEV_H

#include "net/eal.h"
#include "net/packet/packet.h"

struct packet_ethdev_config {
    const char *device; /* af_packet:INTERFACE or af_xdp:INTERFACE, which the kernel has; a PCI
                           function, 0000:3b:02.0; or memif:ARGUMENTS, as of DPDK's driver */
    struct sockaddr_in address; /* ours alone: of no interface of the kernel */
    uint32_t prefix_bits;       /* of the network that it is in: 1…32 */
    struct in_addr gateway;     /* to other networks; 0: none */
    uint16_t vlan;              /* tag of all frames, 1…4094; 0: none */
    uint32_t mtu_bytes;         /* of an IP packet */
};

/*
 * Whether pst_packet_ethdev_open could open it, as far as can be said without DPDK; *eal: what that
 * needs of pst_eal_open(), which points to config's texts. Any thread. 0, or -errno with message:
 * EINVAL: no such kind of device; ENODEV, ENETDOWN, EPERM, EBUSY: the device;
 * EADDRNOTAVAIL: the kernel has the address.
 */
PST_MUST_USE int pst_packet_ethdev_check(const struct packet_ethdev_config *config,
                                         struct pst_eal_config *eal, char *message,
                                         uint32_t message_bytes);

/* Opens it; the calling thread is the only one that uses it. 0, or -errno with message: as above;
 * EADDRINUSE: another process of this host has the address; … Close it by ops->close. */
PST_MUST_USE int pst_packet_ethdev_open(const struct packet_ethdev_config *config,
                                        struct packet_port **port, char *message,
                                        uint32_t message_bytes);

#endif
