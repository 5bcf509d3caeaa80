/*
 * What an exchange sends its signals over: rings, or UNIX sockets. Called by exchange.c, each port
 * on one thread.
 */
#include "bench/exchange_port.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bench/program.h"
#include "engine/base/clock.h"
#include "net/shm/shm_fabric.h"

#define RING_SLOTS 256u

void star_open(struct star *star, enum exchange_way way, uint32_t ports_count, int other_hub_fd)
{
    *star = (struct star){.way = way, .ports_count = ports_count, .fabric_fd = other_hub_fd};
    bench_must(pst_doorbell_open(&star->bell) == 0, "doorbell");
    for (uint32_t i = 0; i < ports_count; i++) {
        struct port *port = &star->ports[i];
        int pair[2] = {-1, -1};
        if (way == EXCHANGE_RINGS)
            bench_must(pst_channel_open(&port->channel, &star->bell, RING_SLOTS, 1) == 0,
                       "channel");
        else
            bench_must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "sockets");
        port->hub_fd = pair[0];
        port->peer_fd = pair[1];
    }
}

void star_join(struct star *star, uint32_t node, const char *directory)
{
    char message[256];
    struct pst_fabric_event event;
    struct pst_shm_config config = {
        .directory = directory,
        .hello = {.cluster = "bench", .node = node, .incarnation = node},
    };
    star->other_node = 3 - node;
    if (star->way != EXCHANGE_RINGS)
        return;
    if (pst_shm_fabric_open(&config, &star->fabric, message, sizeof(message)) < 0) {
        (void)fprintf(stderr, "penstock-bench: %s\n", message);
        exit(1);
    }
    while (!star->has_joined) {
        if (pst_fabric_poll(star->fabric, pst_monotonic_ns(), &event) == 1)
            star->has_joined = event.type == PST_FABRIC_JOINED;
    }
}

/* One packet; 0: there is none. */
static uint32_t receive(int fd, struct pst_signal *signal, int flags)
{
    ssize_t bytes = recv(fd, signal, sizeof(*signal), flags);
    if (bytes == 0)
        exit(0); /* the other side has ended */
    bench_must(bytes == (ssize_t)sizeof(*signal) || errno == EAGAIN, "socket");
    return bytes > 0 ? 1 : 0;
}

static void transmit(int fd, const struct pst_signal *signal)
{
    bench_must(send(fd, signal, sizeof(*signal), MSG_NOSIGNAL) == (ssize_t)sizeof(*signal),
               "socket");
}

/* ---- a thread ---- */

static uint32_t wait_for_ring(struct port *port, struct pst_signal *signals)
{
    struct pst_idle idle = {0};
    struct pst_doorbell *bell = &port->channel.bell;
    uint32_t count;
    while ((count = pst_channel_from_hub(&port->channel, signals)) == 0) {
        if (!pst_idle(&idle))
            continue;
        pst_doorbell_announce(bell);
        if (!pst_spsc_is_empty(port->channel.to_peer))
            pst_doorbell_cancel(bell);
        else
            bench_must(pst_doorbell_wait(bell, PST_DOORBELL_FOREVER, -1) >= 0, "wait");
    }
    return count;
}

uint32_t port_wait(const struct star *star, struct port *port, struct pst_signal *signals)
{
    struct pst_idle idle = {0};
    if (star->way == EXCHANGE_RINGS)
        return wait_for_ring(port, signals);
    while (star->way == EXCHANGE_SOCKETS_POLLED && !pst_idle(&idle)) {
        if (receive(port->peer_fd, signals, MSG_DONTWAIT) == 1)
            return 1;
    }
    return receive(port->peer_fd, signals, 0);
}

void port_to_hub(const struct star *star, struct port *port, const struct pst_signal *signal)
{
    if (star->way == EXCHANGE_RINGS)
        pst_channel_to_hub(&port->channel, signal);
    else
        transmit(port->peer_fd, signal);
}

/* ---- the hub ---- */

void star_to_port(struct star *star, uint32_t port, const struct pst_signal *signal)
{
    if (star->way == EXCHANGE_RINGS)
        pst_channel_to_peer(&star->ports[port].channel, signal);
    else
        transmit(star->ports[port].hub_fd, signal);
}

