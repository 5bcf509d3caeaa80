/*
 * penstock status: prints what a node reports of itself and its cluster, once or repeatedly. Called
 * by command.c, on the main thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/base/clock.h"
#include "engine/base/time_text.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/pace_report.h"
#include "engine/cli/print.h"
#include "engine/cli/through_node.h"
#include "engine/cli/value.h"
#include "engine/service/interrupt.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

static const struct cli_option options[] = {
    CLI_NODE_OPTION,
    {.name = "watch",
     .kind = CLI_OPTION_SWITCH,
     .help = "repeat until Ctrl-C: the whole status on a terminal, one line each time elsewhere"},
    {.name = "interval",
     .kind = CLI_OPTION_DURATION,
     .argument = "TIME",
     .fallback = "1s",
     .min = 100 * NS_PER_MS,
     .max = 86400000 * NS_PER_MS,
     .help = "time between two outputs of --watch"},
    CLI_OPTION_JSON,
    {0},
};

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static const char *size_of(const json_t *object, const char *key, char *text)
{
    return cli_value_size_text((uint64_t)number_of(object, key), text);
}

static void print_nodes(const json_t *status)
{
    size_t index;
    json_t *node;
    json_int_t own = number_of(status, "node"), master = number_of(status, "master");
    cli_print_line(stdout, "cluster %s, id %s", text_of(status, "cluster"),
                   text_of(status, "cluster_id"));
    cli_print_line(stdout, "%5s %-8s %5s %11s %13s  %-16s", "node", "state", "LDMs", "read", "rate",
                   "incarnation");
    json_array_foreach(json_object_get(status, "nodes"), index, node)
    {
        json_int_t id = number_of(node, "node");
        char bytes[CLI_VALUE_TEXT_BYTES] = "", rate[CLI_VALUE_TEXT_BYTES] = "";
        bool is_known = json_object_get(node, "source_bytes") != NULL;
        if (is_known) {
            size_of(node, "source_bytes", bytes);
            size_of(node, "bytes_per_second", rate);
        }
        cli_print_line(stdout, "%5lld %-8s %5lld %11s %11s%s  %-16s%s%s", (long long)id,
                       text_of(node, "state"), (long long)number_of(node, "ldms"), bytes, rate,
                       is_known ? "/s" : "  ", text_of(node, "incarnation"),
                       id == master ? "  master" : "", id == own ? "  asked" : "");
    }
    json_array_foreach(json_object_get(status, "nodes"), index, node)
    {
        if (text_of(node, "refusal")[0] != '\0')
            cli_print_line(stdout, "node %lld: %s", (long long)number_of(node, "node"),
                           text_of(node, "refusal"));
    }
}

static void print_ldms(const json_t *status)
{
    size_t index;
    json_t *ldm;
    char bytes[CLI_VALUE_TEXT_BYTES], rate[CLI_VALUE_TEXT_BYTES];
    cli_print_empty_line(stdout);
    cli_print_line(stdout, "%5s %-10s %11s %13s  %s", "LDM", "state", "read", "rate", "backup");
    json_array_foreach(json_object_get(status, "ldms"), index, ldm)
        cli_print_line(stdout, "%5lld %-10s %11s %11s/s  %s", (long long)number_of(ldm, "ldm"),
                       text_of(ldm, "state"), size_of(ldm, "source_bytes", bytes),
                       size_of(ldm, "bytes_per_second", rate), text_of(ldm, "backup"));
}

/* ", without node 2", ", without nodes 2, 3". */
static void print_missing(const json_t *nodes)
{
    size_t index;
    json_t *node;
    json_array_foreach(nodes, index, node)
        cli_print(stdout, "%s %lld",
                  index > 0                    ? ","
                  : json_array_size(nodes) > 1 ? ", without nodes"
                                               : ", without node",
                  (long long)json_integer_value(node));
}

