/*
 * --metrics-file FILE of commands that run and end: what the run did, for the textfile collector of
 * node_exporter. A command has the option in its table and notes its results when it has done what
 * it was to do; command.c writes the file, whatever the end. Main thread only.
 */
#ifndef PST_ENGINE_CLI_METRICS_FILE_H
#define PST_ENGINE_CLI_METRICS_FILE_H

#include "engine/cli/arguments.h"
#include "engine/metrics/run_metrics.h"

#define CLI_METRICS_FILE_OPTION                                                                    \
    {                                                                                              \
        .name = "metrics-file", .kind = CLI_OPTION_TEXT, .argument = "FILE",                       \
        .help =                                                                                    \
            "when the command ends, replace FILE, by a rename, with what it did, in "              \
            "Prometheus' text format: for the textfile collector of node_exporter, FILE is to "    \
            "end in .prom. A failure keeps what FILE says of the last success"                     \
    }

/* The command has succeeded, and this is a result of it: count of them, at most
 * PST_METRICS_RESULTS_MAX. metric is static, and its name begins with PST_METRICS_SUCCESS. */
void cli_metrics_note(const struct pst_metrics_result *results, uint32_t count);

/* Before the command runs. */
void cli_metrics_begin(void);

/* After it, with its exit code. -errno: FILE cannot be written. */
PST_MUST_USE int cli_metrics_end(const struct cli_arguments *arguments, enum cli_exit code);

#endif
