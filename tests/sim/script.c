/* What a scenario does at the steps that it names. */
#include <assert.h>
#include <string.h>

#include "tests/sim/sim.h"

static bool fits(const struct sim_pattern *pattern, pst_ref ref)
{
    return (pattern->node == 0 || pattern->node == pst_ref_node(ref)) &&
           (pattern->block == 0 || pattern->block == pst_ref_block(ref)) &&
           (pattern->instance == 0 || pattern->instance == pst_ref_instance(ref) + 1);
}

/* What the checkers are to know of it: such a fault excuses a deadline that passes. */
static void note_fault(struct sim *sim, enum sim_action_kind kind)
{
    static const enum sim_fault faults[] = {
        [SIM_ACT_LOSE] = SIM_FAULT_ANSWER_LOST,
        [SIM_ACT_DELAY] = SIM_FAULT_LINK_SLOW,
        [SIM_ACT_CRASH] = SIM_FAULT_CRASH,
        [SIM_ACT_POWER] = SIM_FAULT_POWER_LOSS,
        [SIM_ACT_PAUSE] = SIM_FAULT_PAUSE,
        [SIM_ACT_CUT] = SIM_FAULT_PARTITION,
        [SIM_ACT_MUTE] = SIM_FAULT_PARTITION_ONE_WAY,
        [SIM_ACT_SPLIT] = SIM_FAULT_PAIR_CUT,
        [SIM_ACT_DEAFEN] = SIM_FAULT_PAIR_CUT_ONE_WAY,
        [SIM_ACT_SUSPECT] = SIM_FAULT_SUSPICION,
        [SIM_ACT_JUMP] = SIM_FAULT_CLOCK_JUMP,
        [SIM_ACT_STALL] = SIM_FAULT_LDM_STALL,
    };
    bool has_one = kind == SIM_ACT_LOSE || kind == SIM_ACT_DELAY ||
                   (kind >= SIM_ACT_CRASH && kind <= SIM_ACT_STALL);
    if (has_one)
        sim->fired[faults[kind]] = true;
}

static bool strikes(struct sim *sim, struct sim_rule *rule, const struct pst_signal *signal,
                    bool when_sent)
{
    if (sim->calm || rule->gsn != signal->gsn || rule->when_sent != when_sent ||
        !fits(&rule->from, signal->sender_ref) || !fits(&rule->to, signal->receiver_ref) ||
        ++rule->seen != rule->nth)
        return false;
    note_fault(sim, rule->kind);
    return true;
}

static void strike_client(struct sim *sim, const struct sim_rule *rule)
{
    if (rule->kind == SIM_ACT_ABORT)
        sim_client_abort(sim);
    else if (rule->kind == SIM_ACT_VANISH)
        sim_client_vanish(sim);
    else
        sim_client_ask(sim, &(struct sim_asked){.node = rule->node});
}

static void forget(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_share *share = sim->backups[i].shares[node->id - 1];
        if (share && sim_disk_has(sim, share, SIM_CLUSTER_MANIFEST))
            sim_forget_decision(sim, node, share);
    }
}

/* What happens to nodes, links and clients. */
static void strike(struct sim *sim, const struct sim_rule *rule)
{
    struct sim_node *node = &sim->nodes[rule->node];
    switch (rule->kind) {
    case SIM_ACT_CRASH:
    case SIM_ACT_POWER:
        sim_crash(sim, node, rule->kind == SIM_ACT_POWER, rule->length_ns);
        break;
    case SIM_ACT_PAUSE:
        sim_pause(sim, node, rule->length_ns);
        break;
    case SIM_ACT_CUT:
    case SIM_ACT_MUTE:
        sim_cut(sim, 1u << rule->node, rule->kind == SIM_ACT_MUTE, rule->length_ns);
        break;
    case SIM_ACT_SPLIT:
    case SIM_ACT_DEAFEN:
        sim_cut_pair(sim, rule->node, rule->other, rule->kind == SIM_ACT_DEAFEN, rule->length_ns);
        break;
    case SIM_ACT_SUSPECT:
        sim_member_suspect(sim, rule->node, rule->other);
        break;
    case SIM_ACT_JUMP:
        sim_jump(sim, node, rule->length_ns);
        break;
    case SIM_ACT_STALL:
        sim_tell(sim, "LDM %u of node %u stalls", rule->other + 1, node->id);
        node->ldms[rule->other].stalled_ns = sim->now_ns + rule->length_ns;
        break;
    case SIM_ACT_FORGET:
        forget(sim, node);
        break;
    case SIM_ACT_TROUBLE:
        sim_later(sim, SIM_TROUBLE, sim_thread(sim, node, SIM_LDM + rule->other), sim->now_ns)
            ->token = sim->running ? sim->running->uid_low : 0;
        break;
    default:
        strike_client(sim, rule);
    }
}

/* In the middle of a step nobody dies: it happens right after it. */
static void strike_later(struct sim *sim, const struct sim_rule *rule)
{
    sim_queue_add(&sim->queue, SIM_STRIKE, SIM_WORLD, sim->now_ns)->token =
        (uint64_t)(rule - sim->script->rules);
}

