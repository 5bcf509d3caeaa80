/*
 * injector SECONDS SEED RATE WHAT PORT…: an attacker on a switch, in its network namespace. PORT:
 * the switch's ends of the cables. Captures the datagrams of port 7420 between the hosts and, until
 * the time is over, sends RATE frames a second, in shuffled order of what WHAT has, letters of:
 *
 *     r  a captured frame, at once or later          c  cut short
 *     f  a bit of it flipped, anywhere behind the    a  with another member's or a stranger's
 * address Ethernet header, its checksums made right   j  random bytes behind its connection id s  a
 * stateless reset with a made-up token      v  Version Negotiation, Retry with a made-up tag i  an
 * Initial with no token, from a member's   h  an Initial that closes the handshake, sealed address
 * or a stranger's                        as anybody can
 *
 * A line for each at the end: how many. Exit 77: no raw sockets here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/support/quic_seal.h"

#define PORTS_MAX 8
#define KEPT 4096u
#define FRAME_BYTES 1600u
#define UDP_PORT 7420
#define HEADERS (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct udphdr))
#define PAYLOAD_BYTES_MAX 1472u
#define CID_BYTES 8u
#define LINK_CID_AT 1u /* in a short header */
#define LONG_CID_AT 6u

struct frame {
    int port; /* that leads to its receiver */
    size_t bytes;
    uint8_t data[FRAME_BYTES];
};

static struct {
    int fd;
    uint8_t address[ETH_ALEN]; /* of the host behind it; zeros: not seen yet */
} ports[PORTS_MAX];
static int ports_count;
static struct frame kept[KEPT];
static uint64_t captured;
static uint64_t state;
static uint64_t sent[256];

static uint64_t draw(void) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void fill(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)draw();
}

static uint64_t now_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* ---- the parts of a frame ---- */

static struct iphdr *ip_of(struct frame *frame)
{
    return (struct iphdr *)(frame->data + sizeof(struct ethhdr));
}

static struct udphdr *udp_of(struct frame *frame)
{
    return (struct udphdr *)(frame->data + sizeof(struct ethhdr) + sizeof(struct iphdr));
}

static uint8_t *payload_of(struct frame *frame)
{
    return frame->data + HEADERS;
}

static size_t payload_bytes(const struct frame *frame)
{
    return frame->bytes - HEADERS;
}

static uint16_t ip_checksum(const struct iphdr *ip)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < sizeof(*ip) / 2; i++) {
        uint16_t word;
        memcpy(&word, (const uint8_t *)ip + 2 * i, sizeof(word));
        sum += word;
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* So that the kernel takes it: UDP has no checksum, where it is 0. */
static void make_right(struct frame *frame)
{
    struct iphdr *ip = ip_of(frame);
    struct udphdr *udp = udp_of(frame);
    udp->check = 0;
    ip->check = 0;
    ip->check = ip_checksum(ip);
}

static void resize(struct frame *frame, size_t payload)
{
    frame->bytes = HEADERS + payload;
    ip_of(frame)->tot_len = htons((uint16_t)(frame->bytes - sizeof(struct ethhdr)));
    udp_of(frame)->len = htons((uint16_t)(sizeof(struct udphdr) + payload));
}

static void send_frame(const struct frame *frame)
{
    while (send(ports[frame->port].fd, frame->data, frame->bytes, 0) < 0 &&
           (errno == EINTR || errno == ENOBUFS))
        ;
}

/* ---- what is done to a frame ---- */

static void flip(struct frame *frame)
{
    size_t at = sizeof(struct ethhdr) + draw() % (frame->bytes - sizeof(struct ethhdr));
    frame->data[at] ^= (uint8_t)(1u << draw() % 8);
    if (draw() % 4 != 0) /* else what no network card lets through */
        make_right(frame);
}

static void cut(struct frame *frame)
{
    resize(frame, draw() % (payload_bytes(frame) + 1));
    make_right(frame);
}

static void change_sender(struct frame *frame)
{
    struct iphdr *ip = ip_of(frame);
    ip->saddr = htonl((ntohl(ip->saddr) & ~255u) |
                      (1 + (uint32_t)(draw() % 5))); /* 4 and 5 are strangers' */
    if (draw() % 4 == 0)
        udp_of(frame)->source = htons((uint16_t)draw());
    make_right(frame);
}

static bool is_long(struct frame *frame)
{
    return payload_of(frame)[0] & 0x80;
}

static void garble(struct frame *frame)
{
    size_t keep = is_long(frame) ? LONG_CID_AT + CID_BYTES : LINK_CID_AT + CID_BYTES;
    if (payload_bytes(frame) > keep)
        fill(payload_of(frame) + keep, payload_bytes(frame) - keep);
    make_right(frame);
}

/* Noise, and a token. */
static void reset(struct frame *frame)
{
    resize(frame, 21 + draw() % 60);
    fill(payload_of(frame), payload_bytes(frame));
    payload_of(frame)[0] = (uint8_t)(0x40 | (payload_of(frame)[0] & 0x3f));
    make_right(frame);
}

/* A server's answers to a client: its connection id is in what it has sent last; if that is not
 * known any. */
static void answer(struct frame *frame)
{
    uint8_t *payload = payload_of(frame), cid[CID_BYTES];
    memcpy(cid, payload + (is_long(frame) ? LONG_CID_AT : LINK_CID_AT), sizeof(cid));
    resize(frame, 60 + draw() % 40);
    fill(payload, payload_bytes(frame));
    bool is_retry = draw() % 2;
    payload[0] = (uint8_t)((is_retry ? 0xf0 : 0x80) | (payload[0] & 0x0f));
    memcpy(payload + 1, (uint8_t[]){0, 0, 0, is_retry, CID_BYTES}, 5);
    memcpy(payload + LONG_CID_AT, cid, sizeof(cid));
    payload[LONG_CID_AT + CID_BYTES] = CID_BYTES;
    make_right(frame);
}

static void seal(struct frame *frame, bool closes)
{
    static const uint8_t close[] = {0x1c, 0, 0, 0}; /* CONNECTION_CLOSE, no error, no reason */
    struct quic_seal sealed = {.number = (uint32_t)draw() % 8};
    fill(sealed.to, sizeof(sealed.to));
    fill(sealed.from, sizeof(sealed.from));
    if (closes && is_long(frame))
        memcpy(sealed.to, payload_of(frame) + LONG_CID_AT, CID_BYTES);
    resize(frame, quic_seal_initial(&sealed, close, closes ? sizeof(close) : 0, payload_of(frame)));
    if (draw() % 2)
        change_sender(frame);
    make_right(frame);
}

/* ---- the switch ---- */

static void open_port(const char *name)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (fd < 0 && (errno == EPERM || errno == EAFNOSUPPORT))
        exit(77);
    address.sll_ifindex = (int)if_nametoindex(name);
    if (fd < 0 || address.sll_ifindex == 0 || ports_count == PORTS_MAX ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        perror(name);
        exit(1);
    }
    ports[ports_count++].fd = fd;
}

