/*
 * Answers: every REQ that a machine hears has exactly one CONF or REF, from whom it was sent to, to
 * who sent it, with its sequence, unless one of the two died, or took the other for dead, before.
 * BACKUP_REQ's CONF is followed by exactly one end.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define SLOTS 65536u /* a power of two */
#define USED_MAX 40000u

/* A REQ that was sent. */
struct request {
    uint32_t run; /* 0: free; another run's: free as well */
    uint16_t gsn;
    uint16_t sent; /* how often; only a client repeats itself */
    uint16_t heard;
    uint16_t answers;
    pst_ref sender_ref;
    pst_ref receiver_ref;
    uint32_t sequence;
    uint32_t session;            /* of the link, between nodes */
    uint32_t sender_incarnation; /* of the processes */
    uint32_t receiver_incarnation;
    uint64_t backup;
};

struct sim_requests {
    uint32_t run;
    uint32_t used;
    uint32_t order[USED_MAX];
    struct request slots[SLOTS];
};

struct sim_requests *sim_requests_new(void)
{
    return calloc(1, sizeof(struct sim_requests));
}

void sim_check_answers_init(struct sim *sim)
{
    sim->requests->run++;
    sim->requests->used = 0;
}

static bool is_request(uint16_t gsn)
{
    return gsn != 0 && pst_gsn_answered(PST_CONF_OF(gsn)) == gsn;
}

/* The slot of a request, or the free one where it would be. */
static struct request *find(struct sim_requests *requests, pst_ref sender_ref, pst_ref receiver_ref,
                            const struct pst_signal *signal)
{
    uint64_t hash = (signal->backup ^ (uint64_t)sender_ref << 32 ^ receiver_ref) +
                    (uint64_t)signal->sequence * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    for (uint32_t i = (uint32_t)(hash >> 32);; i++) {
        struct request *request = &requests->slots[i % SLOTS];
        if (request->run != requests->run ||
            (request->sequence == signal->sequence && request->backup == signal->backup &&
             request->sender_ref == sender_ref && request->receiver_ref == receiver_ref))
            return request;
    }
}

static struct sim_node *node_of(struct sim *sim, pst_ref ref)
{
    return &sim->nodes[pst_ref_node(ref) - 1];
}

static uint32_t session_of(const struct sim *sim, pst_ref one, pst_ref other)
{
    if (pst_ref_node(one) == pst_ref_node(other))
        return 0;
    return sim_session(sim, pst_ref_node(one) - 1, pst_ref_node(other) - 1);
}

static void note_request(struct sim *sim, const struct pst_signal *signal)
{
    struct sim_requests *requests = sim->requests;
    struct request *request = find(requests, signal->sender_ref, signal->receiver_ref, signal);
    uint32_t incarnation = node_of(sim, signal->sender_ref)->incarnation;
    bool is_known = request->run == requests->run;
    if (is_known && request->sender_incarnation == incarnation) {
        request->sent++;
        if (signal->gsn != PST_BACKUP_REQ || request->gsn != PST_BACKUP_REQ)
            sim_fail(sim, SIM_CHECKER_ANSWERS, "%s is sent with the sequence of an earlier %s",
                     pst_gsn_name(signal->gsn), pst_gsn_name(request->gsn));
        return;
    }
    if (requests->used == USED_MAX) {
        sim_fail(sim, SIM_CHECKER_LIVENESS, "more requests than any run should need");
        return;
    }
    if (!is_known) /* else the same place, after a restart */
        requests->order[requests->used++] = (uint32_t)(request - requests->slots);
    *request = (struct request){
        .run = requests->run,
        .gsn = signal->gsn,
        .sent = 1,
        .sender_ref = signal->sender_ref,
        .receiver_ref = signal->receiver_ref,
        .backup = signal->backup,
        .sequence = signal->sequence,
        .session = session_of(sim, signal->sender_ref, signal->receiver_ref),
        .sender_incarnation = incarnation,
        .receiver_incarnation = node_of(sim, signal->receiver_ref)->incarnation,
    };
}

static void note_answer(struct sim *sim, uint16_t gsn, const struct pst_signal *signal)
{
    char from[32];
    char to[32];
    struct request *request = find(sim->requests, signal->receiver_ref, signal->sender_ref, signal);
    if (request->run != sim->requests->run || request->gsn != gsn)
        sim_fail(sim, SIM_CHECKER_ANSWERS, "%s from %s to %s answers nothing that it asked",
                 pst_gsn_name(signal->gsn), sim_ref_name(signal->sender_ref, from),
                 sim_ref_name(signal->receiver_ref, to));
    else if (request->answers == request->sent)
        sim_fail(sim, SIM_CHECKER_ANSWERS, "%s from %s is a second answer",
                 pst_gsn_name(signal->gsn), sim_ref_name(signal->sender_ref, from));
    else
        request->answers++;
}

