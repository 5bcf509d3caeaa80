/*
 * What happens at the node, for clients that follow it: compares what the status was with what it
 * is, and tells the difference. Called by control.c, on the server's thread.
 */
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/time_text.h"
#include "engine/json/json_build.h"
#include "engine/service/control_parts.h"

#define LOOK_NS UINT64_C(100000000)
#define PROGRESS_NS UINT64_C(1000000000)

/* Takes fields; NULL, where there was no memory, is no event. */
static void tell(struct control *control, const char *event, json_t *fields)
{
    char when[PST_TIME_TEXT_BYTES];
    json_t *message = json_pack("{s:s, s:s, s:s}", "message_type", "event", "event", event, "time",
                                pst_time_text(pst_unix_ns(), 9, when));
    pst_json_merge(&message, fields);
    for (uint32_t i = 0; message && i < CONTROL_CLIENTS_MAX; i++) {
        if (control->clients[i].follows)
            control_push(control, &control->clients[i], message);
    }
    json_decref(message);
}

static const char *state_of(const struct control *control, const struct pst_set *kept_out,
                            uint32_t i)
{
    if (pst_set_has(&control->live, i))
        return "live";
    return pst_set_has(kept_out, i) ? "kept out" : "missing";
}

static void look_at_nodes(struct control *control, const struct pst_node_status *status)
{
    struct control_seen *seen = &control->seen;
    for (uint32_t i = 0; i < PST_NODES_MAX; i++) {
        if (pst_set_has(&control->live, i) == pst_set_has(&seen->live, i) &&
            pst_set_has(&status->kept_out, i) == pst_set_has(&seen->kept_out, i))
            continue;
        tell(control, "node_state",
             json_pack("{s:I, s:s}", "node", (json_int_t)i + 1, "state",
                       state_of(control, &status->kept_out, i)));
    }
    seen->live = control->live;
    seen->kept_out = status->kept_out;
}

/* Each, also where there were several since the last look. */
static void look_at_ends(struct control *control, const struct pst_node_status *status)
{
    struct control_seen *seen = &control->seen;
    if (status->ends != seen->ends)
        seen->phase = NULL; /* what runs now is another one, though it may have the same number */
    if (status->ends > seen->ends + PST_ENDS_KEPT)
        seen->ends = status->ends - PST_ENDS_KEPT;
    for (; seen->ends < status->ends; seen->ends++)
        tell(control, "backup_ended",
             control_last_backup_json(control, &status->ended[seen->ends % PST_ENDS_KEPT]));
}

static void look_at_backup(struct control *control, const struct pst_node_status *status)
{
    struct control_seen *seen = &control->seen;
    const struct pst_running_status *running = &status->running;
    uint64_t now_ns = pst_monotonic_ns();
    bool is_same = running->phase && seen->phase && strcmp(running->phase, seen->phase) == 0 &&
                   running->number == seen->number;
    if (running->phase && !is_same)
        tell(control, "backup_phase",
             json_pack("{s:I, s:s}", "number", (json_int_t)running->number, "phase",
                       running->phase));
    if (running->phase && running->reads && now_ns >= seen->progress_due_ns) {
        tell(control, "backup_progress", control_running_json(status, control->config->node));
        seen->progress_due_ns = now_ns + PROGRESS_NS;
    }
    seen->phase = running->phase;
    seen->number = running->number;
}

static void look_at_troubles(struct control *control, const struct pst_node_status *status)
{
    struct control_seen *seen = &control->seen;
    if (status->stalls_count != seen->stalls)
        tell(control, "stalls", json_pack("{s:o}", "stalls", control_stalls_json(status)));
    if (status->is_hung != seen->is_hung)
        tell(control, "hung", json_pack("{s:b}", "hung", (int)status->is_hung));
    if (status->in_doubt != seen->in_doubt)
        tell(control, "in_doubt", json_pack("{s:I}", "in_doubt", (json_int_t)status->in_doubt));
    seen->stalls = status->stalls_count;
    seen->is_hung = status->is_hung;
    seen->in_doubt = status->in_doubt;
}

static bool has_followers(const struct control *control)
{
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->clients[i].follows)
            return true;
    }
    return false;
}

void control_look(struct control *control, const struct pst_node_status *status)
{
    PST_CHECK_THREAD(&control->owner);
    look_at_nodes(control, status);
    look_at_ends(control, status);
    look_at_backup(control, status);
    look_at_troubles(control, status);
}

int control_tell_followers(struct control *control, int limit_ms)
{
    struct pst_node_status status;
    uint64_t now_ns = pst_monotonic_ns();
    if (!has_followers(control))
        return limit_ms;
    if (now_ns >= control->seen.due_ns) {
        pst_node_status(control->node, &status);
        control_look(control, &status);
        control->seen.due_ns = now_ns + LOOK_NS;
    }
    int look_ms = (int)(LOOK_NS / 1000000);
    return limit_ms >= 0 && limit_ms < look_ms ? limit_ms : look_ms;
}

void control_tell_left_frozen(struct control *control, uint32_t node, const char *source)
{
    PST_CHECK_THREAD(&control->owner);
    tell(control, "left_frozen",
         json_pack("{s:I, s:s}", "node", (json_int_t)node, "source", source));
}

void control_tell_stop(struct control *control)
{
    tell(control, "stopping", json_object());
}

/* Where nobody has followed, what happened until now is no news. */
void control_follow(struct control *control, uint64_t client)
{
    struct pst_node_status status;
    if (!has_followers(control)) {
        pst_node_status(control->node, &status);
        control_look(control, &status);
    }
    control_begin_following(control, client);
}
