/*
 * A port: what takes and brings the datagrams of the fabric between hosts. The hub's thread alone.
 * Nothing waits, and nothing is certain to arrive.
 *
 * An implementation is a struct that begins with struct packet_port.
 */
#ifndef PST_NET_PACKET_PACKET_H
#define PST_NET_PACKET_PACKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

/* Datagrams in one burst, at most. */
#define PACKET_BURST 32u

struct packet {
    const uint8_t *bytes; /* the port's, until the next receive */
    size_t size_bytes;
    struct sockaddr_in from;
};

struct packet_port;

struct packet_port_ops {
    /* Takes what has come, PACKET_BURST at most; or only the first, and sets has_more. Returns how
     * many, or -errno: the port is broken. */
    int (*receive)(struct packet_port *port, struct packet *packets);

    /* Where the next datagram is to be written, port->payload_bytes at most. */
    uint8_t *(*buffer)(struct packet_port *port);

    /* Sends what was written there. It leaves with the next flush, or when the port is full; what
     * the network does not take at once is dropped. */
    void (*send)(struct packet_port *port, size_t size_bytes, const struct sockaddr_in *to);
    void (*flush)(struct packet_port *port);

    /* From now on, until cancel, fd becomes readable when something comes. Call is_quiet next:
     * whether receive would bring nothing. */
    void (*announce)(struct packet_port *port);
    bool (*is_quiet)(struct packet_port *port);
    void (*cancel)(struct packet_port *port);
    void (*close)(struct packet_port *port);
};

/* Datagrams since it was opened; frames that are none, and are sent by the port itself, too. */
struct packet_counters {
    uint64_t received;
    uint64_t sent;
    uint64_t dropped; /* not sent: the network did not take them, or nobody knows the way */
};

struct packet_port {
    const struct packet_port_ops *ops;
    uint32_t payload_bytes; /* of a datagram, at most */
    int fd;                 /* for announce */
    bool has_more; /* the last receive took the first datagram alone: others may be there */
    struct packet_counters counters;
};

#endif