void sim_check_sent(struct sim *sim, const struct pst_signal *signal)
{
    if (signal->version != PST_SIGNAL_VERSION ||
        signal->length != pst_gsn_payload_bytes(signal->gsn))
        sim_fail(sim, SIM_CHECKER_ANSWERS, "%s has a malformed header", pst_gsn_name(signal->gsn));
    uint16_t gsn = pst_gsn_answered(signal->gsn);
    if (is_request(signal->gsn))
        note_request(sim, signal);
    else if (gsn != 0)
        note_answer(sim, gsn, signal);
}

void sim_check_delivered(struct sim *sim, const struct pst_signal *signal)
{
    if (!is_request(signal->gsn))
        return;
    struct request *request = find(sim->requests, signal->sender_ref, signal->receiver_ref, signal);
    if (request->run == sim->requests->run)
        request->heard++;
}

/* Sources and archive may keep silent, as a fault; the machines may not. */
static bool must_be_answered(struct sim *sim, const struct request *request)
{
    enum pst_block block = pst_ref_block(request->receiver_ref);
    if (block == PST_BLOCK_SOURCE || block == PST_BLOCK_ARCHIVE || request->heard == 0)
        return false;
    return request->receiver_incarnation == node_of(sim, request->receiver_ref)->incarnation &&
           request->sender_incarnation == node_of(sim, request->sender_ref)->incarnation &&
           request->session == session_of(sim, request->sender_ref, request->receiver_ref);
}

void sim_check_answers(struct sim *sim)
{
    const struct sim_requests *requests = sim->requests;
    for (uint32_t i = 0; i < requests->used; i++) {
        const struct request *request = &requests->slots[requests->order[i]];
        char to[32];
        if (request->answers == 0 && must_be_answered(sim, request))
            sim_fail(sim, SIM_CHECKER_ANSWERS, "%s to %s was never answered",
                     pst_gsn_name(request->gsn), sim_ref_name(request->receiver_ref, to));
    }
}

static enum sim_told told_by(const struct pst_signal *signal, uint64_t *request_id)
{
    *request_id = signal->payload.ref.request_id;
    switch (signal->gsn) {
    case PST_BACKUP_CONF:
        *request_id = signal->payload.backup_conf.request_id;
        return SIM_TOLD_CONF;
    case PST_BACKUP_REF:
        return SIM_TOLD_REF;
    case PST_BACKUP_STATUS_REP:
        *request_id = signal->payload.progress.request_id;
        return SIM_TOLD_CONF;
    case PST_BACKUP_ABORT_REP:
        return SIM_TOLD_ABORT;
    case PST_BACKUP_COMPLETE_REP:
        *request_id = signal->payload.complete.request_id;
        return SIM_TOLD_COMPLETE;
    default:
        return SIM_TOLD_NOTHING;
    }
}

void sim_check_told(struct sim *sim, struct sim_backup *backup, const struct pst_signal *signal)
{
    uint64_t request_id;
    enum sim_told after = told_by(signal, &request_id);
    bool begins = signal->gsn == PST_BACKUP_CONF || signal->gsn == PST_BACKUP_REF;
    enum sim_told before = begins ? SIM_TOLD_NOTHING : SIM_TOLD_CONF;
    if (after == SIM_TOLD_NOTHING)
        sim_fail(sim, SIM_CHECKER_ANSWERS, "the client is told %s", pst_gsn_name(signal->gsn));
    if (begins && backup->told == SIM_TOLD_REF && backup->refusals < backup->requests) {
        backup->told = SIM_TOLD_NOTHING; /* refused, then asked again: once more */
        backup->ends = 0;
    }
    if (backup->told != before)
        sim_fail(sim, SIM_CHECKER_ANSWERS, "the client is told %s out of turn",
                 pst_gsn_name(signal->gsn));
    if (request_id != backup->request_id || signal->sequence != backup->sequence)
        sim_fail(sim, SIM_CHECKER_ANSWERS, "%s does not name its request",
                 pst_gsn_name(signal->gsn));
    backup->refusals += after == SIM_TOLD_REF;
    backup->told = after;
    backup->ended_ns = sim->now_ns;
    if (after == SIM_TOLD_CONF)
        return;
    backup->ends++;
    if (after == SIM_TOLD_COMPLETE)
        backup->complete = signal->payload.complete;
    else
        backup->error = signal->payload.ref.error;
}
