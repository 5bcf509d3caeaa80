/* The run told as a story, one line for each thing that happens. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>

void sim_tell(const struct sim *sim, const char *format, ...)
{
    if (!sim->trace)
        return;
    printf("[%11.3f ms] ", (double)sim->now_ns / (double)SIM_MS);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

const char *sim_ref_name(pst_ref ref, char text[24])
{
    unsigned instance = pst_ref_instance(ref);
    switch (pst_ref_block(ref)) {
    case PST_BLOCK_CLIENT:
        return "CLIENT";
    case PST_BLOCK_PROXY:
        return instance == 0 ? "PROXY" : "PROXY in LDM 1";
    case PST_BLOCK_BACKUP:
        snprintf(text, 24, "LDM %u", instance);
        return text;
    case PST_BLOCK_SOURCE:
        snprintf(text, 24, "SOURCE %u", instance);
        return text;
    case PST_BLOCK_ARCHIVE:
        return "ARCHIVE";
    case PST_BLOCK_OUTCOME:
        return "OUTCOME";
    }
    return "nobody";
}

void sim_tell_signal(const struct sim *sim, const struct pst_signal *signal)
{
    if (!sim->trace)
        return;
    char from[24];
    char to[24];
    char more[64] = "";
    uint16_t request = pst_gsn_answered(signal->gsn);
    bool is_ref =
        (request != 0 && signal->gsn == PST_REF_OF(request)) || signal->gsn == PST_BACKUP_ABORT_REP;
    if (is_ref)
        snprintf(more, sizeof(more), " error %u", signal->payload.ref.error);
    else if (signal->gsn == PST_ABORT_BACKUP_ORD)
        snprintf(more, sizeof(more), " %u error %u", signal->payload.abort.request,
                 signal->payload.abort.error);
    else if (signal->gsn == PST_BACKUP_FRAGMENT_REQ || signal->gsn == PST_SOURCE_FRAGMENT_REP ||
             signal->gsn == PST_SOURCE_FRAGMENT_DONE_ORD)
        snprintf(more, sizeof(more), " source %u fragment %llu owner %u",
                 signal->payload.fragment.source,
                 (unsigned long long)signal->payload.fragment.fragment,
                 signal->payload.fragment.owner);
    sim_tell(sim, "%s > %s: %s seq %u of %08x%s", sim_ref_name(signal->sender_ref, from),
             sim_ref_name(signal->receiver_ref, to), pst_gsn_name(signal->gsn), signal->sequence,
             (unsigned)signal->backup, more);
}
