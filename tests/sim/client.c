/* Model of the clients: one asks for one backup after the other, of some node, and does what
 * clients do meanwhile. A client hears nothing more once its node died, or it is gone. */
#include <assert.h>
#include <string.h>

#include "tests/sim/sim.h"

/* Some soon, some late, in every phase of a backup. */
static uint64_t some_time_ns(struct sim *sim)
{
    static const uint64_t most_ns[] = {SIM_MS,       20 * SIM_MS,  100 * SIM_MS,
                                       300 * SIM_MS, 600 * SIM_MS, 8 * SIM_S};
    return sim_random_between(&sim->random, SIM_US, most_ns[sim_random_next(&sim->random) % 6]);
}

/* Clients are no part of a node: their events outlive it. */
static void later(struct sim *sim, enum sim_event_type type, uint32_t backup)
{
    sim_queue_add(&sim->queue, type, SIM_CLIENT, sim->now_ns + some_time_ns(sim))->token = backup;
}

static struct pst_signal to_master(const struct sim_backup *backup, uint16_t gsn)
{
    uint32_t node = backup->master + 1;
    struct pst_signal signal;
    pst_signal_init(&signal, gsn, pst_ref_make(node, PST_BLOCK_CLIENT, 0),
                    pst_ref_make(node, PST_BLOCK_BACKUP, 1), backup->uid_low, 0);
    return signal;
}

static uint32_t client_thread(const struct sim_backup *backup)
{
    return backup->master * SIM_NODE_THREADS + SIM_CLIENT;
}

static void send_request(struct sim *sim, struct sim_backup *backup)
{
    backup->requests++;
    struct pst_signal request = to_master(backup, PST_BACKUP_REQ);
    request.sequence = backup->sequence;
    struct pst_backup_req *wanted = &request.payload.backup_req;
    uint64_t uid_low = backup->uid_low ^ backup->is_bad;
    memcpy(wanted->uid, &uid_low, sizeof(uid_low));
    wanted->request_id = backup->request_id;
    wanted->number = backup->number;
    wanted->flags = (backup->single_threaded ? PST_BACKUP_SINGLE_THREADED : 0) |
                    (backup->allows_missing ? PST_BACKUP_ALLOW_MISSING : 0);
    sim_send(sim, client_thread(backup), &request);
}

/* A node that is up; the lowest, where a client knows what it is about. */
static uint32_t choose_master(struct sim *sim)
{
    uint32_t lowest = 0;
    while (lowest < sim->options.nodes && !sim->nodes[lowest].is_up)
        lowest++;
    if (lowest == sim->options.nodes || !sim_fault(sim, SIM_FAULT_CLIENT_ELSEWHERE))
        return lowest;
    uint32_t other = (uint32_t)sim_random_between(&sim->random, 0, sim->options.nodes - 1);
    return sim->nodes[other].is_up ? other : lowest;
}

static struct sim_backup *ask(struct sim *sim, const struct sim_asked *asked)
{
    uint32_t master = asked ? asked->node : choose_master(sim);
    if (sim->backups_count == SIM_BACKUPS_MAX || master == sim->options.nodes)
        return NULL;
    struct sim_backup *backup = &sim->backups[sim->backups_count++];
    memset(backup, 0, sizeof(*backup));
    backup->sequence = sim->backups_count;
    backup->uid_low = (sim_random_next(&sim->random) ^ backup->sequence << 4) | 1;
    backup->request_id = sim_random_next(&sim->random) ^ backup->sequence;
    backup->master = master;
    backup->asked_ns = sim->now_ns;
    backup->may_fail = !sim->calm;
    backup->single_threaded =
        sim->calm ? sim->backups_planned == 0 : sim_random_hits(&sim->random, 250);
    backup->allows_missing = sim->script || (!sim->calm && sim_random_hits(&sim->random, 800));
    backup->is_bad = sim_fault(sim, SIM_FAULT_CLIENT_BAD);
    if (asked) {
        backup->number = asked->number;
        backup->single_threaded = asked->single_threaded;
    }
    if (sim_fault(sim, SIM_FAULT_CLIENT_NUMBER))
        backup->number = (uint32_t)sim_random_between(&sim->random, 1, 5);
    sim_tell(sim, "the client asks node %u for backup %08x", master + 1, (unsigned)backup->uid_low);
    send_request(sim, backup);
    return backup;
}

/* As the scenario has it; NULL: there is none. */
static const struct sim_asked *next_asked(const struct sim *sim)
{
    return sim->script && !sim->calm
               ? &sim->script->asked[sim->options.backups - sim->backups_planned]
               : NULL;
}

