/*
 * The quic fabric behind the table of net/fabric_ops.h: rounds, events, sending and sleeping, on
 * top of links (quic_link.c) and the door (quic_door.c). The hub's thread, from net/fabric_ops.c.
 */
#include "net/quic/quic_fabric.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/packet/packet_ethdev.h"
#include "net/packet/packet_udp.h"
#include "net/quic/quic_door.h"
#include "net/quic/quic_link.h"
#include "net/quic/quic_parts.h"
#include "net/quic/quic_stream.h"
#include "net/signal_check.h"

/* Ticks within failure_ns, at least; and how far they are apart, at most. A tick looks whether the
 * peers live, and for nodes that have come. */
#define TICKS 6u
#define TICK_NS_MAX (PST_FABRIC_FAILURE_NS / TICKS)

/* Between two attempts to join a peer. */
#define BACKOFF_NS_MIN UINT64_C(75000000)
#define BACKOFF_NS_MAX UINT64_C(2000000000)

#define RING_SIGNALS_MIN 32u /* a HELLO and READY have room */
#define RING_SIGNALS_MAX 65536u

/* A round takes so many bursts of datagrams, at most. */
#define BURSTS_MAX 16u

static struct quic_link *link_up(const struct quic_fabric *fabric, uint32_t node)
{
    struct quic_link *link = fabric->peers[node].link;
    return link && link->state == QUIC_LINK_UP ? link : NULL;
}

/* The id of the next node with a link that has something to do or to report; 0: there is none. */
static uint32_t next_linked(const struct quic_fabric *fabric, uint32_t from)
{
    uint32_t member = from < fabric->last ? pst_set_next(&fabric->linked, from) : PST_SET_MEMBERS;
    return member < PST_SET_MEMBERS ? member + 1 : 0;
}

static void publish(struct quic_fabric *fabric)
{
    for (uint32_t node = next_linked(fabric, 0); node != 0; node = next_linked(fabric, node)) {
        struct quic_link *link = fabric->peers[node].link;
        if (quic_link_is_open(link) && link->wants_write)
            quic_link_write(link);
    }
    fabric->port->ops->flush(fabric->port);
}

/* At the end of a round: what was sent in it, and what is due. An acknowledgement alone waits for
 * the next round: the answer that the caller is about to send takes it along. It would be a
 * datagram of its own, and ngtcp2 answers what follows one with another, each way, for ever. */
static void publish_signals(struct quic_fabric *fabric)
{
    for (uint32_t node = next_linked(fabric, 0); node != 0; node = next_linked(fabric, node)) {
        struct quic_link *link = fabric->peers[node].link;
        if (quic_link_is_open(link) && (link->is_due || quic_stream_has_unsent(link)))
            quic_link_write(link);
    }
    fabric->port->ops->flush(fabric->port);
}

static void quic_publish(struct pst_fabric *base)
{
    publish((struct quic_fabric *)base);
}

/* ---- a round ---- */

static int receive(struct quic_fabric *fabric)
{
    int count = PACKET_BURST;
    for (uint32_t bursts = 0; count == PACKET_BURST && bursts < BURSTS_MAX; bursts++) {
        count = fabric->port->ops->receive(fabric->port, fabric->packets);
        for (int i = 0; i < count; i++)
            quic_door_take(fabric, &fabric->packets[i]);
    }
    return count < 0 ? count : 0;
}

/* Silence is counted in our own ticks, not in time: a node that was stopped itself suspects nobody
 * for that. */
static void check_peer(struct quic_link *link)
{
    quic_stream_beat(link);
    link->silent_ticks = link->was_heard ? 0 : link->silent_ticks + 1;
    link->was_heard = false;
    if (link->silent_ticks >= link->fabric->silent_ticks_max)
        quic_link_end(link, PST_FABRIC_SUSPECTED, QUIC_CLOSE_DEAD, "it gave no sign of life");
}

/* The higher id looks for the lower ones, as in every fabric. */
static void look_for(struct quic_fabric *fabric, uint32_t node)
{
    struct quic_peer *peer = &fabric->peers[node];
    if (node >= fabric->base.node || fabric->network->members[node].sin_family == 0 ||
        pst_set_has(&fabric->linked, node - 1) || pst_set_has(&fabric->base.kept_out, node - 1) ||
        fabric->now_ns < peer->next_try_ns)
        return;
    peer->backoff_ns = peer->backoff_ns == 0 ? BACKOFF_NS_MIN : 2 * peer->backoff_ns;
    if (peer->backoff_ns > BACKOFF_NS_MAX)
        peer->backoff_ns = BACKOFF_NS_MAX;
    peer->next_try_ns = fabric->now_ns + peer->backoff_ns;
    quic_link_begin(fabric, node, NULL);
}

