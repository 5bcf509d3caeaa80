/*
 * Datagrams through a UDP socket of the kernel: a burst is one system call either way. The hub's
 * thread, from quic_fabric.c, quic_link.c and quic_door.c.
 */
#include "net/packet/packet_udp.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES 28u /* of IPv4 and UDP */

/* Bursts of all peers may wait while the hub does something else; the kernel allows what
 * net.core.rmem_max says, at most. */
#define SOCKET_BYTES (4 << 20)

struct direction {
    struct mmsghdr headers[PACKET_BURST];
    struct iovec parts[PACKET_BURST];
    struct sockaddr_in addresses[PACKET_BURST];
    uint8_t *bytes; /* PACKET_BURST times payload_bytes */
};

struct udp_port {
    struct packet_port base;
    struct direction in, out;
    uint32_t queued; /* datagrams to be sent */
};

static int udp_receive(struct packet_port *base, struct packet *packets)
{
    struct udp_port *port = (struct udp_port *)base;
    for (uint32_t i = 0; i < PACKET_BURST; i++)
        port->in.headers[i].msg_hdr.msg_namelen = sizeof(port->in.addresses[i]);
    int count = recvmmsg(base->fd, port->in.headers, PACKET_BURST, MSG_DONTWAIT, NULL);
    if (count < 0) /* nothing has come, or one that was sent has not arrived */
        return 0;
    int whole = 0;
    for (int i = 0; i < count; i++) {
        const struct msghdr *header = &port->in.headers[i].msg_hdr;
        if (header->msg_flags & MSG_TRUNC || header->msg_namelen != sizeof(struct sockaddr_in))
            continue;
        packets[whole].bytes = port->in.parts[i].iov_base;
        packets[whole].size_bytes = port->in.headers[i].msg_len;
        packets[whole++].from = port->in.addresses[i];
    }
    base->counters.received += (uint32_t)whole;
    return whole;
}

static uint8_t *udp_buffer(struct packet_port *base)
{
    struct udp_port *port = (struct udp_port *)base;
    return port->out.bytes + (size_t)port->queued * base->payload_bytes;
}

static void udp_flush(struct packet_port *base)
{
    struct udp_port *port = (struct udp_port *)base;
    uint32_t sent = 0;
    while (sent < port->queued) {
        int count = sendmmsg(base->fd, port->out.headers + sent, port->queued - sent, MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
            break;
        if (count < 0 && errno == EINTR)
            continue;
        base->counters.sent += count > 0 ? (uint32_t)count : 0;
        base->counters.dropped += count > 0 ? 0 : 1; /* no way to that host: on to the next */
        sent += count > 0 ? (uint32_t)count : 1;
    }
    base->counters.dropped += port->queued - sent;
    port->queued = 0;
}

static void udp_send(struct packet_port *base, size_t size_bytes, const struct sockaddr_in *to)
{
    struct udp_port *port = (struct udp_port *)base;
    port->out.parts[port->queued].iov_len = size_bytes;
    port->out.addresses[port->queued] = *to;
    if (++port->queued == PACKET_BURST)
        udp_flush(base);
}

static void udp_nothing(struct packet_port *base)
{
    (void)base; /* the socket is readable, asleep or not */
}

static bool udp_is_quiet(struct packet_port *base)
{
    struct pollfd readable = {.fd = base->fd, .events = POLLIN};
    return poll(&readable, 1, 0) == 0;
}

static void udp_close(struct packet_port *base)
{
    struct udp_port *port = (struct udp_port *)base;
    udp_flush(base);
    if (base->fd >= 0)
        close(base->fd);
    free(port->in.bytes);
    free(port->out.bytes);
    free(port);
}

static const struct packet_port_ops udp_ops = {
    .receive = udp_receive,
    .buffer = udp_buffer,
    .send = udp_send,
    .flush = udp_flush,
    .announce = udp_nothing,
    .is_quiet = udp_is_quiet,
    .cancel = udp_nothing,
    .close = udp_close,
};

static int prepare(struct direction *direction, uint32_t payload_bytes)
{
    direction->bytes = calloc(PACKET_BURST, payload_bytes);
    if (!direction->bytes)
        return -ENOMEM;
    for (uint32_t i = 0; i < PACKET_BURST; i++) {
        direction->parts[i] =
            (struct iovec){direction->bytes + (size_t)i * payload_bytes, payload_bytes};
        direction->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &direction->addresses[i],
            .msg_namelen = sizeof(direction->addresses[i]),
            .msg_iov = &direction->parts[i],
            .msg_iovlen = 1,
        };
    }
    return 0;
}

static int open_socket(struct udp_port *port, const struct sockaddr_in *address)
{
    int whole = IP_PMTUDISC_PROBE, bytes = SOCKET_BYTES;
    port->base.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (port->base.fd < 0)
        return -errno;
    (void)setsockopt(port->base.fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    (void)setsockopt(port->base.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    if (setsockopt(port->base.fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof(whole)) < 0 ||
        bind(port->base.fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return -errno;
    return 0;
}

int pst_packet_udp_open(const struct sockaddr_in *address, uint32_t mtu_bytes,
                        struct packet_port **opened)
{
    struct udp_port *port = calloc(1, sizeof(*port));
    if (!port)
        return -ENOMEM;
    port->base =
        (struct packet_port){.ops = &udp_ops, .payload_bytes = mtu_bytes - HEADER_BYTES, .fd = -1};
    int error = prepare(&port->in, port->base.payload_bytes);
    if (!error)
        error = prepare(&port->out, port->base.payload_bytes);
    if (!error)
        error = open_socket(port, address);
    if (error) {
        udp_close(&port->base);
        return error;
    }
    *opened = &port->base;
    return 0;
}
