/*
 * Why nodes do not join: what is logged of it, once, and what this node makes of the answers that
 * it gets, or does not get. Called by quic_link.c, quic_stream.c and quic_door.c, on the hub's
 * thread.
 */
#include "net/quic/quic_refusal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Between two lines of one peer that has not joined. */
#define LOG_NS UINT64_C(500000000)

#define ADDRESS_BYTES 24u /* "255.255.255.255:65535" */

/* ADDRESS_BYTES; returns text. */
static char *address_text(const struct quic_fabric *fabric, uint32_t node, char *text)
{
    char address[INET_ADDRSTRLEN] = "";
    const struct sockaddr_in *member = &fabric->network->members[node];
    (void)inet_ntop(AF_INET, &member->sin_addr, address, sizeof(address));
    (void)snprintf(text, ADDRESS_BYTES, "%s:%u", address, ntohs(member->sin_port));
    return text;
}

/* Why a peer has not joined, if that is news. */
static void log_once(struct quic_fabric *fabric, uint32_t node, enum pst_log_level level,
                     const char *what, const char *reason)
{
    char text[QUIC_REASON_BYTES], address[ADDRESS_BYTES];
    struct quic_peer *peer = &fabric->peers[node];
    (void)snprintf(text, sizeof(text), "%s: %s", what, reason);
    if (strcmp(text, peer->logged) == 0 || fabric->now_ns < peer->next_log_ns)
        return;
    peer->next_log_ns = fabric->now_ns + LOG_NS;
    memcpy(peer->logged, text, sizeof(text));
    pst_log(level, "node %u at %s: %s", node, address_text(fabric, node, address), text);
}

void quic_refusal_log(struct quic_fabric *fabric, uint32_t node, const char *what,
                      const char *reason)
{
    fabric->base.counters[0].refusals++;
    log_once(fabric, node, PST_LOG_WARNING, what, reason);
}

bool quic_refusal_is_doubled(struct quic_fabric *fabric, uint32_t node)
{
    struct quic_peer *peer = &fabric->peers[node];
    if (peer->busy_since_ns == 0)
        peer->busy_since_ns = fabric->now_ns;
    return fabric->now_ns - peer->busy_since_ns > 2 * fabric->failure_ns;
}

static void try_soon(struct quic_fabric *fabric, uint32_t node)
{
    struct quic_peer *peer = &fabric->peers[node];
    peer->next_try_ns = peer->backoff_ns = 0;
}

/* What a server without proof of its key may say: which of these it is, and nothing else. */
void quic_refusal_hear_alert(struct quic_link *link, uint64_t alert)
{
    const char *own = link->fabric->tls.identities[0];
    char reason[QUIC_REASON_BYTES];
    if (alert == GNUTLS_A_UNKNOWN_PSK_IDENTITY)
        (void)snprintf(reason, sizeof(reason), "it has another cluster key than %s, this node's",
                       quic_tls_key_mark(own));
    else if (alert == GNUTLS_A_UNRECOGNIZED_NAME)
        (void)snprintf(reason, sizeof(reason),
                       "it is of a cluster with another id than %.8s, this node's", own);
    else
        (void)snprintf(reason, sizeof(reason),
                       "it has another cluster key, cluster id or version of the fabric");
    quic_refusal_log(link->fabric, link->node, "it refuses this node", reason);
}

/* The peer has a link to this node that is up. If that is an earlier one's, which is over, the peer
 * is about to find out, and this node comes again soon. */
void quic_refusal_hear_busy(struct quic_link *link)
{
    struct quic_fabric *fabric = link->fabric;
    char reason[QUIC_REASON_BYTES], own[ADDRESS_BYTES];
    if (!quic_refusal_is_doubled(fabric, link->node)) {
        try_soon(fabric, link->node);
        return;
    }
    (void)snprintf(reason, sizeof(reason),
                   "node %u is up already: another process has its id and address, %s",
                   fabric->base.node, address_text(fabric, fabric->base.node, own));
    quic_refusal_log(link->fabric, link->node, "it refuses this node", reason);
}

/* returns text. */
static char *too_large(const struct quic_fabric *fabric, char *text)
{
    (void)snprintf(text, QUIC_REASON_BYTES,
                   "packets of %u bytes do not get through: --net-mtu is more than a network on "
                   "the way can carry",
                   fabric->network->mtu_bytes);
    return text;
}

/* Either nobody is there, or the packets are lost on the way, perhaps for their size: then the next
 * ones are small. */
void quic_refusal_hear_nothing(struct quic_link *link)
{
    struct quic_fabric *fabric = link->fabric;
    struct quic_peer *peer = &fabric->peers[link->node];
    char reason[QUIC_REASON_BYTES], own[ADDRESS_BYTES];
    bool is_too_large = peer->was_small_heard && !link->is_small;
    peer->was_small_heard = false;
    peer->tries_small = true;
    if (is_too_large)
        (void)too_large(fabric, reason);
    else
        (void)snprintf(reason, sizeof(reason),
                       "it does not run, is cut off, or knows no member at this node's address, %s",
                       address_text(fabric, fabric->base.node, own));
    log_once(fabric, link->node, is_too_large ? PST_LOG_WARNING : PST_LOG_INFO, "no answer",
             reason);
}

/* It tries small packets once more: after those before, large ones have not had an answer. */
void quic_refusal_answer_small(struct quic_link *link)
{
    struct quic_peer *peer = &link->fabric->peers[link->node];
    char reason[QUIC_REASON_BYTES];
    if (peer->was_small_heard)
        log_once(link->fabric, link->node, PST_LOG_WARNING, "cannot join",
                 too_large(link->fabric, reason));
    peer->was_small_heard = true;
}

/* Both agree: now with packets as large as they may be. */
void quic_refusal_hear_small(struct quic_link *link)
{
    struct quic_peer *peer = &link->fabric->peers[link->node];
    peer->was_small_heard = true;
    peer->tries_small = false;
    try_soon(link->fabric, link->node);
}
