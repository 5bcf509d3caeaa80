/*
 * Private to the empty-backup bench: how the hub of a node and one other thread talk, and two hubs.
 * By rings and doorbells and the shm fabric, as the product does, or by UNIX SEQPACKET sockets, a
 * signal a packet.
 */
#ifndef PST_BENCH_EXCHANGE_PORT_H
#define PST_BENCH_EXCHANGE_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/node/channel.h"
#include "net/fabric.h"

enum exchange_way {
    EXCHANGE_RINGS,          /* idle as the product is: spin, yield, then sleep */
    EXCHANGE_SOCKETS,        /* asleep in recv(2) or poll(2) as soon as there is nothing */
    EXCHANGE_SOCKETS_POLLED, /* sockets, idle as the product is */
    EXCHANGE_WAYS
};

#define PORT_BURST PST_FABRIC_BURST
#define PORTS_MAX 8u

struct port {
    struct pst_channel channel;
    int hub_fd;
    int peer_fd;
};

/* The hub's side of all of them. */
struct star {
    enum exchange_way way;
    struct pst_doorbell bell;
    struct port ports[PORTS_MAX];
    uint32_t ports_count;
    struct pst_fabric *fabric; /* NULL: the socket */
    int fabric_fd;
    uint32_t other_node;
    bool has_joined;
};

/* Of node, joined with the other one by an end of a pair of sockets, or by a fabric in directory,
 * which star_join() awaits. Before any thread. Exit on errors, as all of these. */
void star_open(struct star *star, enum exchange_way way, uint32_t ports_count, int other_hub_fd);
void star_join(struct star *star, uint32_t node, const char *directory);

/* The thread of a port: up to PORT_BURST signals, once there is one. */
uint32_t port_wait(const struct star *star, struct port *port, struct pst_signal *signals);
void port_to_hub(const struct star *star, struct port *port, const struct pst_signal *signal);

/* The hub. star_turn: takes what there is from everyone and hands it to route; sleeps if that is
 * nothing. */
void star_to_port(struct star *star, uint32_t port, const struct pst_signal *signal);
void star_to_other(struct star *star, const struct pst_signal *signal);
void star_turn(struct star *star, struct pst_idle *idle,
               void (*route)(void *context, const struct pst_signal *signal), void *context);

#endif
