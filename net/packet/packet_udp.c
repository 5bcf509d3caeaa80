/*
 * Datagrams through a UDP socket of the kernel: a burst is one system call either way, and one
 * datagram is the cheapest that there is. Where the
 * kernel can, datagrams of one size for one peer go through its network as one message
 * (UDP_SEGMENT, UDP_GRO), which costs it what one datagram costs. The hub's thread, from
 * quic_fabric.c, quic_link.c and quic_door.c.
 */
#include "net/packet/packet_udp.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES 28u /* of IPv4 and UDP */

/* Bursts of all peers may wait while the hub does something else; the kernel allows what
 * net.core.rmem_max says, at most. */
#define SOCKET_BYTES (4 << 20)

/* Of an IPv4 packet without its headers: what a message carries, cut or not. */
#define MESSAGE_BYTES (65535u - HEADER_BYTES)

/* From one message that is received to the next: not a power of two, so that their first lines
 * find a place in the cache side by side. */
#define STRIDE_BYTES (65536u + 320u)

/* One or more datagrams, of segment_bytes each, but for the last one, which may be shorter. */
struct message {
    struct iovec part;
    struct sockaddr_in address;
    size_t segment_bytes;
    uint32_t datagrams; /* out */
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control; /* says segment_bytes */
};

struct direction {
    struct mmsghdr headers[PACKET_BURST];
    struct message messages[PACKET_BURST];
    uint8_t *bytes;
};

struct udp_port {
    struct packet_port base;
    struct direction in, out;
    uint32_t came, taken; /* messages received; of them wholly handed out */
    size_t taken_bytes;   /* of the next one */
    bool merges;          /* the kernel cuts messages into datagrams */
    uint32_t waiting;     /* messages to be sent */
    uint32_t queued;      /* likewise, datagrams */
    size_t queued_bytes;
};

/* ---- receiving ---- */

/* How long the datagrams of a message are that the kernel has put together. */
static size_t segment_bytes_of(struct msghdr *header, size_t message_bytes)
{
    int bytes = 0;
    const struct cmsghdr *control = CMSG_FIRSTHDR(header);
    if (control && control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO)
        memcpy(&bytes, CMSG_DATA(control), sizeof(bytes));
    return bytes > 0 ? (size_t)bytes : message_bytes;
}

/* After nothing one alone: an answer to it need not wait until the kernel has found no other. */
static void take_messages(struct udp_port *port)
{
    for (uint32_t i = 0; i < port->came; i++) {
        port->in.headers[i].msg_hdr.msg_namelen = sizeof(port->in.messages[i].address);
        port->in.headers[i].msg_hdr.msg_controllen = sizeof(port->in.messages[i].control);
    }
    uint32_t wanted = port->came > 0 ? PACKET_BURST : 1;
    int count = recvmmsg(port->base.fd, port->in.headers, wanted, MSG_DONTWAIT, NULL);
    port->came = count > 0 ? (uint32_t)count : 0; /* or one that was sent has not arrived */
    port->taken = 0;
    port->base.has_more = wanted == 1 && port->came == 1;
    for (uint32_t i = 0; i < port->came; i++) {
        struct mmsghdr *header = &port->in.headers[i];
        if (header->msg_hdr.msg_flags & MSG_TRUNC ||
            header->msg_hdr.msg_namelen != sizeof(struct sockaddr_in))
            header->msg_len = 0;
        port->in.messages[i].segment_bytes = segment_bytes_of(&header->msg_hdr, header->msg_len);
    }
}

/* The next datagram of a message that is not wholly handed out. */
static struct packet take_datagram(struct udp_port *port)
{
    const struct message *message = &port->in.messages[port->taken];
    size_t left = port->in.headers[port->taken].msg_len - port->taken_bytes;
    struct packet packet = {
        .bytes = (const uint8_t *)message->part.iov_base + port->taken_bytes,
        .size_bytes = left < message->segment_bytes ? left : message->segment_bytes,
        .from = message->address,
    };
    port->taken_bytes += packet.size_bytes;
    return packet;
}

static int udp_receive(struct packet_port *base, struct packet *packets)
{
    struct udp_port *port = (struct udp_port *)base;
    int count = 0;
    if (port->taken == port->came)
        take_messages(port);
    while (count < (int)PACKET_BURST && port->taken < port->came) {
        if (port->taken_bytes < port->in.headers[port->taken].msg_len)
            packets[count++] = take_datagram(port);
        if (port->taken_bytes < port->in.headers[port->taken].msg_len)
            continue;
        port->taken_bytes = 0;
        port->taken++;
    }
    base->counters.received += (uint32_t)count;
    return count;
}

/* ---- sending ---- */

static uint8_t *udp_buffer(struct packet_port *base)
{
    struct udp_port *port = (struct udp_port *)base;
    return port->out.bytes + port->queued_bytes;
}

/* The first one that waits is refused. A network that cannot cut messages gets none any more; this
 * one is lost, and QUIC repeats it. Else there is no way to that host. */
static uint32_t refuse(struct udp_port *port, uint32_t sent, int error)
{
    if (port->out.messages[sent].datagrams > 1 && (error == EIO || error == EINVAL))
        port->merges = false;
    return sent + 1;
}

