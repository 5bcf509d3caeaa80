/* The run told as a story, one line for each thing that happens. */
#include <stdarg.h>
#include <stdio.h>

#include "tests/sim/sim.h"

void sim_tell(const struct sim *sim, const char *format, ...)
{
    FILE *story = sim->options.story;
    if (!story || (sim->calm && sim->options.is_brief))
        return;
    fprintf(story, "[%11.3f ms] ", (double)sim->now_ns / (double)SIM_MS);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(story, format, arguments);
    va_end(arguments);
    fputc('\n', story);
}

const char *sim_ref_name(pst_ref ref, char text[32])
{
    static const char *const blocks[] = {
        [PST_BLOCK_CLIENT] = "CLIENT",   [PST_BLOCK_PROXY] = "PROXY",
        [PST_BLOCK_BACKUP] = "LDM",      [PST_BLOCK_SOURCE] = "SOURCE",
        [PST_BLOCK_ARCHIVE] = "ARCHIVE", [PST_BLOCK_OUTCOME] = "OUTCOME",
    };
    uint32_t block = pst_ref_block(ref);
    const char *name = block < sizeof(blocks) / sizeof(*blocks) ? blocks[block] : NULL;
    snprintf(text, 32, "%u.%s %u", pst_ref_node(ref), name ? name : "nobody",
             pst_ref_instance(ref));
    return text;
}

static void describe(const struct pst_signal *signal, char text[96])
{
    const union pst_payload *payload = &signal->payload;
    uint16_t request = pst_gsn_answered(signal->gsn);
    bool is_ref =
        (request != 0 && signal->gsn == PST_REF_OF(request)) || signal->gsn == PST_BACKUP_ABORT_REP;
    char where[32];
    text[0] = '\0';
    if (is_ref)
        snprintf(text, 96, " error %u at %s", payload->ref.error,
                 sim_ref_name(payload->ref.where, where));
    else if (signal->gsn == PST_ABORT_BACKUP_ORD)
        snprintf(text, 96, " %u error %u", payload->abort.request, payload->abort.error);
    else if (signal->gsn == PST_OUTCOME_CONF || signal->gsn == PST_ARCHIVE_SETTLE_REQ)
        snprintf(text, 96, " state %u", payload->outcome.state);
    else if (signal->gsn == PST_BACKUP_FRAGMENT_REQ || signal->gsn == PST_SOURCE_FRAGMENT_REP ||
             signal->gsn == PST_SOURCE_FRAGMENT_DONE_ORD)
        snprintf(text, 96, " source %u fragment %llu owner %u", payload->fragment.source,
                 (unsigned long long)payload->fragment.fragment, payload->fragment.owner);
}

static bool is_in_brief(const struct pst_signal *signal)
{
    return signal->gsn != PST_BACKUP_PROGRESS_REP && signal->gsn != PST_BACKUP_STATUS_REP &&
           signal->gsn != PST_BLOB_DATA_REP &&
           (pst_ref_node(signal->sender_ref) != pst_ref_node(signal->receiver_ref) ||
            pst_ref_block(signal->sender_ref) == PST_BLOCK_CLIENT ||
            pst_ref_block(signal->receiver_ref) == PST_BLOCK_CLIENT);
}

void sim_tell_signal(const struct sim *sim, const struct pst_signal *signal, const char *fate)
{
    if (!sim->options.story || (sim->options.is_brief && !fate && !is_in_brief(signal)))
        return;
    char from[32];
    char to[32];
    char more[96];
    describe(signal, more);
    sim_tell(sim, "%s > %s: %s seq %u of %08x%s%s%s", sim_ref_name(signal->sender_ref, from),
             sim_ref_name(signal->receiver_ref, to), pst_gsn_name(signal->gsn), signal->sequence,
             (unsigned)signal->backup, more, fate ? ": " : "", fate ? fate : "");
}

const char *const sim_held_names[] = {
    [SIM_HELD_ANY] = "anything",        [SIM_HELD_NOTHING] = "nothing",
    [SIM_HELD_DEBRIS] = "debris",       [SIM_HELD_PREPARED] = "prepared",
    [SIM_HELD_COMMITTED] = "committed",
};

void sim_tell_outcome(struct sim *sim)
{
    for (uint32_t i = 0; sim->options.story && i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        for (uint32_t node = 0; node < sim->options.nodes; node++)
            sim_tell(sim, "backup %08x at node %u: %s", (unsigned)backup->uid_low, node + 1,
                     sim_held_names[sim_held_of(sim, backup->shares[node])]);
    }
    sim_tell(sim, "all is quiet; from here on without faults");
}
