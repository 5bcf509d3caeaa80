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

uint64_t pst_uid_low(const uint8_t uid[16])
{
    uint64_t low;
    memcpy(&low, uid, sizeof(low));
    return low;
}
