/*
 * The shm fabric behind the table of net/fabric_ops.h: rounds, events, sending and sleeping, on top
 * of links (shm_link.c), the handshake (shm_join.c) and the sockets (shm_socket.c). The hub's
 * thread, from net/fabric_ops.c.
 */
#include "net/shm/shm_fabric.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "net/doorbell.h"
#include "net/shm/shm_join.h"
#include "net/shm/shm_link.h"
#include "net/shm/shm_parts.h"
#include "net/shm/shm_place.h"
#include "net/shm/shm_socket.h"

/* Ticks within failure_ns, at least; and how far they are apart, at most. A tick shows that this
 * node lives, looks whether its peers do, and finds nodes that have come. */
#define TICKS 6u
#define TICK_NS_MAX (PST_FABRIC_FAILURE_NS / TICKS)

/* The id of the next member of a set of nodes, after this id; 0: there is none. */
static uint32_t next_of(const struct pst_set *set, uint32_t from)
{
    for (uint32_t member = from; member < PST_NODES_MAX; member++) {
        uint64_t rest = set->words[member / 64] >> member % 64;
        if (rest != 0)
            return member + (uint32_t)__builtin_ctzll(rest) + 1;
        member |= 63;
    }
    return 0;
}

static uint32_t next_linked(const struct shm_fabric *fabric, uint32_t from)
{
    return next_of(&fabric->linked, from);
}

static struct shm_link *link_to(const struct shm_fabric *fabric, uint32_t node)
{
    struct shm_link *link = fabric->peers[node].link;
    return link && link->state == SHM_LINK_UP ? link : NULL;
}

static void publish(struct shm_fabric *fabric)
{
    if (pst_set_is_empty(&fabric->unpublished))
        return;
    const struct pst_set *set = &fabric->unpublished;
    for (uint32_t node = next_of(set, 0); node != 0; node = next_of(set, node)) {
        struct shm_link *link = link_to(fabric, node);
        if (link && shared_ring_publish(link->out) &&
            pst_sleep_ends(shared_ring_consumer_sleep(link->out))) {
            shm_send_bare(link->socket, SHM_WAKE);
            fabric->base.counters[node].wakes_sent++;
        }
    }
    fabric->unpublished = (struct pst_set){{0}};
}

static void shm_publish(struct pst_fabric *base)
{
    publish((struct shm_fabric *)base);
}

static void leave_all(struct shm_fabric *fabric)
{
    publish(fabric);
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        struct shm_link *link = fabric->peers[node].link;
        if (!link)
            continue;
        if (link->state == SHM_LINK_UP)
            shm_send_notice(link->socket, SHM_BYE, PST_FABRIC_LEFT, "it has left the cluster");
        shm_link_free(fabric, link);
    }
}

static void shm_close(struct pst_fabric *base)
{
    struct shm_fabric *fabric = (struct shm_fabric *)base;
    leave_all(fabric);
    shm_join_close_doors(fabric);
    if (fabric->base.fd >= 0)
        close(fabric->base.fd);
    shm_place_close(&fabric->place);
    free(fabric);
}

static int shm_rejoin(struct pst_fabric *base, uint64_t incarnation)
{
    struct shm_fabric *fabric = (struct shm_fabric *)base;
    leave_all(fabric);
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        struct shm_peer *peer = &fabric->peers[node];
        peer->has_died = false; /* in this life nobody has died */
        peer->next_try_ns = peer->backoff_ns = 0;
        fabric->base.counters[node].joined_since = 0;
        fabric->base.counters[node].ring_bytes = 0;
    }
    shm_join_close_doors(fabric);
    fabric->hello.node.incarnation = incarnation;
    fabric->membership = SHM_MEMBER;
    fabric->cursor = 0;
    fabric->next_tick_ns = fabric->next_look_ns = 0;
    return shm_join_open_doors(fabric);
}

/* ---- a round ---- */

static void check_peer(struct shm_fabric *fabric, struct shm_link *link)
{
    shared_ring_beat(link->out);
    uint32_t beats = shared_ring_beats(link->in);
    link->silent_ticks = beats == link->beats ? link->silent_ticks + 1 : 0;
    link->beats = beats;
    if (shared_ring_check(link->out) != 0)
        shm_link_end(fabric, link, PST_FABRIC_DAMAGED,
                     pst_spsc_fault_text(shared_ring_fault(link->out)));
    else if (link->silent_ticks >= fabric->silent_ticks_max)
        shm_link_end(fabric, link, PST_FABRIC_SUSPECTED, "it gave no sign of life");
}

