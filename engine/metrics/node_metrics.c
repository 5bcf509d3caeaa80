/*
 * Turns the status of a node into metrics. Called by `penstock metrics` and by the node's server of
 * metrics; any thread.
 */
#include "engine/metrics/node_metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

enum kind { NUMBER, NS, TIME, BOOLEAN, LENGTH };

/* One family with one sample: a field of the status, or of an object in it. */
struct field {
    const char *object; /* NULL: the status itself */
    const char *key;
    enum kind kind;
    struct pst_metric metric;
};

#define GAUGE(name, unit, help)                                                                    \
    {                                                                                              \
        name, unit, false, help                                                                    \
    }
#define COUNTER(name, unit, help)                                                                  \
    {                                                                                              \
        name, unit, true, help                                                                     \
    }

/* clang-format off */
static const struct field fields[] = {
    {NULL, "started", TIME, GAUGE("penstock_node_start_time_seconds", "seconds",
        "When the node started, in seconds since 1970.")},
    {NULL, "hung", BOOLEAN, GAUGE("penstock_node_hung", NULL,
        "1: a backup cannot be ended because threads hang, and the node has left its cluster.")},
    {NULL, "warnings", NUMBER, COUNTER("penstock_node_warnings", NULL,
        "Warnings and errors that the node has logged.")},
    {NULL, "in_doubt", NUMBER, GAUGE("penstock_backups_in_doubt", NULL,
        "Backups that were prepared here and whose outcome the node does not know.")},
    {NULL, "left_frozen", LENGTH, GAUGE("penstock_sources_left_frozen", NULL,
        "Sources whose thaw command has failed in their last backup.")},
    {"totals", "source_bytes", NUMBER, COUNTER("penstock_backup_source_bytes", "bytes",
        "Read from this node's sources for backups that are complete or partial.")},
    {"totals", "stored_bytes", NUMBER, COUNTER("penstock_backup_stored_bytes", "bytes",
        "Written by this node for backups that are complete or partial.")},
    {"totals", "elapsed_ns", NS, COUNTER("penstock_backup_duration_seconds", "seconds",
        "Time spent in backups that are complete or partial.")},
    {"running", "elapsed_ns", NS, GAUGE("penstock_backup_running_duration_seconds", "seconds",
        "How long the running backup has taken; only while there is one.")},
    {"running", "source_bytes_total", NUMBER, GAUGE("penstock_backup_running_source_total_bytes", "bytes",
        "What this node will have read for the running backup; once all is listed.")},
    {"running", "remaining_ns", NS, GAUGE("penstock_backup_running_remaining_seconds", "seconds",
        "How long this node will still read for the running backup; an estimate, where there is one.")},
    {"last_success", "ended", TIME, GAUGE("penstock_backup_last_success_timestamp_seconds", "seconds",
        "When the last backup ended that is complete or partial, in seconds since 1970.")},
    {"last_success", "number", NUMBER, GAUGE("penstock_backup_last_success_number", NULL,
        "Number of that backup.")},
    {"last_success", "elapsed_ns", NS, GAUGE("penstock_backup_last_success_duration_seconds", "seconds",
        "How long that backup took.")},
    {"last_success", "source_bytes", NUMBER, GAUGE("penstock_backup_last_success_source_bytes", "bytes",
        "What that backup read from this node's sources.")},
    {"last_success", "stored_bytes", NUMBER, GAUGE("penstock_backup_last_success_stored_bytes", "bytes",
        "What that backup wrote on this node.")},
    {"last_success", "objects", NUMBER, GAUGE("penstock_backup_last_success_objects", NULL,
        "Files, directories and tables of this node in that backup.")},
    {"last_success", "unreadable", NUMBER, GAUGE("penstock_backup_last_success_unreadable_objects", NULL,
        "Objects of this node that could not be read, or changed, during that backup.")},
    {"last_failure", "ended", TIME, GAUGE("penstock_backup_last_failure_timestamp_seconds", "seconds",
        "When the last backup ended that was aborted or is in doubt, in seconds since 1970.")},
    {"last_failure", "error", NUMBER, GAUGE("penstock_backup_last_failure_error_code", NULL,
        "Why: number of the error, of errno(3) or of docs/protocol.md; 0: in doubt, or not known.")},
    {"signals", "sent", NUMBER, COUNTER("penstock_signals_sent", NULL,
        "Signals sent to other nodes.")},
    {"signals", "received", NUMBER, COUNTER("penstock_signals_received", NULL,
        "Signals received from other nodes.")},
    {"signals", "refused", NUMBER, COUNTER("penstock_signals_refused", NULL,
        "Signals received that were in another's name, malformed, or to nobody.")},
    {"signals", "rings_full", NUMBER, COUNTER("penstock_signal_ring_full", NULL,
        "Times that a signal waited for room in the ring of another node.")},
    {"signals", "wakes_sent", NUMBER, COUNTER("penstock_wakes_sent", NULL,
        "Wake-ups sent to other nodes.")},
    {"signals", "ring_bytes", NUMBER, GAUGE("penstock_signal_ring_bytes", "bytes",
        "Memory of the rings between this node and others.")},
    {"signals", "connections_refused", NUMBER, COUNTER("penstock_connections_refused", NULL,
        "Connections of other nodes that were refused.")},
    {"signals", "nodes_failed", NUMBER, COUNTER("penstock_node_failures", NULL,
        "Failures of other nodes that this node has seen.")},
    {"signals", "zombie_senders", NUMBER, GAUGE("penstock_zombie_senders", NULL,
        "Requests that were given up and whose answers may still come.")},
    {"signals", "stale_senders", NUMBER, COUNTER("penstock_stale_senders", NULL,
        "Requests that were given up and whose answers had not come when the next backup began.")},
    {"signals", "stray_answers", NUMBER, COUNTER("penstock_stray_answers", NULL,
        "Answers and orders that came late, twice, or were never asked for.")},
    {"signals", "packets_sent", NUMBER, COUNTER("penstock_packets_sent", NULL,
        "Packets sent to other hosts.")},
    {"signals", "packets_received", NUMBER, COUNTER("penstock_packets_received", NULL,
        "Packets received from other hosts.")},
    {"signals", "packets_dropped", NUMBER, COUNTER("penstock_packets_dropped", NULL,
        "Packets to other hosts that were not sent, and are repeated.")},
};
/* clang-format on */