static int port_of(const uint8_t *address)
{
    for (int i = 0; i < ports_count; i++) {
        if (memcmp(ports[i].address, address, ETH_ALEN) == 0)
            return i;
    }
    return -1;
}

static void keep(int port, const uint8_t *data, size_t bytes)
{
    const struct ethhdr *ethernet = (const struct ethhdr *)data;
    const struct iphdr *ip = (const struct iphdr *)(data + sizeof(*ethernet));
    const struct udphdr *udp = (const struct udphdr *)(ip + 1);
    memcpy(ports[port].address, ethernet->h_source, ETH_ALEN);
    int to = port_of(ethernet->h_dest);
    if (bytes < HEADERS + 1 || ethernet->h_proto != htons(ETH_P_IP) || to < 0 ||
        ip->protocol != IPPROTO_UDP || udp->dest != htons(UDP_PORT))
        return;
    uint64_t place = captured < KEPT ? captured : draw() % KEPT;
    kept[place].port = to;
    kept[place].bytes = bytes;
    memcpy(kept[place].data, data, bytes);
    make_right(&kept[place]); /* between virtual cables checksums are left to be computed */
    captured++;
}

static void capture(void)
{
    for (int i = 0; i < ports_count; i++) {
        struct sockaddr_ll from;
        socklen_t from_bytes = sizeof(from);
        uint8_t data[FRAME_BYTES];
        ssize_t bytes;
        while ((bytes = recvfrom(ports[i].fd, data, sizeof(data), MSG_TRUNC,
                                 (struct sockaddr *)&from, &from_bytes)) > 0) {
            if (from.sll_pkttype != PACKET_OUTGOING && (size_t)bytes <= sizeof(data))
                keep(i, data, (size_t)bytes);
            from_bytes = sizeof(from);
        }
    }
}

static void attack(char what)
{
    struct frame frame = kept[draw() % (captured < KEPT ? captured : KEPT)];
    switch (what) {
    case 'f':
        flip(&frame);
        break;
    case 'c':
        cut(&frame);
        break;
    case 'a':
        change_sender(&frame);
        break;
    case 'j':
        garble(&frame);
        break;
    case 's':
        reset(&frame);
        break;
    case 'v':
        answer(&frame);
        break;
    case 'i':
        seal(&frame, false);
        break;
    case 'h':
        seal(&frame, true);
        break;
    default:
        break;
    }
    send_frame(&frame);
    sent[(uint8_t)what]++;
}

int main(int argc, char **argv)
{
    if (argc < 6 || strspn(argv[4], "rfcajsvih") != strlen(argv[4]) || !argv[4][0]) {
        (void)fprintf(stderr, "usage: %s SECONDS SEED RATE [rfcajsvih]+ PORT...\n", argv[0]);
        return 2;
    }
    uint64_t rate = strtoull(argv[3], NULL, 10), begun_ns = now_ns(), frames = 0;
    uint64_t end_ns = begun_ns + (uint64_t)(strtod(argv[1], NULL) * 1e9);
    state = strtoull(argv[2], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 5; i < argc; i++)
        open_port(argv[i]);
    for (uint64_t time_ns = begun_ns; time_ns < end_ns; time_ns = now_ns()) {
        uint64_t due = (time_ns - begun_ns) * rate / 1000000000;
        capture();
        for (; captured > 0 && frames < due; frames++)
            attack(argv[4][draw() % strlen(argv[4])]);
        if (captured == 0)
            begun_ns = time_ns;
        struct timespec nap = {.tv_nsec = 200000};
        (void)nanosleep(&nap, NULL);
    }
    for (const char *what = argv[4]; *what; what++)
        printf("%c %lu\n", *what, (unsigned long)sent[(uint8_t)*what]);
    printf("captured %lu\n", (unsigned long)captured);
    return 0;
}
