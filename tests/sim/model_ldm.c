/*
 * Model of an LDM's thread: the real BACKUP block, and a worker that does its works, each in its
 * time, on the model directory. As the runtime promises, a work that is not lost ends once, HALT
 * and DISCARD end what runs, and DISCARD ends last. A lost RELEASE or DISCARD is no fault of this
 * kind: only the death of the process ends these.
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define HUGE_SUM (UINT64_C(1) << 40) /* one of it does not fit 32 bits */

void sim_ldm_init(struct sim *sim, uint32_t index)
{
    struct pst_ldm_config config = {
        .node = SIM_NODE,
        .instance = index + 1,
        .sources = sim->sources_count,
        .nodes = pst_set_first(1),
        .multithreaded = pst_set_first(sim->ldms_count > 1),
        .timeouts = sim->timeouts,
    };
    bool first = index == 0;
    pst_ldm_block_init(&sim->ldms[index].block, &config, first ? &sim->ldm_proxy : NULL,
                       first ? &sim->master : NULL);
}

static void set_timer(struct sim *sim, struct sim_ldm *ldm)
{
    uint64_t deadline_ns = pst_ldm_block_deadline_ns(&ldm->block);
    if (deadline_ns == PST_DEADLINE_NONE || deadline_ns == ldm->timer_ns)
        return;
    ldm->timer_ns = deadline_ns;
    uint32_t thread = SIM_LDM + (uint32_t)(ldm - sim->ldms);
    uint64_t late_ns = sim_random_between(&sim->random, 0, SIM_MS);
    uint64_t time_ns = deadline_ns > sim->now_ns ? deadline_ns : sim->now_ns;
    sim_queue_add(&sim->queue, SIM_TIMER, thread, time_ns + late_ns)->token = deadline_ns;
}

static void step(struct sim *sim, uint32_t index, struct pst_event *event)
{
    struct sim_ldm *ldm = &sim->ldms[index];
    struct pst_actions actions;
    actions.sends_count = actions.works_count = 0;
    event->now_ns = sim->now_ns;
    pst_ldm_block_step(&ldm->block, event, &actions);
    sim_perform(sim, SIM_LDM + index, &actions);
    set_timer(sim, ldm);
    if (index == 0)
        sim_check_nesting(sim);
}

static void end_at(struct sim *sim, uint32_t index, struct sim_work *work, uint64_t time_ns)
{
    work->token = ++sim->tokens;
    sim_queue_add(&sim->queue, SIM_WORK, SIM_LDM + index, time_ns)->token = work->token;
}

/* What runs, but for a DISCARD, ends soon, with ECANCELED. */
static void cancel(struct sim *sim, uint32_t index, bool scans_only)
{
    for (uint32_t i = 0; i < SIM_WORKS_MAX; i++) {
        struct sim_work *work = &sim->ldms[index].works[i];
        if (work->token == 0 || work->work.type == PST_WORK_DISCARD ||
            (scans_only && work->work.type != PST_WORK_SCAN))
            continue;
        if (work->is_lost) {
            work->token = 0;
            continue;
        }
        work->error = ECANCELED;
        end_at(sim, index, work, sim->now_ns + sim_random_between(&sim->random, 0, 100 * SIM_US));
    }
}

static int error_of(struct sim *sim, enum pst_work_type type)
{
    static const enum sim_fault faults[] = {
        [PST_WORK_OPEN] = SIM_FAULT_OPEN_ERROR,       [PST_WORK_START] = SIM_FAULT_START_ERROR,
        [PST_WORK_SCAN] = SIM_FAULT_SCAN_ERROR,       [PST_WORK_STOP] = SIM_FAULT_STOP_ERROR,
        [PST_WORK_RELEASE] = SIM_FAULT_RELEASE_ERROR, [PST_WORK_DISCARD] = SIM_FAULT_DISCARD_ERROR,
    };
    assert(type != PST_WORK_HALT);
    return sim_fault(sim, faults[type]) ? EIO : 0;
}

static struct sim_part *part_of(struct sim *sim, uint32_t index, uint64_t uid_low)
{
    return &sim_backup_of(sim, uid_low)->parts[index];
}

