/* What a step of a machine does: signals and works are added to its actions. Pure; called by the
 * machines, in the thread that steps them. */
#include "engine/protocol/step.h"

#include <assert.h>
#include <string.h>

static struct pst_signal *add_send(struct pst_actions *actions, uint16_t gsn, pst_ref sender_ref,
                                   pst_ref receiver_ref, uint64_t backup, uint32_t sequence)
{
    assert(actions->sends_count < PST_SENDS_MAX);
    struct pst_send *send = &actions->sends[actions->sends_count++];
    /* Where a signal leaves, its sender's address is whole. */
    assert(pst_ref_block(sender_ref) != 0 && pst_ref_node(sender_ref) != 0);
    pst_signal_init(&send->signal, gsn, sender_ref, receiver_ref, backup, sequence);
    return &send->signal;
}

struct pst_signal *actions_send(struct pst_actions *actions, uint16_t gsn, pst_ref sender_ref,
                                pst_ref receiver_ref, uint64_t backup, uint32_t sequence)
{
    struct pst_signal *signal = add_send(actions, gsn, sender_ref, receiver_ref, backup, sequence);
    actions->sends[actions->sends_count - 1].route = PST_ROUTE_ONE;
    actions->sends[actions->sends_count - 1].targets = (struct pst_set){{0}};
    return signal;
}

struct pst_signal *actions_fan_out(struct pst_actions *actions, uint16_t gsn, pst_ref sender_ref,
                                   enum pst_route route, const struct pst_set *targets,
                                   pst_ref receiver_ref, uint64_t backup, uint32_t sequence)
{
    assert(route != PST_ROUTE_ONE && !pst_set_is_empty(targets));
    struct pst_signal *signal = add_send(actions, gsn, sender_ref, receiver_ref, backup, sequence);
    actions->sends[actions->sends_count - 1].route = route;
    actions->sends[actions->sends_count - 1].targets = *targets;
    return signal;
}

struct pst_work *actions_work(struct pst_actions *actions, enum pst_work_type type, uint64_t backup)
{
    assert(actions->works_count < PST_WORKS_MAX);
    struct pst_work *work = &actions->works[actions->works_count++];
    memset(work, 0, sizeof(*work));
    work->type = type;
    work->backup = backup;
    return work;
}

bool timeouts_are_nested(const struct pst_timeouts *timeouts)
{
    return timeouts->ldm_ns > 0 && timeouts->ldm_ns < timeouts->proxy_ns &&
           timeouts->proxy_ns < timeouts->master_ns && timeouts->stall_ns > 0 &&
           timeouts->progress_ns > 0 && timeouts->progress_ns < timeouts->stall_ns &&
           timeouts->thawed_ns < timeouts->proxy_ns && timeouts->ask_ns > 0;
}