static void tick(struct quic_fabric *fabric)
{
    fabric->next_tick_ns = fabric->now_ns + fabric->tick_ns;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        struct quic_link *link = fabric->peers[node].link;
        if (link)
            link->said_farewell = false;
        if (link && link->state == QUIC_LINK_UP)
            check_peer(link);
        look_for(fabric, node);
        quic_link_check(fabric, node);
    }
}

/* After the port was drained: who is silent has sent nothing. */
static int receive_and_tick(struct quic_fabric *fabric)
{
    int error = receive(fabric);
    if (!error && !fabric->port->has_more && fabric->now_ns >= fabric->next_tick_ns)
        tick(fabric);
    return error;
}

static void expire(struct quic_fabric *fabric)
{
    for (uint32_t node = next_linked(fabric, 0); node != 0; node = next_linked(fabric, node)) {
        if (quic_link_is_open(fabric->peers[node].link))
            quic_link_expire(fabric->peers[node].link);
        quic_link_check(fabric, node);
    }
}

static bool report_joined(struct quic_fabric *fabric, struct quic_link *link,
                          struct pst_fabric_event *event)
{
    struct quic_peer *peer = &fabric->peers[link->node];
    peer->next_try_ns = peer->backoff_ns = peer->busy_since_ns = peer->next_log_ns = 0;
    peer->was_small_heard = false;
    peer->logged[0] = '\0';
    link->is_new = false;
    memcpy(fabric->options, link->hello.options, sizeof(fabric->options));
    event->type = PST_FABRIC_JOINED;
    event->options = fabric->options;
    return true;
}

static bool report_signals(struct quic_fabric *fabric, struct quic_link *link,
                           struct pst_fabric_event *event)
{
    const char *fault;
    int count = quic_stream_take(link, fabric->burst, &fault);
    if (count < 0 && link->state == QUIC_LINK_UP)
        quic_link_end(link, PST_FABRIC_DAMAGED, QUIC_CLOSE_DEAD, fault);
    if (count < 0)
        link->taken = link->arrived;
    if (count <= 0)
        return false;
    event->type = PST_FABRIC_SIGNALS;
    event->signals = fabric->burst;
    event->signals_count = (uint32_t)count;
    return true;
}

static bool report_failed(struct quic_fabric *fabric, struct quic_link *link,
                          struct pst_fabric_event *event)
{
    event->type = PST_FABRIC_FAILED;
    event->failure = link->failure;
    memcpy(fabric->reason, link->reason, sizeof(fabric->reason));
    event->reason = fabric->reason;
    quic_link_close(link);
    return true;
}

/* The next event of one link, if there is one, in the order joined, signals, failed. */
static bool link_event(struct quic_fabric *fabric, struct quic_link *link,
                       struct pst_fabric_event *event)
{
    if (link->state != QUIC_LINK_UP && link->state != QUIC_LINK_ENDING)
        return false;
    *event = (struct pst_fabric_event){.node = link->node, .incarnation = link->incarnation};
    if (link->is_new)
        return report_joined(fabric, link, event);
    if (report_signals(fabric, link, event))
        return true;
    return link->state == QUIC_LINK_ENDING && report_failed(fabric, link, event);
}

static void count_packets(struct quic_fabric *fabric)
{
    struct pst_fabric_counters *counters = &fabric->base.counters[0];
    counters->packets_sent = fabric->port->counters.sent;
    counters->packets_received = fabric->port->counters.received;
    counters->packets_dropped = fabric->port->counters.dropped;
}

/* From fabric->cursor on: 1 with an event, or 0: every peer had its turn. */
static int next_event(struct quic_fabric *fabric, struct pst_fabric_event *event)
{
    for (;;) {
        uint32_t node = next_linked(fabric, fabric->cursor);
        fabric->cursor = node;
        if (node == 0)
            return 0;
        if (link_event(fabric, fabric->peers[node].link, event)) {
            quic_link_check(fabric, node);
            return 1;
        }
    }
}

/* If the port has taken one datagram alone, the caller's answer goes out before the port is asked
 * for others. */
