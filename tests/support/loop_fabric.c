/*
 * The fabric of one process: each end of a link has the queue of what the other sent to it. The
 * thread of the test runs all nodes; a node changes its peers' ends directly, and each peer learns
 * of it at its own next poll.
 */
#include "tests/support/loop_fabric.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/doorbell.h"
#include "net/fabric_ops.h"
#include "net/signal_check.h"

/* Heartbeats within failure_ns, at least; and how far they are apart, at most. */
#define TICKS 6u
#define TICK_NS_MAX (PST_FABRIC_FAILURE_NS / TICKS)

/* The indexes run freely: taken <= published <= put <= taken + LOOP_QUEUE_SIGNALS. */
struct queue {
    struct pst_signal signals[LOOP_QUEUE_SIGNALS];
    uint32_t taken;
    uint32_t published;
    uint32_t put;
    bool is_awaited; /* its producer was refused: wake it when there is room */
};

enum end_state { END_DOWN, END_UP, END_FAILED };

/* What a node has of its link to one peer. */
struct end {
    enum end_state state;
    bool has_news; /* JOINED is still to be reported */
    uint64_t incarnation;
    uint8_t options[PST_FABRIC_OPTIONS_BYTES];
    struct queue *in; /* NULL: DOWN */
    uint64_t beats;
    uint64_t silent_ticks;
    enum pst_fabric_failure failure; /* FAILED */
    char reason[128];                /* FAILED */
};

struct loop_fabric {
    struct pst_fabric base;
    struct loop_network *network;
    struct pst_fabric_hello hello;
    struct pst_doorbell bell;
    uint64_t now_ns;
    uint64_t tick_ns;
    uint64_t silent_ticks_max; /* as many, and a peer is suspected */
    uint64_t next_tick_ns;
    uint64_t beats;
    uint32_t cursor; /* of the round: the node that had its turn last */
    struct end ends[PST_NODES_MAX + 1];
    struct pst_signal burst[PST_FABRIC_BURST]; /* what an event points to */
    char reason[128];                          /* likewise */
};

struct loop_network {
    struct loop_fabric *nodes[PST_NODES_MAX + 1]; /* by id; NULL: not open */
};

static void *allocate(size_t alignment, size_t bytes)
{
    void *memory = aligned_alloc(alignment, bytes);
    if (!memory)
        abort();
    return memset(memory, 0, bytes);
}

struct loop_network *loop_network_open(void)
{
    return allocate(_Alignof(struct loop_network), sizeof(struct loop_network));
}

void loop_network_close(struct loop_network *network)
{
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++)
        assert(!network->nodes[node]);
    free(network);
}

/* The queue of what this node sends to a peer; NULL: they are not linked. */
static struct queue *queue_to(const struct loop_fabric *fabric, uint32_t node)
{
    if (fabric->ends[node].state != END_UP)
        return NULL;
    return fabric->network->nodes[node]->ends[fabric->base.node].in;
}

/* ---- links: what must hold of both ends ---- */

static void check_end(const struct loop_fabric *fabric, uint32_t node)
{
    const struct end *end = &fabric->ends[node];
    assert((end->state == END_DOWN) == !end->in);
    assert(end->state == END_FAILED || end->failure == 0);
    if (end->state == END_UP) {
        const struct loop_fabric *peer = fabric->network->nodes[node];
        assert(peer && peer->ends[fabric->base.node].state == END_UP);
        assert(end->incarnation == peer->hello.incarnation);
    }
    if (end->in) {
        assert(end->in->published - end->in->taken <= end->in->put - end->in->taken);
        assert(end->in->put - end->in->taken <= LOOP_QUEUE_SIGNALS);
    }
}