static const struct pst_metric build_info = {
    "penstock_build_info", NULL, false, "1, with the version of the node's program as a label."};
static const struct pst_metric node_master = {
    "penstock_node_master", NULL, false,
    "1: this node takes itself for the master of its cluster."};
static const struct pst_metric peer_state = {
    "penstock_peer_state", NULL, false,
    "1 for the state in which this node sees a node of its cluster, itself included; else 0."};
static const struct pst_metric backups = {
    "penstock_backups", NULL, true,
    "Backups that the node took part in, by how they ended for it."};
static const struct pst_metric backup_running = {"penstock_backup_running", NULL, false,
                                                 "1: the node takes part in a backup."};
static const struct pst_metric backup_source_bytes = {
    "penstock_backup_running_source_bytes", "bytes", false,
    "What this node has read for the running backup; 0: there is none."};
static const struct pst_metric ldm_source_bytes = {
    "penstock_ldm_source_bytes", "bytes", false,
    "What an LDM has read for the last backup that it was in."};
static const struct pst_metric ldm_misplaced = {
    "penstock_ldm_misplaced_pages", NULL, false,
    "Pages of an LDM's buffers and rings that are on another NUMA node than its own."};
static const struct pst_metric stalls = {"penstock_stalled_threads", NULL, false,
                                         "Threads that have been in one call too long."};
static const struct pst_metric stall_seconds = {
    "penstock_stalled_thread_seconds", "seconds", false,
    "How long a stalled thread has been in one call; only while it is."};

static uint64_t number_of(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(object, key));
    return number > 0 ? (uint64_t)number : 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* RFC 3339 in UTC, to the nanosecond, as the status has it. 0: it is none. */
static uint64_t unix_ns_of(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    uint64_t ns = 0, digit_ns = 100000000;
    if (!rest)
        return 0;
    if (*rest == '.') {
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, digit_ns /= 10)
            ns += (uint64_t)(*rest - '0') * digit_ns;
    }
    return *rest == 'Z' ? (uint64_t)timegm(&tm) * 1000000000 + ns : 0;
}

static void put_field(struct pst_exposition *exposition, const json_t *status,
                      const struct field *field)
{
    const json_t *object = field->object ? json_object_get(status, field->object) : status;
    const json_t *value = json_object_get(object, field->key);
    if (!value)
        return;
    exposition_family(exposition, &field->metric);
    switch (field->kind) {
    case NUMBER:
        exposition_number(exposition, NULL, number_of(object, field->key));
        break;
    case NS:
        exposition_ns(exposition, NULL, number_of(object, field->key));
        break;
    case TIME:
        exposition_ns(exposition, NULL, unix_ns_of(text_of(object, field->key)));
        break;
    case BOOLEAN:
        exposition_number(exposition, NULL, json_is_true(value));
        break;
    case LENGTH:
        exposition_number(exposition, NULL, json_array_size(value));
        break;
    }
}