/* Silence is counted in our own ticks, not in time: a node that was stopped itself suspects nobody
 * for that. */
static int tick(struct shm_fabric *fabric)
{
    fabric->next_tick_ns = fabric->now_ns + fabric->tick_ns;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        struct shm_link *link = fabric->peers[node].link;
        if (link && link->state == SHM_LINK_UP)
            check_peer(fabric, link);
        else if (link && link->state != SHM_LINK_ENDING && fabric->now_ns >= link->deadline_ns)
            shm_link_free(fabric, link);
        shm_link_check(fabric, node);
    }
    shm_join_expire(fabric);
    return shm_join_discover(fabric);
}

/* What comes over the sockets may change any link. */
static int look(struct shm_fabric *fabric)
{
    int error = shm_socket_look(fabric);
    for (uint32_t node = next_linked(fabric, 0); node != 0; node = next_linked(fabric, node))
        shm_link_check(fabric, node);
    return error;
}

static int begin_round(struct shm_fabric *fabric)
{
    int error = 0;
    if (fabric->membership == SHM_MEMBER && fabric->now_ns >= fabric->next_look_ns)
        error = look(fabric);
    if (!error && fabric->membership == SHM_MEMBER && fabric->now_ns >= fabric->next_tick_ns)
        error = tick(fabric);
    return error;
}

static bool report_signals(struct shm_fabric *fabric, struct shm_link *link,
                           struct pst_fabric_event *event)
{
    int count = shared_ring_get_burst(link->in, fabric->burst, PST_FABRIC_BURST);
    if (count < 0) {
        shm_link_end(fabric, link, PST_FABRIC_DAMAGED,
                     pst_spsc_fault_text(shared_ring_fault(link->in)));
        link->drain_left = 0;
    }
    if (count <= 0)
        return false;
    struct pst_fabric_counters *counters = &fabric->base.counters[link->node];
    counters->signals_received += (uint64_t)count;
    if (link->socket >= 0 && pst_sleep_ends(shared_ring_producer_sleep(link->in))) {
        shm_send_bare(link->socket, SHM_WAKE);
        counters->wakes_sent++;
    }
    event->type = PST_FABRIC_SIGNALS;
    event->signals = fabric->burst;
    event->signals_count = (uint32_t)count;
    return true;
}

static bool report_joined(struct shm_fabric *fabric, struct shm_link *link,
                          struct pst_fabric_event *event)
{
    link->is_new = false;
    memcpy(fabric->options, link->hello.options, sizeof(fabric->options));
    event->type = PST_FABRIC_JOINED;
    event->options = fabric->options;
    return true;
}

static bool report_failed(struct shm_fabric *fabric, struct shm_link *link,
                          struct pst_fabric_event *event)
{
    event->type = PST_FABRIC_FAILED;
    event->failure = link->failure;
    if (fabric->membership == SHM_MEMBER) /* else it is kept for EXPELLED */
        memcpy(fabric->reason, link->reason, sizeof(fabric->reason));
    event->reason = fabric->reason;
    shm_link_free(fabric, link);
    return true;
}

/* The next event of one link, if there is one, in the order joined, signals, failed. */
static bool link_event(struct shm_fabric *fabric, struct shm_link *link,
                       struct pst_fabric_event *event)
{
    if (link->state != SHM_LINK_UP && link->state != SHM_LINK_ENDING)
        return false;
    *event = (struct pst_fabric_event){.node = link->node, .incarnation = link->hello.incarnation};
    if (link->is_new)
        return report_joined(fabric, link, event);
    if (link->state == SHM_LINK_UP)
        return report_signals(fabric, link, event);
    if (link->drain_left > 0 && report_signals(fabric, link, event)) {
        uint32_t count = event->signals_count;
        link->drain_left -= count < link->drain_left ? count : link->drain_left;
        return true;
    }
    return report_failed(fabric, link, event);
}

static bool report_expelled(struct shm_fabric *fabric, struct pst_fabric_event *event)
{
    fabric->membership = SHM_EXPELLED_REPORTED;
    *event = (struct pst_fabric_event){.type = PST_FABRIC_EXPELLED,
                                       .node = fabric->expelled_by,
                                       .incarnation = fabric->hello.node.incarnation,
                                       .failure = fabric->expelled_for,
                                       .reason = fabric->reason};
    return true;
}