/* An LDM has one part open, no more. */
static void check_begin(struct sim *sim, uint32_t index, const struct pst_work *work)
{
    struct sim_ldm *ldm = &sim->ldms[index];
    bool part_is_open = part_of(sim, index, work->backup)->open;
    if (work->type == PST_WORK_OPEN) {
        for (uint32_t i = 0; i < sim->backups_count; i++) {
            if (sim->backups[i].parts[index].open)
                sim_fail(sim, "LDM %u opens a part while another is open", index + 1);
        }
        part_of(sim, index, work->backup)->open = true;
        part_of(sim, index, work->backup)->exists = true;
    } else if (work->type != PST_WORK_DISCARD && !part_is_open) {
        sim_fail(sim, "LDM %u works on a part that is not open", index + 1);
    }
    if (work->type == PST_WORK_SCAN || work->type == PST_WORK_DISCARD)
        return;
    for (uint32_t i = 0; i < SIM_WORKS_MAX; i++) {
        if (ldm->works[i].token != 0)
            sim_fail(sim, "LDM %u is given a work while another runs", index + 1);
    }
}

static uint64_t duration_ns(struct sim *sim, struct sim_work *work)
{
    bool may_be_lost = work->work.type <= PST_WORK_SCAN || work->work.type == PST_WORK_STOP;
    if (sim_fault(sim, SIM_FAULT_WORK_SLOW))
        return sim_slow_ns(sim);
    if (may_be_lost && sim_fault(sim, SIM_FAULT_WORK_LOST)) {
        work->is_lost = true;
        return 0;
    }
    if (work->work.type == PST_WORK_SCAN && sim_fault(sim, SIM_FAULT_SCAN_SLOW))
        return sim_random_between(&sim->random, sim->timeouts.stall_ns / 2,
                                  sim->timeouts.stall_ns * 4 / 5);
    return sim_random_between(&sim->random, 10 * SIM_US, 20 * SIM_MS);
}

void sim_ldm_work(struct sim *sim, uint32_t index, const struct pst_work *asked)
{
    if (asked->type == PST_WORK_HALT) {
        cancel(sim, index, true);
        return;
    }
    check_begin(sim, index, asked);
    uint64_t from_ns = sim->now_ns;
    if (asked->type == PST_WORK_DISCARD) {
        cancel(sim, index, false);
        from_ns += 100 * SIM_US;
    }
    struct sim_backup *backup = sim_backup_of(sim, asked->backup);
    if (asked->type == PST_WORK_SCAN && backup->first_scan == 0)
        backup->first_scan = ++sim->clock;
    struct sim_work *work = sim->ldms[index].works;
    while (work->token != 0) {
        work++;
        assert(work < sim->ldms[index].works + SIM_WORKS_MAX);
    }
    *work = (struct sim_work){.work = *asked, .token = ++sim->tokens};
    work->error = error_of(sim, asked->type);
    uint64_t takes_ns = duration_ns(sim, work);
    if (!work->is_lost)
        end_at(sim, index, work, from_ns + takes_ns);
    if (asked->type != PST_WORK_DISCARD && sim_fault(sim, SIM_FAULT_TROUBLE))
        sim_queue_add(&sim->queue, SIM_TROUBLE, SIM_LDM + index, from_ns + takes_ns / 2 + SIM_US)
            ->token = asked->backup;
    if (asked->type == PST_WORK_SCAN && sim_random_hits(&sim->random, 300))
        sim_queue_add(&sim->queue, SIM_PROGRESS, SIM_LDM + index, from_ns + takes_ns / 2)->token =
            asked->backup;
}

static void scan(struct sim *sim, struct sim_part *part, struct sim_backup *backup,
                 struct pst_work_result *result)
{
    assert(result->source < SIM_SOURCES_MAX && result->fragment < SIM_FRAGMENTS_MAX);
    uint32_t *scanned = &backup->scanned[result->source][result->fragment];
    *scanned += !sim_planted(sim, SIM_PLANT_SCANS_NOT);
    *scanned += sim_planted(sim, SIM_PLANT_SCANS_TWICE);
    result->sums = (struct pst_sums){
        .source_bytes = HUGE_SUM + result->fragment,
        .stored_bytes = HUGE_SUM / 2 + result->fragment,
        .objects = HUGE_SUM + 1,
        .chunks = 3,
    };
    pst_sums_add(&part->sums, &result->sums);
}

