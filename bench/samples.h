/*
 * Durations, and what of them is printed.
 */
#ifndef PST_BENCH_SAMPLES_H
#define PST_BENCH_SAMPLES_H

#include <stdint.h>

struct samples {
    uint64_t *ns;
    uint32_t count;
    uint32_t room;
};

/* Exits the process where there is no memory. */
void samples_open(struct samples *samples, uint32_t room);
void samples_close(struct samples *samples);
void samples_add(struct samples *samples, uint64_t ns); /* NULL: of a round that does not count */

/* The permille-th of 1000, in microseconds, after samples_sort(). */
void samples_sort(struct samples *samples);
double samples_us(const struct samples *samples, uint32_t permille);

/* Prints p50, p99 and p99.9 as columns of a line, in microseconds, and sorts; "-" where too few
 * lie beyond it (latency.h). */
void samples_print(struct samples *samples, int width, int decimals);

/* Prints the JSON line of a result (result.h): its seconds are the medians of the batches, or of
 * fewer than SAMPLES_BATCHES samples they themselves. Before samples_sort(). */
void samples_print_json(const struct samples *samples, const char *key);

/* The medians, in ns, of so many batches of equal size in the order in which they were added;
 * before samples_sort(). */
#define SAMPLES_BATCHES 20u
void samples_batches(const struct samples *samples, double *medians);

/* How many each has, for so many in all, at least. */
uint32_t samples_of_batch(uint64_t all);

/* The CPUs that the process may use. The main thread's first, before it pins anyone. */
uint32_t bench_cpus(void);

/* Pins the calling thread to the cpu-th of them, if there are so many; else leaves it be. */
void bench_pin(uint32_t cpu);

#endif
