/*
 * What the kernel has as ends of forward.c without connections: UDP, and Ethernet frames with
 * nothing on top. Called on the main thread of each process.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/ends.h"
#include "bench/fan_out.h"

#define PORT 7421u
#define ETHER_TYPE                                                                                 \
    0xf000u /* and the node that the frame is for: the kernel finds its socket by it */

/* One socket, as the quic fabric has; up to so many signals a datagram or frame. */
#define DATAGRAM_SIGNALS 11u
#define DATAGRAMS 3u

union address {
    struct sockaddr any;
    struct sockaddr_in udp;
    struct sockaddr_ll frame;
};

struct datagram_end {
    int fd;
    bool is_open; /* names are not for the caller any more */
    socklen_t address_bytes;
    union address addresses[ENDS_NODES_MAX + 1];
    struct mmsghdr headers[DATAGRAMS];
    struct iovec parts[DATAGRAMS];
};

static uint32_t datagram_take(void *argument, struct pst_signal *signals)
{
    struct datagram_end *end = argument;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < DATAGRAMS; i++) {
        end->parts[i] =
            (struct iovec){signals + i * DATAGRAM_SIGNALS, DATAGRAM_SIGNALS * sizeof(*signals)};
        end->headers[i].msg_hdr = (struct msghdr){.msg_iov = &end->parts[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(end->fd, end->headers, DATAGRAMS, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        const struct pst_signal *from = end->parts[i].iov_base;
        uint32_t some = end->headers[i].msg_len / (uint32_t)sizeof(*signals);
        if (from->gsn == 0 && end->is_open)
            continue;
        memmove(signals + taken, from, some * sizeof(*signals));
        taken += some;
    }
    return taken;
}

static uint32_t datagram_put(void *argument, uint32_t node, const struct pst_signal *signals,
                             uint32_t count)
{
    struct datagram_end *end = argument;
    uint32_t datagrams = 0, put = 0;
    for (; datagrams < DATAGRAMS && put < count; datagrams++) {
        uint32_t some = count - put < DATAGRAM_SIGNALS ? count - put : DATAGRAM_SIGNALS;
        end->parts[datagrams] =
            (struct iovec){(void *)(uintptr_t)(signals + put), some * sizeof(*signals)};
        end->headers[datagrams].msg_hdr = (struct msghdr){.msg_name = &end->addresses[node],
                                                          .msg_namelen = end->address_bytes,
                                                          .msg_iov = &end->parts[datagrams],
                                                          .msg_iovlen = 1};
        put += some;
    }
    bench_must(sendmmsg(end->fd, end->headers, datagrams, 0) == (int)datagrams, "a datagram");
    return put;
}

static void datagram_sleep(void *argument)
{
    struct pollfd readable = {.fd = ((struct datagram_end *)argument)->fd, .events = POLLIN};
    (void)poll(&readable, 1, -1);
}

static void datagram_close(void *argument)
{
    struct datagram_end *end = argument;
    close(end->fd);
    free(end);
}

/* One datagram with a name; 0: there is none. What follows is not read yet. */
static uint32_t read_name(const struct datagram_end *end)
{
    struct pst_signal name;
    ssize_t bytes = recv(end->fd, &name, sizeof(name), MSG_DONTWAIT);
    return bytes == (ssize_t)sizeof(name) ? name.sequence : 0;
}

/* A hub says that it is there until it hears the same of node 1. */
static void datagram_meet(struct datagram_end *end, uint32_t node, uint32_t nodes)
{
    const struct pst_signal name = {.sequence = node};
    bool is_there[ENDS_NODES_MAX + 1] = {false};
    for (uint32_t there = 0; there < (node == 1 ? nodes - 1 : 1);) {
        if (node != 1)
            (void)datagram_put(end, 1, &name, 1);
        (void)usleep(1000);
        uint32_t other = read_name(end);
        if (other == 0)
            continue;
        there += !is_there[other];
        is_there[other] = true;
        if (node == 1)
            (void)datagram_put(end, other, &name, 1);
    }
    end->is_open = true;
}

static struct datagram_end *make(int family, int protocol, socklen_t address_bytes)
{
    struct datagram_end *end = calloc(1, sizeof(*end));
    bench_must(end, "memory");
    end->address_bytes = address_bytes;
    end->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, protocol);
    bench_must(end->fd >= 0, "socket");
    return end;
}

static void *meet(struct datagram_end *end, const struct ends_place *place, uint32_t node)
{
    bench_must(bind(end->fd, &end->addresses[node].any, end->address_bytes) == 0, "bind");
    datagram_meet(end, node, place->nodes);
    return end;
}

static void *udp_open(const struct ends_place *place, uint32_t node)
{
    struct datagram_end *end = make(AF_INET, 0, sizeof(struct sockaddr_in));
    for (uint32_t other = 1; other <= place->nodes; other++)
        end->addresses[other].udp = ends_address(place, other, PORT);
    return meet(end, place, node);
}

/* Past the queueing discipline, as packet_ethdev.c does. */
static void *raw_open(const struct ends_place *place, uint32_t node)
{
    int yes = 1;
    struct datagram_end *end = make(AF_PACKET, 0, sizeof(struct sockaddr_ll));
    unsigned interface = if_nametoindex(place->interfaces[node != 1]);
    bench_must(interface > 0, place->interfaces[node != 1]);
    for (uint32_t other = 1; other <= place->nodes; other++) {
        struct sockaddr_ll *address = &end->addresses[other].frame;
        *address = (struct sockaddr_ll){.sll_family = AF_PACKET,
                                        .sll_protocol = htons((uint16_t)(ETHER_TYPE + other)),
                                        .sll_ifindex = (int)interface,
                                        .sll_halen = ETH_ALEN};
        memset(address->sll_addr, 0xff, ETH_ALEN);
    }
    bench_must(setsockopt(end->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof(yes)) == 0 &&
                   setsockopt(end->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)) == 0,
               "a packet socket");
    return meet(end, place, node);
}

const struct end_kind end_udp = {"udp",        udp_open,       datagram_take,
                                 datagram_put, datagram_sleep, datagram_close};
const struct end_kind end_raw = {"raw",        raw_open,       datagram_take,
                                 datagram_put, datagram_sleep, datagram_close};