static void open_end(struct loop_fabric *fabric, const struct loop_fabric *peer)
{
    struct pst_fabric_counters *counters = &fabric->base.counters[peer->base.node];
    struct end *end = &fabric->ends[peer->base.node];
    end->state = END_UP;
    end->has_news = true;
    end->incarnation = peer->hello.incarnation;
    memcpy(end->options, peer->hello.options, sizeof(end->options));
    end->in = allocate(_Alignof(struct queue), sizeof(*end->in));
    end->beats = peer->beats;
    counters->joins++;
    counters->joined_since = fabric->now_ns;
    counters->ring_bytes = 2 * sizeof(*end->in);
    pst_doorbell_ring(&fabric->bell);
}

/* Nothing of it is reported any more. */
static void forget_end(struct loop_fabric *fabric, uint32_t node)
{
    struct end *end = &fabric->ends[node];
    free(end->in);
    *end = (struct end){.state = END_DOWN};
    fabric->base.counters[node].joined_since = 0;
    fabric->base.counters[node].ring_bytes = 0;
}

/* Of a peer whose end is certain all that it published is delivered, of any other nothing more. */
static void fail_end(struct loop_fabric *fabric, uint32_t node, enum pst_fabric_failure failure,
                     const char *reason)
{
    struct end *end = &fabric->ends[node];
    end->state = END_FAILED;
    end->failure = failure;
    (void)snprintf(end->reason, sizeof(end->reason), "%s", reason);
    if (!pst_fabric_failure_is_certain(failure))
        end->in->taken = end->in->published;
    fabric->base.counters[node].failures++;
    fabric->base.counters[node].joined_since = 0;
    fabric->base.counters[node].ring_bytes = 0;
    pst_doorbell_ring(&fabric->bell);
}

static void declare_dead(struct loop_fabric *fabric, uint32_t node, enum pst_fabric_failure failure,
                         const char *reason)
{
    if (fabric->ends[node].state != END_UP)
        return;
    fail_end(fabric->network->nodes[node], fabric->base.node, PST_FABRIC_LOST, reason);
    fail_end(fabric, node, failure, reason);
}

static void leave_all(struct loop_fabric *fabric, enum pst_fabric_failure failure,
                      const char *reason)
{
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        if (fabric->ends[node].state == END_UP)
            fail_end(fabric->network->nodes[node], fabric->base.node, failure, reason);
        forget_end(fabric, node);
    }
}

/* ---- a round ---- */

static bool is_same_cluster(const struct loop_fabric *fabric, const struct loop_fabric *peer)
{
    return fabric->hello.cluster_id == peer->hello.cluster_id &&
           strcmp(fabric->hello.cluster, peer->hello.cluster) == 0;
}

/* The higher id looks for the lower ones, as in every fabric. */
static void meet(struct loop_fabric *fabric, struct loop_fabric *peer)
{
    uint32_t self = fabric->base.node, node = peer->base.node;
    if (fabric->ends[node].state != END_DOWN || peer->ends[self].state != END_DOWN ||
        pst_set_has(&fabric->base.kept_out, node - 1) ||
        pst_set_has(&peer->base.kept_out, self - 1))
        return;
    if (!is_same_cluster(fabric, peer)) {
        peer->base.counters[0].refusals++;
        return;
    }
    open_end(fabric, peer);
    open_end(peer, fabric);
}

/* Silence is counted in this node's own ticks: one that was not polled itself suspects nobody. */
static void listen_to(struct loop_fabric *fabric, uint32_t node)
{
    struct end *end = &fabric->ends[node];
    uint64_t beats = fabric->network->nodes[node]->beats;
    end->silent_ticks = beats == end->beats ? end->silent_ticks + 1 : 0;
    end->beats = beats;
    if (end->silent_ticks >= fabric->silent_ticks_max)
        declare_dead(fabric, node, PST_FABRIC_SUSPECTED, "it gave no sign of life");
}

static void tick(struct loop_fabric *fabric)
{
    fabric->next_tick_ns = fabric->now_ns + fabric->tick_ns;
    fabric->beats++;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        if (fabric->ends[node].state == END_UP)
            listen_to(fabric, node);
        else if (node < fabric->base.node && fabric->network->nodes[node])
            meet(fabric, fabric->network->nodes[node]);
    }
}

