/* The machines of one LDM: gives each event to the machine that it is for, and passes signals
 * between proxy and participant of LDM 1. Pure; stepped by the LDM's thread. */
#include "engine/protocol/ldm.h"

#include <assert.h>
#include <string.h>

void pst_ldm_block_init(struct pst_ldm_block *block, const struct pst_ldm_config *config,
                        struct pst_proxy *proxy, struct pst_master *master)
{
    assert((config->instance == 1) == (proxy != NULL) && (proxy != NULL) == (master != NULL));
    pst_ref self_ref = pst_ref_make(config->node, PST_BLOCK_BACKUP, config->instance);
    participant_init(&block->participant, self_ref, &config->timeouts);
    block->proxy = proxy;
    block->master = master;
    if (config->instance != 1)
        return;
    pst_proxy_init(proxy, pst_ref_make(config->node, PST_BLOCK_PROXY, 1), self_ref, 1,
                   config->sources, &config->timeouts);
    master_init(master, self_ref, &config->nodes, &config->multithreaded, &config->timeouts);
}

uint64_t pst_ldm_block_deadline_ns(const struct pst_ldm_block *block)
{
    uint64_t deadline_ns = participant_deadline_ns(&block->participant);
    if (!block->master)
        return deadline_ns;
    uint64_t proxy_ns = pst_proxy_deadline_ns(block->proxy);
    uint64_t master_ns = master_deadline_ns(block->master);
    if (proxy_ns < deadline_ns)
        deadline_ns = proxy_ns;
    return master_ns < deadline_ns ? master_ns : deadline_ns;
}

/* Single-threaded, the master itself is the sender of the orders: senderRef is masterRef. */
static bool is_for_own_proxy(const struct pst_ldm_block *block, const struct pst_signal *signal)
{
    if (!block->proxy)
        return false;
    if (pst_ref_block(signal->receiver_ref) == PST_BLOCK_PROXY)
        return true;
    return signal->sender_ref == signal->payload.order.master_ref;
}

static void on_signal(struct pst_ldm_block *block, const struct pst_event *event,
                      struct pst_actions *actions)
{
    const struct pst_signal *signal = event->signal;
    if (pst_ref_block(signal->receiver_ref) == PST_BLOCK_BACKUP &&
        pst_signal_is_for_master(signal)) {
        if (block->master)
            master_step(block->master, event, actions);
        return;
    }
    if (is_for_own_proxy(block, signal))
        pst_proxy_step(block->proxy, event, actions);
    else
        participant_step(&block->participant, event, actions);
}

static void on_shared(struct pst_ldm_block *block, const struct pst_event *event,
                      struct pst_actions *actions)
{
    participant_step(&block->participant, event, actions);
    if (!block->master)
        return;
    pst_proxy_step(block->proxy, event, actions);
    master_step(block->master, event, actions);
}

/* Takes the first signal between this LDM's proxy and participant out of the actions. */
static bool take_inner(const struct pst_ldm_block *block, struct pst_actions *actions,
                       struct pst_signal *signal)
{
    for (uint32_t i = 0; block->proxy && i < actions->sends_count; i++) {
        struct pst_send *send = &actions->sends[i];
        bool down = send->signal.sender_ref == block->proxy->self_ref &&
                    pst_ref_block(send->signal.receiver_ref) == PST_BLOCK_BACKUP;
        bool up =
            send->route == PST_ROUTE_ONE && send->signal.receiver_ref == block->proxy->self_ref;
        if (!down && !up)
            continue;
        *signal = send->signal;
        /* This proxy has one LDM: docs/protocol.md, "The course of a backup". */
        assert(!down || pst_set_has(&send->targets, 0) ||
               send->signal.receiver_ref == block->participant.self_ref);
        assert(!up || signal->sender_ref == block->participant.self_ref);
        if (down)
            signal->receiver_ref = block->participant.self_ref;
        actions->sends_count--;
        memmove(send, send + 1, (actions->sends_count - i) * sizeof(*send));
        return true;
    }
    return false;
}

/* More than a step of proxy and participant ever passes between them. */
#define INNER_MAX 32u

/* Asserts what must hold of the machines together between two steps. */
static void check(const struct pst_ldm_block *block)
{
    pst_ref self_ref = block->participant.self_ref;
    assert((pst_ref_instance(self_ref) == 1) == (block->proxy != NULL));
    assert((block->proxy != NULL) == (block->master != NULL));
    if (!block->proxy)
        return;
    assert(block->proxy->ldms == 1 && block->proxy->face_ref == self_ref);
    assert(block->master->self_ref == self_ref);
}

void pst_ldm_block_step(struct pst_ldm_block *block, const struct pst_event *event,
                        struct pst_actions *actions)
{
    if (event->type == PST_EVENT_SIGNAL)
        on_signal(block, event, actions);
    else if (event->type == PST_EVENT_TIMER || event->type == PST_EVENT_NODE_FAILED ||
             event->type == PST_EVENT_NODE_JOINED)
        on_shared(block, event, actions);
    else
        participant_step(&block->participant, event, actions);
    struct pst_signal inner;
    uint32_t passed = 0;
    while (take_inner(block, actions, &inner)) {
        passed++;
        assert(passed <= INNER_MAX); /* orders down and answers up: they come to an end */
        struct pst_event next = {
            .type = PST_EVENT_SIGNAL, .now_ns = event->now_ns, .signal = &inner};
        on_signal(block, &next, actions);
    }
    check(block);
}

uint64_t pst_ldm_block_backup(const struct pst_ldm_block *block)
{
    if (block->participant.state != PST_PARTICIPANT_IDLE)
        return block->participant.backup;
    if (block->proxy && block->proxy->state != PST_PROXY_IDLE)
        return block->proxy->backup;
    if (block->master && block->master->state != PST_MASTER_IDLE)
        return block->master->backup;
    return 0;
}
