/* Prints the pace. Called by cmd_pace.c, cmd_status.c and backup_report.c, on the main thread. */
#include "engine/cli/pace_report.h"

#include <string.h>

#include <jansson.h>

#include "engine/api/session.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"

static uint64_t number_of(const json_t *pace, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(pace, key));
}

static const char *why(const char *reason)
{
    static const char *const texts[][2] = {
        {"latency", "reads and writes take longer than they did"},
        {"io", "others wait for a disk"},
        {"cpu", "others wait for a CPU"},
        {"easing", "going up again"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(texts[i][0], reason) == 0)
            return texts[i][1];
    }
    return "nothing holds it back";
}

void cli_pace_print(FILE *out, const json_t *pace)
{
    char rate[CLI_VALUE_TEXT_BYTES];
    const char *mode = json_string_value(json_object_get(pace, "mode"));
    const char *reason = json_string_value(json_object_get(pace, "reason"));
    if (!mode || !reason)
        return; /* a node of an older version has none */
    if (strcmp(mode, "rate") == 0) {
        cli_print_line(out, "pace: %s/s", cli_value_size_text(number_of(pace, "rate"), rate));
        return;
    }
    cli_print(out, "pace: %s", mode);
    if (strcmp(mode, "auto") == 0)
        cli_print(out, ", depth %u, at most %s%s: %s", (unsigned)number_of(pace, "depth"),
                  number_of(pace, "limit") ? cli_value_size_text(number_of(pace, "limit"), rate)
                                           : "what it can",
                  number_of(pace, "limit") ? "/s" : "", why(reason));
    cli_print_empty_line(out);
}

void cli_pace_print_held(FILE *out, const struct pst_session_pace *pace)
{
    char rate[CLI_VALUE_TEXT_BYTES];
    if (pace->bytes_per_s > 0)
        cli_print_line(out, "paced at %s/s", cli_value_size_text(pace->bytes_per_s, rate));
    if (pace->held_ns == 0)
        return;
    cli_print(out, "held back for %.2f s", (double)pace->held_ns / 1e9);
    if (pace->lowest > 0)
        cli_print(out, ", down to %s/s", cli_value_size_text(pace->lowest, rate));
    cli_print_line(
        out,
        ": %.2f s as others waited for a disk, %.2f s for a CPU, %.2f s as its reads and "
        "writes took long",
        (double)pace->io_ns / 1e9, (double)pace->cpu_ns / 1e9, (double)pace->latency_ns / 1e9);
}

json_t *cli_pace_json(const struct pst_session_pace *pace)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "mode", pace->mode, "rate",
                     (json_int_t)pace->bytes_per_s, "lowest_limit", (json_int_t)pace->lowest,
                     "held_ns", (json_int_t)pace->held_ns, "latency_ns",
                     (json_int_t)pace->latency_ns, "io_ns", (json_int_t)pace->io_ns, "cpu_ns",
                     (json_int_t)pace->cpu_ns);
}
