/*
 * Model of a source's thread: serves one request after the other, and while it lists, hears of
 * fragments that are done and of aborts. A thaw and a release never fail; an abort thaws at once.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tests/sim/sim.h"

#define AHEAD_MAX 3u /* fragments listed and not yet done */

/* The thread, while it serves an event. */
struct at {
    struct sim *sim;
    struct sim_node *node;
    struct sim_source *source;
    uint32_t index;
};

static uint32_t thread_of(const struct at *at)
{
    return sim_thread(at->sim, at->node, SIM_SOURCE + at->index);
}

static struct sim_share *share_of(const struct at *at, struct sim_backup *backup)
{
    return sim_share_of(at->sim, backup, at->node);
}

static void answer(const struct at *at, const struct pst_signal *answer)
{
    at->source->server.current.gsn = 0;
    if (!at->source->server.is_lost)
        sim_send(at->sim, thread_of(at), answer);
}

static void serve_next(const struct at *at);

static void end_listing(const struct at *at, uint32_t error)
{
    at->source->listing = 0;
    struct pst_signal end = sim_answer(&at->source->server.current, error);
    if (!error)
        end.payload.list_conf.fragments = at->source->next;
    answer(at, &end);
    serve_next(at);
}

static void list_later(const struct at *at)
{
    struct sim *sim = at->sim;
    uint64_t pause_ns = sim_random_between(&sim->random, SIM_US, 3 * SIM_MS);
    if (sim_fault(sim, SIM_FAULT_SOURCE_SLOW))
        pause_ns = sim_slow_ns(sim);
    sim_later(sim, SIM_LIST, thread_of(at), sim->now_ns + pause_ns)->token = at->source->listing;
}

static uint32_t choose_owner(const struct at *at)
{
    bool multithreaded = pst_ref_instance(at->source->server.current.sender_ref) == 0;
    uint32_t ldms = multithreaded ? at->node->ldms_count : 1;
    if (sim_fault(at->sim, SIM_FAULT_BAD_OWNER))
        return ldms + 1;
    return at->source->owned ? (uint32_t)sim_random_between(&at->sim->random, 1, ldms) : 0;
}

static void list_one(const struct at *at)
{
    struct sim_source *source = at->source;
    struct sim_share *share = share_of(at, source->backup);
    if (source->next == share->fragments[at->index]) {
        end_listing(at, source->server.error);
        return;
    }
    if (source->unscanned == AHEAD_MAX) {
        source->waits = true;
        return;
    }
    struct pst_signal listed = sim_answer(&source->server.current, 0);
    listed.gsn = PST_SOURCE_FRAGMENT_REP;
    listed.length = pst_gsn_payload_bytes(listed.gsn);
    listed.payload.fragment.source = at->index;
    listed.payload.fragment.fragment = source->next++;
    listed.payload.fragment.bytes = UINT64_C(1) << 20;
    listed.payload.fragment.owner = choose_owner(at);
    source->unscanned++;
    sim_send(at->sim, thread_of(at), &listed);
    list_later(at);
}

static void begin_listing(const struct at *at)
{
    struct sim_source *source = at->source;
    struct sim_backup *backup = sim_backup_of(at->sim, source->server.current.backup);
    if (source->phase != SIM_THAWED || source->backup != backup) {
        end_listing(at, PST_E_WRONG_STATE);
        return;
    }
    source->owned = sim_random_hits(&at->sim->random, 300);
    source->next = 0;
    source->unscanned = 0;
    source->waits = false;
    source->listing = ++at->sim->tokens;
    list_later(at);
}

static void thaw(const struct at *at)
{
    if (!at->source->holds_writers || sim_planted(at->sim, SIM_PLANT_THAWS_NOT))
        return;
    sim_write(at->sim);
    at->source->holds_writers = false;
    sim_writers_thawed(at->sim, at->node, at->index);
}

/* In name order: whoever comes later is not held up yet, or not any more. */
static void check_turn(const struct at *at, const struct sim_backup *backup)
{
    for (uint32_t i = at->index; i < at->node->sources_count; i++) {
        const struct sim_source *source = &at->node->sources[i];
        if (source->holds_writers && source->backup == backup)
            sim_fail(at->sim, SIM_CHECKER_CUT, "source %u is frozen while source %u still is",
                     at->index, i);
    }
}

