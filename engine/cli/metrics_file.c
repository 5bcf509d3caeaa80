/*
 * Keeps the results of the command that runs, and writes them to --metrics-file. Called by
 * command.c around each command, and by the commands that have results; main thread.
 */
#include "engine/cli/metrics_file.h"

#include <assert.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

/* A process runs one command. */
static struct pst_metrics_run run;
static uint64_t began_ns;

void cli_metrics_begin(void)
{
    memset(&run, 0, sizeof(run));
    began_ns = pst_monotonic_ns();
}

void cli_metrics_note(const struct pst_metrics_result *results, uint32_t count)
{
    assert(count <= PST_METRICS_RESULTS_MAX);
    memcpy(run.results, results, count * sizeof(*results));
    run.results_count = count;
    run.has_succeeded = true;
}

static bool has_option(const struct cli_command *command, const char *name)
{
    const struct cli_option *option = command->options;
    while (option->name && strcmp(option->name, name) != 0)
        option++;
    return option->name;
}

static const char *text_of(const struct cli_arguments *arguments, const char *name)
{
    const char *text = NULL;
    if (has_option(arguments->command, name))
        text = cli_argument_text(arguments, name);
    return text ? text : "";
}

/* The first directory names the job, where there are several. */
static const char *directory_of(const struct cli_arguments *arguments)
{
    const char *from[CLI_OPTION_VALUES_MAX];
    if (has_option(arguments->command, "from") && cli_argument_texts(arguments, "from", from) > 0)
        return from[0];
    return text_of(arguments, "to");
}

/* What the environment names is for runs of this machine's own: one through a node has no results,
 * and one that does nothing would hide that the last one failed. */
static const char *path_of(const struct cli_arguments *arguments)
{
    bool is_dry =
        has_option(arguments->command, "dry-run") && cli_argument_switch(arguments, "dry-run");
    return is_dry || *text_of(arguments, "node") ? "" : text_of(arguments, "metrics-file");
}

int cli_metrics_end(const struct cli_arguments *arguments, enum cli_exit code)
{
    const char *path = path_of(arguments);
    const char *label = text_of(arguments, "label");
    const struct pst_label labels[] = {{"operation", arguments->command->name},
                                       {"directory", directory_of(arguments)},
                                       {*label ? "label" : NULL, label},
                                       {0}};
    if (*path == '\0')
        return 0;
    run.labels = labels;
    run.ended_unix_ns = pst_unix_ns();
    run.elapsed_ns = pst_monotonic_ns() - began_ns;
    run.warnings = pst_log_warnings();
    run.exit_code = (unsigned)code;
    return pst_metrics_write_run(&run, path);
}