void star_to_other(struct star *star, const struct pst_signal *signal)
{
    if (star->fabric)
        bench_must(pst_fabric_send(star->fabric, star->other_node, signal) == 0, "fabric");
    else
        transmit(star->fabric_fd, signal);
}

typedef void route_function(void *context, const struct pst_signal *signal);

static bool take_from_fabric(struct star *star, route_function *route, void *context)
{
    struct pst_fabric_event event;
    bool took = false;
    while (pst_fabric_poll(star->fabric, pst_monotonic_ns(), &event) == 1) {
        struct pst_signal signals[PORT_BURST];
        if (event.type == PST_FABRIC_FAILED)
            exit(0); /* the other node has ended */
        uint32_t count = event.type == PST_FABRIC_SIGNALS ? event.signals_count : 0;
        for (uint32_t i = 0; i < count; i++)
            signals[i] = event.signals[i];
        for (uint32_t i = 0; i < count; i++)
            route(context, &signals[i]);
        took |= count > 0;
    }
    return took;
}

static bool take_from_rings(struct star *star, route_function *route, void *context)
{
    struct pst_signal signals[PORT_BURST];
    bool took = false;
    for (uint32_t port = 0; port < star->ports_count; port++) {
        uint32_t count = pst_channel_from_peer(&star->ports[port].channel, signals);
        for (uint32_t i = 0; i < count; i++)
            route(context, &signals[i]);
        took |= count > 0;
    }
    return took | take_from_fabric(star, route, context);
}

static bool rings_are_empty(const struct star *star)
{
    for (uint32_t port = 0; port < star->ports_count; port++) {
        if (!pst_spsc_is_empty(star->ports[port].channel.to_hub))
            return false;
    }
    return pst_fabric_is_quiet(star->fabric);
}

static void sleep_by_rings(struct star *star)
{
    pst_doorbell_announce(&star->bell);
    pst_fabric_announce(star->fabric);
    uint64_t now_ns = pst_monotonic_ns(), until_ns = pst_fabric_deadline_ns(star->fabric);
    if (!rings_are_empty(star) || now_ns >= until_ns)
        pst_doorbell_cancel(&star->bell);
    else
        bench_must(pst_doorbell_wait(&star->bell, until_ns - now_ns, pst_fabric_fd(star->fabric)) >=
                       0,
                   "wait");
    pst_fabric_cancel(star->fabric);
}

static int socket_of(const struct star *star, uint32_t port)
{
    return port < star->ports_count ? star->ports[port].hub_fd : star->fabric_fd;
}

/* Those that poll(2) says, or, for NULL, all of them. */
static bool take_from_sockets(struct star *star, const struct pollfd *polled, route_function *route,
                              void *context)
{
    struct pst_signal signal;
    bool took = false;
    for (uint32_t port = 0; port <= star->ports_count; port++) {
        if (polled && polled[port].revents == 0)
            continue;
        while (receive(socket_of(star, port), &signal, MSG_DONTWAIT) == 1) {
            route(context, &signal);
            took = true;
        }
    }
    return took;
}

static void sleep_by_sockets(struct star *star, route_function *route, void *context)
{
    struct pollfd polled[PORTS_MAX + 1];
    for (uint32_t port = 0; port <= star->ports_count; port++)
        polled[port] = (struct pollfd){.fd = socket_of(star, port), .events = POLLIN};
    (void)poll(polled, star->ports_count + 1, -1);
    (void)take_from_sockets(star, polled, route, context);
}

void star_turn(struct star *star, struct pst_idle *idle, route_function *route, void *context)
{
    bool took = false;
    if (star->way == EXCHANGE_RINGS)
        took = take_from_rings(star, route, context);
    else if (star->way == EXCHANGE_SOCKETS_POLLED)
        took = take_from_sockets(star, NULL, route, context);
    if (took)
        pst_idle_reset(idle);
    else if (star->way == EXCHANGE_SOCKETS || pst_idle(idle))
        star->fabric ? sleep_by_rings(star) : sleep_by_sockets(star, route, context);
}
