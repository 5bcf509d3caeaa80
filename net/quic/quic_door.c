/*
 * Packets without a link: of strangers, of nodes that want to join, of connections that another
 * life of this node had. Nothing is kept of who has not proved its address (RFC 9000, section 8.1).
 * Called by quic_fabric.c, on the hub's thread.
 */
#include "net/quic/quic_door.h"

#include <arpa/inet.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <string.h>

#include "engine/base/log.h"
#include "net/quic/quic_link.h"
#include "net/quic/quic_refusal.h"

#define TOKEN_NS UINT64_C(5000000000) /* a Retry's token is good for so long */
#define STRANGER_NS UINT64_C(60000000000)

/* Of the noise before a reset's token: as much as a short packet of the peer may have. */
#define NOISE_BYTES 22u
#define RESET_BYTES (NOISE_BYTES + NGTCP2_STATELESS_RESET_TOKENLEN)

/* The member with this address; 0: none. */
static uint32_t member_at(const struct quic_fabric *fabric, const struct sockaddr_in *from)
{
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        const struct sockaddr_in *member = &fabric->network->members[node];
        if (member->sin_family == AF_INET && member->sin_port == from->sin_port &&
            member->sin_addr.s_addr == from->sin_addr.s_addr && node != fabric->base.node)
            return node;
    }
    return 0;
}

static bool is_long(const struct packet *packet)
{
    return packet->bytes[0] & 0x80;
}

/* Anybody can send these: a line a minute. */
static void refuse_stranger(struct quic_fabric *fabric, const struct packet *packet)
{
    char address[INET_ADDRSTRLEN];
    fabric->base.counters[0].refusals++;
    if (!is_long(packet) || fabric->now_ns < fabric->next_stranger_ns)
        return;
    fabric->next_stranger_ns = fabric->now_ns + STRANGER_NS;
    (void)inet_ntop(AF_INET, &packet->from.sin_addr, address, sizeof(address));
    pst_log(PST_LOG_WARNING, "%s:%u: refused: no member of the cluster has this address", address,
            ntohs(packet->from.sin_port));
}

/* What seals the tokens of Retries. It changes with each connection that a token of a node has
 * begun, and with each life: a token that is sent again opens nothing, and holds no place. */
struct token_key {
    uint8_t secret[QUIC_SECRET_BYTES];
    uint32_t mark;
    uint32_t admissions;
};

static struct token_key token_key_of(const struct quic_fabric *fabric, uint32_t node)
{
    struct token_key key = {.mark = fabric->mark, .admissions = fabric->peers[node].admissions};
    memcpy(key.secret, fabric->tls.secret, sizeof(key.secret));
    return key;
}

static void send_retry(struct quic_fabric *fabric, uint32_t node, const struct packet *packet,
                       const ngtcp2_pkt_hd *header)
{
    struct packet_port *port = fabric->port;
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    const struct token_key key = token_key_of(fabric, node);
    ngtcp2_cid own;
    quic_make_cid(fabric, &own);
    ngtcp2_ssize token_bytes = ngtcp2_crypto_generate_retry_token(
        token, (const uint8_t *)&key, sizeof(key), header->version,
        (const ngtcp2_sockaddr *)&packet->from, sizeof(packet->from), &own, &header->dcid,
        fabric->now_ns);
    if (token_bytes < 0)
        return;
    ngtcp2_ssize bytes =
        ngtcp2_crypto_write_retry(port->ops->buffer(port), port->payload_bytes, header->version,
                                  &header->scid, &own, &header->dcid, token, (size_t)token_bytes);
    if (bytes > 0)
        port->ops->send(port, (size_t)bytes, &packet->from);
}

/* Whoever has the member's address, and perhaps no key, wants to join while that member is up. */
static void refuse_second(struct quic_fabric *fabric, uint32_t node, const struct packet *packet,
                          const ngtcp2_pkt_hd *header)
{
    struct packet_port *port = fabric->port;
    ngtcp2_ssize bytes = ngtcp2_crypto_write_connection_close(
        port->ops->buffer(port), port->payload_bytes, header->version, &header->scid, &header->dcid,
        NGTCP2_CONNECTION_REFUSED, NULL, 0);
    if (bytes > 0)
        port->ops->send(port, (size_t)bytes, &packet->from);
    if (quic_refusal_is_doubled(fabric, node))
        quic_refusal_log(fabric, node, "refused",
                         "it is up, and another process at its address wants to join");
}

