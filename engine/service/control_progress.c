/*
 * The progress of the node's backup as a line of its log, for SIGUSR1. Called by control.c, on the
 * server's thread.
 */
#include <stdio.h>

#include "engine/base/log.h"
#include "engine/service/control_parts.h"

#define NS_PER_S UINT64_C(1000000000)
#define MIB (1024.0 * 1024.0)

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* ", 45 %, 12 s left", as far as it is known. text: bytes; returned. */
static const char *estimate(const json_t *running, char *text, size_t bytes)
{
    int used = 0;
    text[0] = '\0';
    if (json_object_get(running, "percent_done"))
        used = snprintf(text, bytes, ", %.0f %%", 100 * number_of(running, "percent_done"));
    if (json_object_get(running, "remaining_ns"))
        (void)snprintf(text + used, bytes - (size_t)used, ", %.0f s left",
                       number_of(running, "remaining_ns") / (double)NS_PER_S);
    return text;
}

static void log_running(const struct pst_running_status *running, const json_t *object)
{
    char left[64];
    pst_log(PST_LOG_INFO,
            "progress: backup %u, %s, %llu s, %.1f MiB read here, %.1f MiB/s in 1 s, %.1f in 10 s, "
            "%.1f in 60 s%s",
            running->number, running->phase, (unsigned long long)(running->elapsed_ns / NS_PER_S),
            number_of(object, "source_bytes") / MIB, (double)running->bytes_per_second[0] / MIB,
            (double)running->bytes_per_second[1] / MIB, (double)running->bytes_per_second[2] / MIB,
            estimate(object, left, sizeof(left)));
}

void control_log_progress(const struct control *control)
{
    struct pst_node_status status;
    PST_CHECK_THREAD(&control->owner);
    pst_node_status(control->node, &status);
    json_t *object = control_running_json(&status, control->config->node);
    if (status.running.phase)
        log_running(&status.running, object);
    else
        pst_log(PST_LOG_INFO, "progress: no backup is running");
    json_decref(object);
}
