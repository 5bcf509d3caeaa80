/* Model of the client: asks for one backup after the other, and does what clients do meanwhile. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <string.h>

#define CLIENT_REF pst_ref_make(SIM_NODE, PST_BLOCK_CLIENT, 0)
#define MASTER_REF pst_ref_make(SIM_NODE, PST_BLOCK_BACKUP, 1)

/* Some soon, some late, in every phase of a backup. */
static uint64_t some_time_ns(struct sim *sim)
{
    static const uint64_t most_ns[] = {SIM_MS,       20 * SIM_MS,  100 * SIM_MS,
                                       300 * SIM_MS, 600 * SIM_MS, 8 * SIM_S};
    return sim_random_between(&sim->random, SIM_US, most_ns[sim_random_next(&sim->random) % 6]);
}

static void later(struct sim *sim, enum sim_event_type type, uint32_t backup)
{
    sim_queue_add(&sim->queue, type, SIM_CLIENT, sim->now_ns + some_time_ns(sim))->token = backup;
}

static void send_request(struct sim *sim, struct sim_backup *backup)
{
    backup->requests++;
    struct pst_signal request = {
        .gsn = PST_BACKUP_REQ,
        .version = PST_SIGNAL_VERSION,
        .length = sizeof(struct pst_backup_req),
        .sender_ref = CLIENT_REF,
        .receiver_ref = MASTER_REF,
        .backup = backup->uid_low,
        .sequence = backup->sequence,
    };
    struct pst_backup_req *wanted = &request.payload.backup_req;
    uint64_t uid_low = backup->uid_low ^ backup->is_bad;
    memcpy(wanted->uid, &uid_low, sizeof(uid_low));
    wanted->request_id = backup->request_id;
    wanted->number = backup->number;
    wanted->flags = backup->single_threaded ? PST_BACKUP_SINGLE_THREADED : 0;
    sim_send(sim, SIM_CLIENT, &request);
}

static struct sim_backup *ask(struct sim *sim)
{
    assert(sim->backups_count < SIM_BACKUPS_MAX);
    struct sim_backup *backup = &sim->backups[sim->backups_count++];
    backup->uid_low = sim_random_next(&sim->random) | 1;
    backup->request_id = sim_random_next(&sim->random);
    backup->sequence = sim->backups_count;
    backup->asked_ns = sim->now_ns;
    backup->may_fail = !sim->calm;
    backup->single_threaded =
        sim->calm ? sim->backups_planned == 0 : sim_random_hits(&sim->random, 250);
    backup->is_bad = sim_fault(sim, SIM_FAULT_CLIENT_BAD);
    if (sim_fault(sim, SIM_FAULT_CLIENT_NUMBER))
        backup->number = (uint32_t)sim_random_between(&sim->random, 1, 5);
    send_request(sim, backup);
    return backup;
}

static void ask_next(struct sim *sim)
{
    sim->backups_planned--;
    sim->running = ask(sim);
    uint32_t index = sim->backups_count - 1;
    if (sim_fault(sim, SIM_FAULT_CLIENT_ABORT))
        later(sim, SIM_CLIENT_ABORT, index);
    if (sim_random_hits(&sim->random, 500))
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
    struct pst_signal order = {
        .gsn = PST_ABORT_BACKUP_ORD,
        .version = PST_SIGNAL_VERSION,
        .length = sizeof(struct pst_abort_backup_ord),
        .sender_ref = CLIENT_REF,
        .receiver_ref = MASTER_REF,
        .backup = backup->uid_low,
    };
    order.payload.abort.request = PST_ABORT_CLIENT;
    sim_send(sim, SIM_CLIENT, &order);
}

/* The end of the one that it waits for lets it ask for the next, soon or at once. */
static void hear(struct sim *sim, const struct pst_signal *signal)
{
    sim_check_told(sim, signal);
    if (!sim->running || sim->running->ends == 0)
        return;
    sim->running = NULL;
    if (sim->backups_planned > 0)
        later(sim, SIM_CLIENT_NEXT, 0);
}

/* A client that has heard the end of it leaves it alone. */
static bool is_running(const struct sim *sim, uint64_t index)
{
    return sim->running == &sim->backups[index];
}

void sim_client_event(struct sim *sim, const struct sim_event *event)
{
    switch (event->type) {
    case SIM_SIGNAL:
        hear(sim, &event->signal);
        break;
    case SIM_CLIENT_NEXT:
        ask_next(sim);
        break;
    case SIM_CLIENT_ABORT:
        send_abort(sim, &sim->backups[event->token]);
        break;
    case SIM_CLIENT_REPEAT:
        if (is_running(sim, event->token) && sim_fault(sim, SIM_FAULT_CLIENT_REPEAT))
            send_request(sim, sim->running);
        break;
    case SIM_CLIENT_OTHER:
        if (is_running(sim, event->token) && sim_fault(sim, SIM_FAULT_CLIENT_OTHER))
            ask(sim);
        break;
    default:
        assert(!"an event that a client never gets");
    }
}
