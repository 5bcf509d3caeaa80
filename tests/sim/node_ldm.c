/*
 * Model of an LDM's thread: the real BACKUP block, and a worker that does its works, each in its
 * time, on the model disk. As the runtime promises, a work that is not lost ends once, HALT
 * and DISCARD end what runs, and DISCARD ends last. A lost RELEASE or DISCARD is no fault of this
 * kind: only the death of the process ends these.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tests/sim/sim.h"

#define HUGE_SUM (UINT64_C(1) << 40) /* one of it does not fit 32 bits */

void sim_ldm_init(struct sim *sim, struct sim_node *node, uint32_t index,
                  const struct pst_set *nodes)
{
    struct pst_set multithreaded = {{0}};
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        if (sim->options.ldms[i] > 1 && pst_set_has(nodes, i))
            pst_set_add(&multithreaded, i);
    }
    struct pst_ldm_config config = {
        .node = node->id,
        .instance = index + 1,
        .sources = node->sources_count,
        .nodes = *nodes,
        .multithreaded = multithreaded,
        .timeouts = sim->options.timeouts,
    };
    struct sim_ldm *ldm = &node->ldms[index];
    ldm->timer_ns = ldm->stalled_ns = 0;
    ldm->fails = false;
    for (uint32_t i = 0; i < SIM_WORKS_MAX; i++)
        ldm->works[i].token = 0;
    bool first = index == 0;
    pst_ldm_block_init(&ldm->block, &config, first ? &node->ldm_proxy : NULL,
                       first ? &node->master : NULL);
}

static void set_timer(struct sim *sim, struct sim_node *node, uint32_t index)
{
    struct sim_ldm *ldm = &node->ldms[index];
    sim_node_set_timer(sim, node, SIM_LDM + index, pst_ldm_block_deadline_ns(&ldm->block),
                       &ldm->timer_ns);
}

void sim_ldm_rearm(struct sim *sim, struct sim_node *node, uint32_t index)
{
    node->ldms[index].timer_ns = 0;
    set_timer(sim, node, index);
}

static void step(struct sim *sim, struct sim_node *node, uint32_t index, struct pst_event *event)
{
    struct pst_actions actions;
    actions.sends_count = actions.works_count = 0;
    event->now_ns = sim_node_now_ns(sim, node);
    struct sim_minds before = sim_minds_of(sim, node, SIM_LDM + index);
    pst_ldm_block_step(&node->ldms[index].block, event, &actions);
    sim_check_heard(sim, &before, event);
    if (index == 0)
        sim_check_nodes_asked(sim, node, &actions);
    sim_spoil_ldm(sim, node, index);
    sim_perform(sim, sim_thread(sim, node, SIM_LDM + index), &actions);
    set_timer(sim, node, index);
    if (index == 0)
        sim_check_nesting(sim, node);
}

static void end_at(struct sim *sim, struct sim_node *node, uint32_t index, struct sim_work *work,
                   uint64_t time_ns)
{
    work->token = ++sim->tokens;
    sim_later(sim, SIM_WORK, sim_thread(sim, node, SIM_LDM + index), time_ns)->token = work->token;
}

/* What runs, but for a DISCARD, ends soon, with ECANCELED. */
static void cancel(struct sim *sim, struct sim_node *node, uint32_t index, bool scans_only)
{
    for (uint32_t i = 0; i < SIM_WORKS_MAX; i++) {
        struct sim_work *work = &node->ldms[index].works[i];
        if (work->token == 0 || work->work.type == PST_WORK_DISCARD ||
            (scans_only && work->work.type != PST_WORK_SCAN))
            continue;
        if (work->is_lost) {
            work->token = 0;
            continue;
        }
        work->error = ECANCELED;
        end_at(sim, node, index, work,
               sim->now_ns + sim_random_between(&sim->random, 0, 100 * SIM_US));
    }
}

static int error_of(struct sim *sim, struct sim_ldm *ldm, enum pst_work_type type)
{
    static const enum sim_fault faults[] = {
        [PST_WORK_OPEN] = SIM_FAULT_OPEN_ERROR,       [PST_WORK_START] = SIM_FAULT_START_ERROR,
        [PST_WORK_SCAN] = SIM_FAULT_SCAN_ERROR,       [PST_WORK_STOP] = SIM_FAULT_STOP_ERROR,
        [PST_WORK_RELEASE] = SIM_FAULT_RELEASE_ERROR, [PST_WORK_DISCARD] = SIM_FAULT_DISCARD_ERROR,
    };
    assert(type != PST_WORK_HALT);
    if (type <= PST_WORK_STOP && sim_fault(sim, SIM_FAULT_DISK_FULL))
        return ENOSPC;
    if (sim_fault(sim, SIM_FAULT_LDM_FAILS))
        ldm->fails = true;
    return sim_fault(sim, faults[type]) || (ldm->fails && type <= PST_WORK_STOP) ? EIO : 0;
}

