/*
 * Two fabrics behind the table of net/fabric_ops.h: each call goes to the one that a node belongs
 * to, or to both. The hub's thread, from net/fabric_ops.c.
 */
#include "net/mixed_fabric.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/doorbell.h"
#include "net/fabric_ops.h"

#define REASON_BYTES 128u

enum { NEAR, FAR, PARTS };

/* EXPELLED: the near fabric has reported it; the far nodes are reported as lost first. */
enum mixed_membership { MIXED_MEMBER, MIXED_EXPELLED, MIXED_EXPELLED_REPORTED };

struct mixed_fabric {
    struct pst_fabric base;
    struct pst_fabric *parts[PARTS];
    struct pst_set strangers[PARTS]; /* by id - 1: nodes that are none of this part's */
    uint32_t turn;                   /* of the round: the part that is polled */
    enum mixed_membership membership;
    struct pst_fabric_event expelled;         /* kept until it is reported */
    char reason[REASON_BYTES];                /* its */
    uint64_t incarnations[PST_NODES_MAX + 1]; /* of the nodes that have joined, by id */
};

static uint32_t part_of(const struct mixed_fabric *fabric, uint32_t node)
{
    return pst_set_has(&fabric->strangers[NEAR], node - 1) ? FAR : NEAR;
}

/* ---- a round ---- */

/* Who is kept out of the whole is kept out of the part, and strangers always. */
static int poll_part(struct mixed_fabric *fabric, uint32_t part, uint64_t now_ns,
                     struct pst_fabric_event *event)
{
    fabric->parts[part]->kept_out = pst_set_union(&fabric->base.kept_out, &fabric->strangers[part]);
    return pst_fabric_poll(fabric->parts[part], now_ns, event);
}

static void keep_expelled(struct mixed_fabric *fabric, const struct pst_fabric_event *event)
{
    fabric->membership = MIXED_EXPELLED;
    fabric->expelled = *event;
    (void)snprintf(fabric->reason, sizeof(fabric->reason), "%s", event->reason);
    fabric->expelled.reason = fabric->reason;
}

/* The far nodes have noticed nothing: they are left when this node rejoins. */
static int report_expelled(struct mixed_fabric *fabric, struct pst_fabric_event *event)
{
    uint32_t node = pst_set_next(&fabric->base.joined, 0) + 1;
    if (node > PST_NODES_MAX) {
        *event = fabric->expelled;
        fabric->membership = MIXED_EXPELLED_REPORTED;
        return 1;
    }
    *event = (struct pst_fabric_event){
        .type = PST_FABRIC_FAILED,
        .node = node,
        .incarnation = fabric->incarnations[node],
        .failure = PST_FABRIC_LOST,
        .reason = "this node was declared dead by one of its own host",
    };
    fabric->base.counters[node].failures++;
    return 1;
}

static int mixed_poll(struct pst_fabric *base, uint64_t now_ns, struct pst_fabric_event *event)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    for (; fabric->membership == MIXED_MEMBER && fabric->turn < PARTS; fabric->turn++) {
        int status = poll_part(fabric, fabric->turn, now_ns, event);
        if (status > 0 && event->type == PST_FABRIC_EXPELLED) {
            keep_expelled(fabric, event);
            break;
        }
        if (status > 0 && event->type == PST_FABRIC_JOINED)
            fabric->incarnations[event->node] = event->incarnation;
        if (status != 0)
            return status;
    }
    if (fabric->membership == MIXED_EXPELLED)
        return report_expelled(fabric, event);
    fabric->turn = 0;
    pst_fabric_publish(fabric->parts[NEAR]); /* answers to what far nodes sent */
    return 0;
}

/* ---- sending: whoever was reported as failed has, though its fabric may not know ---- */

static int mixed_send(struct pst_fabric *base, uint32_t node, const struct pst_signal *signal)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    if (!pst_set_has(&base->joined, node - 1))
        return -ENOTCONN;
    return pst_fabric_send(fabric->parts[part_of(fabric, node)], node, signal);
}

static void mixed_cut_off(struct pst_fabric *base, uint32_t node, const char *reason)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    if (pst_set_has(&base->joined, node - 1))
        pst_fabric_cut_off(fabric->parts[part_of(fabric, node)], node, reason);
}

static uint32_t mixed_room(struct pst_fabric *base, uint32_t node)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    if (!pst_set_has(&base->joined, node - 1))
        return 0;
    return pst_fabric_room(fabric->parts[part_of(fabric, node)], node);
}

