/* What is printed of rounds. Called on the main thread. */
#include "bench/result.h"

#include <stdio.h>

#include "bench/facts.h"

#define MB 1e6
#define GIB ((double)(UINT64_C(1) << 30))

void result_add(struct result *result, const struct program_cost *cost)
{
    if (result->count == RESULT_ROUNDS_MAX)
        return;
    result->seconds[result->count] = cost->seconds;
    result->cpu_s[result->count++] = cost->cpu_s;
    if (cost->rss_bytes > result->rss_bytes)
        result->rss_bytes = cost->rss_bytes;
}

static void print_figures(const char *name, const double *figures, uint32_t count)
{
    printf(",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++)
        printf("%s%.9f", i ? "," : "", figures[i]);
    printf("]");
}

void result_print_json(const struct result *result)
{
    struct figures_range seconds = figures_median(result->seconds, result->count);
    printf("{\"message_type\":\"result\",\"key\":");
    facts_print_text(result->key);
    printf(",\"rounds\":%u", result->count);
    print_figures("seconds", result->seconds, result->count);
    print_figures("cpu_s", result->cpu_s, result->count);
    printf(",\"median_s\":%.9f", seconds.median);
    if (seconds.high > 0)
        printf(",\"low_s\":%.9f,\"high_s\":%.9f", seconds.low, seconds.high);
    if (result->bytes > 0)
        printf(",\"bytes\":%llu,\"mb_per_s\":%.1f", (unsigned long long)result->bytes,
               (double)result->bytes / MB / seconds.median);
    if (result->rss_bytes > 0)
        printf(",\"rss_bytes\":%llu", (unsigned long long)result->rss_bytes);
}

void result_end_json(void)
{
    printf("}\n");
    (void)fflush(stdout);
}

void result_print_rounds(const char *key, uint64_t bytes, const double *seconds,
                         const double *cpu_s, uint32_t count)
{
    static struct result result;
    result = (struct result){.bytes = bytes};
    (void)snprintf(result.key, sizeof(result.key), "%s", key);
    for (uint32_t i = 0; i < count; i++) {
        const struct program_cost cost = {.seconds = seconds[i], .cpu_s = cpu_s[i]};
        result_add(&result, &cost);
    }
    result_print_json(&result);
    result_end_json();
}

void result_print_heading(void)
{
    printf("%9s %9s %9s  %8s  %9s  %7s  %s\n", "seconds", "low", "high", "MB/s", "CPU s/GiB",
           "RSS MiB", "what");
}

void result_print_text(const struct result *result)
{
    struct figures_range seconds = figures_median(result->seconds, result->count);
    double cpu_s = figures_median(result->cpu_s, result->count).median;
    printf("%9.4f ", seconds.median);
    if (seconds.high > 0)
        printf("%9.4f %9.4f  ", seconds.low, seconds.high);
    else
        printf("%9s %9s  ", "-", "-");
    if (result->bytes > 0)
        printf("%8.0f  %9.3f  ", (double)result->bytes / MB / seconds.median,
               cpu_s * GIB / (double)result->bytes);
    else
        printf("%8s  %9s  ", "-", "-");
    if (result->rss_bytes > 0)
        printf("%7.0f  %s\n", (double)result->rss_bytes / (1 << 20), result->key);
    else
        printf("%7s  %s\n", "-", result->key);
}

void result_print_range(const struct figures_range *range, double unit, int width, int decimals)
{
    printf("  %*.*f ", width, decimals, range->median / unit);
    if (range->high > 0)
        printf("[%*.*f, %*.*f]", width, decimals, range->low / unit, width, decimals,
               range->high / unit);
    else
        printf("[%*s, %*s]", width, "-", width, "-");
}

void result_print_us(const char *name, const struct result *result)
{
    struct figures_range clock = figures_median(result->seconds, result->count);
    struct figures_range cpu = figures_median(result->cpu_s, result->count);
    printf("%-26s", name);
    result_print_range(&clock, 1e-6, 6, 3);
    result_print_range(&cpu, 1e-6, 6, 3);
    printf("\n");
}
