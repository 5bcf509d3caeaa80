/*
 * Makes or finds the port of DPDK that a device's name means, and sets it up. Called by
 * packet_ethdev.c, on the hub's thread; DPDK's EAL is open.
 */
#include "net/packet/ethdev_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "net/packet/ethdev_name.h"

/* Of each queue; a driver may take others. */
#define DESCRIPTORS 512u

/* What the queues, three bursts and the cache of the hub's thread can hold; af_xdp takes 2048 in
 * advance. */
#define BUFFERS 2047u
#define XDP_BUFFERS 4095u
#define CACHED 64u

/* Slots of af_packet's rings, which a frame and the kernel's header must fit into; two sizes, for
 * the kernel wants whole pages. */
#define SLOT_BYTES 2048u
#define LARGE_SLOT_BYTES 16384u
#define SLOT_HEADER_BYTES 128u

static uint32_t slot_bytes(uint32_t mtu_bytes)
{
    bool is_large = mtu_bytes + FRAME_OUTER_BYTES + SLOT_HEADER_BYTES > SLOT_BYTES;
    return is_large ? LARGE_SLOT_BYTES : SLOT_BYTES;
}

/* Past the queueing discipline: what the interface does not take is dropped, as on every port. */
static void write_arguments(const struct ethdev_name *name, uint32_t mtu_bytes, char *text,
                            uint32_t bytes)
{
    uint32_t slot = slot_bytes(mtu_bytes);
    switch (name->kind) {
    case ETHDEV_AF_PACKET:
        (void)snprintf(text, bytes, "iface=%s,qdisc_bypass=1,framesz=%u,blocksz=%u,framecnt=%u",
                       name->rest, slot, slot > 4096 ? slot : 4096, DESCRIPTORS);
        break;
    case ETHDEV_AF_XDP:
        (void)snprintf(text, bytes, "iface=%s", name->rest);
        break;
    default:
        (void)snprintf(text, bytes, "%s", name->rest);
    }
}

static int make(struct ethdev_device *device, const struct ethdev_name *name, uint32_t mtu_bytes)
{
    static uint32_t serial;
    char arguments[256];
    (void)snprintf(device->virtual_name, sizeof(device->virtual_name), "net_%s%u", name->driver,
                   serial++);
    write_arguments(name, mtu_bytes, arguments, sizeof(arguments));
    int error = rte_eal_hotplug_add("vdev", device->virtual_name, arguments);
    if (error)
        device->virtual_name[0] = '\0';
    return error > 0 ? -ENODEV : error;
}

static int find(struct ethdev_device *device, const struct ethdev_name *name, uint32_t mtu_bytes)
{
    int error = name->kind == ETHDEV_PCI ? 0 : make(device, name, mtu_bytes);
    const char *wanted = name->kind == ETHDEV_PCI ? name->rest : device->virtual_name;
    return error ? error : rte_eth_dev_get_port_by_name(wanted, &device->port);
}

static int make_pool(struct ethdev_device *device, enum ethdev_kind kind, uint32_t mtu_bytes)
{
    uint32_t count = kind == ETHDEV_AF_XDP ? XDP_BUFFERS : BUFFERS;
    char name[RTE_MEMPOOL_NAMESIZE];
    (void)snprintf(name, sizeof(name), "penstock-%u", device->port);
    uint32_t bytes = RTE_PKTMBUF_HEADROOM + slot_bytes(mtu_bytes);
    device->pool = rte_pktmbuf_pool_create(name, count, CACHED, 0, (uint16_t)bytes,
                                           rte_eth_dev_socket_id(device->port));
    return device->pool ? 0 : -rte_errno;
}

/* Some drivers know of no frames larger than usual, and take them. */
static int configure(struct ethdev_device *device, uint32_t mtu_bytes)
{
    struct rte_eth_conf config = {.intr_conf.rxq = 1};
    struct rte_eth_dev_info info;
    int error = rte_eth_dev_info_get(device->port, &info);
    if (error)
        return error;
    if (mtu_bytes > RTE_ETHER_MTU && info.max_rx_pktlen >= mtu_bytes + FRAME_OUTER_BYTES)
        config.rxmode.mtu = mtu_bytes;
    return rte_eth_dev_configure(device->port, 1, 1, &config);
}

static int start(struct ethdev_device *device)
{
    uint16_t incoming = DESCRIPTORS, outgoing = DESCRIPTORS, port = device->port;
    unsigned socket = (unsigned)rte_eth_dev_socket_id(port);
    int error = rte_eth_dev_adjust_nb_rx_tx_desc(port, &incoming, &outgoing);
    if (!error)
        error = rte_eth_rx_queue_setup(port, 0, incoming, socket, NULL, device->pool);
    if (!error)
        error = rte_eth_tx_queue_setup(port, 0, outgoing, socket, NULL);
    if (!error)
        error = rte_eth_dev_start(port);
    if (error)
        return error;
    device->is_started = true;
    struct rte_ether_addr address;
    error = rte_eth_macaddr_get(port, &address);
    memcpy(device->mac, address.addr_bytes, sizeof(device->mac));
    return error;
}

int ethdev_device_open(struct ethdev_device *device, const char *text, uint32_t mtu_bytes,
                       char *message, uint32_t message_bytes)
{
    struct ethdev_name name;
    *device = (struct ethdev_device){.port = RTE_MAX_ETHPORTS};
    int error = ethdev_name_read(text, &name, message, message_bytes);
    if (error)
        return error;
    error = find(device, &name, mtu_bytes);
    if (error) {
        (void)snprintf(message, message_bytes,
                       "DPDK opens no port on %s: %s; its driver is in Debian's package %s", text,
                       pst_error_text(error), name.package);
        return error;
    }
    error = make_pool(device, name.kind, mtu_bytes);
    if (error) {
        (void)snprintf(message, message_bytes,
                       "DPDK has no buffers for %s: %s; they need Debian's package "
                       "librte-mempool-ring23",
                       text, pst_error_text(error));
        return error;
    }
    error = configure(device, mtu_bytes);
    if (!error)
        error = start(device);
    if (error)
        (void)snprintf(message, message_bytes, "DPDK's port on %s cannot be set up: %s", text,
                       pst_error_text(error));
    return error;
}

void ethdev_device_close(struct ethdev_device *device)
{
    if (device->is_started)
        (void)rte_eth_dev_stop(device->port);
    if (device->virtual_name[0] != '\0')
        (void)rte_eal_hotplug_remove("vdev", device->virtual_name);
    else if (device->is_started)
        (void)rte_eth_dev_close(device->port);
    rte_mempool_free(device->pool);
    *device = (struct ethdev_device){0};
}
