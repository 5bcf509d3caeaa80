/* What a seed means: the size of its cluster, its timeouts, the faults that it enables. */
#include <string.h>

#include "tests/sim/sim.h"

/* Small clusters mostly: most of what can go wrong needs no more than three nodes. */
static uint32_t choose_nodes(struct sim_random *random)
{
    uint64_t kind = sim_random_next(random) % 100;
    uint32_t most = kind < 60 ? 3 : kind < 92 ? 5 : kind < 99 ? 8 : SIM_NODES_MAX;
    return (uint32_t)sim_random_between(random, 1, most);
}

static uint32_t choose_ldms(struct sim_random *random)
{
    uint64_t kind = sim_random_next(random) % 100;
    if (kind < 30)
        return 1;
    return (uint32_t)sim_random_between(random, 2, kind < 95 ? 3 : SIM_LDMS_MAX);
}

static void choose_faults(struct sim_options *options, struct sim_random *random)
{
    bool none = sim_random_hits(random, 100);
    uint32_t per_thousand = sim_random_hits(random, 600) ? 100 : 350;
    for (int i = 0; i < SIM_FAULT_DECISION_LOST; i++)
        options->enabled[i] = sim_random_hits(random, per_thousand) && !none;
    for (int i = SIM_FAULT_PARTITION; i <= SIM_FAULT_CLOCK_JUMP; i++)
        options->enabled[i] |= sim_random_hits(random, 300) && !none;
    options->mischief = none ? 0 : (uint32_t)sim_random_between(random, 0, 6);
}

static const struct pst_timeouts usual_timeouts = {
    .ldm_ns = SIM_S,
    .proxy_ns = 2 * SIM_S,
    .master_ns = 3 * SIM_S,
    .stall_ns = 2 * SIM_S,
    .progress_ns = 100 * SIM_MS,
    .thawed_ns = 10 * SIM_MS,
    .ask_ns = 3 * SIM_S,
};

void sim_options_of_script(struct sim_options *options, const struct sim_script *script)
{
    memset(options, 0, sizeof(*options));
    options->nodes = script->nodes;
    memcpy(options->ldms, script->ldms, sizeof(options->ldms));
    memcpy(options->sources, script->sources, sizeof(options->sources));
    options->backups = script->asked_count;
    options->timeouts = usual_timeouts;
    options->detect_ns = SIM_S;
    options->hold_ns = 2 * options->timeouts.master_ns;
}

void sim_options_of_seed(struct sim_options *options, uint64_t seed, bool swarm)
{
    struct sim_random random = {.state = seed * UINT64_C(0x9e3779b97f4a7c15)};
    memset(options, 0, sizeof(*options));
    options->nodes = swarm ? choose_nodes(&random) : 3;
    for (uint32_t i = 0; i < options->nodes; i++) {
        options->ldms[i] = swarm ? choose_ldms(&random) : 2;
        options->sources[i] = swarm ? (uint32_t)sim_random_between(&random, 0, SIM_SOURCES_MAX) : 1;
    }
    options->backups = (uint32_t)sim_random_between(&random, 1, 3);
    options->timeouts = usual_timeouts;
    options->timeouts.ask_ns = (seed % 3 + 1) * 300 * SIM_MS;
    options->timeouts.stall_ns = sim_random_between(&random, 1, 4) * SIM_S;
    options->detect_ns = sim_random_between(&random, 1, 30) * 100 * SIM_MS;
    options->hold_ns = 2 * options->timeouts.master_ns;
    choose_faults(options, &random);
    options->enabled[SIM_FAULT_DECISION_LOST] = options->mischief > 0 && seed % 4 == 0;
}
