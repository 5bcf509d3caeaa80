#include "tests/sim/sim.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CALM_BACKUPS 2u
#define STEPS_MAX 200000u

const char *const sim_fault_names[SIM_FAULTS] = {
#define X(name, per_thousand, meaning) #name,
    SIM_FAULT_LIST(X)
#undef X
};

const char *const sim_fault_meanings[SIM_FAULTS] = {
#define X(name, per_thousand, meaning) meaning,
    SIM_FAULT_LIST(X)
#undef X
};

static const uint32_t fault_per_thousand[SIM_FAULTS] = {
#define X(name, per_thousand, meaning) per_thousand,
    SIM_FAULT_LIST(X)
#undef X
};

const char *const sim_plant_names[SIM_PLANTS] = {
#define X(name, meaning) #name,
    SIM_PLANT_LIST(X)
#undef X
};

const char *const sim_plant_meanings[SIM_PLANTS] = {
#define X(name, meaning) meaning,
    SIM_PLANT_LIST(X)
#undef X
};

void sim_fail(struct sim *sim, const char *format, ...)
{
    if (sim->failure[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim->failure, sizeof(sim->failure), format, arguments);
    va_end(arguments);
    sim_tell(sim, "FOUND: %s", sim->failure);
}

bool sim_fault(struct sim *sim, enum sim_fault fault)
{
    if (sim->calm || !sim->enabled[fault] ||
        !sim_random_hits(&sim->random, fault_per_thousand[fault]))
        return false;
    sim->fired[fault] = true;
    sim->statistics.faults[fault]++;
    sim_tell(sim, "FAULT %s: %s", sim_fault_names[fault], sim_fault_meanings[fault]);
    return true;
}

bool sim_planted(struct sim *sim, enum sim_plant plant)
{
    if (sim->plant != plant)
        return false;
    sim->planted = true;
    return true;
}

uint64_t sim_delay_ns(struct sim *sim)
{
    uint64_t kind = sim_random_next(&sim->random) % 100;
    uint64_t most_ns = kind < 85 ? 200 * SIM_US : kind < 98 ? 5 * SIM_MS : 40 * SIM_MS;
    return sim_random_between(&sim->random, SIM_US, most_ns);
}

uint64_t sim_slow_ns(struct sim *sim)
{
    return sim_random_between(&sim->random, sim->timeouts.ldm_ns / 2, 2 * sim->timeouts.master_ns);
}

struct sim_backup *sim_backup_of(struct sim *sim, uint64_t uid_low)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        if (sim->backups[i].uid_low == uid_low)
            return &sim->backups[i];
    }
    sim_fail(sim, "somebody speaks of a backup that nobody asked for");
    return &sim->backups[0];
}

uint32_t sim_thread_of(pst_ref ref)
{
    uint32_t instance = pst_ref_instance(ref);
    switch (pst_ref_block(ref)) {
    case PST_BLOCK_CLIENT:
        return SIM_CLIENT;
    case PST_BLOCK_PROXY:
        return instance == 0 ? SIM_HUB : SIM_LDM;
    case PST_BLOCK_ARCHIVE:
        return SIM_ARCHIVE;
    case PST_BLOCK_OUTCOME: /* a node alone has none */
        break;
    case PST_BLOCK_SOURCE:
        assert(instance < SIM_SOURCES_MAX);
        return SIM_SOURCE + instance;
    case PST_BLOCK_BACKUP:
        assert(instance >= 1 && instance <= SIM_LDMS_MAX);
        return SIM_LDM + instance - 1;
    }
    assert(!"a ref that names nobody");
    return SIM_CLIENT;
}

struct pst_signal sim_answer(const struct pst_signal *request, uint32_t error)
{
    uint16_t gsn = error != 0 ? PST_REF_OF(request->gsn) : PST_CONF_OF(request->gsn);
    struct pst_signal answer = {
        .gsn = gsn,
        .version = PST_SIGNAL_VERSION,
        .length = pst_gsn_payload_bytes(gsn),
        .sender_ref = request->receiver_ref,
        .receiver_ref = request->sender_ref,
        .backup = request->backup,
        .sequence = request->sequence,
    };
    answer.payload.order.master_ref = request->payload.order.master_ref;
    if (error != 0) {
        answer.payload.ref.error = error;
        answer.payload.ref.where = request->receiver_ref;
    }
    return answer;
}

static bool is_answer_that_may_be_lost(const struct pst_signal *signal)
{
    uint16_t request = pst_gsn_answered(signal->gsn);
    return request != 0 && request != PST_ARCHIVE_DECIDE_REQ && request != PST_BACKUP_REQ;
}

static void deliver_later(struct sim *sim, uint32_t from, const struct pst_signal *signal)
{
    uint32_t to = sim_thread_of(signal->receiver_ref);
    uint64_t *last_ns = &sim->pair_ns[from][to];
    uint64_t arrives_ns = sim->now_ns + sim_delay_ns(sim);
    if (arrives_ns < *last_ns)
        arrives_ns = *last_ns;
    *last_ns = arrives_ns;
    sim_queue_add(&sim->queue, SIM_SIGNAL, to, arrives_ns)->signal = *signal;
}