static uint32_t freeze(const struct at *at, struct sim_backup *backup)
{
    struct sim *sim = at->sim;
    struct sim_source *source = at->source;
    check_turn(at, backup);
    if (source->phase != SIM_IDLE)
        return PST_E_WRONG_STATE;
    sim_write(sim);
    source->phase = SIM_FROZEN;
    source->backup = backup;
    source->holds_writers = !sim_planted(sim, SIM_PLANT_FREEZES_NOT);
    source->freeze_token = ++sim->tokens;
    uint64_t hold_ns = sim->options.hold_ns;
    if (sim_fault(sim, SIM_FAULT_FREEZE_HOLD))
        hold_ns = sim_random_between(&sim->random, SIM_US, SIM_MS);
    sim_later(sim, SIM_HOLD, thread_of(at), sim->now_ns + hold_ns)->token = source->freeze_token;
    return 0;
}

static void take_snapshot(const struct at *at, struct sim_backup *backup, uint64_t gci)
{
    struct sim *sim = at->sim;
    struct sim_share *share = share_of(at, backup);
    sim_write(sim);
    struct sim_cut *cut = &share->cuts[at->index];
    memset(cut, 0, sizeof(*cut));
    cut->taken = !sim_planted(sim, SIM_PLANT_SNAPSHOT_LATE);
    cut->gci = gci;
    cut->history = at->source->history;
    share->fragments[at->index] = (uint32_t)sim_random_between(&sim->random, 0, SIM_FRAGMENTS_MAX);
    thaw(at);
    if (!cut->taken) { /* planted: too late */
        sim_write(sim);
        cut->taken = true;
        cut->history = at->source->history;
    }
}

static void let_go(const struct at *at)
{
    thaw(at);
    at->source->phase = SIM_IDLE;
    at->source->backup = NULL;
}

/* Its writers go on, whether it has a snapshot or not. */
static uint32_t cut(const struct at *at, struct sim_backup *backup, uint32_t error, uint64_t gci)
{
    if (at->source->phase != SIM_FROZEN || at->source->backup != backup)
        return PST_E_THAWED;
    if (error) {
        let_go(at);
        return error;
    }
    at->source->phase = SIM_THAWED;
    take_snapshot(at, backup, gci);
    return 0;
}

static uint32_t release(const struct at *at, const struct sim_backup *backup)
{
    if (at->source->phase != SIM_IDLE && at->source->backup == backup)
        let_go(at);
    return 0;
}

static void end_service(const struct at *at)
{
    const struct pst_signal *request = &at->source->server.current;
    struct sim_backup *backup = sim_backup_of(at->sim, request->backup);
    uint32_t error = at->source->server.error;
    switch (request->gsn) {
    case PST_SOURCE_FREEZE_REQ:
        error = error ? error : freeze(at, backup);
        break;
    case PST_SOURCE_SNAPSHOT_REQ:
        error = cut(at, backup, error, request->payload.gci.start_gci);
        break;
    case PST_SOURCE_PREPARE_REQ:
        (void)release(at, backup);
        break;
    case PST_SOURCE_RELEASE_REQ:
        error = release(at, backup);
        break;
    default:
        sim_fail(at->sim, SIM_CHECKER_ANSWERS, "a source is asked for %s",
                 pst_gsn_name(request->gsn));
    }
    struct pst_signal end = sim_answer(request, error);
    if (end.gsn == PST_SOURCE_FREEZE_CONF)
        end.payload.gci.start_gci = UINT64_C(0x100000000) + at->node->id * 16 + at->index;
    answer(at, &end);
    serve_next(at);
}

/* The cut did not come in time. */
static void give_up_freeze(const struct at *at)
{
    if (at->source->phase != SIM_FROZEN)
        return;
    sim_tell(at->sim, "SOURCE %u of node %u thaws by itself", at->index, at->node->id);
    if (sim_planted(at->sim, SIM_PLANT_TAKES_THAWED))
        thaw(at);
    else
        let_go(at);
}

