/*
 * sim --count: one backup of clusters of several sizes, its master on node 1, and the signals that
 * its nodes exchange, without reports of progress: their number is a matter of time. Called by
 * main.c and network.c.
 */
#include "tests/sim/count.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

#define MASTER 0u

/* Of the backup that is counted. */
static struct count {
    bool is_on;
    uint64_t sent[PST_GSN_MAX + 1]; /* by the master's node, by gsn */
    uint64_t heard[PST_GSN_MAX + 1];
    uint64_t elsewhere; /* between two others */
} count;

void sim_count(const struct sim *sim, uint32_t from, uint32_t to, const struct pst_signal *signal)
{
    if (!count.is_on || signal->gsn == PST_BACKUP_PROGRESS_REP || sim->backups_count != 1 ||
        signal->backup != sim->backups[0].uid_low)
        return;
    if (from == MASTER)
        count.sent[signal->gsn]++;
    else if (to == MASTER)
        count.heard[signal->gsn]++;
    else
        count.elsewhere++;
}

/* Requests, orders and answers; or what moves the cluster's manifest. */
static uint64_t sum(const uint64_t *numbers, bool of_manifest)
{
    uint64_t total = 0;
    for (uint32_t gsn = 0; gsn <= PST_GSN_MAX; gsn++) {
        bool moves = gsn == PST_BLOB_REQ || gsn == PST_BLOB_CONF || gsn == PST_BLOB_DATA_REP;
        total += moves == of_manifest ? numbers[gsn] : 0;
    }
    return total;
}

static bool count_one(struct sim *sim, uint32_t nodes)
{
    static struct sim_script script;
    struct sim_options options;
    memset(&script, 0, sizeof(script));
    script.nodes = nodes;
    script.asked_count = 1;
    script.expected[0] = (struct sim_expected){.told = SIM_TOLD_COMPLETE, .is_set = true};
    for (uint32_t i = 0; i < nodes; i++) {
        script.ldms[i] = 2;
        script.sources[i] = 1;
    }
    sim_options_of_script(&options, &script);
    count = (struct count){.is_on = true};
    bool passed = sim_run(sim, 1, &options, &script);
    count.is_on = false;
    if (!passed)
        fprintf(stderr, "sim: %u nodes: %s: %s\n", nodes, sim_checker_names[sim->checker],
                sim->failure);
    return passed;
}

static void print_names(uint32_t others)
{
    puts("\n| signal | sent by the master's node to each | heard from each |\n|---|---|---|");
    for (uint32_t gsn = 1; gsn <= PST_GSN_MAX; gsn++) {
        if (count.sent[gsn] + count.heard[gsn] > 0)
            printf("| %s | %g | %g |\n", pst_gsn_name(gsn), (double)count.sent[gsn] / others,
                   (double)count.heard[gsn] / others);
    }
}

int run_counts(struct sim *sim)
{
    static const uint32_t sizes[] = {2, 3, 4, 8, SIM_NODES_MAX};
    uint64_t each = 0;
    bool is_even = true;
    puts("| nodes | requests and orders sent | answers heard | both, for each other node | "
         "manifest: "
         "signals for each other node | manifest: all signals |\n|---|---|---|---|---|---|");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint32_t others = sizes[i] - 1;
        if (!count_one(sim, sizes[i]))
            return 1;
        uint64_t sent = sum(count.sent, false), heard = sum(count.heard, false);
        uint64_t moved = sum(count.sent, true) + sum(count.heard, true);
        each = i == 0 ? sent + heard : each;
        is_even &= sent + heard == each * others && count.elsewhere == 0;
        printf("| %u | %" PRIu64 " | %" PRIu64 " | %g | %g | %" PRIu64 " |\n", sizes[i], sent,
               heard, (double)(sent + heard) / others, (double)moved / others, moved);
    }
    print_names(sizes[sizeof(sizes) / sizeof(sizes[0]) - 1] - 1);
    puts(is_even ? "1 passed, 0 failed, 0 skipped"
                 : "the master does not send and hear as much for each node, or others talk\n"
                   "0 passed, 1 failed, 0 skipped");
    return !is_even;
}
