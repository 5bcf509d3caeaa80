/*
 * How fast a number grew of late, from looks at it about once a second. Pure; one thread at a time.
 */
#ifndef PST_ENGINE_NODE_RATES_H
#define PST_ENGINE_NODE_RATES_H

#include <stdint.h>

/* More than a minute of them. */
#define RATES_LOOKS_MAX 64u

struct rates_look {
    uint64_t ns; /* CLOCK_MONOTONIC */
    uint64_t value;
};

/* Begins as zeros. */
struct rates {
    uint32_t count;
    uint32_t next; /* where the next look goes; the one before is the newest */
    struct rates_look looks[RATES_LOOKS_MAX]; /* at least a second apart */
};

/* A look at the number. One that is less than it was begins anew. */
void rates_note(struct rates *rates, uint64_t now_ns, uint64_t value);

/* How much it grew in a second, over the last span_ns, or a little more; where it is not known for
 * so long, over what is. */
uint64_t rates_over(const struct rates *rates, uint64_t now_ns, uint64_t value, uint64_t span_ns);

#endif