static void ask_next(struct sim *sim)
{
    if (sim->backups_planned == 0)
        return;
    const struct sim_asked *asked = next_asked(sim);
    sim->backups_planned--;
    sim->running = ask(sim, asked);
    if (!sim->running) {
        later(sim, SIM_CLIENT_NEXT, 0);
        return;
    }
    uint32_t index = sim->backups_count - 1;
    if (sim_fault(sim, SIM_FAULT_CLIENT_ABORT))
        later(sim, SIM_CLIENT_ABORT, index);
    if (sim_fault(sim, SIM_FAULT_CLIENT_VANISHES))
        later(sim, SIM_CLIENT_VANISH, index);
    else if (sim_random_hits(&sim->random, 500))
        later(sim, SIM_CLIENT_REPEAT, index);
    else
        later(sim, SIM_CLIENT_OTHER, index);
}

void sim_client_start(struct sim *sim)
{
    later(sim, SIM_CLIENT_NEXT, 0);
}

static void send_abort(struct sim *sim, const struct sim_backup *backup)
{
    struct pst_signal order = to_master(backup, PST_ABORT_BACKUP_ORD);
    order.payload.abort.request = PST_ABORT_CLIENT;
    sim_send(sim, client_thread(backup), &order);
}

static void go_on(struct sim *sim)
{
    sim->running = NULL;
    if (sim->backups_planned == 0)
        return;
    const struct sim_asked *asked = next_asked(sim);
    uint64_t time_ns = sim->now_ns + (asked ? asked->after_ns : 0) + some_time_ns(sim);
    sim_queue_add(&sim->queue, SIM_CLIENT_NEXT, SIM_CLIENT, time_ns);
}

/* The end of the one that it waits for lets it ask for the next, soon or at once. */
static void hear(struct sim *sim, const struct sim_event *event)
{
    struct sim_backup *backup = sim_backup_of(sim, event->signal.backup);
    if (backup->is_deaf || event->incarnation != sim_node_of(sim, event->thread)->incarnation)
        return;
    sim_tell_signal(sim, &event->signal, NULL);
    sim_check_told(sim, backup, &event->signal);
    if (sim->running == backup && backup->ends > 0)
        go_on(sim);
}

/* The node's main thread always takes note. */
static void hear_failure(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = sim_node_of(sim, event->thread);
    if (node->is_up && event->incarnation == node->incarnation)
        sim_heard_failure(sim, node, SIM_CLIENT, &event->signal);
}

static void become_deaf(struct sim *sim, struct sim_backup *backup)
{
    if (backup->is_deaf || backup->ends > 0)
        return;
    backup->is_deaf = true;
    if (sim->running == backup)
        go_on(sim);
}

void sim_client_lost(struct sim *sim, const struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        if (sim->backups[i].master + 1 == node->id)
            become_deaf(sim, &sim->backups[i]);
    }
}

void sim_client_abort(struct sim *sim)
{
    sim_tell(sim, "the client aborts");
    if (sim->running)
        send_abort(sim, sim->running);
}

void sim_client_vanish(struct sim *sim)
{
    sim_tell(sim, "the client is gone");
    if (sim->running)
        become_deaf(sim, sim->running);
}

void sim_client_ask(struct sim *sim, const struct sim_asked *asked)
{
    ask(sim, asked);
}

/* A client that has heard the end of it leaves it alone. */
static bool is_running(const struct sim *sim, uint64_t index)
{
    return sim->running == &sim->backups[index] && !sim->running->is_deaf;
}

void sim_client_event(struct sim *sim, const struct sim_event *event)
{
    switch (event->type) {
    case SIM_SIGNAL:
        if (event->signal.gsn == PST_NODE_FAILED_ORD)
            hear_failure(sim, event);
        else if (event->signal.gsn != PST_NODE_JOINED_ORD)
            hear(sim, event);
        break;
    case SIM_CLIENT_NEXT:
        ask_next(sim);
        break;
    case SIM_CLIENT_ABORT:
        if (!sim->backups[event->token].is_deaf)
            send_abort(sim, &sim->backups[event->token]);
        break;
    case SIM_CLIENT_REPEAT:
        if (is_running(sim, event->token) && sim_fault(sim, SIM_FAULT_CLIENT_REPEAT))
            send_request(sim, sim->running);
        break;
    case SIM_CLIENT_OTHER:
        if (is_running(sim, event->token) && sim_fault(sim, SIM_FAULT_CLIENT_OTHER))
            ask(sim, NULL);
        break;
    case SIM_CLIENT_VANISH:
        sim_tell(sim, "the client is gone");
        become_deaf(sim, &sim->backups[event->token]);
        break;
    default:
        assert(!"an event that a client never gets");
    }
}