static struct sim_part *part_of(struct sim *sim, struct sim_node *node, uint32_t index,
                                uint64_t uid_low)
{
    return &sim_share_of(sim, sim_backup_of(sim, uid_low), node)->parts[index];
}

/* An LDM has one part open, no more. */
static void check_begin(struct sim *sim, struct sim_node *node, uint32_t index,
                        const struct pst_work *work)
{
    struct sim_ldm *ldm = &node->ldms[index];
    struct sim_part *part = part_of(sim, node, index, work->backup);
    if (work->type == PST_WORK_OPEN) {
        for (uint32_t i = 0; i < sim->backups_count; i++) {
            const struct sim_share *share = sim->backups[i].shares[node->id - 1];
            if (share && share->parts[index].open)
                sim_fail(sim, SIM_CHECKER_RESOURCES,
                         "LDM %u of node %u opens a part while another is open", index + 1,
                         node->id);
        }
        const struct sim_share *share = sim_share_of(sim, sim_backup_of(sim, work->backup), node);
        memset(part, 0, sizeof(*part));
        part->number = share->number;
        part->parts = share->parts_count;
        part->open = true;
    } else if (work->type != PST_WORK_DISCARD && !part->open) {
        sim_fail(sim, SIM_CHECKER_RESOURCES, "LDM %u of node %u works on a part that is not open",
                 index + 1, node->id);
    }
    if (work->type == PST_WORK_SCAN || work->type == PST_WORK_DISCARD)
        return;
    for (uint32_t i = 0; i < SIM_WORKS_MAX; i++) {
        if (ldm->works[i].token != 0)
            sim_fail(sim, SIM_CHECKER_RESOURCES,
                     "LDM %u of node %u is given a work while another runs", index + 1, node->id);
    }
}

static uint64_t duration_ns(struct sim *sim, struct sim_work *work)
{
    bool may_be_lost = work->work.type <= PST_WORK_SCAN || work->work.type == PST_WORK_STOP;
    if (sim_fault(sim, SIM_FAULT_DISK_SLOW))
        return sim_slow_ns(sim);
    if (may_be_lost && sim_fault(sim, SIM_FAULT_WORK_LOST)) {
        work->is_lost = true;
        return 0;
    }
    uint64_t stall_ns = sim->options.timeouts.stall_ns;
    if (work->work.type == PST_WORK_SCAN && sim_fault(sim, SIM_FAULT_SCAN_SLOW))
        return sim_random_between(&sim->random, stall_ns / 2, stall_ns * 4 / 5);
    return sim_random_between(&sim->random, 10 * SIM_US, 20 * SIM_MS);
}

static const uint16_t request_of[] = {
    [PST_WORK_OPEN] = PST_DEFINE_BACKUP_REQ,    [PST_WORK_START] = PST_START_BACKUP_REQ,
    [PST_WORK_SCAN] = PST_BACKUP_FRAGMENT_REQ,  [PST_WORK_STOP] = PST_STOP_BACKUP_REQ,
    [PST_WORK_RELEASE] = PST_COMMIT_BACKUP_REQ, [PST_WORK_DISCARD] = PST_CLEANUP_BACKUP_REQ,
};

void sim_ldm_work(struct sim *sim, struct sim_node *node, uint32_t index,
                  const struct pst_work *asked)
{
    if (asked->type == PST_WORK_HALT) {
        cancel(sim, node, index, true);
        return;
    }
    check_begin(sim, node, index, asked);
    uint64_t from_ns = sim->now_ns;
    if (asked->type == PST_WORK_DISCARD) {
        cancel(sim, node, index, false);
        from_ns += 100 * SIM_US;
    }
    struct sim_ldm *ldm = &node->ldms[index];
    struct sim_work *work = ldm->works;
    while (work->token != 0) {
        work++;
        assert(work < ldm->works + SIM_WORKS_MAX);
    }
    work->work = *asked;
    work->token = ++sim->tokens;
    work->is_lost = false;
    work->error = error_of(sim, ldm, asked->type);
    uint64_t takes_ns = duration_ns(sim, work);
    const struct sim_rule *due = sim_script_due(
        sim, pst_ref_make(node->id, PST_BLOCK_BACKUP, index + 1), request_of[asked->type]);
    if (due && due->kind == SIM_ACT_REFUSE)
        work->error = (int)due->error;
    if (due && due->kind == SIM_ACT_SLOW)
        takes_ns = due->length_ns;
    work->is_lost |= due && due->kind == SIM_ACT_HANG;
    if (!work->is_lost)
        end_at(sim, node, index, work, from_ns + takes_ns);
    uint32_t thread = sim_thread(sim, node, SIM_LDM + index);
    if (asked->type != PST_WORK_DISCARD && sim_fault(sim, SIM_FAULT_TROUBLE))
        sim_later(sim, SIM_TROUBLE, thread, from_ns + takes_ns / 2 + SIM_US)->token = asked->backup;
    /* The sums of a scan have grown, or STOP has read back more of the part. */
    bool has_progress = asked->type == PST_WORK_SCAN || asked->type == PST_WORK_STOP;
    if (has_progress && sim_random_hits(&sim->random, 300))
        sim_later(sim, SIM_PROGRESS, thread, from_ns + takes_ns / 2)->token = asked->backup;
}

