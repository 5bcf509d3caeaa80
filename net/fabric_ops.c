/*
 * The calls of net/fabric.h. Each checks the contract (the hub's thread, a peer's id, the order of
 * a node's events) and hands over to the fabric's own function. The hub's thread alone.
 */
#include "net/fabric_ops.h"

#include <assert.h>

void pst_fabric_init(struct pst_fabric *fabric, const struct pst_fabric_ops *ops, uint32_t node)
{
    assert(node >= 1 && node <= PST_NODES_MAX);
    fabric->ops = ops;
    fabric->node = node;
    fabric->fd = -1;
    fabric->counters = fabric->own_counters;
    pst_thread_bind(&fabric->hub);
}

static bool is_peer(const struct pst_fabric *fabric, uint32_t node)
{
    return node >= 1 && node <= PST_NODES_MAX && node != fabric->node;
}

/* What every fabric owes its caller, whatever its peers do. */
static void follow(struct pst_fabric *fabric, const struct pst_fabric_event *event)
{
    uint32_t member = event->node - 1;
    assert(is_peer(fabric, event->node) && !fabric->is_expelled);
    switch (event->type) {
    case PST_FABRIC_SIGNALS:
        assert(pst_set_has(&fabric->joined, member) && event->signals);
        assert(event->signals_count >= 1 && event->signals_count <= PST_FABRIC_BURST);
        break;
    case PST_FABRIC_JOINED:
        assert(!pst_set_has(&fabric->joined, member) && event->options);
        assert(!pst_set_has(&fabric->kept_out, member));
        pst_set_add(&fabric->joined, member);
        break;
    case PST_FABRIC_FAILED:
        assert(pst_set_has(&fabric->joined, member));
        assert(event->failure >= PST_FABRIC_LEFT && event->failure <= PST_FABRIC_LOST);
        assert(event->reason);
        pst_set_remove(&fabric->joined, member);
        pst_set_add(&fabric->kept_out, member);
        break;
    case PST_FABRIC_EXPELLED:
        assert(fabric->ops->expels && pst_set_is_empty(&fabric->joined) && event->reason);
        fabric->is_expelled = true;
        break;
    }
}

int pst_fabric_poll(struct pst_fabric *fabric, uint64_t now_ns, struct pst_fabric_event *event)
{
    PST_CHECK_THREAD(&fabric->hub);
    int status = fabric->ops->poll(fabric, now_ns, event);
    if (status > 0)
        follow(fabric, event);
    return status;
}

int pst_fabric_send(struct pst_fabric *fabric, uint32_t node, const struct pst_signal *signal)
{
    PST_CHECK_THREAD(&fabric->hub);
    assert(is_peer(fabric, node));
    return fabric->ops->send(fabric, node, signal);
}

void pst_fabric_cut_off(struct pst_fabric *fabric, uint32_t node, const char *reason)
{
    PST_CHECK_THREAD(&fabric->hub);
    assert(is_peer(fabric, node));
    fabric->ops->cut_off(fabric, node, reason);
}

void pst_fabric_readmit(struct pst_fabric *fabric, uint32_t node)
{
    PST_CHECK_THREAD(&fabric->hub);
    assert(is_peer(fabric, node));
    pst_set_remove(&fabric->kept_out, node - 1);
}

void pst_fabric_publish(struct pst_fabric *fabric)
{
    PST_CHECK_THREAD(&fabric->hub);
    fabric->ops->publish(fabric);
}

uint32_t pst_fabric_room(struct pst_fabric *fabric, uint32_t node)
{
    PST_CHECK_THREAD(&fabric->hub);
    assert(is_peer(fabric, node));
    return fabric->ops->room(fabric, node);
}

struct pst_set pst_fabric_live(const struct pst_fabric *fabric)
{
    PST_CHECK_THREAD(&fabric->hub);
    struct pst_set live = fabric->joined;
    pst_set_add(&live, fabric->node - 1);
    return live;
}

static void add(struct pst_fabric_counters *sum, const struct pst_fabric_counters *more)
{
    sum->signals_sent += more->signals_sent;
    sum->signals_received += more->signals_received;
    sum->full += more->full;
    sum->wakes_sent += more->wakes_sent;
    sum->joins += more->joins;
    sum->failures += more->failures;
    sum->refusals += more->refusals;
    sum->ring_bytes += more->ring_bytes;
    sum->packets_sent += more->packets_sent;
    sum->packets_received += more->packets_received;
    sum->packets_dropped += more->packets_dropped;
}

struct pst_fabric_counters pst_fabric_counters(const struct pst_fabric *fabric, uint32_t node)
{
    PST_CHECK_THREAD(&fabric->hub);
    assert(node == 0 || is_peer(fabric, node));
    if (node != 0)
        return fabric->counters[node];
    struct pst_fabric_counters sum = {0};
    for (node = 0; node <= PST_NODES_MAX; node++)
        add(&sum, &fabric->counters[node]);
    return sum;
}

void pst_fabric_announce(struct pst_fabric *fabric)
{
    PST_CHECK_THREAD(&fabric->hub);
    fabric->ops->announce(fabric);
}

bool pst_fabric_is_quiet(struct pst_fabric *fabric)
{
    PST_CHECK_THREAD(&fabric->hub);
    return fabric->ops->is_quiet(fabric);
}

void pst_fabric_cancel(struct pst_fabric *fabric)
{
    PST_CHECK_THREAD(&fabric->hub);
    fabric->ops->cancel(fabric);
}

int pst_fabric_fd(const struct pst_fabric *fabric)
{
    PST_CHECK_THREAD(&fabric->hub);
    return fabric->fd;
}

uint64_t pst_fabric_deadline_ns(const struct pst_fabric *fabric)
{
    PST_CHECK_THREAD(&fabric->hub);
    return fabric->ops->deadline_ns(fabric);
}

const char *pst_fabric_refusal(const struct pst_fabric *fabric, uint32_t node)
{
    PST_CHECK_THREAD(&fabric->hub);
    assert(is_peer(fabric, node));
    return fabric->ops->refusal ? fabric->ops->refusal(fabric, node) : "";
}

int pst_fabric_rejoin(struct pst_fabric *fabric, uint64_t incarnation)
{
    PST_CHECK_THREAD(&fabric->hub);
    fabric->joined = (struct pst_set){{0}};
    fabric->is_expelled = false;
    return fabric->ops->rejoin(fabric, incarnation);
}

void pst_fabric_close(struct pst_fabric *fabric)
{
    if (!fabric)
        return;
    PST_CHECK_THREAD(&fabric->hub);
    fabric->ops->close(fabric);
}