static bool is_from_ldm_to_hub(const struct pst_signal *signal)
{
    return pst_gsn_answered(signal->gsn) != 0 && sim_thread_of(signal->sender_ref) >= SIM_LDM &&
           sim_thread_of(signal->receiver_ref) == SIM_HUB;
}

/* The bugs that are planted in the runtime's routing. false: the signal goes nowhere. */
static bool spoil(struct sim *sim, uint32_t from, struct pst_signal *signal)
{
    bool is_from_proxy = pst_gsn_answered(signal->gsn) != 0 && from == SIM_HUB;
    if (is_from_proxy && sim_planted(sim, SIM_PLANT_NO_REWRITE))
        signal->sender_ref = pst_ref_make(SIM_NODE, PST_BLOCK_BACKUP, 2);
    if (is_from_proxy && sim_planted(sim, SIM_PLANT_NO_ANSWER))
        return false;
    if (is_from_ldm_to_hub(signal)) {
        if (sim_planted(sim, SIM_PLANT_ANSWER_TO_MASTER))
            signal->receiver_ref = signal->payload.order.master_ref;
        if (sim_planted(sim, SIM_PLANT_WRONG_SEQUENCE))
            signal->sequence++;
        if (sim_planted(sim, SIM_PLANT_ANSWERS_TWICE)) {
            sim_check_sent(sim, signal);
            deliver_later(sim, from, signal);
        }
    }
    bool is_end = signal->gsn == PST_BACKUP_COMPLETE_REP || signal->gsn == PST_BACKUP_ABORT_REP;
    if (is_end && sim_planted(sim, SIM_PLANT_ENDS_TWICE))
        deliver_later(sim, from, signal);
    return !(from == SIM_HUB && signal->gsn == PST_CLEANUP_BACKUP_REQ &&
             sim_planted(sim, SIM_PLANT_NO_CLEANUP));
}

void sim_send(struct sim *sim, uint32_t from, const struct pst_signal *signal)
{
    struct pst_signal copy = *signal;
    if (!spoil(sim, from, &copy))
        return;
    sim_check_sent(sim, &copy);
    if (is_answer_that_may_be_lost(&copy) && sim_fault(sim, SIM_FAULT_ANSWER_LOST)) {
        sim_tell_signal(sim, &copy);
        return;
    }
    deliver_later(sim, from, &copy);
}

static void send_fan_out(struct sim *sim, uint32_t thread, const struct pst_send *send)
{
    struct pst_signal signal = send->signal;
    pst_ref to = signal.receiver_ref;
    for (uint32_t member = 0; member < 256; member++) {
        if (!pst_set_has(&send->targets, member))
            continue;
        if (send->route == PST_ROUTE_NODES)
            signal.receiver_ref = pst_ref_make(member + 1, pst_ref_block(to), pst_ref_instance(to));
        else
            signal.receiver_ref = pst_ref_make(pst_ref_node(to), pst_ref_block(to),
                                               send->route == PST_ROUTE_LDMS ? member + 1 : member);
        sim_send(sim, thread, &signal);
    }
}

void sim_perform(struct sim *sim, uint32_t thread, const struct pst_actions *actions)
{
    for (uint32_t i = 0; i < actions->sends_count; i++) {
        if (actions->sends[i].route == PST_ROUTE_ONE)
            sim_send(sim, thread, &actions->sends[i].signal);
        else
            send_fan_out(sim, thread, &actions->sends[i]);
    }
    for (uint32_t i = 0; i < actions->works_count; i++)
        sim_ldm_work(sim, thread - SIM_LDM, &actions->works[i]);
}

static void hub_set_timer(struct sim *sim)
{
    uint64_t deadline_ns = pst_proxy_deadline_ns(&sim->hub_proxy);
    if (deadline_ns == PST_DEADLINE_NONE || deadline_ns == sim->hub_timer_ns ||
        sim_planted(sim, SIM_PLANT_NO_TIMER))
        return;
    sim->hub_timer_ns = deadline_ns;
    uint64_t late_ns = sim_random_between(&sim->random, 0, SIM_MS);
    uint64_t time_ns = deadline_ns > sim->now_ns ? deadline_ns : sim->now_ns;
    sim_queue_add(&sim->queue, SIM_TIMER, SIM_HUB, time_ns + late_ns)->token = deadline_ns;
}

static void hub_event(struct sim *sim, const struct sim_event *event)
{
    struct pst_event step = {.type = PST_EVENT_SIGNAL, .now_ns = sim->now_ns};
    step.signal = &event->signal;
    if (event->type == SIM_TIMER) {
        if (event->token != sim->hub_timer_ns)
            return;
        sim->hub_timer_ns = 0;
        step.type = PST_EVENT_TIMER;
    }
    struct pst_actions actions;
    actions.sends_count = actions.works_count = 0;
    pst_proxy_step(&sim->hub_proxy, &step, &actions);
    sim_perform(sim, SIM_HUB, &actions);
    hub_set_timer(sim);
}