/* Nothing of a backup of which nothing is compressed. */
static void print_codecs(const json_t *last)
{
    char stored[CLI_VALUE_TEXT_BYTES], ratio[CLI_VALUE_TEXT_BYTES];
    const json_t *chunks = json_object_get(last, "codec_chunks");
    json_int_t lz4 = number_of(chunks, "lz4"), zstd = number_of(chunks, "zstd");
    if (lz4 + zstd == 0)
        return;
    cli_print_line(stdout,
                   "      stored here in %s, 1 : %s; chunks: %lld lz4, %lld zstd, %lld as they are",
                   size_of(last, "stored_bytes", stored),
                   cli_value_ratio_text((uint64_t)number_of(last, "source_bytes"),
                                        (uint64_t)number_of(last, "stored_bytes"), ratio),
                   (long long)lz4, (long long)zstd, (long long)number_of(chunks, "none"));
}

/* Nothing of a backup without a base. */
static void print_referenced(const json_t *last)
{
    char bytes[CLI_VALUE_TEXT_BYTES];
    if (json_object_get(last, "referenced_bytes"))
        cli_print_line(stdout, "      %s more of it lie in earlier backups",
                       size_of(last, "referenced_bytes", bytes));
}

static void print_last(const json_t *last)
{
    char bytes[CLI_VALUE_TEXT_BYTES];
    cli_print(stdout, "last: backup %lld, %s", (long long)number_of(last, "number"),
              text_of(last, "outcome"));
    print_missing(json_object_get(last, "missing_nodes"));
    if (number_of(last, "source_bytes") > 0)
        cli_print(stdout, ", %s read here", size_of(last, "source_bytes", bytes));
    cli_print_line(stdout, " in %.2f s, ended %.19sZ, uid %s",
                   (double)number_of(last, "elapsed_ns") / 1e9, text_of(last, "ended"),
                   text_of(last, "uid"));
    print_codecs(last);
    print_referenced(last);
    if (text_of(last, "error_name")[0] != '\0')
        cli_print_line(stdout, "      reason: %s%s%s", text_of(last, "error_text"),
                       text_of(last, "where")[0] != '\0' ? " at " : "", text_of(last, "where"));
}

/* "here: backup 7, reading for 0:07, 45 %, 1.2 GiB at 120 MiB/s (…), ETA 0:12" */
static void print_running(const json_t *running)
{
    char done[CLI_VALUE_TEXT_BYTES], clock[CLI_VALUE_TEXT_BYTES];
    char second[CLI_VALUE_TEXT_BYTES], ten[CLI_VALUE_TEXT_BYTES], minute[CLI_VALUE_TEXT_BYTES];
    if (!json_is_object(running))
        return;
    cli_print(stdout, "here: backup %lld, %s, %s", (long long)number_of(running, "number"),
              text_of(running, "phase"),
              cli_value_clock_text((uint64_t)number_of(running, "elapsed_ns") / NS_PER_S, clock));
    if (json_object_get(running, "percent_done"))
        cli_print(stdout, ", %.0f %%",
                  100 * json_real_value(json_object_get(running, "percent_done")));
    cli_print(stdout, ", %s read, %s/s in 1 s, %s/s in 10 s, %s/s in 60 s",
              size_of(running, "source_bytes", done),
              size_of(running, "bytes_per_second_1s", second),
              size_of(running, "bytes_per_second_10s", ten),
              size_of(running, "bytes_per_second_60s", minute));
    if (json_object_get(running, "remaining_ns"))
        cli_print(
            stdout, ", ETA %s",
            cli_value_clock_text((uint64_t)number_of(running, "remaining_ns") / NS_PER_S, clock));
    cli_print_empty_line(stdout);
}

static void print_backups(const json_t *status)
{
    size_t index;
    json_t *backup;
    char bytes[CLI_VALUE_TEXT_BYTES], rate[CLI_VALUE_TEXT_BYTES];
    const json_t *request = json_object_get(status, "last_request");
    json_array_foreach(json_object_get(status, "backups"), index, backup) cli_print_line(
        stdout, "running: backup %lld, %s by all nodes, %s/s, uid %s",
        (long long)number_of(backup, "number"), size_of(backup, "source_bytes", bytes),
        size_of(backup, "bytes_per_second", rate), text_of(backup, "uid"));
    print_running(json_object_get(status, "running"));
    if (json_is_object(json_object_get(status, "last_backup")))
        print_last(json_object_get(status, "last_backup"));
    else
        cli_print_line(stdout, "last: none since the node started");
    if (text_of(request, "error_name")[0] != '\0')
        cli_print_line(stdout, "last request: no backup was made: %s",
                       text_of(request, "error_text"));
    else if (json_array_size(json_object_get(request, "missing_nodes")) > 0) {
        cli_print(stdout, "last request: backup %lld is partial",
                  (long long)number_of(request, "number"));
        print_missing(json_object_get(request, "missing_nodes"));
        cli_print_empty_line(stdout);
    }
}