void sim_script_event(struct sim *sim, const struct sim_event *event)
{
    strike(sim, &sim->script->rules[event->token]);
}

bool sim_script_sent(struct sim *sim, uint32_t from, const struct pst_signal *signal,
                     uint64_t *later_ns)
{
    *later_ns = 0;
    bool goes = true;
    for (uint32_t i = 0; sim->script && i < sim->script->rules_count; i++) {
        struct sim_rule *rule = &sim->script->rules[i];
        if (!strikes(sim, rule, signal, true))
            continue;
        struct pst_signal forged = *signal;
        switch (rule->kind) {
        case SIM_ACT_LOSE:
            sim_tell_signal(sim, signal, "lost");
            goes = false;
            break;
        case SIM_ACT_DELAY:
            *later_ns = rule->length_ns;
            break;
        case SIM_ACT_TWICE:
            sim_send_again(sim, from, signal, rule->length_ns);
            break;
        case SIM_ACT_FORGE:
            forged.sender_ref = rule->ref;
            sim_send_again(sim, from, &forged, 0);
            break;
        default:
            strike_later(sim, rule);
        }
    }
    return goes;
}

bool sim_script_heard(struct sim *sim, const struct pst_signal *signal)
{
    bool goes = true;
    for (uint32_t i = 0; sim->script && i < sim->script->rules_count; i++) {
        struct sim_rule *rule = &sim->script->rules[i];
        if (!strikes(sim, rule, signal, false))
            continue;
        if (rule->kind == SIM_ACT_LOSE)
            goes = false;
        else if (rule->kind >= SIM_ACT_REFUSE && rule->kind <= SIM_ACT_SLOW)
            rule->is_due = true;
        else
            strike(sim, rule);
    }
    if (!goes)
        sim_tell_signal(sim, signal, "lost");
    return goes;
}

const struct sim_rule *sim_script_due(struct sim *sim, pst_ref ref, uint16_t gsn)
{
    for (uint32_t i = 0; sim->script && i < sim->script->rules_count; i++) {
        struct sim_rule *rule = &sim->script->rules[i];
        if (!rule->is_due || rule->gsn != gsn || !fits(&rule->to, ref))
            continue;
        rule->is_due = false;
        char name[32];
        sim_tell(sim, "%s %s %s", sim_ref_name(ref, name),
                 rule->kind == SIM_ACT_REFUSE ? "refuses"
                 : rule->kind == SIM_ACT_HANG ? "never ends"
                                              : "is slow with",
                 pst_gsn_name(gsn));
        return rule;
    }
    return NULL;
}

static const char *told_name(enum sim_told told)
{
    static const char *const names[] = {"nothing", "of its start", "of its refusal",
                                        "that it is complete", "of its abort"};
    return names[told];
}

static void check_expected(struct sim *sim, uint32_t index, const struct sim_expected *expected)
{
    const struct sim_backup *backup = &sim->backups[index];
    if (index >= sim->backups_count) {
        sim_fail(sim, SIM_CHECKER_SCENARIO, "there was no backup %u", index + 1);
        return;
    }
    bool unknown = expected->told == SIM_TOLD_NOTHING && backup->is_deaf && backup->ends == 0;
    if (!unknown && backup->told != expected->told)
        sim_fail(sim, SIM_CHECKER_SCENARIO, "the client of backup %u was told %s (error %u)",
                 index + 1, told_name(backup->told), backup->error);
    else if (expected->error != 0 && backup->error != expected->error)
        sim_fail(sim, SIM_CHECKER_SCENARIO, "backup %u ended with error %u, not %u", index + 1,
                 backup->error, expected->error);
}

void sim_script_check_held(struct sim *sim)
{
    for (uint32_t i = 0; sim->script && i < sim->backups_count && i < SIM_EXPECTED_MAX; i++) {
        for (uint32_t node = 0; node < sim->options.nodes; node++) {
            enum sim_held wanted = sim->script->held[i][node];
            enum sim_held found = sim_held_of(sim, sim->backups[i].shares[node]);
            if (wanted != SIM_HELD_ANY && found != wanted)
                sim_fail(sim, SIM_CHECKER_SCENARIO, "of backup %u node %u has %s, not %s", i + 1,
                         node + 1, sim_held_names[found], sim_held_names[wanted]);
        }
    }
}

void sim_script_check(struct sim *sim)
{
    for (uint32_t i = 0; sim->script && i < sim->script->rules_count; i++) {
        const struct sim_rule *rule = &sim->script->rules[i];
        if (rule->seen < rule->nth || rule->is_due)
            sim_fail(sim, SIM_CHECKER_SCENARIO, "rule %u (at %s) never struck", i + 1,
                     pst_gsn_name(rule->gsn));
    }
    for (uint32_t i = 0; sim->script && i < SIM_EXPECTED_MAX; i++) {
        if (sim->script->expected[i].is_set)
            check_expected(sim, i, &sim->script->expected[i]);
    }
}