/* Writers go on at once; the snapshot is kept until the release, for LDMs may still read it. */
static void abort_cut(const struct at *at, const struct pst_signal *order)
{
    struct sim_source *source = at->source;
    if (source->phase == SIM_IDLE || source->backup != sim_backup_of(at->sim, order->backup))
        return;
    if (source->phase == SIM_FROZEN)
        give_up_freeze(at);
    thaw(at);
}

void sim_source_gone(struct sim *sim, struct sim_node *node, struct sim_source *source)
{
    struct at at = {sim, node, source, (uint32_t)(source - node->sources)};
    let_go(&at);
    source->listing = 0;
    source->server.count = 0;
    source->server.current.gsn = 0;
    source->server.token = 0;
    source->freeze_token = 0;
}

static uint64_t duration_ns(const struct at *at, uint16_t gsn)
{
    struct sim *sim = at->sim;
    if (gsn == PST_SOURCE_FREEZE_REQ && sim_fault(sim, SIM_FAULT_FREEZE_WAITS))
        return sim_random_between(&sim->random, SIM_MS, sim->options.timeouts.proxy_ns);
    if (sim_fault(sim, SIM_FAULT_SOURCE_SLOW))
        return sim_slow_ns(sim);
    return sim_random_between(&sim->random, SIM_US, 5 * SIM_MS);
}

static void serve_next(const struct at *at)
{
    struct sim *sim = at->sim;
    struct sim_server *server = &at->source->server;
    const struct pst_signal *request;
    while ((request = sim_server_next(server)) != NULL && request->gsn == PST_SOURCE_ABORT_ORD) {
        abort_cut(at, request);
        server->current.gsn = 0;
    }
    if (!request)
        return;
    if (sim_fault(sim, SIM_FAULT_SOURCE_REF))
        server->error = EIO;
    if (request->gsn == PST_SOURCE_FREEZE_REQ && sim_fault(sim, SIM_FAULT_FREEZE_MISSES))
        server->error = PST_E_FREEZE;
    server->is_lost = sim_fault(sim, SIM_FAULT_SOURCE_LOST);
    const struct sim_rule *due = sim_script_due(sim, request->receiver_ref, request->gsn);
    if (due && due->kind == SIM_ACT_REFUSE)
        server->error = due->error;
    server->is_lost |= due && due->kind == SIM_ACT_HANG;
    if (request->gsn == PST_SOURCE_LIST_REQ) {
        begin_listing(at);
        return;
    }
    uint64_t takes_ns = duration_ns(at, request->gsn);
    if (due && due->kind == SIM_ACT_SLOW)
        takes_ns = due->length_ns;
    server->token = ++sim->tokens;
    sim_later(sim, SIM_SERVICE, thread_of(at), sim->now_ns + takes_ns)->token = server->token;
}

static void on_signal(const struct at *at, const struct pst_signal *signal)
{
    struct sim_source *source = at->source;
    bool lists = source->listing != 0 && source->server.current.backup == signal->backup;
    if (signal->gsn != PST_SOURCE_FRAGMENT_DONE_ORD) {
        sim_server_add(&source->server, signal);
        if (lists)
            end_listing(at, ECANCELED); /* an abort, or a release */
        else
            serve_next(at);
        return;
    }
    if (!lists || source->unscanned == 0)
        return;
    source->unscanned--;
    if (source->waits)
        list_later(at);
    source->waits = false;
}

void sim_source_event(struct sim *sim, struct sim_node *node, const struct sim_event *event)
{
    uint32_t index = event->thread % SIM_NODE_THREADS - SIM_SOURCE;
    struct at at = {sim, node, &node->sources[index], index};
    switch (event->type) {
    case SIM_SIGNAL:
        on_signal(&at, &event->signal);
        break;
    case SIM_SERVICE:
        if (event->token == at.source->server.token)
            end_service(&at);
        break;
    case SIM_LIST:
        if (event->token == at.source->listing)
            list_one(&at);
        break;
    case SIM_HOLD:
        if (event->token == at.source->freeze_token)
            give_up_freeze(&at);
        break;
    default:
        assert(!"an event that a source never gets");
    }
}
