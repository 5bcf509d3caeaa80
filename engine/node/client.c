/*
 * The node's client: makes the requests and orders of the one thread that asks a node for
 * something, and takes what comes back. Called by one_backup.c and by the control socket's server.
 */
#include "engine/node/client.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/printable.h"
#include "engine/node/threads.h"

int pst_client_fd(struct pst_node *node)
{
    return pst_doorbell_fd(&node->client.bell);
}

bool pst_client_may_sleep(struct pst_node *node)
{
    pst_doorbell_announce(&node->client.bell);
    return pst_spsc_is_empty(node->client.to_peer);
}

uint32_t pst_client_take(struct pst_node *node, struct pst_signal *signals)
{
    pst_doorbell_cancel(&node->client.bell);
    pst_doorbell_drain(&node->client.bell);
    return pst_channel_from_hub(&node->client, signals);
}

void pst_client_heard_failure(struct pst_node *node, const struct pst_signal *order)
{
    channel_heard_failure(&node->client, order);
}

/* PST_CLIENT_TEXTS: there is none. */
static uint32_t find_text(const struct pst_client_texts *texts, uint64_t backup, pst_ref where,
                          uint32_t kind)
{
    uint32_t i = 0;
    while (i < PST_CLIENT_TEXTS && (texts->texts[i].backup != backup ||
                                    texts->texts[i].where != where || texts->texts[i].kind != kind))
        i++;
    return i;
}

const char *pst_client_take_text(struct pst_client_texts *texts, const struct pst_signal *signal)
{
    const struct pst_source_text *piece = &signal->payload.source_text;
    uint32_t i = find_text(texts, signal->backup, piece->where, piece->kind);
    struct pst_client_text *text = i < PST_CLIENT_TEXTS ? &texts->texts[i] : NULL;
    if (signal->backup == 0 || pst_ref_node(piece->where) != pst_ref_node(signal->sender_ref) ||
        piece->bytes == 0 || piece->bytes > PST_SOURCE_SAYS_BYTES_MAX ||
        piece->kind > PST_TEXT_LEFT_FROZEN)
        return NULL;
    if (piece->offset == 0) {
        if (!text)
            text = &texts->texts[texts->next++ % PST_CLIENT_TEXTS];
        *text = (struct pst_client_text){
            .backup = signal->backup, .where = piece->where, .kind = piece->kind};
    }
    if (!text || text->is_whole || piece->offset != text->bytes || piece->offset >= piece->bytes)
        return NULL;
    uint32_t left = piece->bytes - piece->offset;
    uint32_t taken = left < sizeof(piece->text) ? left : (uint32_t)sizeof(piece->text);
    memcpy(text->text + text->bytes, piece->text, taken);
    text->bytes += taken;
    if (text->bytes < piece->bytes)
        return NULL;
    pst_make_printable(text->text, text->bytes);
    text->is_whole = true;
    return text->text;
}

const char *pst_client_text(const struct pst_client_texts *texts, uint64_t backup, pst_ref where)
{
    uint32_t i = find_text(texts, backup, where, PST_TEXT_FAILURE);
    return i < PST_CLIENT_TEXTS && texts->texts[i].is_whole ? texts->texts[i].text : "";
}

int pst_client_identify(struct pst_client_request *request)
{
    if (getrandom(request->uid, sizeof(request->uid), 0) != (ssize_t)sizeof(request->uid) ||
        getrandom(&request->request_id, sizeof(request->request_id), 0) !=
            (ssize_t)sizeof(request->request_id))
        return -EIO;
    return 0;
}

static struct pst_signal to_master(const struct pst_node *node, uint32_t master_node, uint16_t gsn,
                                   uint64_t backup)
{
    struct pst_signal signal;
    pst_signal_init(&signal, gsn, pst_ref_make(node->config.node, PST_BLOCK_CLIENT, 0),
                    pst_ref_make(master_node, PST_BLOCK_BACKUP, 1), backup, 0);
    return signal;
}

void pst_client_request_backup(struct pst_node *node, struct pst_client_request *request)
{
    struct pst_signal signal =
        to_master(node, request->master_node, PST_BACKUP_REQ, pst_uid_low(request->uid));
    struct pst_backup_req *wanted = &signal.payload.backup_req;
    signal.sequence = 1;
    request->flags |= node->sealing ? PST_BACKUP_SEALED : 0u;
    memcpy(wanted->uid, request->uid, sizeof(wanted->uid));
    wanted->request_id = request->request_id;
    wanted->number = request->number;
    wanted->flags = request->flags;
    pst_channel_to_hub(&node->client, &signal);
}

static void send_abort(struct pst_node *node, uint32_t master_node, uint64_t backup,
                       uint32_t request, uint32_t error)
{
    struct pst_signal signal = to_master(node, master_node, PST_ABORT_BACKUP_ORD, backup);
    signal.payload.abort.master_ref = signal.receiver_ref;
    signal.payload.abort.request = request;
    signal.payload.abort.error = error;
    signal.payload.abort.where = signal.sender_ref;
    pst_channel_to_hub(&node->client, &signal);
}

void pst_client_request_abort(struct pst_node *node, uint32_t master_node, uint64_t backup)
{
    send_abort(node, master_node, backup, PST_ABORT_CLIENT, PST_E_CLIENT_ABORT);
}

void pst_client_request_end(struct pst_node *node, uint32_t master_node, uint64_t backup,
                            uint32_t reason)
{
    send_abort(node, master_node, backup, PST_ABORT_FILE_OR_SCAN, reason);
}

int pst_client_request_resolve(struct pst_node *node, const struct pst_client_decision *decision)
{
    const char *manifest = decision->manifest ? decision->manifest : "";
    uint32_t id = node->config.node;
    struct pst_signal signal;
    struct pst_outcome *outcome = &signal.payload.outcome;
    pst_signal_init(&signal, PST_RESOLVE_REQ, pst_ref_make(id, PST_BLOCK_CLIENT, 0),
                    pst_ref_make(id, PST_BLOCK_OUTCOME, 0), pst_uid_low(decision->uid), 1);
    if (strlen(manifest) >= sizeof(node->hand.manifest))
        return -ENAMETOOLONG;
    strcpy(node->hand.manifest, manifest);
    outcome->number = decision->number;
    memcpy(outcome->uid, decision->uid, sizeof(outcome->uid));
    outcome->state = decision->commits ? PST_OUTCOME_COMMITTED : PST_OUTCOME_NONE;
    pst_channel_to_hub(&node->client, &signal);
    return 0;
}
