#include "tests/unit/protocol/rig.h"

#include "tests/suite.h"

const struct pst_timeouts rig_timeouts = {
    .ldm_ns = 1000,
    .proxy_ns = 2000,
    .master_ns = 3000,
    .stall_ns = 5000,
    .progress_ns = 100,
    .thawed_ns = 10,
    .ask_ns = 500,
};

struct pst_signal rig_signal(uint32_t gsn, pst_ref from, pst_ref to, uint32_t sequence)
{
    struct pst_signal signal = {
        .gsn = (uint16_t)gsn, /* perhaps one that is not in the list */
        .version = PST_SIGNAL_VERSION,
        .length = pst_gsn_payload_bytes(gsn),
        .sender_ref = from,
        .receiver_ref = to,
        .backup = UID_LOW,
        .sequence = sequence,
    };
    if (gsn == PST_BACKUP_REQ)
        return signal;
    signal.payload.order.master_ref = MASTER_REF;
    if (gsn == PST_ABORT_BACKUP_ORD) {
        signal.payload.abort.request = PST_ABORT_BACKUP_FAILURE;
        signal.payload.abort.error = PST_E_CLIENT_ABORT;
        signal.payload.abort.where = CLIENT_REF;
    }
    return signal;
}

struct pst_signal rig_answer(const struct pst_signal *request, uint32_t error)
{
    uint16_t gsn = error ? PST_REF_OF(request->gsn) : PST_CONF_OF(request->gsn);
    struct pst_signal answer =
        rig_signal(gsn, request->receiver_ref, request->sender_ref, request->sequence);
    answer.backup = request->backup;
    answer.payload.order.master_ref = request->payload.order.master_ref;
    if (error) {
        answer.payload.ref.error = error;
        answer.payload.ref.where = request->receiver_ref;
    }
    return answer;
}

bool rig_is_request(uint32_t gsn)
{
    return gsn != 0 && pst_gsn_answered(gsn + 1) == gsn;
}

uint32_t rig_count(const struct pst_actions *actions, uint16_t gsn)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < actions->sends_count; i++)
        count += actions->sends[i].signal.gsn == gsn;
    return count;
}

const struct pst_send *rig_find(const struct pst_actions *actions, uint16_t gsn)
{
    for (uint32_t i = 0; i < actions->sends_count; i++) {
        if (actions->sends[i].signal.gsn == gsn)
            return &actions->sends[i];
    }
    return NULL;
}

const struct pst_work *rig_find_work(const struct pst_actions *actions, enum pst_work_type type)
{
    for (uint32_t i = 0; i < actions->works_count; i++) {
        if (actions->works[i].type == type)
            return &actions->works[i];
    }
    return NULL;
}

void rig_ledger_ask(struct rig_ledger *ledger, const struct pst_signal *request)
{
    if (!rig_is_request(request->gsn))
        return;
    CU_ASSERT_FATAL(ledger->count < LEDGER_MAX);
    ledger->entries[ledger->count].request = *request;
    ledger->entries[ledger->count++].answers = 0;
}

static void note_answer(struct rig_ledger *ledger, const struct pst_signal *answer)
{
    for (uint32_t i = 0; i < ledger->count; i++) {
        const struct pst_signal *request = &ledger->entries[i].request;
        if (request->gsn != pst_gsn_answered(answer->gsn) || request->backup != answer->backup ||
            request->sequence != answer->sequence || request->sender_ref != answer->receiver_ref)
            continue;
        RIG_CHECK(++ledger->entries[i].answers == 1, "%s %u: a second answer",
                  pst_gsn_name(answer->gsn), answer->sequence);
        RIG_CHECK(answer->sender_ref == request->receiver_ref, "%s: from another than was asked",
                  pst_gsn_name(answer->gsn));
        return;
    }
    RIG_CHECK(false, "%s %u to %x answers nothing", pst_gsn_name(answer->gsn), answer->sequence,
              answer->receiver_ref);
}

void rig_ledger_check(struct rig_ledger *ledger, const struct pst_actions *actions)
{
    for (uint32_t i = 0; i < actions->sends_count; i++) {
        if (pst_gsn_answered(actions->sends[i].signal.gsn) != 0)
            note_answer(ledger, &actions->sends[i].signal);
    }
}

void rig_ledger_close(const struct rig_ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->count; i++)
        RIG_CHECK(ledger->entries[i].answers == 1, "%s %u: no answer",
                  pst_gsn_name(ledger->entries[i].request.gsn),
                  ledger->entries[i].request.sequence);
}

int rig_run(const char *suite, CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = {{suite, NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    return suites_run(suites);
}
