/*
 * Durations by the million: counted in buckets whose width grows with the duration, 32 to each
 * power of two, so a percentile is right to 3 %. For one thread; add them up afterwards.
 */
#ifndef PST_BENCH_LATENCY_H
#define PST_BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_SUB_BITS 5u
#define LATENCY_BUCKETS ((64u - LATENCY_SUB_BITS + 1u) << LATENCY_SUB_BITS)

struct latency { /* zeros at first */
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t ns);
void latency_join(struct latency *latency, const struct latency *other);

/* In microseconds: the middle of the bucket that has it. -1 where fewer than LATENCY_BEYOND
 * durations lie beyond: then chance decides. permyriad: 9990 is p99.9. */
#define LATENCY_BEYOND 10u
double latency_us(const struct latency *latency, uint32_t permyriad);

/* ,"latency_us":{"count":…,"p50":…,…,"max":…,"buckets":[[from, count],…]}; what is not known is
 * null. */
void latency_print_json(const struct latency *latency);

/* "p50 12.1, p99 30.2, p99.9 -, most 55.0 us of 1000" */
void latency_print_text(const char *what, const struct latency *latency);

#endif
