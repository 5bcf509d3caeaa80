/*
 * Answers commands of DPDK's telemetry with counters of the node's status. Opened and closed by
 * engine/service/daemon.c, on the main thread; the counters are taken on threads of DPDK's.
 */
#include "engine/node/node_telemetry.h"

#include <string.h>

#include "engine/base/log.h"
#include "net/eal.h"

static const struct pst_eal_ops *eal_of(const struct pst_node_config *config)
{
    return config->cluster ? config->cluster->eal_ops : NULL;
}

/* Copies the list, and returns how long it is. */
#define GIVE(list)                                                                                 \
    (memcpy(counters, list, sizeof(list)), (uint32_t)(sizeof(list) / sizeof((list)[0])))

static uint32_t count_status(void *context, struct pst_eal_counter counters[PST_EAL_COUNTERS_MAX])
{
    struct pst_node_status status;
    pst_node_status(context, &status);
    const struct pst_running_status *running = &status.running;
    const struct pst_backup_totals *totals = &status.totals;
    uint64_t source_bytes = 0;
    for (uint32_t i = 0; i < status.ldms_count && running->reads; i++)
        source_bytes += status.ldms[i].source_bytes;
    const struct pst_eal_counter list[] = {
        {"backup_running", !!running->phase},
        {"backup_number", running->phase ? running->number : 0},
        {"backup_elapsed_ns", running->phase ? running->elapsed_ns : 0},
        {"source_bytes", source_bytes},
        {"source_bytes_listed", running->phase ? running->listed_bytes : 0},
        {"bytes_per_second_1s", running->phase ? running->bytes_per_second[0] : 0},
        {"bytes_per_second_10s", running->phase ? running->bytes_per_second[1] : 0},
        {"bytes_per_second_60s", running->phase ? running->bytes_per_second[2] : 0},
        {"backups_complete", totals->complete},
        {"backups_partial", totals->partial},
        {"backups_aborted", totals->aborted},
        {"backups_in_doubt", totals->in_doubt},
        {"in_doubt", status.in_doubt},
        {"total_source_bytes", totals->source_bytes},
        {"total_stored_bytes", totals->stored_bytes},
        {"ldms", status.ldms_count},
        {"stalled_threads", status.stalls_count},
        {"hung", status.is_hung},
    };
    _Static_assert(sizeof(list) / sizeof(list[0]) <= PST_EAL_COUNTERS_MAX, "they fit");
    return GIVE(list);
}

static uint32_t count_signals(void *context, struct pst_eal_counter counters[PST_EAL_COUNTERS_MAX])
{
    struct pst_node_status status;
    pst_node_status(context, &status);
    const struct pst_fabric_counters *fabric = &status.fabric;
    const struct pst_eal_counter list[] = {
        {"sent", fabric->signals_sent},
        {"received", fabric->signals_received},
        {"refused", status.signals_refused},
        {"rings_full", fabric->full},
        {"wakes_sent", fabric->wakes_sent},
        {"connections_refused", fabric->refusals},
        {"ring_bytes", fabric->ring_bytes},
        {"nodes_failed", status.nodes_failed},
        {"zombie_senders", status.requests.zombies},
        {"stale_senders", status.requests.stale},
        {"stray_answers", status.requests.strays},
        {"packets_sent", fabric->packets_sent},
        {"packets_received", fabric->packets_received},
        {"packets_dropped", fabric->packets_dropped},
    };
    _Static_assert(sizeof(list) / sizeof(list[0]) <= PST_EAL_COUNTERS_MAX, "they fit");
    return GIVE(list);
}

void pst_node_telemetry_open(const struct pst_node_config *config, struct pst_node *node)
{
    const struct pst_eal_ops *eal = eal_of(config);
    int error = 0;
    if (eal)
        error = eal->publish("/penstock/status", "Returns what the node does, and has done",
                             count_status, node);
    if (eal && !error)
        error = eal->publish("/penstock/signals", "Returns counters of signals between nodes",
                             count_signals, node);
    if (error)
        pst_log(PST_LOG_WARNING, "DPDK's telemetry does not have the counters of the node: %s",
                pst_error_text(error));
}

void pst_node_telemetry_close(const struct pst_node_config *config)
{
    if (eal_of(config))
        eal_of(config)->withdraw();
}