static void print_signals(const json_t *status)
{
    char bytes[CLI_VALUE_TEXT_BYTES];
    const json_t *signals = json_object_get(status, "signals");
    cli_print_line(
        stdout,
        "signals to other nodes: %lld sent, %lld received, %lld refused, %lld waited for room; "
        "%lld wake-ups; %s of rings",
        (long long)number_of(signals, "sent"), (long long)number_of(signals, "received"),
        (long long)number_of(signals, "refused"), (long long)number_of(signals, "rings_full"),
        (long long)number_of(signals, "wakes_sent"), size_of(signals, "ring_bytes", bytes));
    if (number_of(signals, "packets_sent") > 0)
        cli_print_line(stdout, "packets to other hosts: %lld sent, %lld received, %lld dropped",
                       (long long)number_of(signals, "packets_sent"),
                       (long long)number_of(signals, "packets_received"),
                       (long long)number_of(signals, "packets_dropped"));
    cli_print_line(stdout,
                   "requests given up: %lld still unanswered, %lld never answered; %lld late or "
                   "unexpected answers",
                   (long long)number_of(signals, "zombie_senders"),
                   (long long)number_of(signals, "stale_senders"),
                   (long long)number_of(signals, "stray_answers"));
    cli_print_line(stdout, "%lld node failures, %lld connections refused",
                   (long long)number_of(signals, "nodes_failed"),
                   (long long)number_of(signals, "connections_refused"));
}

static void print_doubts(const json_t *status)
{
    size_t index, place;
    json_t *doubt, *node;
    cli_print_line(stdout, "in doubt: %lld%s", (long long)number_of(status, "in_doubt"),
                   json_is_true(json_object_get(status, "more_in_doubt")) ? ", and more on disk"
                                                                          : "");
    json_array_foreach(json_object_get(status, "doubts"), index, doubt)
    {
        const json_t *nodes = json_object_get(doubt, "waits_for");
        cli_print(stdout, "  backup %lld, uid %s, master node %lld, %s",
                  (long long)number_of(doubt, "number"), text_of(doubt, "uid"),
                  (long long)number_of(doubt, "master"), text_of(doubt, "state"));
        json_array_foreach(nodes, place, node)
            cli_print(stdout, "%s %lld", place == 0 ? ", waits for node" : ",",
                      (long long)json_integer_value(node));
        cli_print_empty_line(stdout);
    }
}

static void print_stalls(const json_t *status)
{
    size_t index;
    json_t *stall;
    json_array_foreach(json_object_get(status, "stalls"), index, stall) cli_print_line(
        stdout, "stalled: %s has waited %lld s, since %.19sZ, to %s %s", text_of(stall, "thread"),
        (long long)(number_of(stall, "elapsed_ns") / 1000000000), text_of(stall, "since"),
        text_of(stall, "operation"), text_of(stall, "name"));
    if (json_is_true(json_object_get(status, "hung")))
        cli_print_line(stdout, "hung: a backup cannot be ended, so this node has left its cluster "
                               "until its threads go on");
}

static void print_left_frozen(const json_t *status)
{
    size_t index;
    json_t *source;
    json_array_foreach(json_object_get(status, "left_frozen"), index, source) cli_print_line(
        stdout,
        "left frozen: source %s: its thaw command has failed in its last backup, and the "
        "node's log says what to undo by hand",
        json_string_value(source));
}

static void print_whole(const json_t *status)
{
    print_nodes(status);
    print_ldms(status);
    cli_print_empty_line(stdout);
    print_backups(status);
    cli_pace_print(stdout, json_object_get(status, "pace"));
    print_signals(status);
    print_doubts(status);
    print_stalls(status);
    print_left_frozen(status);
}