static int shm_poll(struct pst_fabric *base, uint64_t now_ns, struct pst_fabric_event *event)
{
    struct shm_fabric *fabric = (struct shm_fabric *)base;
    fabric->now_ns = now_ns;
    publish(fabric);
    if (fabric->membership == SHM_EXPELLED_REPORTED)
        return 0;
    if (fabric->cursor == 0) {
        int error = begin_round(fabric);
        if (error)
            return error;
    }
    for (;;) {
        uint32_t node = next_linked(fabric, fabric->cursor);
        if (node == 0)
            break;
        fabric->cursor = node;
        if (link_event(fabric, fabric->peers[node].link, event)) {
            shm_link_check(fabric, node);
            return 1;
        }
    }
    fabric->cursor = 0;
    if (fabric->membership == SHM_EXPELLED && pst_set_is_empty(&fabric->linked))
        return report_expelled(fabric, event);
    return 0;
}

/* ---- sending ---- */

static int shm_send_signal(struct pst_fabric *base, uint32_t node, const struct pst_signal *signal)
{
    struct shm_fabric *fabric = (struct shm_fabric *)base;
    struct shm_link *link = link_to(fabric, node);
    if (!link)
        return -ENOTCONN;
    struct pst_fabric_counters *counters = &fabric->base.counters[node];
    int error = shared_ring_put(link->out, signal);
    if (error == -EAGAIN) {
        counters->full++;
        publish(fabric); /* else nobody would make room */
        return error;
    }
    if (error) {
        shm_link_end(fabric, link, PST_FABRIC_DAMAGED,
                     pst_spsc_fault_text(shared_ring_fault(link->out)));
        return -ENOTCONN;
    }
    counters->signals_sent++;
    pst_set_add(&fabric->unpublished, node - 1);
    return 0;
}

static void shm_cut_off(struct pst_fabric *base, uint32_t node, const char *reason)
{
    struct shm_fabric *fabric = (struct shm_fabric *)base;
    struct shm_link *link = link_to(fabric, node);
    if (link)
        shm_link_end(fabric, link, PST_FABRIC_CUT_OFF, reason);
}

static uint32_t shm_room(struct pst_fabric *base, uint32_t node)
{
    struct shm_fabric *fabric = (struct shm_fabric *)base;
    struct shm_link *link = link_to(fabric, node);
    return link ? shared_ring_room(link->out) : 0;
}

/* ---- sleeping ---- */

static void shm_announce(struct pst_fabric *base)
{
    struct shm_fabric *fabric = (struct shm_fabric *)base;
    publish(fabric);
    for (uint32_t node = next_linked(fabric, 0); node != 0; node = next_linked(fabric, node)) {
        if (fabric->peers[node].link->state == SHM_LINK_UP)
            pst_sleep_announce(shared_ring_consumer_sleep(fabric->peers[node].link->in));
    }
}

static bool shm_is_quiet(struct pst_fabric *base)
{
    struct shm_fabric *fabric = (struct shm_fabric *)base;
    if (fabric->membership == SHM_EXPELLED)
        return false;
    for (uint32_t node = next_linked(fabric, 0); node != 0; node = next_linked(fabric, node)) {
        const struct shm_link *link = fabric->peers[node].link;
        if (link->state == SHM_LINK_ENDING || link->is_new ||
            (link->state == SHM_LINK_UP && !shared_ring_is_empty(link->in)))
            return false;
    }
    return true;
}

static void shm_cancel(struct pst_fabric *base)
{
    struct shm_fabric *fabric = (struct shm_fabric *)base;
    for (uint32_t node = next_linked(fabric, 0); node != 0; node = next_linked(fabric, node)) {
        if (fabric->peers[node].link->state == SHM_LINK_UP)
            pst_sleep_cancel(shared_ring_consumer_sleep(fabric->peers[node].link->in));
    }
    fabric->next_look_ns = 0;
}

static uint64_t shm_deadline_ns(const struct pst_fabric *base)
{
    const struct shm_fabric *fabric = (const struct shm_fabric *)base;
    return fabric->membership == SHM_MEMBER ? fabric->next_tick_ns : PST_DOORBELL_FOREVER;
}

/* ---- opening ---- */

static const char *shm_refusal(const struct pst_fabric *base, uint32_t node)
{
    return ((const struct shm_fabric *)base)->peers[node].logged;
}

