/* What each signal number means, and the making of headers. Pure: any thread calls it. */
#include "engine/protocol/signal.h"

#include <assert.h>
#include <string.h>

#define X(name, number, payload, reach)                                                            \
    _Static_assert(sizeof(struct payload) <= PST_SIGNAL_PAYLOAD_BYTES, #name);                     \
    _Static_assert((number) <= PST_GSN_MAX, #name);
PST_SIGNAL_LIST(X)
#undef X

#define X(name, block, master_asks)                                                                \
    _Static_assert(PST_CONF_OF(PST_##name##_REQ) == PST_##name##_CONF, #name);                     \
    _Static_assert(PST_REF_OF(PST_##name##_REQ) == PST_##name##_REF, #name);
PST_REQUEST_LIST(X)
#undef X

static const struct {
    const char *name;
    uint16_t payload_bytes;
    uint16_t reach; /* enum pst_reach */
} gsns[PST_GSN_MAX + 1] = {
#define X(name, number, payload, reach)                                                            \
    [number] = {#name, sizeof(struct payload), PST_REACH_##reach},
    PST_SIGNAL_LIST(X)
#undef X
};

/* Of requests and their answers. */
static const struct {
    uint16_t request;
    uint16_t answered_by; /* enum pst_block */
    bool is_to_master;    /* an answer that a master takes */
} requests[PST_GSN_MAX + 1] = {
#define X(name, block, master_asks)                                                                \
    [PST_##name##_REQ] = {PST_##name##_REQ, PST_BLOCK_##block, false},                             \
    [PST_##name##_CONF] = {PST_##name##_REQ, PST_BLOCK_##block, master_asks},                      \
    [PST_##name##_REF] = {PST_##name##_REQ, PST_BLOCK_##block, master_asks},
    PST_REQUEST_LIST(X)
#undef X
};

static bool is_known(uint32_t gsn)
{
    return gsn <= PST_GSN_MAX && gsns[gsn].name;
}

const char *pst_gsn_name(uint32_t gsn)
{
    return is_known(gsn) ? gsns[gsn].name : "unknown";
}

uint16_t pst_gsn_payload_bytes(uint32_t gsn)
{
    return is_known(gsn) ? gsns[gsn].payload_bytes : 0;
}

enum pst_reach pst_gsn_reach(uint32_t gsn)
{
    return is_known(gsn) ? gsns[gsn].reach : (enum pst_reach)0;
}

uint16_t pst_gsn_answered(uint32_t gsn)
{
    return is_known(gsn) && requests[gsn].request != gsn ? requests[gsn].request : 0;
}

enum pst_block pst_gsn_answered_by(uint32_t gsn)
{
    return is_known(gsn) ? requests[gsn].answered_by : (enum pst_block)0;
}

bool gsn_is_request(uint32_t gsn)
{
    return is_known(gsn) && requests[gsn].request == gsn;
}

bool pst_signal_is_for_master(const struct pst_signal *signal)
{
    switch (signal->gsn) {
    case PST_BACKUP_REQ:
    case PST_BACKUP_PROGRESS_REP:
        return true;
    case PST_ABORT_BACKUP_ORD:
        return signal->payload.abort.request != PST_ABORT_BACKUP_FAILURE;
    default:
        return is_known(signal->gsn) && requests[signal->gsn].is_to_master;
    }
}

void pst_signal_init(struct pst_signal *signal, uint16_t gsn, pst_ref sender_ref,
                     pst_ref receiver_ref, uint64_t backup, uint32_t sequence)
{
    assert(is_known(gsn));
    memset(signal, 0, sizeof(*signal));
    signal->gsn = gsn;
    signal->version = PST_SIGNAL_VERSION;
    signal->length = gsns[gsn].payload_bytes;
    signal->sender_ref = sender_ref;
    signal->receiver_ref = receiver_ref;
    signal->backup = backup;
    signal->sequence = sequence;
}

void pst_signal_init_answer(struct pst_signal *answer, uint16_t gsn,
                            const struct pst_signal *request)
{
    pst_signal_init(answer, gsn, request->receiver_ref, request->sender_ref, request->backup,
                    request->sequence);
    answer->payload.order.master_ref = request->payload.order.master_ref;
}

uint64_t pst_uid_low(const uint8_t uid[16])
{
    uint64_t low;
    memcpy(&low, uid, sizeof(low));
    return low;
}