static void put_states(struct pst_exposition *exposition, const json_t *nodes)
{
    static const char *const states[][2] = {
        {"live", "live"}, {"missing", "missing"}, {"kept out", "kept_out"}};
    size_t index;
    json_t *node;
    exposition_family(exposition, &peer_state);
    json_array_foreach(nodes, index, node)
    {
        char id[24];
        snprintf(id, sizeof(id), "%" PRIu64, number_of(node, "node"));
        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
            const struct pst_label labels[] = {{"peer", id}, {"state", states[i][1]}, {0}};
            exposition_number(exposition, labels,
                              strcmp(text_of(node, "state"), states[i][0]) == 0);
        }
    }
}

static void put_ends(struct pst_exposition *exposition, const json_t *totals)
{
    static const char *const ends[] = {"complete", "partial", "aborted", "in_doubt"};
    if (!totals)
        return;
    exposition_family(exposition, &backups);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        const struct pst_label labels[] = {{"outcome", ends[i]}, {0}};
        exposition_number(exposition, labels, number_of(totals, ends[i]));
    }
}

/* The node that was asked, where a backup runs on it; else NULL. */
static const json_t *running(const json_t *status)
{
    size_t index;
    json_t *node;
    json_array_foreach(json_object_get(status, "nodes"), index, node)
    {
        if (number_of(node, "node") == number_of(status, "node") &&
            json_object_get(node, "source_bytes"))
            return node;
    }
    return NULL;
}

static void put_running(struct pst_exposition *exposition, const json_t *node)
{
    exposition_family(exposition, &backup_running);
    exposition_number(exposition, NULL, node ? 1 : 0);
    exposition_family(exposition, &backup_source_bytes);
    exposition_number(exposition, NULL, number_of(node, "source_bytes"));
}

/* A number of each LDM. */
static void put_ldms(struct pst_exposition *exposition, const json_t *ldms,
                     const struct pst_metric *metric, const char *key)
{
    size_t index;
    json_t *ldm;
    exposition_family(exposition, metric);
    json_array_foreach(ldms, index, ldm)
    {
        char instance[24];
        snprintf(instance, sizeof(instance), "%" PRIu64, number_of(ldm, "ldm"));
        const struct pst_label labels[] = {{"ldm", instance}, {0}};
        exposition_number(exposition, labels, number_of(ldm, key));
    }
}

/* A thread stalls in one call at a time. */
static void put_stalls(struct pst_exposition *exposition, const json_t *list)
{
    size_t index;
    json_t *stall;
    exposition_family(exposition, &stalls);
    exposition_number(exposition, NULL, json_array_size(list));
    if (json_array_size(list) == 0)
        return;
    exposition_family(exposition, &stall_seconds);
    json_array_foreach(list, index, stall)
    {
        const struct pst_label labels[] = {{"thread", text_of(stall, "thread")}, {0}};
        exposition_ns(exposition, labels, number_of(stall, "elapsed_ns"));
    }
}

int pst_metrics_of_node(const struct json_t *status, enum pst_exposition_format format, char **text,
                        size_t *bytes)
{
    char id[24];
    snprintf(id, sizeof(id), "%" PRIu64, number_of(status, "node"));
    const struct pst_label common[] = {{"cluster", text_of(status, "cluster")}, {"node", id}, {0}};
    const struct pst_label version[] = {{"version", text_of(status, "version")}, {0}};
    const json_t *ldms = json_object_get(status, "ldms");
    struct pst_exposition exposition;
    exposition_begin(&exposition, format, common);
    exposition_family(&exposition, &build_info);
    exposition_number(&exposition, version, 1);
    exposition_family(&exposition, &node_master);
    exposition_number(&exposition, NULL, number_of(status, "master") == number_of(status, "node"));
    put_states(&exposition, json_object_get(status, "nodes"));
    put_running(&exposition, running(status));
    put_ends(&exposition, json_object_get(status, "totals"));
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        put_field(&exposition, status, &fields[i]);
    put_ldms(&exposition, ldms, &ldm_source_bytes, "source_bytes");
    put_ldms(&exposition, ldms, &ldm_misplaced, "misplaced_pages");
    put_stalls(&exposition, json_object_get(status, "stalls"));
    return exposition_end(&exposition, text, bytes);
}
