#include "engine/node/backup.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/node/node_internal.h"

struct client {
    const struct pst_backup_options *options;
    struct pst_backup_report *report;
    struct pst_channel *channel;
    pst_ref self_ref;
    uint64_t backup;
    uint64_t request_id;
    bool cancelled;
    bool ended;
};

const char *pst_ref_text(pst_ref ref, char *text, size_t bytes)
{
    static const char *const blocks[] = {
        [PST_BLOCK_CLIENT] = "client",   [PST_BLOCK_PROXY] = "proxy",
        [PST_BLOCK_BACKUP] = "LDM",      [PST_BLOCK_SOURCE] = "source",
        [PST_BLOCK_ARCHIVE] = "archive", [PST_BLOCK_OUTCOME] = "outcome"};
    uint32_t block = pst_ref_block(ref);
    const char *name = block < sizeof(blocks) / sizeof(blocks[0]) ? blocks[block] : NULL;
    if (block == PST_BLOCK_BACKUP || block == PST_BLOCK_SOURCE)
        snprintf(text, bytes, "%s %u of node %u", name, pst_ref_instance(ref), pst_ref_node(ref));
    else
        snprintf(text, bytes, "%s of node %u", name ? name : "nobody", pst_ref_node(ref));
    return text;
}

static struct pst_signal to_master(const struct client *client, uint16_t gsn)
{
    uint32_t node = client->options->node.node;
    return (struct pst_signal){
        .gsn = gsn,
        .version = PST_SIGNAL_VERSION,
        .length = pst_gsn_payload_bytes(gsn),
        .sender_ref = client->self_ref,
        .receiver_ref = pst_ref_make(node, PST_BLOCK_BACKUP, 1),
        .backup = client->backup,
    };
}

static void request_backup(struct client *client)
{
    const struct pst_backup_options *options = client->options;
    struct pst_signal signal = to_master(client, PST_BACKUP_REQ);
    signal.sequence = 1;
    struct pst_backup_req *request = &signal.payload.backup_req;
    memcpy(request->uid, client->report->uid, sizeof(request->uid));
    request->request_id = client->request_id;
    request->number = options->number;
    request->flags = options->single_threaded ? PST_BACKUP_SINGLE_THREADED : 0;
    pst_channel_to_hub(client->channel, &signal);
}

static void request_abort(struct client *client)
{
    client->cancelled = true;
    struct pst_signal signal = to_master(client, PST_ABORT_BACKUP_ORD);
    signal.payload.abort.master_ref = signal.receiver_ref;
    signal.payload.abort.request = PST_ABORT_CLIENT;
    signal.payload.abort.error = PST_E_CLIENT_ABORT;
    signal.payload.abort.where = client->self_ref;
    pst_channel_to_hub(client->channel, &signal);
}

static void on_signal(struct client *client, const struct pst_signal *signal)
{
    struct pst_backup_report *report = client->report;
    if (signal->backup != client->backup)
        return;
    switch (signal->gsn) {
    case PST_BACKUP_CONF:
        report->number = signal->payload.backup_conf.number;
        break;
    case PST_BACKUP_STATUS_REP:
        if (client->options->on_status)
            client->options->on_status(client->options->context, &signal->payload.progress);
        break;
    case PST_BACKUP_COMPLETE_REP:
        report->number = signal->payload.complete.number;
        report->start_gci = signal->payload.complete.start_gci;
        report->sums = signal->payload.complete.sums;
        client->ended = true;
        break;
    case PST_BACKUP_REF:
    case PST_BACKUP_ABORT_REP:
        report->error = (int)signal->payload.ref.error;
        report->where = signal->payload.ref.where;
        client->ended = true;
        break;
    default:
        break;
    }
}

static void wait_for_signal(struct client *client)
{
    struct pst_doorbell *bell = &client->channel->bell;
    int cancel_fd = client->cancelled ? -1 : client->options->cancel_fd;
    pst_doorbell_announce(bell);
    if (!pst_signal_ring_is_empty(client->channel->to_peer)) {
        pst_doorbell_cancel(bell);
        return;
    }
    int woken = pst_doorbell_wait(bell, PST_DOORBELL_FOREVER, cancel_fd);
    assert(woken >= 0);
    if (woken & PST_DOORBELL_EXTRA)
        request_abort(client);
}

static void see_it_through(struct client *client)
{
    uint64_t began_ns = pst_monotonic_ns();
    request_backup(client);
    while (!client->ended) {
        struct pst_signal signals[PST_CHANNEL_BURST];
        uint32_t count = pst_channel_from_hub(client->channel, signals);
        for (uint32_t i = 0; i < count; i++)
            on_signal(client, &signals[i]);
        if (count == 0)
            wait_for_signal(client);
    }
    client->report->elapsed_ns = pst_monotonic_ns() - began_ns;
}

int pst_backup_run(const struct pst_backup_options *options, struct pst_backup_report *report)
{
    struct pst_node *node;
    memset(report, 0, sizeof(*report));
    struct client client = {.options = options,
                            .report = report,
                            .self_ref = pst_ref_make(options->node.node, PST_BLOCK_CLIENT, 0)};
    int error = pst_node_start(&options->node, &node);
    if (error < 0) {
        report->error = -error;
        return error;
    }
    client.channel = pst_node_client(node);
    if (getrandom(report->uid, sizeof(report->uid), 0) != (ssize_t)sizeof(report->uid) ||
        getrandom(&client.request_id, sizeof(client.request_id), 0) !=
            (ssize_t)sizeof(client.request_id)) {
        report->error = EIO;
    } else {
        client.backup = pst_uid_low(report->uid);
        see_it_through(&client);
    }
    pst_node_stop(node, report->ldms);
    return -report->error;
}