static void mixed_publish(struct pst_fabric *base)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    pst_fabric_publish(fabric->parts[NEAR]);
    pst_fabric_publish(fabric->parts[FAR]);
}

/* ---- sleeping ---- */

static void mixed_announce(struct pst_fabric *base)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    pst_fabric_announce(fabric->parts[NEAR]);
    pst_fabric_announce(fabric->parts[FAR]);
}

static bool mixed_is_quiet(struct pst_fabric *base)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    if (fabric->membership != MIXED_MEMBER)
        return fabric->membership == MIXED_EXPELLED_REPORTED;
    return pst_fabric_is_quiet(fabric->parts[NEAR]) && pst_fabric_is_quiet(fabric->parts[FAR]);
}

static void mixed_cancel(struct pst_fabric *base)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    pst_fabric_cancel(fabric->parts[NEAR]);
    pst_fabric_cancel(fabric->parts[FAR]);
}

static uint64_t mixed_deadline_ns(const struct pst_fabric *base)
{
    const struct mixed_fabric *fabric = (const struct mixed_fabric *)base;
    if (fabric->membership == MIXED_EXPELLED_REPORTED)
        return PST_DOORBELL_FOREVER;
    uint64_t near_ns = pst_fabric_deadline_ns(fabric->parts[NEAR]);
    uint64_t far_ns = pst_fabric_deadline_ns(fabric->parts[FAR]);
    return near_ns < far_ns ? near_ns : far_ns;
}

static const char *mixed_refusal(const struct pst_fabric *base, uint32_t node)
{
    const struct mixed_fabric *fabric = (const struct mixed_fabric *)base;
    return pst_fabric_refusal(fabric->parts[part_of(fabric, node)], node);
}

/* ---- opening and closing ---- */

static int mixed_rejoin(struct pst_fabric *base, uint64_t incarnation)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    fabric->membership = MIXED_MEMBER;
    fabric->turn = 0;
    int error = pst_fabric_rejoin(fabric->parts[NEAR], incarnation);
    return error ? error : pst_fabric_rejoin(fabric->parts[FAR], incarnation);
}

static void mixed_close(struct pst_fabric *base)
{
    struct mixed_fabric *fabric = (struct mixed_fabric *)base;
    pst_fabric_close(fabric->parts[NEAR]);
    pst_fabric_close(fabric->parts[FAR]);
    if (base->fd >= 0)
        close(base->fd);
    free(fabric);
}

static const struct pst_fabric_ops mixed_ops = {
    .expels = true,
    .poll = mixed_poll,
    .send = mixed_send,
    .cut_off = mixed_cut_off,
    .publish = mixed_publish,
    .room = mixed_room,
    .announce = mixed_announce,
    .is_quiet = mixed_is_quiet,
    .cancel = mixed_cancel,
    .deadline_ns = mixed_deadline_ns,
    .refusal = mixed_refusal,
    .rejoin = mixed_rejoin,
    .close = mixed_close,
};

/* One descriptor for both. */
static int watch(struct mixed_fabric *fabric)
{
    fabric->base.fd = epoll_create1(EPOLL_CLOEXEC);
    if (fabric->base.fd < 0)
        return -errno;
    for (uint32_t part = 0; part < PARTS; part++) {
        struct epoll_event readable = {.events = EPOLLIN};
        int fd = pst_fabric_fd(fabric->parts[part]);
        if (epoll_ctl(fabric->base.fd, EPOLL_CTL_ADD, fd, &readable) < 0)
            return -errno;
    }
    return 0;
}

int pst_mixed_fabric_open(struct pst_fabric *near, const struct pst_set *near_nodes,
                          struct pst_fabric *far, struct pst_fabric **opened)
{
    struct pst_set all = pst_set_first(PST_NODES_MAX);
    struct mixed_fabric *fabric = calloc(1, sizeof(*fabric));
    assert(near->node == far->node && !far->ops->expels);
    if (!fabric) {
        pst_fabric_close(near);
        pst_fabric_close(far);
        return -ENOMEM;
    }
    pst_fabric_init(&fabric->base, &mixed_ops, near->node);
    fabric->parts[NEAR] = near;
    fabric->parts[FAR] = far;
    fabric->strangers[NEAR] = pst_set_minus(&all, near_nodes);
    fabric->strangers[FAR] = *near_nodes;
    for (uint32_t part = 0; part < PARTS; part++)
        fabric->parts[part]->counters = fabric->base.counters;
    int error = watch(fabric);
    if (error) {
        mixed_close(&fabric->base);
        return error;
    }
    *opened = &fabric->base;
    return 0;
}