static bool report_joined(struct end *end, struct pst_fabric_event *event)
{
    end->has_news = false;
    event->type = PST_FABRIC_JOINED;
    event->options = end->options;
    return true;
}

static uint32_t take(struct loop_fabric *fabric, uint32_t node)
{
    struct end *end = &fabric->ends[node];
    struct queue *in = end->in;
    uint32_t count = 0;
    while (count < PST_FABRIC_BURST && in->taken != in->published) {
        fabric->burst[count] = in->signals[in->taken % LOOP_QUEUE_SIGNALS];
        assert(pst_spsc_fault(&fabric->burst[count], end->incarnation, in->taken) ==
               PST_SIGNAL_FAULT_NONE);
        in->taken++;
        count++;
    }
    if (count > 0 && in->is_awaited && end->state == END_UP)
        pst_doorbell_ring(&fabric->network->nodes[node]->bell);
    in->is_awaited = in->is_awaited && count == 0;
    fabric->base.counters[node].signals_received += count;
    return count;
}

static bool report_signals(struct loop_fabric *fabric, uint32_t node,
                           struct pst_fabric_event *event)
{
    event->type = PST_FABRIC_SIGNALS;
    event->signals = fabric->burst;
    event->signals_count = take(fabric, node);
    return event->signals_count > 0;
}

static bool report_failed(struct loop_fabric *fabric, uint32_t node, struct pst_fabric_event *event)
{
    event->type = PST_FABRIC_FAILED;
    event->failure = fabric->ends[node].failure;
    memcpy(fabric->reason, fabric->ends[node].reason, sizeof(fabric->reason));
    event->reason = fabric->reason;
    forget_end(fabric, node);
    return true;
}

/* The next event of one peer, if there is one. */
static bool report(struct loop_fabric *fabric, uint32_t node, struct pst_fabric_event *event)
{
    struct end *end = &fabric->ends[node];
    check_end(fabric, node);
    if (end->state == END_DOWN)
        return false;
    *event = (struct pst_fabric_event){.node = node, .incarnation = end->incarnation};
    if (end->has_news)
        return report_joined(end, event);
    if (report_signals(fabric, node, event))
        return true;
    return end->state == END_FAILED && report_failed(fabric, node, event);
}

static void loop_publish(struct pst_fabric *base)
{
    struct loop_fabric *fabric = (struct loop_fabric *)base;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        struct queue *out = queue_to(fabric, node);
        if (!out || out->published == out->put)
            continue;
        struct pst_doorbell *bell = &fabric->network->nodes[node]->bell;
        uint64_t writes = pst_doorbell_writes(bell);
        out->published = out->put;
        pst_doorbell_ring(bell);
        base->counters[node].wakes_sent += pst_doorbell_writes(bell) - writes;
    }
}

static int loop_poll(struct pst_fabric *base, uint64_t now_ns, struct pst_fabric_event *event)
{
    struct loop_fabric *fabric = (struct loop_fabric *)base;
    fabric->now_ns = now_ns;
    loop_publish(base);
    if (fabric->cursor == 0 && now_ns >= fabric->next_tick_ns)
        tick(fabric);
    while (fabric->cursor < PST_NODES_MAX) {
        if (report(fabric, ++fabric->cursor, event))
            return 1;
    }
    fabric->cursor = 0;
    return 0;
}

/* ---- sending ---- */

static uint32_t loop_room(struct pst_fabric *base, uint32_t node)
{
    const struct queue *out = queue_to((struct loop_fabric *)base, node);
    return out ? LOOP_QUEUE_SIGNALS - (out->put - out->taken) : 0;
}

static int loop_send(struct pst_fabric *base, uint32_t node, const struct pst_signal *signal)
{
    struct loop_fabric *fabric = (struct loop_fabric *)base;
    struct queue *out = queue_to(fabric, node);
    assert(pst_spsc_content_fault(signal) == PST_SIGNAL_FAULT_NONE);
    if (!out)
        return -ENOTCONN;
    if (loop_room(base, node) == 0) {
        out->is_awaited = true;
        base->counters[node].full++;
        loop_publish(base);
        return -EAGAIN;
    }
    struct pst_signal *slot = &out->signals[out->put % LOOP_QUEUE_SIGNALS];
    *slot = *signal;
    pst_spsc_stamp(slot, fabric->hello.incarnation, out->put++);
    base->counters[node].signals_sent++;
    return 0;
}

