/*
 * Keeps looks at a number that grows, and says how fast it does. Called by the hub and node.c,
 * under the status lock.
 */
#include "engine/node/rates.h"

#include <stddef.h>

#define LOOK_NS UINT64_C(1000000000)

/* The looks from the newest one, 0, back; age < count. */
static const struct rates_look *look_of(const struct rates *rates, uint32_t age)
{
    return &rates->looks[(rates->next + RATES_LOOKS_MAX - 1 - age) % RATES_LOOKS_MAX];
}

void rates_note(struct rates *rates, uint64_t now_ns, uint64_t value)
{
    if (rates->count > 0 && value < look_of(rates, 0)->value)
        rates->count = 0;
    if (rates->count > 0 && now_ns < look_of(rates, 0)->ns + LOOK_NS)
        return;
    rates->looks[rates->next] = (struct rates_look){now_ns, value};
    rates->next = (rates->next + 1) % RATES_LOOKS_MAX;
    if (rates->count < RATES_LOOKS_MAX)
        rates->count++;
}

uint64_t rates_over(const struct rates *rates, uint64_t now_ns, uint64_t value, uint64_t span_ns)
{
    const struct rates_look *look = NULL;
    for (uint32_t age = 0; age < rates->count; age++) {
        look = look_of(rates, age);
        if (look->ns + span_ns <= now_ns)
            break;
    }
    if (!look || now_ns <= look->ns || value < look->value)
        return 0;
    return (uint64_t)((double)(value - look->value) * 1e9 / (double)(now_ns - look->ns));
}
