/*
 * Datagrams through a port of DPDK: frames are written and read in place, in its buffers; ARP and
 * pings are answered here. The hub's thread, from quic_fabric.c, quic_link.c and quic_door.c.
 */
#include "net/packet/packet_ethdev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "net/packet/arp.h"
#include "net/packet/ethdev_device.h"
#include "net/packet/ethdev_filter.h"
#include "net/packet/ethdev_name.h"
#include "net/packet/ethdev_sleep.h"

#define HEADER_BYTES 28u /* of IPv4 and UDP */

/* How often a burst is offered to the driver; what it does not take then is dropped. */
#define SEND_TRIES 8u

#define CONFLICT_NS UINT64_C(60000000000) /* between two lines about one */

struct ethdev_port {
    struct packet_port base;
    struct frame_end own;
    struct arp arp;
    struct ethdev_device device;
    struct ethdev_sleep sleep;
    int holder; /* a socket of the kernel's that keeps other processes from the address; -1: none */
    bool is_registered; /* the thread, with DPDK */
    uint64_t next_conflict_ns;

    struct rte_mbuf *next; /* what buffer() has given out; NULL: nothing, or spare */
    struct rte_mbuf *out[PACKET_BURST];
    uint32_t queued;

    struct rte_mbuf *waiting[PACKET_BURST]; /* received, and not yet taken */
    struct packet packets[PACKET_BURST];    /* in them */
    uint32_t waits;
    struct rte_mbuf *given[PACKET_BURST]; /* taken: whole until the next receive */
    uint32_t gave;
    uint8_t spare[]; /* for a datagram that has no buffer, and is dropped */
};

static uint8_t *frame_of(const struct rte_mbuf *buffer)
{
    return rte_pktmbuf_mtod(buffer, uint8_t *);
}

/* ---- sending ---- */

static void ethdev_flush(struct packet_port *base)
{
    struct ethdev_port *port = (struct ethdev_port *)base;
    uint32_t sent = 0;
    for (uint32_t tries = 0; sent < port->queued && tries < SEND_TRIES; tries++)
        sent += rte_eth_tx_burst(port->device.port, 0, port->out + sent,
                                 (uint16_t)(port->queued - sent));
    base->counters.sent += sent;
    base->counters.dropped += port->queued - sent;
    if (sent < port->queued)
        rte_pktmbuf_free_bulk(port->out + sent, port->queued - sent);
    port->queued = 0;
}

static void enqueue(struct ethdev_port *port, struct rte_mbuf *buffer, size_t frame_bytes)
{
    buffer->data_len = (uint16_t)frame_bytes;
    buffer->pkt_len = (uint32_t)frame_bytes;
    buffer->ol_flags = 0; /* of one that was received */
    port->out[port->queued++] = buffer;
    if (port->queued == PACKET_BURST)
        ethdev_flush(&port->base);
}

static void ask(struct ethdev_port *port, struct in_addr address)
{
    struct rte_mbuf *buffer = rte_pktmbuf_alloc(port->device.pool);
    if (buffer)
        enqueue(port, buffer, arp_write_request(&port->arp, frame_of(buffer), address));
}

static uint8_t *ethdev_buffer(struct packet_port *base)
{
    struct ethdev_port *port = (struct ethdev_port *)base;
    if (!port->next)
        port->next = rte_pktmbuf_alloc(port->device.pool);
    return port->next ? frame_of(port->next) + frame_header_bytes(&port->own) : port->spare;
}

/* One to somebody whose MAC is not known yet is dropped: QUIC repeats it. */
static void ethdev_send(struct packet_port *base, size_t size_bytes, const struct sockaddr_in *to)
{
    struct ethdev_port *port = (struct ethdev_port *)base;
    struct in_addr unknown;
    const uint8_t *mac = arp_find(&port->arp, to->sin_addr, pst_monotonic_ns(), &unknown);
    if (unknown.s_addr != 0)
        ask(port, unknown);
    if (!mac || !port->next) {
        base->counters.dropped++;
        return;
    }
    struct rte_mbuf *buffer = port->next;
    port->next = NULL;
    enqueue(port, buffer, frame_write_datagram(&port->own, frame_of(buffer), mac, to, size_bytes));
}

/* ---- receiving ---- */

