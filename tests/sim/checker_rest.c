/* Liveness and resources: all come to rest in bounded time, and at rest hold nothing. */
#include "tests/sim/sim.h"

#define LONGEST_NS (400 * SIM_S)

static void check_machines(struct sim *sim)
{
    if (sim->master.state != PST_MASTER_IDLE)
        sim_fail(sim, "the master rests in %s", pst_master_state_name(sim->master.state));
    const struct pst_proxy *proxies[] = {&sim->hub_proxy, &sim->ldm_proxy};
    for (int i = 0; i < 2; i++) {
        if (proxies[i]->state != PST_PROXY_IDLE || proxies[i]->request.gsn != 0)
            sim_fail(sim, "PROXY %d rests in %s", i, pst_proxy_state_name(proxies[i]->state));
        if (proxies[i]->in_doubt != 0)
            sim_fail(sim, "a backup is in doubt, though its master lives");
    }
    for (uint32_t i = 0; i < sim->ldms_count; i++) {
        const struct pst_participant *participant = &sim->ldms[i].block.participant;
        if (participant->state != PST_PARTICIPANT_IDLE || participant->request != 0)
            sim_fail(sim, "LDM %u rests in %s", i + 1,
                     pst_participant_state_name(participant->state));
    }
}

static void check_senders(struct sim *sim, const struct pst_senders *senders, const char *whose)
{
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        const struct pst_sender *sender = &senders->slots[i];
        if (sender->gsn != 0 && !sender->is_zombie)
            sim_fail(sim, "%s still waits for answers to %s", whose, pst_gsn_name(sender->gsn));
    }
}

static void check_held(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->sources_count; i++) {
        if (sim->sources[i].holds_writers)
            sim_fail(sim, "source %u still holds its writers", i);
        if (sim->sources[i].phase != SIM_IDLE || sim->sources[i].server.current.gsn != 0)
            sim_fail(sim, "source %u still holds its snapshot", i);
    }
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        for (uint32_t ldm = 0; ldm < sim->ldms_count; ldm++) {
            if (sim->backups[i].parts[ldm].open)
                sim_fail(sim, "LDM %u still has a part open", ldm + 1);
        }
    }
}

void sim_check_rest(struct sim *sim)
{
    check_machines(sim);
    check_senders(sim, &sim->master.senders, "the master");
    check_senders(sim, &sim->hub_proxy.senders, "PROXY");
    check_senders(sim, &sim->ldm_proxy.senders, "PROXY in LDM 1");
    check_held(sim);
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        if (backup->ends != 1)
            sim_fail(sim, "the client was told %u ends of a backup", backup->ends);
        if (backup->ended_ns - backup->asked_ns > LONGEST_NS)
            sim_fail(sim, "a backup took longer than its deadlines allow");
    }
}

/* Each machine has had another DEFINE since. */
void sim_check_released(struct sim *sim)
{
    uint32_t in_use =
        pst_senders_in_use(&sim->master.senders) + pst_senders_in_use(&sim->ldm_proxy.senders);
    if (sim->ldms_count > 1)
        in_use += pst_senders_in_use(&sim->hub_proxy.senders);
    if (in_use != 0)
        sim_fail(sim, "%u senders were not released by the next DEFINE", in_use);
}