static int quic_poll(struct pst_fabric *base, uint64_t now_ns, struct pst_fabric_event *event)
{
    struct quic_fabric *fabric = (struct quic_fabric *)base;
    int error = 0;
    fabric->now_ns = now_ns;
    if (fabric->cursor == 0) {
        publish(fabric);
        error = receive_and_tick(fabric);
        expire(fabric);
    }
    while (!error) {
        if (next_event(fabric, event))
            return 1;
        publish_signals(fabric);
        if (!fabric->port->has_more)
            break;
        error = receive_and_tick(fabric);
    }
    count_packets(fabric);
    return error;
}

/* ---- sending ---- */

static uint32_t quic_room(struct pst_fabric *base, uint32_t node)
{
    const struct quic_link *link = link_up((struct quic_fabric *)base, node);
    return link ? quic_stream_room(link) : 0;
}

static int quic_send(struct pst_fabric *base, uint32_t node, const struct pst_signal *signal)
{
    struct quic_fabric *fabric = (struct quic_fabric *)base;
    struct quic_link *link = link_up(fabric, node);
    assert(pst_spsc_content_fault(signal) == PST_SIGNAL_FAULT_NONE);
    if (!link)
        return -ENOTCONN;
    if (quic_stream_room(link) == 0) {
        base->counters[node].full++;
        publish(fabric); /* else nobody would make room */
        return -EAGAIN;
    }
    quic_stream_put(link, signal);
    base->counters[node].signals_sent++;
    return 0;
}

static void quic_cut_off(struct pst_fabric *base, uint32_t node, const char *reason)
{
    struct quic_link *link = link_up((struct quic_fabric *)base, node);
    if (link)
        quic_link_end(link, PST_FABRIC_CUT_OFF, QUIC_CLOSE_DEAD, reason);
}

/* ---- sleeping: packets wake, whoever sends them ---- */

static void quic_announce(struct pst_fabric *base)
{
    struct quic_fabric *fabric = (struct quic_fabric *)base;
    publish(fabric);
    fabric->port->ops->announce(fabric->port);
}

static bool quic_is_quiet(struct pst_fabric *base)
{
    struct quic_fabric *fabric = (struct quic_fabric *)base;
    for (uint32_t node = next_linked(fabric, 0); node != 0; node = next_linked(fabric, node)) {
        const struct quic_link *link = fabric->peers[node].link;
        if (link->state == QUIC_LINK_ENDING || link->is_new || link->arrived != link->taken)
            return false;
    }
    return fabric->port->ops->is_quiet(fabric->port);
}

static void quic_cancel(struct pst_fabric *base)
{
    struct packet_port *port = ((struct quic_fabric *)base)->port;
    port->ops->cancel(port);
}

static uint64_t quic_deadline_ns(const struct pst_fabric *base)
{
    const struct quic_fabric *fabric = (const struct quic_fabric *)base;
    uint64_t deadline_ns = fabric->next_tick_ns;
    for (uint32_t node = next_linked(fabric, 0); node != 0; node = next_linked(fabric, node)) {
        const struct quic_link *link = fabric->peers[node].link;
        if (quic_link_is_open(link) && link->expiry_ns < deadline_ns)
            deadline_ns = link->expiry_ns;
    }
    return deadline_ns;
}

/* ---- opening and closing ---- */

static void leave_all(struct quic_fabric *fabric)
{
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        struct quic_peer *peer = &fabric->peers[node];
        if (quic_link_is_open(peer->link))
            quic_link_leave(peer->link);
        quic_link_free(peer->link);
        *peer = (struct quic_peer){0};
        fabric->base.counters[node].joined_since = 0;
        fabric->base.counters[node].ring_bytes = 0;
    }
    fabric->linked = (struct pst_set){{0}};
}

static int quic_rejoin(struct pst_fabric *base, uint64_t incarnation)
{
    struct quic_fabric *fabric = (struct quic_fabric *)base;
    leave_all(fabric);
    fabric->port->ops->flush(fabric->port);
    quic_random(&fabric->mark, sizeof(fabric->mark));
    fabric->hello.incarnation = incarnation;
    fabric->cursor = 0;
    fabric->next_tick_ns = 0;
    return 0;
}

static void quic_close(struct pst_fabric *base)
{
    struct quic_fabric *fabric = (struct quic_fabric *)base;
    if (fabric->port) {
        leave_all(fabric);
        fabric->port->ops->close(fabric->port);
    }
    quic_tls_close(&fabric->tls);
    free(fabric);
}

static const char *quic_refusal(const struct pst_fabric *base, uint32_t node)
{
    return ((const struct quic_fabric *)base)->peers[node].logged;
}

