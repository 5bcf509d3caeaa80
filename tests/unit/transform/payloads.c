#include "tests/unit/transform/payloads.h"

#include <string.h>

static uint32_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static void fill_text(uint8_t *payload, uint32_t bytes, uint64_t *state)
{
    static const char *const words[] = {"the ",  "pipes ", "of ",   "a ",       "dam ",
                                        "feed ", "every ", "one ",  "turbine ", "with ",
                                        "its ",  "own, ",  "and\n", "water ",   "falls "};
    for (uint32_t i = 0; i < bytes;) {
        const char *word = words[next(state) % (sizeof(words) / sizeof(words[0]))];
        for (; *word && i < bytes; word++)
            payload[i++] = (uint8_t)*word;
    }
}

void payload_fill(uint8_t *payload, uint32_t bytes, enum payload kind)
{
    uint64_t state = 7;
    memset(payload, 0, bytes);
    if (kind == PAYLOAD_TEXT)
        fill_text(payload, bytes, &state);
    for (uint32_t i = 0; i < bytes && kind == PAYLOAD_DIGITS; i++)
        payload[i] = (uint8_t)('0' + next(&state) % 10);
    for (uint32_t i = 0; i < bytes && kind == PAYLOAD_NOISE; i++)
        payload[i] = (uint8_t)next(&state);
}
