/*
 * Model of a source's thread: serves one request after the other, and while it lists, hears of
 * fragments that are done and of aborts. A thaw and a release never fail; an abort
 * thaws at once.
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define AHEAD_MAX 3u /* fragments listed and not yet done */

static uint32_t index_of(const struct sim *sim, const struct sim_source *source)
{
    return (uint32_t)(source - sim->sources);
}

static void answer(struct sim *sim, struct sim_source *source, const struct pst_signal *answer)
{
    source->server.current.gsn = 0;
    if (!source->server.is_lost)
        sim_send(sim, SIM_SOURCE + index_of(sim, source), answer);
}

static void serve_next(struct sim *sim, struct sim_source *source);

static void end_listing(struct sim *sim, struct sim_source *source, uint32_t error)
{
    source->listing = 0;
    struct pst_signal end = sim_answer(&source->server.current, error);
    if (error == 0)
        end.payload.list_conf.fragments = source->next;
    answer(sim, source, &end);
    serve_next(sim, source);
}

static void list_later(struct sim *sim, struct sim_source *source)
{
    uint64_t pause_ns = sim_random_between(&sim->random, SIM_US, 3 * SIM_MS);
    if (sim_fault(sim, SIM_FAULT_SOURCE_SLOW))
        pause_ns = sim_slow_ns(sim);
    sim_queue_add(&sim->queue, SIM_LIST, SIM_SOURCE + index_of(sim, source), sim->now_ns + pause_ns)
        ->token = source->listing;
}

static uint32_t choose_owner(struct sim *sim, const struct sim_source *source)
{
    bool multithreaded = pst_ref_instance(source->server.current.sender_ref) == 0;
    uint32_t ldms = multithreaded ? sim->ldms_count : 1;
    if (sim_fault(sim, SIM_FAULT_BAD_OWNER))
        return ldms + 1;
    return source->owned ? (uint32_t)sim_random_between(&sim->random, 1, ldms) : 0;
}

static void list_one(struct sim *sim, struct sim_source *source)
{
    struct sim_backup *backup = source->backup;
    uint32_t index = index_of(sim, source);
    if (source->next == backup->fragments[index]) {
        end_listing(sim, source, source->server.error);
        return;
    }
    if (source->unscanned == AHEAD_MAX) {
        source->waits = true;
        return;
    }
    const struct pst_signal *request = &source->server.current;
    struct pst_signal listed = sim_answer(request, 0);
    listed.gsn = PST_SOURCE_FRAGMENT_REP;
    listed.length = pst_gsn_payload_bytes(listed.gsn);
    listed.payload.fragment.source = index;
    listed.payload.fragment.fragment = source->next++;
    listed.payload.fragment.bytes = UINT64_C(1) << 20;
    listed.payload.fragment.owner = choose_owner(sim, source);
    backup->listed[index]++;
    source->unscanned++;
    sim_send(sim, SIM_SOURCE + index, &listed);
    list_later(sim, source);
}

static void begin_listing(struct sim *sim, struct sim_source *source)
{
    uint32_t index = index_of(sim, source);
    struct sim_backup *backup = sim_backup_of(sim, source->server.current.backup);
    if (source->phase != SIM_THAWED || source->backup != backup) {
        end_listing(sim, source, PST_E_WRONG_STATE);
        return;
    }
    backup->fragments[index] = (uint32_t)sim_random_between(&sim->random, 0, SIM_FRAGMENTS_MAX);
    source->owned = sim_random_hits(&sim->random, 300);
    source->next = 0;
    source->unscanned = 0;
    source->waits = false;
    source->listing = ++sim->tokens;
    list_later(sim, source);
}

/* In name order: whoever comes later is not held up yet, or not any more. */
static void check_turn(struct sim *sim, uint32_t index, const struct sim_backup *backup)
{
    for (uint32_t i = index; i < sim->sources_count; i++) {
        if (sim->sources[i].holds_writers && sim->sources[i].backup == backup)
            sim_fail(sim, "source %u is frozen while source %u still is", index, i);
    }
}

static uint32_t freeze(struct sim *sim, struct sim_source *source, struct sim_backup *backup)
{
    uint32_t index = index_of(sim, source);
    check_turn(sim, index, backup);
    if (source->phase != SIM_IDLE)
        return PST_E_WRONG_STATE;
    source->phase = SIM_FROZEN;
    source->backup = backup;
    source->holds_writers = true;
    source->freeze_token = ++sim->tokens;
    if (!sim_planted(sim, SIM_PLANT_FREEZES_NOT))
        backup->cut[index].frozen = ++sim->clock;
    uint64_t hold_ns = 2 * sim->timeouts.master_ns;
    if (sim_fault(sim, SIM_FAULT_SOURCE_THAWS))
        hold_ns = sim_random_between(&sim->random, SIM_US, SIM_MS);
    sim_queue_add(&sim->queue, SIM_HOLD, SIM_SOURCE + index, sim->now_ns + hold_ns)->token =
        source->freeze_token;
    return 0;
}

static uint32_t take_snapshot(struct sim *sim, struct sim_source *source, struct sim_backup *backup)
{
    if (source->phase != SIM_FROZEN || source->backup != backup)
        return PST_E_THAWED;
    source->phase = SIM_SNAPSHOT;
    if (!sim_planted(sim, SIM_PLANT_SNAPSHOT_LATE))
        backup->cut[index_of(sim, source)].snapshot = ++sim->clock;
    return 0;
}

static void thaw(struct sim *sim, struct sim_source *source)
{
    if (!sim_planted(sim, SIM_PLANT_THAWS_NOT))
        source->holds_writers = false;
}