static void scan(struct sim *sim, struct sim_part *part, struct pst_work_result *result)
{
    assert(result->source < SIM_SOURCES_MAX && result->fragment < SIM_FRAGMENTS_MAX);
    uint16_t bit = (uint16_t)(1u << result->fragment);
    if (part->scanned[result->source] & bit || sim_planted(sim, SIM_PLANT_SCANS_TWICE))
        sim_fail(sim, SIM_CHECKER_RESTORE, "a fragment is scanned twice");
    if (!sim_planted(sim, SIM_PLANT_SCANS_NOT))
        part->scanned[result->source] |= bit;
    result->sums = (struct pst_sums){
        .source_bytes = HUGE_SUM + result->fragment,
        .stored_bytes = HUGE_SUM / 2 + result->fragment,
        .objects = HUGE_SUM + 1,
        .chunks = 3,
    };
    pst_sums_add(&part->sums, &result->sums);
}

/* Its contents are durable; its name is made so by the archive. */
static int stop(struct sim *sim, struct sim_node *node, uint32_t index, struct sim_share *share,
                struct pst_work_result *result)
{
    struct sim_part *part = &share->parts[index];
    part->digest = ++sim->digests;
    int error = sim_part_write(sim, node, share, index, SIM_PART_DURABLE);
    if (error)
        return error;
    part->closed = true;
    result->sums = part->sums;
    if (sim_planted(sim, SIM_PLANT_LOSES_SUMS))
        result->sums.source_bytes &= UINT32_MAX;
    result->file_bytes = SIM_PART_BYTES;
    memcpy(result->digest, &part->digest, sizeof(part->digest));
    return 0;
}

static int take_effect(struct sim *sim, struct sim_node *node, uint32_t index,
                       struct pst_work_result *result)
{
    struct sim_share *share = sim_share_of(sim, sim_backup_of(sim, result->backup), node);
    struct sim_part *part = &share->parts[index];
    int error = result->error;
    switch (result->type) {
    case PST_WORK_OPEN:
        return error ? error : sim_part_write(sim, node, share, index, SIM_PART_BLANK);
    case PST_WORK_START:
        return error ? error : sim_part_write(sim, node, share, index, SIM_PART_BEGUN);
    case PST_WORK_SCAN:
        if (!error)
            scan(sim, part, result);
        return error;
    case PST_WORK_STOP:
        if (!error && part->in_trouble)
            error = -EIO;
        return error ? error : stop(sim, node, index, share, result);
    case PST_WORK_RELEASE:
        part->open = false; /* with an error too: there is nothing more that could be done */
        if (sim_planted(sim, SIM_PLANT_REMOVES_DECIDED))
            (void)sim_part_remove(node, share, index);
        return error;
    case PST_WORK_DISCARD:
        part->open = false;
        return error ? error : sim_part_remove(node, share, index);
    default:
        return error;
    }
}

static void end_work(struct sim *sim, struct sim_node *node, uint32_t index, uint64_t token)
{
    struct sim_work *work = node->ldms[index].works;
    while (work->token != token) {
        if (++work == node->ldms[index].works + SIM_WORKS_MAX)
            return; /* its end was moved */
    }
    work->token = 0;
    struct pst_event event = {.type = PST_EVENT_WORK_DONE};
    event.work.type = work->work.type;
    event.work.error = -work->error;
    event.work.backup = work->work.backup;
    event.work.source = work->work.source;
    event.work.fragment = work->work.fragment;
    sim_disk_arm(sim, node);
    event.work.error = take_effect(sim, node, index, &event.work);
    if (!sim_disk_survives(sim, node))
        return;
    if (event.work.error != 0)
        sim_tell(sim, "LDM %u of node %u: work %d of %08x fails: %d", index + 1, node->id,
                 (int)event.work.type, (unsigned)event.work.backup, -event.work.error);
    step(sim, node, index, &event);
}

