#include "tests/unit/net/quic_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void (*quic_rig_on_hello)(struct quic_hello *hello);
bool quic_rig_hides_members;

void __real_quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from,
                             const struct pst_quic_network *network, uint64_t failure_ns);
void __wrap_quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from,
                             const struct pst_quic_network *network, uint64_t failure_ns);

void __wrap_quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from,
                             const struct pst_quic_network *network, uint64_t failure_ns)
{
    __real_quic_hello_write(hello, from, network, failure_ns);
    if (quic_rig_hides_members)
        hello->members_count = 0;
    if (quic_rig_hides_members)
        memset(hello->members, 0, sizeof(hello->members));
    if (quic_rig_on_hello)
        quic_rig_on_hello(hello);
}

struct pst_quic_network *quic_rig_network(uint32_t count)
{
    struct pst_quic_network *network = calloc(1, sizeof(*network));
    if (!network)
        abort();
    uint32_t process = (uint32_t)getpid() & 0x7fff; /* 127.128.0.0…127.255.255.0 */
    for (uint32_t node = 1; node <= count; node++) {
        network->members[node].sin_family = AF_INET;
        network->members[node].sin_port = htons(PST_QUIC_PORT);
        network->members[node].sin_addr.s_addr = htonl(0x7f800000u | process << 8 | node);
    }
    network->mtu_bytes = PST_QUIC_MTU;
    network->keys_count = 1;
    memset(network->keys[0], 7, sizeof(network->keys[0]));
    return network;
}

struct pst_fabric *quic_rig_open(const struct pst_quic_config *config)
{
    char message[256];
    struct pst_fabric *fabric;
    if (pst_quic_fabric_open(config, &fabric, message, sizeof(message)) < 0) {
        (void)fprintf(stderr, "node %u: %s\n", config->hello.node, message);
        abort();
    }
    return fabric;
}

/* ---- the relay ---- */

static uint64_t draw(struct quic_rig_relay *relay) /* xorshift64 */
{
    relay->state ^= relay->state << 13;
    relay->state ^= relay->state >> 7;
    relay->state ^= relay->state << 17;
    return relay->state;
}

static bool happens(struct quic_rig_relay *relay, uint32_t chance)
{
    return draw(relay) % 1000 < chance;
}

static int bind_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        abort();
    return fd;
}

struct quic_rig_relay *quic_rig_place(struct pst_quic_network *networks[2], uint64_t seed)
{
    struct quic_rig_relay *relay = calloc(1, sizeof(*relay));
    if (!relay)
        abort();
    relay->state = seed * UINT64_C(0x9e3779b97f4a7c15);
    quic_rig_hides_members = true;
    for (uint32_t i = 0; i < 2; i++) {
        struct sockaddr_in *seen = &networks[i]->members[2 - i];
        relay->ways[i].to = *seen;
        seen->sin_addr.s_addr = htonl(ntohl(seen->sin_addr.s_addr) + 100);
        relay->ways[i].socket = bind_to(seen);
    }
    return relay;
}

void quic_rig_remove(struct quic_rig_relay *relay)
{
    close(relay->ways[0].socket);
    close(relay->ways[1].socket);
    quic_rig_hides_members = false;
    free(relay);
}

/* The receiver takes it for the sender's: it comes from the other way's address. */
static void transmit(struct quic_rig_relay *relay, uint32_t way, const uint8_t *bytes,
                     size_t size_bytes)
{
    const struct sockaddr_in *to = &relay->ways[way].to;
    (void)sendto(relay->ways[1 - way].socket, bytes, size_bytes, MSG_DONTWAIT,
                 (const struct sockaddr *)to, sizeof(*to));
}

static void deliver(struct quic_rig_relay *relay, uint32_t way,
                    const struct quic_rig_datagram *datagram)
{
    transmit(relay, way, datagram->bytes, datagram->size_bytes);
}

void quic_rig_inject(struct quic_rig_relay *relay, const uint8_t *bytes, size_t size_bytes)
{
    transmit(relay, 1, bytes, size_bytes);
}

static void attack(struct quic_rig_relay *relay, uint32_t way,
                   const struct quic_rig_datagram *datagram)
{
    struct quic_rig_datagram evil = *datagram;
    if (happens(relay, relay->flipped)) {
        evil.bytes[draw(relay) % evil.size_bytes] ^= (uint8_t)(1u << draw(relay) % 8);
        deliver(relay, way, &evil);
    }
    if (happens(relay, relay->replayed))
        deliver(relay, way, &relay->ways[way].kept[draw(relay) % QUIC_RIG_KEPT]);
    if (happens(relay, relay->forged)) {
        for (size_t i = 1 + 8; i < evil.size_bytes; i++) /* behind the connection id */
            evil.bytes[i] = (uint8_t)draw(relay);
        deliver(relay, way, &evil);
    }
}

static void carry_one(struct quic_rig_relay *relay, uint32_t number,
                      const struct quic_rig_datagram *datagram)
{
    struct quic_rig_way *way = &relay->ways[number];
    if (way->is_cut || happens(relay, relay->lost) ||
        (relay->size_bytes_max > 0 && datagram->size_bytes > relay->size_bytes_max))
        return;
    way->kept[way->carried++ % QUIC_RIG_KEPT] = *datagram;
    if (way->held.size_bytes == 0 && happens(relay, relay->overtaken)) {
        way->held = *datagram;
        return;
    }
    deliver(relay, number, datagram);
    if (happens(relay, relay->copied))
        deliver(relay, number, datagram);
    attack(relay, number, datagram);
    if (way->held.size_bytes > 0)
        deliver(relay, number, &way->held);
    way->held.size_bytes = 0;
}

void quic_rig_carry(struct quic_rig_relay *relay)
{
    struct quic_rig_datagram datagram;
    for (uint32_t way = 0; way < 2; way++) {
        ssize_t bytes;
        while ((bytes = recv(relay->ways[way].socket, datagram.bytes, sizeof(datagram.bytes),
                             MSG_DONTWAIT)) > 0) {
            datagram.size_bytes = (size_t)bytes;
            carry_one(relay, way, &datagram);
        }
    }
}