/* Whether the first packet of a client comes from the address of a member that is up. */
static bool is_second(const struct quic_link *link, const struct packet *packet)
{
    ngtcp2_pkt_hd header;
    return link && link->state == QUIC_LINK_UP && link->is_server &&
           ngtcp2_accept(&header, packet->bytes, packet->size_bytes) == 0 &&
           !ngtcp2_cid_eq(&header.scid, &link->client_cid);
}

static void admit(struct quic_fabric *fabric, uint32_t node, const struct packet *packet)
{
    ngtcp2_pkt_hd header;
    ngtcp2_cid first;
    if (ngtcp2_accept(&header, packet->bytes, packet->size_bytes) != 0)
        return;
    if (header.token.len == 0) {
        send_retry(fabric, node, packet, &header);
        return;
    }
    const struct token_key key = token_key_of(fabric, node);
    if (ngtcp2_crypto_verify_retry_token(
            &first, header.token.base, header.token.len, (const uint8_t *)&key, sizeof(key),
            header.version, (const ngtcp2_sockaddr *)&packet->from, sizeof(packet->from),
            &header.dcid, TOKEN_NS, fabric->now_ns) != 0)
        return;
    const struct quic_arrival arrival = {&header, &first,
                                         packet->size_bytes < fabric->port->payload_bytes};
    if (pst_set_has(&fabric->linked, node - 1)) {
        refuse_second(fabric, node, packet, &header);
        return;
    }
    if (!quic_link_begin(fabric, node, &arrival))
        return;
    fabric->peers[node].admissions++;
    quic_link_read(fabric->peers[node].link, packet);
}

/* Of a connection that an earlier life of this node had: the peer learns at once that it is over.
 * What is no longer than a reset may be one, and is not answered: so two nodes do not answer each
 * other (RFC 9000, section 10.3.3). A peer that lives sends a BEAT, which is longer. */
static void reset(struct quic_fabric *fabric, const struct packet *packet)
{
    struct packet_port *port = fabric->port;
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN], noise[NOISE_BYTES];
    ngtcp2_cid cid;
    if (packet->size_bytes <= RESET_BYTES)
        return;
    ngtcp2_cid_init(&cid, packet->bytes + 1, QUIC_CID_BYTES);
    quic_random(noise, sizeof(noise));
    if (ngtcp2_crypto_generate_stateless_reset_token(token, fabric->tls.secret,
                                                     sizeof(fabric->tls.secret), &cid) != 0)
        return;
    ngtcp2_ssize bytes = ngtcp2_pkt_write_stateless_reset(
        port->ops->buffer(port), port->payload_bytes, token, noise, sizeof(noise));
    if (bytes > 0)
        port->ops->send(port, (size_t)bytes, &packet->from);
}

static void take_short(struct quic_fabric *fabric, struct quic_link *link,
                       const struct packet *packet)
{
    if (packet->size_bytes < 1 + QUIC_CID_BYTES)
        return;
    bool is_of_this_life = memcmp(packet->bytes + 1, &fabric->mark, sizeof(fabric->mark)) == 0;
    if (quic_link_is_open(link)) /* a reset's connection id is noise */
        quic_link_read(link, packet);
    if (!is_of_this_life)
        reset(fabric, packet);
    else if (link && link->state == QUIC_LINK_CLOSED)
        quic_link_repeat_farewell(link);
}

void quic_door_take(struct quic_fabric *fabric, const struct packet *packet)
{
    if (packet->size_bytes == 0)
        return;
    uint32_t node = member_at(fabric, &packet->from);
    struct quic_link *link = node != 0 ? fabric->peers[node].link : NULL;
    if (node == 0)
        refuse_stranger(fabric, packet);
    else if (!is_long(packet))
        take_short(fabric, link, packet);
    else if (is_second(link, packet))
        admit(fabric, node, packet);
    else if (quic_link_is_open(link))
        quic_link_read(link, packet);
    else if (!pst_set_has(&fabric->linked, node - 1) && node > fabric->base.node &&
             !pst_set_has(&fabric->base.kept_out, node - 1))
        admit(fabric, node, packet);
}