static uint32_t thaw_after_cut(struct sim *sim, struct sim_source *source,
                               struct sim_backup *backup)
{
    if (source->phase != SIM_SNAPSHOT || source->backup != backup)
        return PST_E_WRONG_STATE;
    source->phase = SIM_THAWED;
    thaw(sim, source);
    struct sim_cut *cut = &backup->cut[index_of(sim, source)];
    cut->thawed = ++sim->clock;
    if (cut->snapshot == 0)
        cut->snapshot = ++sim->clock; /* planted: too late */
    return 0;
}

static uint32_t release(struct sim *sim, struct sim_source *source, struct sim_backup *backup)
{
    if (source->phase == SIM_IDLE || source->backup != backup)
        return 0; /* nothing of it is here */
    thaw(sim, source);
    source->phase = SIM_IDLE;
    source->backup = NULL;
    return 0;
}

static void end_service(struct sim *sim, struct sim_source *source)
{
    const struct pst_signal *request = &source->server.current;
    struct sim_backup *backup = sim_backup_of(sim, request->backup);
    uint32_t error = source->server.error;
    switch (request->gsn) {
    case PST_SOURCE_FREEZE_REQ:
        error = error != 0 ? error : freeze(sim, source, backup);
        break;
    case PST_SOURCE_SNAPSHOT_REQ:
        error = error != 0 ? error : take_snapshot(sim, source, backup);
        break;
    case PST_SOURCE_THAW_REQ:
        error = thaw_after_cut(sim, source, backup);
        break;
    case PST_SOURCE_RELEASE_REQ:
        error = release(sim, source, backup);
        break;
    default:
        sim_fail(sim, "a source is asked for %s", pst_gsn_name(request->gsn));
    }
    struct pst_signal end = sim_answer(request, error);
    if (end.gsn == PST_SOURCE_FREEZE_CONF)
        end.payload.gci.start_gci = UINT64_C(0x100000000) + index_of(sim, source);
    answer(sim, source, &end);
    serve_next(sim, source);
}

/* The cut did not come in time. */
static void give_up_freeze(struct sim *sim, struct sim_source *source)
{
    if (source->phase != SIM_FROZEN)
        return;
    sim_tell(sim, "SOURCE %u thaws by itself", index_of(sim, source));
    thaw(sim, source);
    source->phase = SIM_IDLE;
    source->backup = NULL;
}

/* Writers go on at once; the snapshot is kept until the release, for LDMs may still read it. */
static void abort_cut(struct sim *sim, struct sim_source *source, const struct pst_signal *order)
{
    if (source->backup != sim_backup_of(sim, order->backup))
        return;
    if (source->phase == SIM_SNAPSHOT)
        source->phase = SIM_THAWED;
    else if (source->phase == SIM_FROZEN)
        give_up_freeze(sim, source);
    thaw(sim, source);
}

static void serve_next(struct sim *sim, struct sim_source *source)
{
    const struct pst_signal *request;
    while ((request = sim_server_next(&source->server)) != NULL &&
           request->gsn == PST_SOURCE_ABORT_ORD) {
        abort_cut(sim, source, request);
        source->server.current.gsn = 0;
    }
    if (!request)
        return;
    uint32_t index = index_of(sim, source);
    if (request->gsn == PST_SOURCE_FREEZE_REQ)
        sim_backup_of(sim, request->backup)->cut[index].asked = ++sim->clock;
    if (sim_fault(sim, SIM_FAULT_SOURCE_REF))
        source->server.error = EIO;
    if (request->gsn == PST_SOURCE_FREEZE_REQ && sim_fault(sim, SIM_FAULT_SOURCE_MISSES))
        source->server.error = PST_E_FREEZE;
    source->server.is_lost = sim_fault(sim, SIM_FAULT_SOURCE_LOST);
    if (request->gsn == PST_SOURCE_LIST_REQ) {
        begin_listing(sim, source);
        return;
    }
    uint64_t takes_ns = sim_random_between(&sim->random, SIM_US, 5 * SIM_MS);
    if (sim_fault(sim, SIM_FAULT_SOURCE_SLOW))
        takes_ns = sim_slow_ns(sim);
    source->server.token = ++sim->tokens;
    sim_queue_add(&sim->queue, SIM_SERVICE, SIM_SOURCE + index, sim->now_ns + takes_ns)->token =
        source->server.token;
}

static void on_signal(struct sim *sim, struct sim_source *source, const struct pst_signal *signal)
{
    bool lists = source->listing != 0 && source->server.current.backup == signal->backup;
    switch (signal->gsn) {
    case PST_SOURCE_FRAGMENT_DONE_ORD:
        if (!lists)
            break;
        source->unscanned--;
        if (source->waits)
            list_later(sim, source);
        source->waits = false;
        break;
    default:
        sim_server_add(&source->server, signal);
        if (lists)
            end_listing(sim, source, ECANCELED); /* an abort, or a release */
        else
            serve_next(sim, source);
    }
}

void sim_source_event(struct sim *sim, const struct sim_event *event)
{
    struct sim_source *source = &sim->sources[event->thread - SIM_SOURCE];
    switch (event->type) {
    case SIM_SIGNAL:
        on_signal(sim, source, &event->signal);
        break;
    case SIM_SERVICE:
        if (event->token == source->server.token)
            end_service(sim, source);
        break;
    case SIM_LIST:
        if (event->token == source->listing)
            list_one(sim, source);
        break;
    case SIM_HOLD:
        if (event->token == source->freeze_token)
            give_up_freeze(sim, source);
        break;
    default:
        assert(!"an event that a source never gets");
    }
}
