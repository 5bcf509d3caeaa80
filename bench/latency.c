/* Histograms of durations with buckets by the logarithm. Any thread. */
#include "bench/latency.h"

#include <stdio.h>

static const struct {
    const char *name;
    uint32_t permyriad;
} percentiles[] = {{"p50", 5000}, {"p90", 9000}, {"p99", 9900}, {"p99.9", 9990}};

#define PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))
#define SUB (UINT64_C(1) << LATENCY_SUB_BITS)

/* Up to 2 * SUB each number has its own; from then on the highest bits choose. */
static uint32_t bucket_of(uint64_t ns)
{
    if (ns < SUB)
        return (uint32_t)ns;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - LATENCY_SUB_BITS;
    return (uint32_t)((shift + 1) * SUB + ((ns >> shift) - SUB));
}

static uint64_t start_of(uint32_t bucket)
{
    if (bucket < SUB)
        return bucket;
    uint32_t shift = (uint32_t)(bucket / SUB) - 1;
    return (bucket % SUB + SUB) << shift;
}

static double middle_us(uint32_t bucket)
{
    uint64_t start = start_of(bucket);
    uint64_t width = bucket < SUB ? 1 : UINT64_C(1) << (bucket / SUB - 1);
    return ((double)start + (double)(width - 1) / 2) / 1e3;
}

void latency_add(struct latency *latency, uint64_t ns)
{
    latency->count++;
    latency->buckets[bucket_of(ns)]++;
    if (ns > latency->max_ns)
        latency->max_ns = ns;
}

void latency_join(struct latency *latency, const struct latency *other)
{
    latency->count += other->count;
    if (other->max_ns > latency->max_ns)
        latency->max_ns = other->max_ns;
    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
        latency->buckets[i] += other->buckets[i];
}

double latency_us(const struct latency *latency, uint32_t permyriad)
{
    uint64_t beyond = latency->count * (10000 - permyriad) / 10000;
    if (beyond < LATENCY_BEYOND)
        return -1;
    uint64_t below = 0;
    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
        below += latency->buckets[i];
        if (below + beyond >= latency->count)
            return middle_us(i);
    }
    return -1;
}

void latency_print_json(const struct latency *latency)
{
    printf(",\"latency_us\":{\"count\":%llu", (unsigned long long)latency->count);
    for (uint32_t i = 0; i < PERCENTILES; i++) {
        double us = latency_us(latency, percentiles[i].permyriad);
        if (us < 0)
            printf(",\"%s\":null", percentiles[i].name);
        else
            printf(",\"%s\":%.3f", percentiles[i].name, us);
    }
    printf(",\"max\":%.3f,\"buckets\":[", (double)latency->max_ns / 1e3);
    const char *separator = "";
    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
        if (latency->buckets[i] == 0)
            continue;
        printf("%s[%.3f,%llu]", separator, (double)start_of(i) / 1e3,
               (unsigned long long)latency->buckets[i]);
        separator = ",";
    }
    printf("]}");
}

void latency_print_text(const char *what, const struct latency *latency)
{
    printf("%s", what);
    for (uint32_t i = 0; i < PERCENTILES; i++) {
        double us = latency_us(latency, percentiles[i].permyriad);
        printf(us < 0 ? "  %s -" : "  %s %.1f", percentiles[i].name, us);
    }
    printf("  most %.1f us, of %llu\n", (double)latency->max_ns / 1e3,
           (unsigned long long)latency->count);
}