static void have_trouble(struct sim *sim, struct sim_node *node, uint32_t index, uint64_t uid_low)
{
    struct sim_part *part = part_of(sim, node, index, uid_low);
    if (!part->open || part->closed)
        return; /* the file is closed or gone */
    part->in_trouble = true;
    sim_tell(sim, "LDM %u of node %u has trouble", index + 1, node->id);
    struct pst_event event = {.type = PST_EVENT_TROUBLE, .trouble = -EIO};
    struct sim_minds before = sim_minds_of(sim, node, SIM_LDM + index);
    step(sim, node, index, &event);
    sim_check_trouble_told(sim, &before);
}

static void tell_progress(struct sim *sim, struct sim_node *node, uint32_t index, uint64_t uid_low)
{
    struct sim_part *part = part_of(sim, node, index, uid_low);
    if (!part->open || part->closed)
        return;
    struct pst_event event = {.type = PST_EVENT_PROGRESS, .progress = part->sums};
    step(sim, node, index, &event);
}

/* Bugs planted in what the master hears. */
static void spoil(struct sim *sim, struct pst_master *master, struct pst_signal *answer)
{
    struct pst_sender *sender = master->sender;
    uint16_t request = pst_gsn_answered(answer->gsn);
    if (!sender || request == 0 || answer->gsn != PST_CONF_OF(request) ||
        !pst_signal_is_for_master(answer) || master->state != PST_MASTER_STOPPING)
        return;
    bool is_late = answer->sequence != sender->sequence;
    if (!is_late && sim_planted(sim, SIM_PLANT_DECIDES_EARLY)) {
        memset(&sender->waiting, 0, sizeof(sender->waiting));
        pst_set_add(&sender->waiting, pst_ref_node(answer->sender_ref) - 1);
    }
    if (is_late && sim_planted(sim, SIM_PLANT_ACCEPTS_LATE)) {
        answer->gsn = PST_STOP_BACKUP_CONF;
        answer->sequence = sender->sequence;
        answer->backup = sender->backup;
        answer->payload.stop_conf = (struct pst_stop_backup_conf){
            .master_ref = answer->payload.order.master_ref, .file_bytes = 4711};
    }
}

static void on_signal(struct sim *sim, struct sim_node *node, uint32_t index,
                      const struct sim_event *event)
{
    struct pst_event next = {.type = PST_EVENT_SIGNAL};
    struct pst_signal signal = event->signal;
    next.signal = &signal;
    if (signal.gsn == PST_NODE_FAILED_ORD || signal.gsn == PST_NODE_JOINED_ORD) {
        next.type =
            signal.gsn == PST_NODE_FAILED_ORD ? PST_EVENT_NODE_FAILED : PST_EVENT_NODE_JOINED;
        next.node = signal.payload.node_change.node;
        next.multithreaded = signal.payload.node_change.ldms > 1;
        step(sim, node, index, &next);
        if (signal.gsn == PST_NODE_FAILED_ORD)
            sim_heard_failure(sim, node, SIM_LDM + index, &signal);
        return;
    }
    if (index == 0)
        spoil(sim, &node->master, &signal);
    if (event->signal.gsn == PST_ABORT_BACKUP_ORD &&
        event->signal.payload.abort.request == PST_ABORT_CLIENT)
        sim->statistics.aborts_in[node->master.state]++;
    step(sim, node, index, &next);
    if (sim_fault(sim, SIM_FAULT_LDM_STALL))
        node->ldms[index].stalled_ns = sim->now_ns + sim_slow_ns(sim);
}

void sim_ldm_event(struct sim *sim, struct sim_node *node, const struct sim_event *event)
{
    uint32_t index = event->thread % SIM_NODE_THREADS - SIM_LDM;
    struct pst_event next;
    switch (event->type) {
    case SIM_SIGNAL:
        on_signal(sim, node, index, event);
        break;
    case SIM_TIMER:
        if (event->token != node->ldms[index].timer_ns)
            break;
        node->ldms[index].timer_ns = 0;
        next = (struct pst_event){.type = PST_EVENT_TIMER};
        step(sim, node, index, &next);
        break;
    case SIM_WORK:
        end_work(sim, node, index, event->token);
        break;
    case SIM_TROUBLE:
        have_trouble(sim, node, index, event->token);
        break;
    case SIM_PROGRESS:
        tell_progress(sim, node, index, event->token);
        break;
    default:
        assert(!"an event that an LDM never gets");
    }
}