static void report_conflict(struct ethdev_port *port, const uint8_t *frame)
{
    char address[INET_ADDRSTRLEN];
    uint64_t now_ns = pst_monotonic_ns();
    const uint8_t *mac = frame + FRAME_MAC_BYTES;
    if (now_ns < port->next_conflict_ns)
        return;
    port->next_conflict_ns = now_ns + CONFLICT_NS;
    (void)inet_ntop(AF_INET, &port->own.address.sin_addr, address, sizeof(address));
    pst_log(PST_LOG_WARNING,
            "%s: %02x:%02x:%02x:%02x:%02x:%02x has this node's address, too: one of the two must "
            "have another",
            address, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* Whether the buffer has found another use. */
static bool use_arp(struct ethdev_port *port, struct rte_mbuf *buffer,
                    const struct frame_content *content)
{
    switch (arp_take(&port->arp, content, pst_monotonic_ns())) {
    case ARP_ASKED:
        enqueue(port, buffer, arp_write_answer(&port->arp, frame_of(buffer)));
        return true;
    case ARP_CONFLICT:
        report_conflict(port, frame_of(buffer));
        break;
    case ARP_NOTHING:
        break;
    }
    return false;
}

static bool use(struct ethdev_port *port, struct rte_mbuf *buffer)
{
    struct frame_content content;
    enum frame_kind kind = FRAME_FOREIGN;
    if (buffer->nb_segs == 1)
        kind = frame_read(&port->own, frame_of(buffer), buffer->data_len, &content);
    switch (kind) {
    case FRAME_DATAGRAM:
        port->waiting[port->waits] = buffer;
        port->packets[port->waits++] =
            (struct packet){content.bytes, content.size_bytes, content.from};
        return true;
    case FRAME_ARP:
        return use_arp(port, buffer, &content);
    case FRAME_ECHO:
        enqueue(port, buffer, frame_answer_echo(&port->own, frame_of(buffer)));
        return true;
    case FRAME_FOREIGN:
        break;
    }
    return false;
}

/* Nothing waits. What is not a datagram is dealt with at once. */
static void look(struct ethdev_port *port)
{
    struct rte_mbuf *buffers[PACKET_BURST];
    uint32_t count = rte_eth_rx_burst(port->device.port, 0, buffers, PACKET_BURST);
    for (uint32_t i = 0; i < count; i++) {
        if (!use(port, buffers[i]))
            rte_pktmbuf_free(buffers[i]);
    }
    port->base.counters.received += port->waits;
}

static int ethdev_receive(struct packet_port *base, struct packet *packets)
{
    struct ethdev_port *port = (struct ethdev_port *)base;
    rte_pktmbuf_free_bulk(port->given, port->gave);
    if (port->waits == 0)
        look(port);
    memcpy(packets, port->packets, port->waits * sizeof(*packets));
    memcpy(port->given, port->waiting, port->waits * sizeof(*port->given));
    port->gave = port->waits;
    port->waits = 0;
    return (int)port->gave;
}

/* ---- sleeping ---- */

static void ethdev_announce(struct packet_port *base)
{
    ethdev_sleep_announce(&((struct ethdev_port *)base)->sleep);
}

static bool ethdev_is_quiet(struct packet_port *base)
{
    struct ethdev_port *port = (struct ethdev_port *)base;
    if (port->waits == 0)
        look(port);
    ethdev_flush(base); /* answers */
    return port->waits == 0;
}

static void ethdev_cancel(struct packet_port *base)
{
    ethdev_sleep_cancel(&((struct ethdev_port *)base)->sleep);
}

/* ---- opening and closing ---- */

static void ethdev_close(struct packet_port *base)
{
    struct ethdev_port *port = (struct ethdev_port *)base;
    ethdev_flush(base);
    rte_pktmbuf_free_bulk(port->given, port->gave);
    rte_pktmbuf_free_bulk(port->waiting, port->waits);
    rte_pktmbuf_free(port->next);
    ethdev_sleep_close(&port->sleep);
    ethdev_device_close(&port->device);
    if (port->is_registered)
        rte_thread_unregister();
    if (port->holder >= 0)
        close(port->holder);
    free(port);
}

static const struct packet_port_ops ethdev_ops = {
    .receive = ethdev_receive,
    .buffer = ethdev_buffer,
    .send = ethdev_send,
    .flush = ethdev_flush,
    .announce = ethdev_announce,
    .is_quiet = ethdev_is_quiet,
    .cancel = ethdev_cancel,
    .close = ethdev_close,
};

static bool is_of_the_kernel(struct in_addr address)
{
    struct ifaddrs *all, *one;
    bool found = false;
    if (getifaddrs(&all) < 0)
        return false;
    for (one = all; one; one = one->ifa_next) {
        if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET) {
            const struct sockaddr_in *of_one = (const struct sockaddr_in *)(void *)one->ifa_addr;
            found |= of_one->sin_addr.s_addr == address.s_addr;
        }
    }
    freeifaddrs(all);
    return found;
}

int pst_packet_ethdev_check(const struct packet_ethdev_config *config, struct pst_eal_config *eal,
                            char *message, uint32_t message_bytes)
{
    struct ethdev_name name;
    char text[INET_ADDRSTRLEN];
    int error = ethdev_name_read(config->device, &name, message, message_bytes);
    if (!error)
        error = ethdev_name_check(&name, config->mtu_bytes, message, message_bytes);
    if (error)
        return error;
    bool is_pci = name.kind == ETHDEV_PCI;
    *eal =
        (struct pst_eal_config){.has_hugepages = is_pci, .pci_function = is_pci ? name.rest : NULL};
    if (!is_of_the_kernel(config->address.sin_addr))
        return 0;
    (void)inet_ntop(AF_INET, &config->address.sin_addr, text, sizeof(text));
    (void)snprintf(message, message_bytes,
                   "%s: the kernel has this address, and would answer in the node's name: take "
                   "it off the interface, or use udp",
                   text);
    return -EADDRNOTAVAIL;
}

/* What bind(2) is to others: one process of a host has the address. Nothing is received there. */
static int hold_address(struct ethdev_port *port, char *message, uint32_t message_bytes)
{
    const struct sockaddr_in *own = &port->own.address;
    char text[INET_ADDRSTRLEN];
    int yes = 1, error = 0;
    port->holder = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (port->holder < 0 ||
        setsockopt(port->holder, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes)) < 0 ||
        bind(port->holder, (const struct sockaddr *)own, sizeof(*own)) < 0)
        error = -errno;
    (void)inet_ntop(AF_INET, &own->sin_addr, text, sizeof(text));
    if (error)
        (void)snprintf(message, message_bytes, "cannot bind %s:%u: %s", text, ntohs(own->sin_port),
                       pst_error_text(error));
    return error;
}

