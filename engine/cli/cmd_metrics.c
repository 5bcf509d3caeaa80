/*
 * penstock metrics: prints a node's metrics, for Prometheus and what reads its formats. Called by
 * command.c, on the main thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/cli/commands.h"
#include "engine/cli/print.h"
#include "engine/cli/through_node.h"
#include "engine/metrics/node_metrics.h"

static const struct cli_option options[] = {
    CLI_NODE_OPTION,
    {.name = "format",
     .kind = CLI_OPTION_TEXT,
     .argument = "openmetrics|prometheus",
     .fallback = "openmetrics",
     .help = "OpenMetrics 1.0; or Prometheus' text format 0.0.4, for a file that the textfile "
             "collector of node_exporter reads"},
    {0},
};

static int parse_format(const char *text, enum pst_exposition_format *format)
{
    static const char *const names[] = {
        [PST_EXPOSITION_OPENMETRICS] = "openmetrics", [PST_EXPOSITION_PROMETHEUS] = "prometheus"};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *format = (enum pst_exposition_format)i;
            return 0;
        }
    }
    return -EINVAL;
}

static void print_lines(const char *text)
{
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        cli_print_line(stdout, "%.*s", (int)(end - text), text);
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    enum pst_exposition_format format;
    json_t *status;
    char *text;
    size_t bytes;
    if (parse_format(cli_argument_text(arguments, "format"), &format) < 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "--format %s: give openmetrics or prometheus",
                        cli_argument_text(arguments, "format"));
    enum cli_exit code =
        cli_ask_node(arguments, json_pack("{s:s}", "request", "status"), NULL, &status);
    if (code != CLI_EXIT_DONE)
        return code;
    int error = pst_metrics_of_node(status, format, &text, &bytes);
    json_decref(status);
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", pst_error_text(error));
    print_lines(text);
    free(text);
    return CLI_EXIT_DONE;
}

const struct cli_command cli_command_metrics = {
    .name = "metrics",
    .summary = "print the metrics of a node, for Prometheus",
    .options = options,
    .run = run,
};