static uint64_t sum_of(const json_t *list, const char *key)
{
    size_t index;
    json_t *entry;
    uint64_t sum = 0;
    json_array_foreach(list, index, entry) sum += (uint64_t)number_of(entry, key);
    return sum;
}

static size_t live_nodes(const json_t *nodes)
{
    size_t index, live = 0;
    json_t *node;
    json_array_foreach(nodes, index, node) live += text_of(node, "state")[0] == 'l';
    return live;
}

/* For a log: the node and its cluster in one line. */
static void print_line(const json_t *status)
{
    char bytes[CLI_VALUE_TEXT_BYTES], rate[CLI_VALUE_TEXT_BYTES], when[PST_TIME_TEXT_BYTES];
    const json_t *nodes = json_object_get(status, "nodes"), *ldms = json_object_get(status, "ldms");
    const json_t *last = json_object_get(status, "last_backup");
    cli_print(stdout, "%s node %lld: %zu of %zu nodes, master %lld, %s, ",
              pst_time_text(pst_unix_ns(), 0, when), (long long)number_of(status, "node"),
              live_nodes(nodes), json_array_size(nodes), (long long)number_of(status, "master"),
              text_of(json_array_get(ldms, 0), "state"));
    cli_print(stdout, "%s read, %s/s, %lld in doubt, last %s",
              cli_value_size_text(sum_of(nodes, "source_bytes"), bytes),
              cli_value_size_text(sum_of(nodes, "bytes_per_second"), rate),
              (long long)number_of(status, "in_doubt"),
              json_is_object(last) ? text_of(last, "outcome") : "none");
    if (json_is_object(last))
        cli_print(stdout, " %lld", (long long)number_of(last, "number"));
    print_missing(json_object_get(last, "missing_nodes"));
    cli_print_empty_line(stdout);
}

/* Takes the reference. */
static enum cli_exit print(const struct cli_arguments *arguments, json_t *status)
{
    int error = 0;
    bool watches = cli_argument_switch(arguments, "watch");
    if (cli_argument_json(arguments)) {
        error = cli_json_record(stdout, "node_status", json_incref(status));
    } else if (!watches) {
        print_whole(status);
    } else if (isatty(STDOUT_FILENO)) {
        cli_print_clear(stdout);
        print_whole(status);
    } else {
        print_line(status);
    }
    json_decref(status);
    if (error || cli_print_flush(stdout) < 0)
        return cli_fail_unprinted(arguments);
    return CLI_EXIT_DONE;
}

static enum cli_exit show(const struct cli_arguments *arguments)
{
    json_t *status;
    enum cli_exit code =
        cli_ask_node(arguments, json_pack("{s:s}", "request", "status"), NULL, &status);
    return code == CLI_EXIT_DONE ? print(arguments, status) : code;
}

/* false: the interrupt came. */
static bool wait_until(uint64_t due_ns)
{
    struct pollfd interrupt = {.fd = pst_interrupt_fd(), .events = POLLIN};
    uint64_t now_ns;
    while (!pst_interrupted() && (now_ns = pst_monotonic_ns()) < due_ns)
        (void)poll(&interrupt, 1, (int)((due_ns - now_ns) / NS_PER_MS) + 1);
    return !pst_interrupted();
}

static enum cli_exit watch(const struct cli_arguments *arguments)
{
    uint64_t interval_ns = cli_argument_number(arguments, "interval");
    uint64_t due_ns = pst_monotonic_ns();
    int error = pst_interrupt_install();
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "cannot install the signal handlers: %s",
                        pst_error_text(error));
    enum cli_exit code = CLI_EXIT_DONE;
    while (code == CLI_EXIT_DONE && wait_until(due_ns)) {
        code = show(arguments);
        due_ns = pst_monotonic_ns() + interval_ns;
    }
    return code;
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    return cli_argument_switch(arguments, "watch") ? watch(arguments) : show(arguments);
}

const struct cli_command cli_command_status = {
    .name = "status",
    .summary = "show the state of a node, its cluster and their backups",
    .options = options,
    .run = run,
};
