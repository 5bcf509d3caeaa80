/*
 * Private to the forward bench: the ways by which processes exchange signals. Node 1 is the process
 * that measures, 2…nodes are hubs, which talk with node 1 alone. All exit on errors.
 */
#ifndef PST_BENCH_ENDS_H
#define PST_BENCH_ENDS_H

#include <netinet/in.h>

#include "engine/protocol/signal.h"

#define ENDS_BURST 64u     /* signals in one take, at most */
#define ENDS_NODES_MAX 17u /* with node 1 */

struct ends_place {
    const char *directory; /* for sockets and rings of the host */
    uint32_t network;      /* node's address is this and its id */
    uint32_t nodes;
    const char *interfaces[2]; /* of node 1, of the others */
};

struct end_kind {
    const char *name;

    /* A process's end; returns when it has met those that it talks to. */
    void *(*open)(const struct ends_place *place, uint32_t node);

    /* What has come, in order for each node. */
    uint32_t (*take)(void *end, struct pst_signal *signals);

    /* Returns how many went in. They leave with the next take, at the latest. */
    uint32_t (*put)(void *end, uint32_t node, const struct pst_signal *signals, uint32_t count);

    /* Until something may have come. */
    void (*sleep)(void *end);
    void (*close)(void *end);
};

extern const struct end_kind end_shm;      /* the fabric of a host */
extern const struct end_kind end_quic_udp; /* the fabric between hosts */
extern const struct end_kind
    end_quic_af_packet;                   /* the same by DPDK, between two interfaces (root) */
extern const struct end_kind end_unix_32; /* UNIX SEQPACKET sockets, so many signals a packet */
extern const struct end_kind end_unix_1;
extern const struct end_kind end_udp; /* the kernel's, up to 11 signals a datagram, neither safe nor
                                         certain */
extern const struct end_kind end_raw; /* the same in Ethernet frames, by a packet socket (root) */
extern const struct end_kind end_tcp;
extern const struct end_kind end_tls; /* TCP with TLS 1.3, of the key exchange and cipher of quic */

struct sockaddr_in ends_address(const struct ends_place *place, uint32_t node, uint16_t port);

#endif
