/*
 * The rounds of one measurement, and the line that they become: what a later `compare` reads. Main
 * thread.
 */
#ifndef PST_BENCH_RESULT_H
#define PST_BENCH_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/choices.h"
#include "bench/figures.h"
#include "bench/program.h"

#define RESULT_KEY_BYTES 256u
#define RESULT_ROUNDS_MAX CHOICES_ROUNDS_MAX

/* All zeros but key and bytes at first. */
struct result {
    char key[RESULT_KEY_BYTES]; /* what was measured, and with which options */
    uint64_t bytes;             /* that a round moves; 0: not known */
    uint64_t rss_bytes;         /* the largest */
    uint32_t count;
    double seconds[RESULT_ROUNDS_MAX];
    double cpu_s[RESULT_ROUNDS_MAX];
};

void result_add(struct result *result, const struct program_cost *cost);

/* {"message_type":"result","key":…,"seconds":[…],"cpu_s":[…],…, without its end: the caller adds
 * members, and then calls result_end_json. */
void result_print_json(const struct result *result);
void result_end_json(void);

/* "median [low, high]", in units of so much, or "median [-, -]" where there are too few figures. */
void result_print_range(const struct figures_range *range, double unit, int width, int decimals);

/* A line of it: name, and what a round took in clock and in CPU time, in microseconds. */
void result_print_us(const char *name, const struct result *result);

/* The whole line, of rounds that took so long each; bytes as above. */
void result_print_rounds(const char *key, uint64_t bytes, const double *seconds,
                         const double *cpu_s, uint32_t count);

/* A heading, and a line for people. */
void result_print_heading(void);
void result_print_text(const struct result *result);

#endif
