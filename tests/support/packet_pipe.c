/* Ports in memory. Called by the quic fabric of tests, and by tests, on their one thread. */
#include "tests/support/packet_pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE 128u

struct datagram {
    struct sockaddr_in from;
    size_t size_bytes;
    uint8_t bytes[PACKET_PIPE_BYTES];
};

struct pipe_port {
    struct packet_port base;
    struct sockaddr_in address;
    uint64_t put, taken; /* datagrams */
    struct datagram queue[QUEUE];
    uint8_t out[PACKET_PIPE_BYTES];
};

bool (*packet_pipe_filter)(const struct sockaddr_in *from, const struct sockaddr_in *to,
                           uint8_t *bytes, size_t size_bytes);

static struct pipe_port *ports[PACKET_PIPE_PORTS];

static bool is_same(const struct sockaddr_in *left, const struct sockaddr_in *right)
{
    return left->sin_addr.s_addr == right->sin_addr.s_addr && left->sin_port == right->sin_port;
}

static struct pipe_port *port_at(const struct sockaddr_in *address)
{
    for (uint32_t i = 0; i < PACKET_PIPE_PORTS; i++) {
        if (ports[i] && is_same(&ports[i]->address, address))
            return ports[i];
    }
    return NULL;
}

void packet_pipe_put(const struct sockaddr_in *from, const struct sockaddr_in *to,
                     const uint8_t *bytes, size_t size_bytes)
{
    struct pipe_port *port = port_at(to);
    if (!port || port->put - port->taken == QUEUE || size_bytes > PACKET_PIPE_BYTES)
        return;
    struct datagram *datagram = &port->queue[port->put++ % QUEUE];
    datagram->from = *from;
    datagram->size_bytes = size_bytes;
    memcpy(datagram->bytes, bytes, size_bytes);
    (void)eventfd_write(port->base.fd, 1);
}

/* What is taken lies where it was put: nothing is put while its receiver looks at it. */
static int pipe_receive(struct packet_port *base, struct packet *packets)
{
    struct pipe_port *port = (struct pipe_port *)base;
    eventfd_t count;
    int taken = 0;
    (void)eventfd_read(base->fd, &count);
    while (taken < (int)PACKET_BURST && port->taken != port->put) {
        const struct datagram *datagram = &port->queue[port->taken++ % QUEUE];
        packets[taken++] = (struct packet){datagram->bytes, datagram->size_bytes, datagram->from};
    }
    return taken;
}

static uint8_t *pipe_buffer(struct packet_port *base)
{
    return ((struct pipe_port *)base)->out;
}

static void pipe_send(struct packet_port *base, size_t size_bytes, const struct sockaddr_in *to)
{
    struct pipe_port *port = (struct pipe_port *)base;
    if (!packet_pipe_filter || packet_pipe_filter(&port->address, to, port->out, size_bytes))
        packet_pipe_put(&port->address, to, port->out, size_bytes);
}

static void pipe_nothing(struct packet_port *base)
{
    (void)base;
}

static bool pipe_is_quiet(struct packet_port *base)
{
    const struct pipe_port *port = (const struct pipe_port *)base;
    return port->put == port->taken;
}

static void pipe_close(struct packet_port *base)
{
    for (uint32_t i = 0; i < PACKET_PIPE_PORTS; i++) {
        if (ports[i] == (struct pipe_port *)base)
            ports[i] = NULL;
    }
    close(base->fd);
    free(base);
}

static const struct packet_port_ops pipe_ops = {
    .receive = pipe_receive,
    .buffer = pipe_buffer,
    .send = pipe_send,
    .flush = pipe_nothing,
    .announce = pipe_nothing,
    .is_quiet = pipe_is_quiet,
    .cancel = pipe_nothing,
    .close = pipe_close,
};

int __wrap_pst_packet_udp_open(const struct sockaddr_in *address, uint32_t mtu_bytes,
                               struct packet_port **opened);

int __wrap_pst_packet_udp_open(const struct sockaddr_in *address, uint32_t mtu_bytes,
                               struct packet_port **opened)
{
    uint32_t place = 0;
    while (place < PACKET_PIPE_PORTS && ports[place])
        place++;
    if (place == PACKET_PIPE_PORTS || port_at(address))
        return -EADDRINUSE;
    struct pipe_port *port = calloc(1, sizeof(*port));
    if (!port)
        return -ENOMEM;
    port->address = *address;
    port->base = (struct packet_port){.ops = &pipe_ops,
                                      .payload_bytes = mtu_bytes - 28,
                                      .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (port->base.fd < 0)
        abort();
    ports[place] = port;
    *opened = &port->base;
    return 0;
}