static void loop_cut_off(struct pst_fabric *base, uint32_t node, const char *reason)
{
    declare_dead((struct loop_fabric *)base, node, PST_FABRIC_CUT_OFF, reason);
}

/* ---- sleeping ---- */

static void loop_announce(struct pst_fabric *base)
{
    loop_publish(base);
    pst_doorbell_announce(&((struct loop_fabric *)base)->bell);
}

static bool loop_is_quiet(struct pst_fabric *base)
{
    const struct loop_fabric *fabric = (struct loop_fabric *)base;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        const struct end *end = &fabric->ends[node];
        if (end->state == END_FAILED || end->has_news ||
            (end->state == END_UP && end->in->taken != end->in->published))
            return false;
    }
    return true;
}

static void loop_cancel(struct pst_fabric *base)
{
    struct loop_fabric *fabric = (struct loop_fabric *)base;
    pst_doorbell_cancel(&fabric->bell);
    pst_doorbell_drain(&fabric->bell);
}

static uint64_t loop_deadline_ns(const struct pst_fabric *base)
{
    return ((const struct loop_fabric *)base)->next_tick_ns;
}

/* ---- opening and closing ---- */

static int loop_rejoin(struct pst_fabric *base, uint64_t incarnation)
{
    struct loop_fabric *fabric = (struct loop_fabric *)base;
    loop_publish(base);
    leave_all(fabric, PST_FABRIC_LEFT, "it has left the cluster");
    fabric->hello.incarnation = incarnation;
    fabric->cursor = 0;
    fabric->next_tick_ns = 0;
    return 0;
}

static void end_with(struct loop_fabric *fabric, enum pst_fabric_failure failure,
                     const char *reason)
{
    leave_all(fabric, failure, reason);
    fabric->network->nodes[fabric->base.node] = NULL;
    pst_doorbell_close(&fabric->bell);
    free(fabric);
}

static void loop_close(struct pst_fabric *base)
{
    loop_publish(base);
    end_with((struct loop_fabric *)base, PST_FABRIC_LEFT, "it has left the cluster");
}

void loop_fabric_kill(struct pst_fabric *fabric)
{
    end_with((struct loop_fabric *)fabric, PST_FABRIC_DIED, "its process has ended");
}

static const struct pst_fabric_ops loop_ops = {
    .expels = false,
    .poll = loop_poll,
    .send = loop_send,
    .cut_off = loop_cut_off,
    .publish = loop_publish,
    .room = loop_room,
    .announce = loop_announce,
    .is_quiet = loop_is_quiet,
    .cancel = loop_cancel,
    .deadline_ns = loop_deadline_ns,
    .rejoin = loop_rejoin,
    .close = loop_close,
};

struct pst_fabric *loop_fabric_open(struct loop_network *network,
                                    const struct pst_fabric_hello *hello, uint64_t failure_ns)
{
    struct loop_fabric *fabric = allocate(_Alignof(struct loop_fabric), sizeof(*fabric));
    assert(failure_ns >= PST_FABRIC_FAILURE_NS_MIN);
    pst_fabric_init(&fabric->base, &loop_ops, hello->node);
    assert(!network->nodes[hello->node]);
    fabric->network = network;
    fabric->hello = *hello;
    fabric->tick_ns = failure_ns / TICKS < TICK_NS_MAX ? failure_ns / TICKS : TICK_NS_MAX;
    fabric->silent_ticks_max = failure_ns / fabric->tick_ns - 1;
    if (pst_doorbell_open(&fabric->bell) < 0)
        abort();
    fabric->base.fd = pst_doorbell_fd(&fabric->bell);
    network->nodes[hello->node] = fabric;
    return &fabric->base;
}