static void handle(struct sim *sim, const struct sim_event *event)
{
    if (event->type == SIM_SIGNAL)
        sim_tell_signal(sim, &event->signal);
    if (event->thread == SIM_CLIENT)
        sim_client_event(sim, event);
    else if (event->thread == SIM_HUB)
        hub_event(sim, event);
    else if (event->thread == SIM_ARCHIVE)
        sim_archive_event(sim, event);
    else if (event->thread >= SIM_LDM)
        sim_ldm_event(sim, event);
    else
        sim_source_event(sim, event);
}

/* Until nothing is left to happen. */
static void run_to_rest(struct sim *sim)
{
    struct sim_event event;
    uint32_t steps = 0;
    while (sim->failure[0] == '\0' && sim_queue_take(&sim->queue, &event)) {
        assert(event.time_ns >= sim->now_ns);
        sim->now_ns = event.time_ns;
        if (event.thread >= SIM_LDM && sim->now_ns < sim->stalled_ns[event.thread]) {
            sim_queue_put_back(&sim->queue, &event, sim->stalled_ns[event.thread]);
            continue;
        }
        sim->statistics.events++;
        if (++steps > STEPS_MAX)
            sim_fail(sim, "it never comes to rest");
        handle(sim, &event);
    }
}

static void choose_faults(struct sim *sim)
{
    bool none = sim_random_hits(&sim->random, 100);
    uint32_t per_thousand = sim_random_hits(&sim->random, 500) ? 120 : 400;
    for (int i = 0; i < SIM_FAULTS; i++)
        sim->enabled[i] = sim_random_hits(&sim->random, per_thousand) && !none;
}

static void init(struct sim *sim, uint64_t seed, enum sim_plant plant, bool trace)
{
    memset(sim, 0, offsetof(struct sim, queue));
    memset(&sim->now_ns, 0, sizeof(*sim) - offsetof(struct sim, now_ns));
    sim->seed = seed;
    sim->plant = plant;
    sim->trace = trace;
    sim->random.state = seed * UINT64_C(0x9e3779b97f4a7c15);
    sim_queue_init(&sim->queue);
    sim->ldms_count = (uint32_t)sim_random_between(&sim->random, 1, SIM_LDMS_MAX);
    sim->sources_count = (uint32_t)sim_random_between(&sim->random, 0, SIM_SOURCES_MAX);
    sim->timeouts = (struct pst_timeouts){
        .ldm_ns = SIM_S,
        .proxy_ns = 2 * SIM_S,
        .master_ns = 3 * SIM_S,
        .stall_ns = sim_random_between(&sim->random, 1, 4) * SIM_S,
        .progress_ns = 100 * SIM_MS,
        .thawed_ns = 10 * SIM_MS,
    };
    choose_faults(sim);
    pst_proxy_init(&sim->hub_proxy, pst_ref_make(SIM_NODE, PST_BLOCK_PROXY, 0),
                   pst_ref_make(SIM_NODE, PST_BLOCK_PROXY, 0), sim->ldms_count, sim->sources_count,
                   &sim->timeouts);
    for (uint32_t i = 0; i < sim->ldms_count; i++)
        sim_ldm_init(sim, i);
}

static void check_at_rest(struct sim *sim)
{
    sim_check_answers(sim);
    sim_check_outcome(sim);
    sim_check_coverage(sim);
    sim_check_cut(sim);
    sim_check_rest(sim);
}

static void keep_statistics(struct sim *sim)
{
    sim->statistics.stale_senders = sim->hub_proxy.senders.stale_senders +
                                    sim->ldm_proxy.senders.stale_senders +
                                    sim->master.senders.stale_senders;
    sim->statistics.stray_answers = sim->hub_proxy.senders.stray_answers +
                                    sim->ldm_proxy.senders.stray_answers +
                                    sim->master.senders.stray_answers;
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        sim->statistics.complete += sim->backups[i].told == SIM_TOLD_COMPLETE;
        sim->statistics.aborted += sim->backups[i].told == SIM_TOLD_ABORT;
        sim->statistics.refused += sim->backups[i].told == SIM_TOLD_REF;
    }
}

bool sim_run(struct sim *sim, uint64_t seed, enum sim_plant plant, bool trace)
{
    init(sim, seed, plant, trace);
    sim_tell(sim, "seed %llu: %u LDMs, %u sources", (unsigned long long)seed, sim->ldms_count,
             sim->sources_count);
    sim->backups_planned = (uint32_t)sim_random_between(&sim->random, 1, 4);
    sim_client_start(sim);
    run_to_rest(sim);
    check_at_rest(sim);
    if (sim->failure[0] == '\0') {
        sim_tell(sim, "all is quiet; from here on without faults");
        sim->calm = true;
        memset(sim->stalled_ns, 0, sizeof(sim->stalled_ns));
        sim->backups_planned = CALM_BACKUPS;
        sim_client_start(sim);
        run_to_rest(sim);
        check_at_rest(sim);
        sim_check_released(sim);
    }
    keep_statistics(sim);
    return sim->failure[0] == '\0';
}
