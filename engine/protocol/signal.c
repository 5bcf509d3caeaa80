#include "engine/protocol/signal.h"

#include <string.h>

#define X(name, number, payload)                                                                   \
    _Static_assert(sizeof(struct payload) <= PST_SIGNAL_PAYLOAD_BYTES, #name);                     \
    _Static_assert((number) <= PST_GSN_MAX, #name);
PST_SIGNAL_LIST(X)
#undef X

static const struct {
    const char *name;
    uint16_t payload_bytes;
} gsns[PST_GSN_MAX + 1] = {
#define X(name, number, payload) [number] = {#name, sizeof(struct payload)},
    PST_SIGNAL_LIST(X)
#undef X
};

const char *pst_gsn_name(uint32_t gsn)
{
    return gsn <= PST_GSN_MAX && gsns[gsn].name ? gsns[gsn].name : "unknown";
}

uint16_t pst_gsn_payload_bytes(uint32_t gsn)
{
    return gsn <= PST_GSN_MAX ? gsns[gsn].payload_bytes : 0;
}

#define ANSWER_GROUPS(X)                                                                           \
    X(PST_BACKUP_REQ)                                                                              \
    X(PST_DEFINE_BACKUP_REQ)                                                                       \
    X(PST_START_BACKUP_REQ)                                                                        \
    X(PST_GCP_PREPARE_REQ)                                                                         \
    X(PST_GCP_COMMIT_REQ)                                                                          \
    X(PST_BACKUP_FRAGMENT_REQ)                                                                     \
    X(PST_STOP_BACKUP_REQ)                                                                         \
    X(PST_COMMIT_BACKUP_REQ)                                                                       \
    X(PST_CLEANUP_BACKUP_REQ)                                                                      \
    X(PST_SOURCE_FREEZE_REQ)                                                                       \
    X(PST_SOURCE_SNAPSHOT_REQ)                                                                     \
    X(PST_SOURCE_THAW_REQ)                                                                         \
    X(PST_SOURCE_LIST_REQ)                                                                         \
    X(PST_SOURCE_RELEASE_REQ)                                                                      \
    X(PST_ARCHIVE_NUMBER_REQ)                                                                      \
    X(PST_ARCHIVE_DEFINE_REQ)                                                                      \
    X(PST_ARCHIVE_MANIFEST_REQ)                                                                    \
    X(PST_ARCHIVE_DECIDE_REQ)                                                                      \
    X(PST_ARCHIVE_COMMIT_REQ)                                                                      \
    X(PST_ARCHIVE_CLEANUP_REQ)                                                                     \
    X(PST_OUTCOME_REQ)                                                                             \
    X(PST_ARCHIVE_SWEEP_REQ)                                                                       \
    X(PST_ARCHIVE_OUTCOME_REQ)                                                                     \
    X(PST_ARCHIVE_SETTLE_REQ)                                                                      \
    X(PST_RESOLVE_REQ)                                                                             \
    X(PST_BLOB_REQ)

uint16_t pst_gsn_answered(uint32_t gsn)
{
    switch (gsn) {
#define X(req)                                                                                     \
    case PST_CONF_OF(req):                                                                         \
    case PST_REF_OF(req):                                                                          \
        return req;
        ANSWER_GROUPS(X)
#undef X
    default:
        return 0;
    }
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
        break;
    }
    switch (pst_gsn_answered(signal->gsn)) {
    case PST_DEFINE_BACKUP_REQ:
    case PST_START_BACKUP_REQ:
    case PST_GCP_PREPARE_REQ:
    case PST_GCP_COMMIT_REQ:
    case PST_BACKUP_FRAGMENT_REQ:
    case PST_STOP_BACKUP_REQ:
    case PST_COMMIT_BACKUP_REQ:
    case PST_CLEANUP_BACKUP_REQ:
    case PST_ARCHIVE_NUMBER_REQ:
    case PST_ARCHIVE_DECIDE_REQ:
        return true;
    default:
        return false;
    }
}

uint64_t pst_uid_low(const uint8_t uid[16])
{
    uint64_t low;
    memcpy(&low, uid, sizeof(low));
    return low;
}