static const struct pst_fabric_ops shm_ops = {
    .expels = true,
    .poll = shm_poll,
    .send = shm_send_signal,
    .cut_off = shm_cut_off,
    .publish = shm_publish,
    .room = shm_room,
    .announce = shm_announce,
    .is_quiet = shm_is_quiet,
    .cancel = shm_cancel,
    .deadline_ns = shm_deadline_ns,
    .refusal = shm_refusal,
    .rejoin = shm_rejoin,
    .close = shm_close,
};

static int refuse(char *message, uint32_t bytes, const char *text)
{
    (void)snprintf(message, bytes, "%s", text);
    return -EINVAL;
}

static int check_config(const struct pst_shm_config *config, char *message, uint32_t bytes)
{
    uint32_t slots = config->ring_signals;
    if (config->hello.node < 1 || config->hello.node > PST_NODES_MAX)
        return refuse(message, bytes, "the node id must be 1…255");
    if (config->hello.cluster[0] == '\0' ||
        memchr(config->hello.cluster, '\0', PST_CLUSTER_NAME_MAX) == NULL)
        return refuse(message, bytes, "the cluster's name must have 1…63 bytes");
    if (slots != 0 && (slots < 2 || slots > SHARED_RING_SIGNALS_MAX || (slots & (slots - 1))))
        return refuse(message, bytes, "the signals in a ring must be a power of two, 2…65536");
    if (config->failure_ns != 0 && config->failure_ns < PST_FABRIC_FAILURE_NS_MIN)
        return refuse(message, bytes, "a node cannot be declared dead after less than 60 ms");
    return 0;
}

static struct shm_hello hello_of(const struct pst_shm_config *config)
{
    struct shm_hello hello;
    memset(&hello, 0, sizeof(hello)); /* it is sent whole, unused bytes of its texts too */
    hello.header = (struct shm_header){SHM_MAGIC, SHM_VERSION, SHM_HELLO};
    hello.signal_version = PST_SIGNAL_VERSION;
    hello.ring_signals = config->ring_signals ? config->ring_signals : PST_RING_SIGNALS;
    hello.memory = config->memory == PST_SHM_EAL;
    hello.failure_us =
        (uint32_t)((config->failure_ns ? config->failure_ns : PST_FABRIC_FAILURE_NS) / 1000);
    (void)snprintf(hello.node.cluster, sizeof(hello.node.cluster), "%s", config->hello.cluster);
    hello.node.cluster_id = config->hello.cluster_id;
    memcpy(hello.node.options, config->hello.options, sizeof(hello.node.options));
    hello.node.node = config->hello.node;
    hello.node.incarnation = config->hello.incarnation;
    return hello;
}

static int open_epoll(struct shm_fabric *fabric)
{
    fabric->base.fd = epoll_create1(EPOLL_CLOEXEC);
    if (fabric->base.fd < 0)
        return -errno;
    return shm_join_open_doors(fabric);
}

int pst_shm_fabric_check(const char *directory, char *message, uint32_t message_bytes)
{
    return shm_place_check(directory, message, message_bytes);
}

int pst_shm_fabric_open(const struct pst_shm_config *config, struct pst_fabric **made,
                        char *message, uint32_t message_bytes)
{
    int error = check_config(config, message, message_bytes);
    if (error)
        return error;
    struct shm_fabric *fabric = aligned_alloc(_Alignof(struct shm_fabric), sizeof(*fabric));
    if (!fabric) {
        (void)snprintf(message, message_bytes, "out of memory");
        return -ENOMEM;
    }
    memset(fabric, 0, sizeof(*fabric));
    pst_fabric_init(&fabric->base, &shm_ops, config->hello.node);
    fabric->hello = hello_of(config);
    fabric->memory = config->memory;
    fabric->eal = config->eal;
    uint64_t failure_ns = config->failure_ns ? config->failure_ns : PST_FABRIC_FAILURE_NS;
    fabric->tick_ns = failure_ns / TICKS < TICK_NS_MAX ? failure_ns / TICKS : TICK_NS_MAX;
    fabric->silent_ticks_max = failure_ns / fabric->tick_ns - 1;
    for (uint32_t i = 0; i < SHM_PENDING_MAX; i++)
        fabric->pending[i].socket = -1;
    error = shm_place_open(&fabric->place, config->directory, config->hello.node, message,
                           message_bytes);
    if (error)
        goto fail;
    error = open_epoll(fabric);
    if (error) {
        (void)snprintf(message, message_bytes, "cannot watch the node's socket: %s",
                       pst_error_text(error));
        goto fail;
    }
    *made = &fabric->base;
    return 0;
fail:
    shm_close(&fabric->base);
    return error;
}
