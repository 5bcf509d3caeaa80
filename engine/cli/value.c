/*
 * Parses and prints numbers, sizes and durations. Pure; called all over engine/cli.
 */
#include "engine/cli/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {{"", 1},
                                         {"K", 1ull << 10},
                                         {"KiB", 1ull << 10},
                                         {"M", 1ull << 20},
                                         {"MiB", 1ull << 20},
                                         {"G", 1ull << 30},
                                         {"GiB", 1ull << 30},
                                         {"T", 1ull << 40},
                                         {"TiB", 1ull << 40},
                                         {NULL, 0}};

static const struct unit duration_units[] = {{"ns", 1},
                                             {"us", 1000},
                                             {"ms", 1000 * 1000},
                                             {"s", 1000 * 1000 * 1000},
                                             {"m", 60ull * 1000 * 1000 * 1000},
                                             {"h", 3600ull * 1000 * 1000 * 1000},
                                             {"d", 24 * 3600ull * 1000 * 1000 * 1000},
                                             {NULL, 0}};

/* Reads the digits at the start of text; *end is behind them. */
static int parse_digits(const char *text, uint64_t *number, const char **end)
{
    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    *number = 0;
    bool fits = true;
    for (; isdigit((unsigned char)*text); text++)
        fits = !__builtin_mul_overflow(*number, 10, number) &&
               !__builtin_add_overflow(*number, (uint64_t)(*text - '0'), number) && fits;
    *end = text;
    return fits ? 0 : -ERANGE;
}

static int parse_with_unit(const char *text, const struct unit *units, uint64_t *number)
{
    const char *name;
    int error = parse_digits(text, number, &name);
    if (error == -EINVAL)
        return error;
    for (const struct unit *unit = units; unit->name; unit++) {
        if (strcasecmp(name, unit->name) != 0)
            continue;
        return !error && !__builtin_mul_overflow(*number, unit->factor, number) ? 0 : -ERANGE;
    }
    return -EINVAL;
}

int cli_value_count(const char *text, uint64_t *count)
{
    const char *end;
    int error = parse_digits(text, count, &end);
    return error != -EINVAL && *end != '\0' ? -EINVAL : error;
}

int cli_value_size(const char *text, uint64_t *bytes)
{
    return parse_with_unit(text, size_units, bytes);
}

int cli_value_duration(const char *text, uint64_t *duration_ns)
{
    if (strcmp(text, "0") == 0) {
        *duration_ns = 0;
        return 0;
    }
    return parse_with_unit(text, duration_units, duration_ns);
}

char *cli_value_size_text(uint64_t bytes, char *text)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    /* What would round to 1024 goes to the next unit. */
    for (; value >= 1023.95 && unit + 1 < sizeof(names) / sizeof(names[0]); unit++)
        value /= 1024;
    snprintf(text, CLI_VALUE_TEXT_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", value, names[unit]);
    return text;
}

char *cli_value_ratio_text(uint64_t source_bytes, uint64_t stored_bytes, char *text)
{
    if (stored_bytes > 0)
        snprintf(text, CLI_VALUE_TEXT_BYTES, "%.2f", (double)source_bytes / (double)stored_bytes);
    else
        snprintf(text, CLI_VALUE_TEXT_BYTES, "-");
    return text;
}

char *cli_value_clock_text(uint64_t seconds, char *text)
{
    unsigned long long hours = seconds / 3600;
    unsigned minutes = (unsigned)(seconds / 60 % 60), rest = (unsigned)(seconds % 60);
    if (hours > 0)
        snprintf(text, CLI_VALUE_TEXT_BYTES, "%llu:%02u:%02u", hours, minutes, rest);
    else
        snprintf(text, CLI_VALUE_TEXT_BYTES, "%u:%02u", minutes, rest);
    return text;
}

/* Writes the number in the largest unit that it is a multiple of; one-letter units first. */
static char *exact_text(uint64_t number, const struct unit *units, char *text)
{
    const struct unit *best = units;
    for (const struct unit *unit = units; unit->name; unit++)
        if (number != 0 && number % unit->factor == 0 && unit->factor > best->factor)
            best = unit;
    snprintf(text, CLI_VALUE_TEXT_BYTES, "%llu%s", (unsigned long long)(number / best->factor),
             best->name);
    return text;
}

char *cli_value_exact_size(uint64_t bytes, char *text)
{
    return exact_text(bytes, size_units, text);
}

char *cli_value_exact_duration(uint64_t duration_ns, char *text)
{
    return exact_text(duration_ns, duration_units, text);
}

char *cli_value_count_text(uint64_t count, const char *noun, char *text)
{
    snprintf(text, CLI_VALUE_COUNT_BYTES, "%llu %s%s", (unsigned long long)count, noun,
             count == 1 ? "" : "s");
    return text;
}