static int open_sleep(struct ethdev_port *port, const struct packet_ethdev_config *config)
{
    bool is_virtual = port->device.virtual_name[0] != '\0';
    int error =
        port->sleep.fd >= 0 ? 0 : ethdev_sleep_open(&port->sleep, port->device.port, !is_virtual);
    if (port->sleep.way == ETHDEV_NAP)
        pst_log(PST_LOG_INFO,
                "%s: its driver has no interrupts: the node, asleep, looks for packets every %d ms",
                config->device, ETHDEV_NAP_NS / 1000000);
    port->base.fd = port->sleep.fd;
    return error;
}

/* In an order that ethdev_sleep.h asks for. */
static int open_device(struct ethdev_port *port, const struct packet_ethdev_config *config,
                       char *message, uint32_t message_bytes)
{
    struct ethdev_name name;
    int error = ethdev_name_read(config->device, &name, message, message_bytes);
    if (error)
        return error;
    port->is_registered = rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() == 0;
    if (name.kind == ETHDEV_AF_PACKET)
        error = ethdev_sleep_open_socket(&port->sleep, name.rest, config->address.sin_addr);
    if (error)
        (void)snprintf(message, message_bytes, "%s: cannot open a packet socket: %s",
                       config->device, pst_error_text(error));
    else
        error = ethdev_device_open(&port->device, config->device, config->mtu_bytes, message,
                                   message_bytes);
    if (!error && name.kind == ETHDEV_AF_PACKET)
        ethdev_filter_driver(name.rest, config->address.sin_addr);
    return error;
}

static int open_all(struct ethdev_port *port, const struct packet_ethdev_config *config,
                    char *message, uint32_t message_bytes)
{
    int error = hold_address(port, message, message_bytes);
    if (!error)
        error = open_device(port, config, message, message_bytes);
    if (error)
        return error;
    error = open_sleep(port, config);
    if (error)
        (void)snprintf(message, message_bytes, "%s: %s", config->device, pst_error_text(error));
    return error;
}

int pst_packet_ethdev_open(const struct packet_ethdev_config *config, struct packet_port **opened,
                           char *message, uint32_t message_bytes)
{
    struct pst_eal_config eal;
    int error = pst_packet_ethdev_check(config, &eal, message, message_bytes);
    if (error)
        return error;
    struct ethdev_port *port = calloc(1, sizeof(*port) + config->mtu_bytes);
    if (!port) {
        (void)snprintf(message, message_bytes, "out of memory");
        return -ENOMEM;
    }
    port->base = (struct packet_port){
        .ops = &ethdev_ops, .payload_bytes = config->mtu_bytes - HEADER_BYTES, .fd = -1};
    port->own.address = config->address;
    port->own.vlan = config->vlan;
    port->holder = port->sleep.fd = -1;
    error = open_all(port, config, message, message_bytes);
    if (error) {
        ethdev_close(&port->base);
        return error;
    }
    memcpy(port->own.mac, port->device.mac, sizeof(port->own.mac));
    arp_open(&port->arp, &port->own, config->prefix_bits, config->gateway);
    ask(port, config->address.sin_addr); /* whoever knew another MAC of this address */
    ethdev_flush(&port->base);
    *opened = &port->base;
    return 0;
}