/* Messages from this one on. Returns how many went, or -1 with errno: this one did not. */
static int transmit(struct udp_port *port, uint32_t from)
{
    const struct message *first = &port->out.messages[from];
    if (port->waiting - from > 1 || first->datagrams > 1)
        return sendmmsg(port->base.fd, port->out.headers + from, port->waiting - from,
                        MSG_DONTWAIT);
    ssize_t bytes = sendto(port->base.fd, first->part.iov_base, first->part.iov_len, MSG_DONTWAIT,
                           (const struct sockaddr *)&first->address, sizeof(first->address));
    return bytes < 0 ? -1 : 1;
}

static void udp_flush(struct packet_port *base)
{
    struct udp_port *port = (struct udp_port *)base;
    uint32_t sent = 0, datagrams = 0;
    while (sent < port->waiting) {
        int count = transmit(port, sent);
        if (count < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
            break;
        if (count < 0 && errno != EINTR)
            sent = refuse(port, sent, errno);
        for (; count > 0; count--)
            datagrams += port->out.messages[sent++].datagrams;
    }
    base->counters.sent += datagrams;
    base->counters.dropped += port->queued - datagrams;
    port->waiting = port->queued = 0;
    port->queued_bytes = 0;
}

/* Whether a datagram can go with the message before it. */
static bool can_join(const struct udp_port *port, const struct message *last, size_t size_bytes,
                     const struct sockaddr_in *to)
{
    return port->merges && size_bytes <= last->segment_bytes &&
           last->part.iov_len == last->datagrams * last->segment_bytes &&
           last->part.iov_len + size_bytes <= MESSAGE_BYTES &&
           last->address.sin_addr.s_addr == to->sin_addr.s_addr &&
           last->address.sin_port == to->sin_port;
}

static void begin_message(struct udp_port *port, size_t size_bytes, const struct sockaddr_in *to)
{
    struct message *message = &port->out.messages[port->waiting];
    port->out.headers[port->waiting++].msg_hdr.msg_controllen = 0;
    message->part = (struct iovec){port->out.bytes + port->queued_bytes, size_bytes};
    message->address = *to;
    message->segment_bytes = size_bytes;
    message->datagrams = 1;
}

static void join_message(struct udp_port *port, struct message *last, size_t size_bytes)
{
    uint16_t segment_bytes = (uint16_t)last->segment_bytes;
    struct msghdr *header = &port->out.headers[port->waiting - 1].msg_hdr;
    last->part.iov_len += size_bytes;
    last->datagrams++;
    last->control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(segment_bytes)),
                                            .cmsg_level = SOL_UDP,
                                            .cmsg_type = UDP_SEGMENT};
    memcpy(CMSG_DATA(&last->control.header), &segment_bytes, sizeof(segment_bytes));
    header->msg_controllen = CMSG_SPACE(sizeof(segment_bytes));
}

static void udp_send(struct packet_port *base, size_t size_bytes, const struct sockaddr_in *to)
{
    struct udp_port *port = (struct udp_port *)base;
    struct message *last = port->waiting > 0 ? &port->out.messages[port->waiting - 1] : NULL;
    if (last && can_join(port, last, size_bytes, to))
        join_message(port, last, size_bytes);
    else
        begin_message(port, size_bytes, to);
    port->queued_bytes += size_bytes;
    if (++port->queued == PACKET_BURST)
        udp_flush(base);
}

/* ---- sleeping ---- */

static void udp_nothing(struct packet_port *base)
{
    (void)base; /* the socket is readable, asleep or not */
}

static bool udp_is_quiet(struct packet_port *base)
{
    const struct udp_port *port = (const struct udp_port *)base;
    struct pollfd readable = {.fd = base->fd, .events = POLLIN};
    return port->taken == port->came && poll(&readable, 1, 0) == 0;
}

/* ---- opening and closing ---- */

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

/* size_bytes: of all messages; stride_bytes: from one to the next, where they have places. */
static int prepare(struct direction *direction, size_t size_bytes, size_t stride_bytes)
{
    direction->bytes = calloc(1, size_bytes);
    if (!direction->bytes)
        return -ENOMEM;
    for (uint32_t i = 0; i < PACKET_BURST; i++) {
        struct message *message = &direction->messages[i];
        message->part = (struct iovec){direction->bytes + i * stride_bytes, stride_bytes};
        direction->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &message->address,
            .msg_namelen = sizeof(message->address),
            .msg_iov = &message->part,
            .msg_iovlen = 1,
            .msg_control = &message->control,
            .msg_controllen = sizeof(message->control),
        };
    }
    return 0;
}

static int open_socket(struct udp_port *port, const struct sockaddr_in *address)
{
    int whole = IP_PMTUDISC_PROBE, bytes = SOCKET_BYTES, yes = 1;
    port->base.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (port->base.fd < 0)
        return -errno;
    (void)setsockopt(port->base.fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    (void)setsockopt(port->base.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    (void)setsockopt(port->base.fd, SOL_UDP, UDP_GRO, &yes, sizeof(yes)); /* since Linux 5.0 */
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
    port->merges = true;
    int error = prepare(&port->in, PACKET_BURST * (size_t)STRIDE_BYTES, STRIDE_BYTES);
    if (!error)
        error = prepare(&port->out, PACKET_BURST * (size_t)port->base.payload_bytes, 0);
    if (!error)
        error = open_socket(port, address);
    if (error) {
        udp_close(&port->base);
        return error;
    }
    *opened = &port->base;
    return 0;
}