static void stop(struct sim *sim, struct sim_part *part, struct pst_work_result *result)
{
    part->durable = !sim_planted(sim, SIM_PLANT_PREPARED_NOT);
    result->sums = part->sums;
    if (sim_planted(sim, SIM_PLANT_LOSES_SUMS))
        result->sums.source_bytes &= UINT32_MAX;
    result->file_bytes = HUGE_SUM;
    memset(result->digest, 0x5a, sizeof(result->digest));
}

static void take_effect(struct sim *sim, uint32_t index, struct pst_work_result *result)
{
    struct sim_backup *backup = sim_backup_of(sim, result->backup);
    struct sim_part *part = &backup->parts[index];
    switch (result->type) {
    case PST_WORK_SCAN:
        if (result->error == 0)
            scan(sim, part, backup, result);
        break;
    case PST_WORK_STOP:
        if (result->error == 0 && part->in_trouble)
            result->error = EIO;
        if (result->error == 0)
            stop(sim, part, result);
        break;
    case PST_WORK_RELEASE:
        part->open = false; /* with an error too: there is nothing more that could be done */
        part->exists &= !sim_planted(sim, SIM_PLANT_REMOVES_DECIDED);
        break;
    case PST_WORK_DISCARD:
        part->open = false;
        part->may_remain = result->error != 0;
        part->exists = result->error != 0 || sim_planted(sim, SIM_PLANT_LEAVES_PART);
        break;
    default:
        break;
    }
}

static void end_work(struct sim *sim, uint32_t index, uint64_t token)
{
    struct sim_work *work = sim->ldms[index].works;
    while (work->token != token) {
        if (++work == sim->ldms[index].works + SIM_WORKS_MAX)
            return; /* its end was moved */
    }
    work->token = 0;
    struct pst_event event = {.type = PST_EVENT_WORK_DONE};
    event.work.type = work->work.type;
    event.work.error = work->error;
    event.work.backup = work->work.backup;
    event.work.source = work->work.source;
    event.work.fragment = work->work.fragment;
    take_effect(sim, index, &event.work);
    sim_tell(sim, "LDM %u ends work %d with %d", index + 1, (int)event.work.type, event.work.error);
    step(sim, index, &event);
}

static void have_trouble(struct sim *sim, uint32_t index, uint64_t uid_low)
{
    struct sim_part *part = part_of(sim, index, uid_low);
    if (!part->open || part->durable)
        return; /* the file is closed or gone */
    part->in_trouble = true;
    sim_tell(sim, "LDM %u has trouble", index + 1);
    struct pst_event event = {.type = PST_EVENT_TROUBLE, .trouble = EIO};
    step(sim, index, &event);
}

static void tell_progress(struct sim *sim, uint32_t index, uint64_t uid_low)
{
    struct sim_part *part = part_of(sim, index, uid_low);
    if (!part->open || part->durable)
        return;
    struct pst_event event = {.type = PST_EVENT_PROGRESS, .progress = part->sums};
    step(sim, index, &event);
}

void sim_ldm_event(struct sim *sim, const struct sim_event *event)
{
    uint32_t index = event->thread - SIM_LDM;
    struct pst_event next = {.type = PST_EVENT_SIGNAL};
    next.signal = &event->signal;
    switch (event->type) {
    case SIM_SIGNAL:
        if (event->signal.gsn == PST_ABORT_BACKUP_ORD &&
            event->signal.payload.abort.request == PST_ABORT_CLIENT)
            sim->statistics.aborts_in[sim->master.state]++;
        step(sim, index, &next);
        if (sim_fault(sim, SIM_FAULT_LDM_STALL))
            sim->stalled_ns[event->thread] = sim->now_ns + sim_slow_ns(sim);
        break;
    case SIM_TIMER:
        if (event->token != sim->ldms[index].timer_ns)
            break;
        sim->ldms[index].timer_ns = 0;
        next.type = PST_EVENT_TIMER;
        step(sim, index, &next);
        break;
    case SIM_WORK:
        end_work(sim, index, event->token);
        break;
    case SIM_TROUBLE:
        have_trouble(sim, index, event->token);
        break;
    case SIM_PROGRESS:
        tell_progress(sim, index, event->token);
        break;
    default:
        assert(!"an event that an LDM never gets");
    }
}