static const struct pst_fabric_ops quic_ops = {
    .expels = false,
    .poll = quic_poll,
    .send = quic_send,
    .cut_off = quic_cut_off,
    .publish = quic_publish,
    .room = quic_room,
    .announce = quic_announce,
    .is_quiet = quic_is_quiet,
    .cancel = quic_cancel,
    .deadline_ns = quic_deadline_ns,
    .refusal = quic_refusal,
    .rejoin = quic_rejoin,
    .close = quic_close,
};

static const char *config_fault(const struct pst_quic_config *config)
{
    const struct pst_quic_network *network = config->network;
    uint32_t slots = config->ring_signals;
    if (config->hello.node < 1 || config->hello.node > PST_NODES_MAX)
        return "the node id must be 1…255";
    if (config->hello.cluster[0] == '\0' ||
        !memchr(config->hello.cluster, '\0', PST_CLUSTER_NAME_MAX))
        return "the cluster's name must have 1…63 bytes";
    if (slots != 0 && (slots < RING_SIGNALS_MIN || slots > RING_SIGNALS_MAX))
        return "the signals in a ring must be 32…65536";
    if (config->failure_ns != 0 && config->failure_ns < PST_FABRIC_FAILURE_NS_MIN)
        return "a node cannot be declared dead after less than 60 ms";
    if (network->keys_count < 1 || network->keys_count > PST_CLUSTER_KEYS_MAX)
        return "there must be one cluster key or two";
    if (network->mtu_bytes < PST_QUIC_MTU_MIN || network->mtu_bytes > PST_QUIC_MTU_MAX)
        return "the MTU must be 1280…9000 bytes";
    if (network->members[config->hello.node].sin_family != AF_INET)
        return "the node has no address";
    return NULL;
}

static int open_udp(struct quic_fabric *fabric, char *message, uint32_t bytes)
{
    char text[INET_ADDRSTRLEN];
    const struct sockaddr_in *own = &fabric->network->members[fabric->base.node];
    int error = pst_packet_udp_open(own, fabric->network->mtu_bytes, &fabric->port);
    (void)inet_ntop(AF_INET, &own->sin_addr, text, sizeof(text));
    if (error)
        (void)snprintf(message, bytes, "cannot bind %s:%u: %s", text, ntohs(own->sin_port),
                       pst_error_text(error));
    return error;
}

static int open_port(struct quic_fabric *fabric, char *message, uint32_t bytes)
{
    const struct packet_ethdev_config port = pst_quic_port(fabric->network, fabric->base.node);
    int error = port.device ? pst_packet_ethdev_open(&port, &fabric->port, message, bytes)
                            : open_udp(fabric, message, bytes);
    if (!error)
        fabric->base.fd = fabric->port->fd;
    return error;
}

static void set_up(struct quic_fabric *fabric, const struct pst_quic_config *config)
{
    pst_fabric_init(&fabric->base, &quic_ops, config->hello.node);
    fabric->hello = config->hello;
    fabric->network = config->network;
    fabric->slots = config->ring_signals ? config->ring_signals : PST_RING_SIGNALS;
    uint64_t failure_ns = config->failure_ns ? config->failure_ns : PST_FABRIC_FAILURE_NS;
    fabric->failure_ns = failure_ns;
    fabric->tick_ns = failure_ns / TICKS < TICK_NS_MAX ? failure_ns / TICKS : TICK_NS_MAX;
    fabric->silent_ticks_max = failure_ns / fabric->tick_ns - 1;
    quic_random(&fabric->mark, sizeof(fabric->mark));
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        if (node != fabric->base.node && fabric->network->members[node].sin_family != 0)
            fabric->last = node;
    }
}

int pst_quic_fabric_open(const struct pst_quic_config *config, struct pst_fabric **opened,
                         char *message, uint32_t message_bytes)
{
    const char *fault = config_fault(config);
    if (fault) {
        (void)snprintf(message, message_bytes, "%s", fault);
        return -EINVAL;
    }
    struct quic_fabric *fabric = aligned_alloc(_Alignof(struct quic_fabric), sizeof(*fabric));
    if (!fabric) {
        (void)snprintf(message, message_bytes, "out of memory");
        return -ENOMEM;
    }
    memset(fabric, 0, sizeof(*fabric));
    set_up(fabric, config);
    int error = quic_tls_open(&fabric->tls, config->network, &fabric->hello);
    if (error)
        (void)snprintf(message, message_bytes, "GnuTLS cannot be set up: out of memory");
    else
        error = open_port(fabric, message, message_bytes);
    if (error) {
        quic_close(&fabric->base);
        return error;
    }
    *opened = &fabric->base;
    return 0;
}
