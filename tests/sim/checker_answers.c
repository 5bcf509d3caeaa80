/*
 * Answers: every REQ has exactly one, from whom it was sent to, to who sent it, with its sequence;
 * BACKUP_REQ's CONF is followed by exactly one end. And deadlines nest: the master does not give up
 * what its proxy still answers.
 */
#include "tests/sim/sim.h"

static bool is_request(uint16_t gsn)
{
    return pst_gsn_answered(PST_CONF_OF(gsn)) == gsn && gsn != 0;
}

static struct sim_request *find(struct sim *sim, uint16_t gsn, pst_ref sender_ref,
                                pst_ref receiver_ref, const struct pst_signal *signal)
{
    for (uint32_t i = sim->requests_count; i-- > 0;) {
        struct sim_request *request = &sim->requests[i];
        if (request->gsn == gsn && request->sequence == signal->sequence &&
            request->backup == signal->backup && request->sender_ref == sender_ref &&
            request->receiver_ref == receiver_ref)
            return request;
    }
    return NULL;
}

static void note_request(struct sim *sim, const struct pst_signal *signal)
{
    struct sim_request *before =
        find(sim, signal->gsn, signal->sender_ref, signal->receiver_ref, signal);
    if (before) {
        before->sent++;
        if (signal->gsn != PST_BACKUP_REQ)
            sim_fail(sim, "%s is sent twice with one sequence", pst_gsn_name(signal->gsn));
        return;
    }
    if (sim->requests_count == SIM_REQUESTS_MAX) {
        sim_fail(sim, "more requests than the checker can keep");
        return;
    }
    sim->requests[sim->requests_count++] = (struct sim_request){
        .gsn = signal->gsn,
        .sent = 1,
        .sender_ref = signal->sender_ref,
        .receiver_ref = signal->receiver_ref,
        .backup = signal->backup,
        .sequence = signal->sequence,
    };
}

void sim_check_sent(struct sim *sim, const struct pst_signal *signal)
{
    if (signal->version != PST_SIGNAL_VERSION ||
        signal->length != pst_gsn_payload_bytes(signal->gsn))
        sim_fail(sim, "%s has a malformed header", pst_gsn_name(signal->gsn));
    if (is_request(signal->gsn)) {
        note_request(sim, signal);
        return;
    }
    uint16_t gsn = pst_gsn_answered(signal->gsn);
    if (gsn == 0)
        return;
    char from[24];
    char to[24];
    struct sim_request *request = find(sim, gsn, signal->receiver_ref, signal->sender_ref, signal);
    if (!request)
        sim_fail(sim, "%s from %s to %s answers nothing that it asked", pst_gsn_name(signal->gsn),
                 sim_ref_name(signal->sender_ref, from), sim_ref_name(signal->receiver_ref, to));
    else if (request->answers == request->sent)
        sim_fail(sim, "%s from %s is a second answer", pst_gsn_name(signal->gsn),
                 sim_ref_name(signal->sender_ref, from));
    else
        request->answers++;
}

/* Sources and archive may keep silent, as a fault; the machines may not. */
void sim_check_answers(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->requests_count; i++) {
        const struct sim_request *request = &sim->requests[i];
        enum pst_block block = pst_ref_block(request->receiver_ref);
        bool must = block == PST_BLOCK_BACKUP || block == PST_BLOCK_PROXY;
        char to[24];
        if (must && request->answers == 0)
            sim_fail(sim, "%s to %s was never answered", pst_gsn_name(request->gsn),
                     sim_ref_name(request->receiver_ref, to));
    }
}

void sim_check_told(struct sim *sim, const struct pst_signal *signal)
{
    struct sim_backup *backup = sim_backup_of(sim, signal->backup);
    enum sim_told before = SIM_TOLD_CONF;
    enum sim_told after = SIM_TOLD_CONF;
    uint64_t request_id = signal->payload.ref.request_id;
    switch (signal->gsn) {
    case PST_BACKUP_CONF:
        before = SIM_TOLD_NOTHING;
        request_id = signal->payload.backup_conf.request_id;
        break;
    case PST_BACKUP_REF:
        before = SIM_TOLD_NOTHING;
        after = SIM_TOLD_REF;
        break;
    case PST_BACKUP_STATUS_REP:
        request_id = signal->payload.progress.request_id;
        break;
    case PST_BACKUP_ABORT_REP:
        after = SIM_TOLD_ABORT;
        break;
    case PST_BACKUP_COMPLETE_REP:
        after = SIM_TOLD_COMPLETE;
        request_id = signal->payload.complete.request_id;
        backup->complete = signal->payload.complete;
        break;
    default:
        sim_fail(sim, "the client is told %s", pst_gsn_name(signal->gsn));
        return;
    }
    bool asked_again = backup->told == SIM_TOLD_REF && backup->refusals < backup->requests;
    if (before == SIM_TOLD_NOTHING && asked_again) { /* refused, then asked again: once more */
        backup->told = SIM_TOLD_NOTHING;
        backup->ends = 0;
    }
    backup->refusals += after == SIM_TOLD_REF;
    if (backup->told != before)
        sim_fail(sim, "the client is told %s out of turn", pst_gsn_name(signal->gsn));
    if (request_id != backup->request_id || signal->sequence != backup->sequence)
        sim_fail(sim, "%s does not name its request", pst_gsn_name(signal->gsn));
    backup->told = after;
    backup->ends += after != SIM_TOLD_CONF;
    backup->ended_ns = sim->now_ns;
}

/* A node answers before the master's deadline, unless LDM 1 itself did not run, or the answer was
 * lost. */
void sim_check_nesting(struct sim *sim)
{
    if (sim->fired[SIM_FAULT_LDM_STALL] || sim->fired[SIM_FAULT_ANSWER_LOST])
        return;
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        const struct pst_sender *sender = &sim->master.senders.slots[i];
        if (sender->gsn != 0 && sender->is_zombie && sender->gsn < PST_ARCHIVE_NUMBER_REQ)
            sim_fail(sim, "the master gave up %s before its proxy did", pst_gsn_name(sender->gsn));
    }
}
