/* The clock: takes events in their order, until nothing is left to happen. */
#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define CALM_BACKUPS 2u
#define STEPS_MAX 2000000u

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

const char *const sim_checker_names[SIM_CHECKERS] = {
#define X(name, text) text,
    SIM_CHECKER_LIST(X)
#undef X
};

const char *const sim_plant_names[SIM_PLANTS] = {
#define X(name, checker, meaning) #name,
    SIM_PLANT_LIST(X)
#undef X
};

const char *const sim_plant_meanings[SIM_PLANTS] = {
#define X(name, checker, meaning) meaning,
    SIM_PLANT_LIST(X)
#undef X
};

const enum sim_checker sim_plant_checkers[SIM_PLANTS] = {
#define X(name, checker, meaning) SIM_CHECKER_##checker,
    SIM_PLANT_LIST(X)
#undef X
};

void sim_fail(struct sim *sim, enum sim_checker checker, const char *format, ...)
{
    if (sim->failure[0] != '\0')
        return;
    sim->checker = checker;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim->failure, sizeof(sim->failure), format, arguments);
    va_end(arguments);
    sim_tell(sim, "FOUND by %s: %s", sim_checker_names[checker], sim->failure);
}

void sim_count_fault(struct sim *sim, enum sim_fault fault)
{
    sim->fired[fault] = true;
    sim->statistics.faults[fault]++;
    sim_tell(sim, "FAULT %s: %s", sim_fault_names[fault], sim_fault_meanings[fault]);
}

bool sim_fault_is_due(struct sim *sim, enum sim_fault fault)
{
    return !sim->calm && sim->options.enabled[fault] &&
           sim_random_hits(&sim->random, fault_per_thousand[fault]);
}

bool sim_fault(struct sim *sim, enum sim_fault fault)
{
    if (!sim_fault_is_due(sim, fault))
        return false;
    sim_count_fault(sim, fault);
    return true;
}

bool sim_planted(struct sim *sim, enum sim_plant plant)
{
    if (sim->options.plant != plant)
        return false;
    sim->planted = true;
    return true;
}

struct sim_event *sim_later(struct sim *sim, enum sim_event_type type, uint32_t thread,
                            uint64_t time_ns)
{
    struct sim_event *event = sim_queue_add(&sim->queue, type, thread, time_ns);
    event->incarnation = sim_node_of(sim, thread)->incarnation;
    return event;
}

uint64_t sim_slow_ns(struct sim *sim)
{
    const struct pst_timeouts *timeouts = &sim->options.timeouts;
    return sim_random_between(&sim->random, timeouts->ldm_ns / 2, 2 * timeouts->master_ns);
}

static void handle(struct sim *sim, const struct sim_event *event)
{
    switch (event->type) {
    case SIM_STRIKE:
        sim_script_event(sim, event);
        break;
    case SIM_MISCHIEF:
    case SIM_FLAP:
    case SIM_RESTART:
        sim_mischief_event(sim, event);
        break;
    case SIM_DETECT:
    case SIM_JOIN:
        sim_member_event(sim, event);
        break;
    default:
        sim_node_event(sim, event);
    }
}

/* Until nothing is left to happen. */
static void run_to_rest(struct sim *sim)
{
    const struct sim_event *event;
    uint32_t steps = 0;
    while (sim->failure[0] == '\0' && (event = sim_queue_take(&sim->queue)) != NULL) {
        assert(event->time_ns >= sim->now_ns);
        sim->now_ns = event->time_ns;
        sim->statistics.events++;
        if (++steps > STEPS_MAX)
            sim_fail(sim, SIM_CHECKER_LIVENESS, "it never comes to rest");
        handle(sim, event);
    }
}

static void init(struct sim *sim, uint64_t seed, const struct sim_options *options,
                 struct sim_script *script)
{
    struct sim_requests *requests = sim->requests;
    memset(sim, 0, offsetof(struct sim, nodes));
    sim->requests = requests;
    sim->seed = seed;
    sim->options = *options;
    sim->script = script;
    sim->random.is_fixed = script != NULL;
    sim->random.state = ~seed * UINT64_C(0x9e3779b97f4a7c15);
    sim_queue_init(&sim->queue);
    sim_check_answers_init(sim);
    sim_member_init(sim);
    for (uint32_t i = 0; i < options->nodes; i++)
        sim_node_init(sim, i);
    for (uint32_t i = 0; i < options->nodes; i++) {
        for (uint32_t other = 0; other < options->nodes; other++) {
            if (other != i)
                sim_fabric_tell(sim, &sim->nodes[i], true, other);
        }
    }
    for (uint32_t i = 0; i < options->nodes; i++) {
        sim_fabric_poll(&sim->nodes[i]);
        sim_node_rearm(sim, &sim->nodes[i]);
    }
}

static void check_at_rest(struct sim *sim)
{
    sim_check_outcome(sim);
    sim_check_liveness(sim);
    sim_check_answers(sim);
    sim_check_cut(sim);
    sim_check_restore(sim);
    sim_check_files(sim);
    sim_check_resources(sim);
}

static void keep_statistics(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++)
        sim_node_keep_statistics(sim, &sim->nodes[i]);
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        sim->statistics.complete += backup->told == SIM_TOLD_COMPLETE;
        sim->statistics.aborted += backup->told == SIM_TOLD_ABORT;
        sim->statistics.refused += backup->told == SIM_TOLD_REF;
        sim->statistics.untold += backup->is_deaf;
    }
}

static void tell_cluster(const struct sim *sim)
{
    sim_tell(sim, "%u nodes", sim->options.nodes);
    for (uint32_t i = 0; i < sim->options.nodes; i++)
        sim_tell(sim, "node %u: %u LDMs, %u sources", i + 1, sim->options.ldms[i],
                 sim->options.sources[i]);
}

static void end(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        sim_archive_stop(&sim->nodes[i]);
        sim_hub_stop(&sim->nodes[i]);
        sim_disk_close(&sim->nodes[i]);
    }
    for (uint32_t i = 0; i < sim->backups_count; i++)
        free(sim->backups[i].cluster_manifest.bytes);
    for (uint32_t i = 0; i < sim->shares_count; i++)
        free(sim->shares[i].node_manifest.bytes);
}

bool sim_run(struct sim *sim, uint64_t seed, const struct sim_options *options,
             struct sim_script *script)
{
    init(sim, seed, options, script);
    tell_cluster(sim);
    sim->backups_planned = options->backups;
    sim_client_start(sim);
    sim_mischief_plan(sim);
    run_to_rest(sim);
    if (sim->failure[0] == '\0') {
        sim_tell_outcome(sim);
        sim_script_check_held(sim);
        sim->calm = true;
        sim_mischief_heal(sim);
        run_to_rest(sim);
        check_at_rest(sim);
    }
    if (sim->failure[0] == '\0') {
        sim->backups_planned = CALM_BACKUPS;
        sim_client_start(sim);
        run_to_rest(sim);
        sim->swept = true;
        check_at_rest(sim);
        sim_check_released(sim);
        sim_script_check(sim);
    }
    keep_statistics(sim);
    end(sim);
    return sim->failure[0] == '\0';
}
