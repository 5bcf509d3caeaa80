/*
 * Decisions by hand about backups in doubt (penstock resolve): finds the backup, asks the node,
 * answers the client. Called by control.c, on the server's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/hex.h"
#include "engine/service/control_parts.h"

/* By its number, or by 4 digits or more that its uid begins with. */
static bool is_named(const struct pst_doubt_status *doubt, const char *wanted)
{
    char number[16], uid[2 * sizeof(doubt->uid) + 1];
    snprintf(number, sizeof(number), "%u", doubt->number);
    pst_hex_encode(doubt->uid, sizeof(doubt->uid), uid);
    return strcmp(wanted, number) == 0 ||
           (strlen(wanted) >= 4 && strncmp(uid, wanted, strlen(wanted)) == 0);
}

static const struct pst_doubt_status *find(const struct pst_node_status *status, const char *wanted,
                                           uint32_t *found)
{
    const struct pst_doubt_status *doubt = NULL;
    *found = 0;
    for (uint32_t i = 0; i < status->in_doubt; i++) {
        if (!is_named(&status->doubts[i], wanted))
            continue;
        doubt = &status->doubts[i];
        ++*found;
    }
    return doubt;
}

static void refuse_name(struct control *control, uint64_t client, const char *wanted,
                        const struct pst_node_status *status, uint32_t found)
{
    uint32_t node = control->config->node;
    if (found > 1)
        control_refuse(control, client, -PST_E_BAD_REQUEST,
                       "\"%.32s\" names %u backups in doubt: give more digits of the uid", wanted,
                       found);
    else if (status->has_more)
        control_refuse(control, client, -PST_E_NO_RESOURCES,
                       "backup \"%.32s\" is not among the %u in doubt that node %u is settling, "
                       "but the node has more of them on disk: resolve one that penstock status "
                       "shows, and the node takes on the next",
                       wanted, PST_DOUBTS_MAX, node);
    else
        control_refuse(
            control, client, -PST_E_NO_BACKUP,
            "node %u has no backup \"%.32s\" in doubt; penstock status shows the backups in doubt",
            node, wanted);
}

void control_resolve(struct control *control, uint64_t client, const json_t *request)
{
    const char *wanted = json_string_value(json_object_get(request, "backup"));
    const char *outcome = json_string_value(json_object_get(request, "outcome"));
    const char *manifest = json_string_value(json_object_get(request, "manifest"));
    struct pst_node_status status;
    uint32_t found;
    bool commits = outcome && strcmp(outcome, "committed") == 0;
    if (!wanted || !outcome || (!commits && strcmp(outcome, "aborted") != 0) ||
        (commits && !manifest) || (manifest && manifest[0] != '/')) {
        control_refuse(control, client, -PST_E_BAD_REQUEST, "the request is malformed");
        return;
    }
    if (control->resolving.is_waiting) {
        control_refuse(control, client, -PST_E_BUSY, "another backup is being resolved");
        return;
    }
    pst_node_status(control->node, &status);
    const struct pst_doubt_status *doubt = find(&status, wanted, &found);
    if (found != 1) {
        refuse_name(control, client, wanted, &status, found);
        return;
    }
    struct pst_client_decision decision = {
        .number = doubt->number, .commits = commits, .manifest = commits ? manifest : NULL};
    memcpy(decision.uid, doubt->uid, sizeof(decision.uid));
    if (pst_client_request_resolve(control->node, &decision) < 0) {
        control_refuse(control, client, -ENAMETOOLONG, "the path of the manifest is too long");
        return;
    }
    control->resolving = (struct control_resolving){
        .is_waiting = true, .client = client, .commits = commits, .number = doubt->number};
    memcpy(control->resolving.uid, doubt->uid, sizeof(doubt->uid));
}

static void refuse_decision(struct control *control, uint32_t error)
{
    const struct control_resolving *resolving = &control->resolving;
    const char *why = "the log of the node says more";
    if (error == PST_E_MISPLACED)
        why = "the manifest belongs to another backup, or lists another manifest of this node: "
              "give the copy of a node that took part";
    else if (resolving->commits && (error == EACCES || error == ENOENT))
        why = "the node reads the manifest itself, so its user must be allowed to";
    else if (error == PST_E_WRONG_STATE)
        why = "the node has its cluster manifest by now, so it is complete";
    else if (error == PST_E_NO_BACKUP)
        why = "it is no longer in doubt; penstock list shows its outcome";
    else if (error == PST_E_BUSY)
        why = "it is being settled at this moment";
    control_refuse(control, resolving->client, (int)error,
                   "backup %u is not resolved: %s (node %u: %s)", resolving->number, why,
                   control->config->node, pst_error_text((int)error));
}

void control_on_resolved(struct control *control, const struct pst_signal *signal)
{
    struct control_resolving *resolving = &control->resolving;
    char uid[2 * sizeof(resolving->uid) + 1];
    if (!resolving->is_waiting || signal->backup != pst_uid_low(resolving->uid))
        return;
    pst_hex_encode(resolving->uid, sizeof(resolving->uid), uid);
    if (signal->gsn == PST_RESOLVE_REF)
        refuse_decision(control, signal->payload.ref.error);
    else
        control_send(control, resolving->client,
                     json_pack("{s:s, s:I, s:s, s:s}", "message_type", "resolved", "number",
                               (json_int_t)resolving->number, "uid", uid, "outcome",
                               resolving->commits ? "complete" : "aborted"),
                     false);
    resolving->is_waiting = false;
}
