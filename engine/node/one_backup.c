/*
 * One backup from start to end on the caller's thread: starts a node, asks it, waits, stops it.
 * Called by engine/api.
 */
#include "engine/node/one_backup.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/node/client.h"
#include "engine/node/threads.h"

struct client {
    const struct pst_node_backup *options;
    struct pst_node_backup_report *report;
    struct pst_node *node;
    struct pst_channel *channel;
    uint64_t backup;
    struct pst_client_texts texts;
    bool cancelled;
    bool ended;
};

static void request_abort(struct client *client)
{
    client->cancelled = true;
    atomic_store_explicit(&client->node->is_cancelled, true, memory_order_relaxed);
    pst_client_request_abort(client->node, client->options->node.node, client->backup);
}

static void on_signal(struct client *client, const struct pst_signal *signal)
{
    struct pst_node_backup_report *report = client->report;
    if (signal->backup != client->backup)
        return;
    switch (signal->gsn) {
    case PST_BACKUP_CONF:
        report->number = signal->payload.backup_conf.number;
        report->flags = signal->payload.backup_conf.flags;
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
    case PST_SOURCE_TEXT_REP:
        (void)pst_client_take_text(&client->texts, signal);
        break;
    case PST_BACKUP_REF:
    case PST_BACKUP_ABORT_REP:
        report->error = (int)signal->payload.ref.error;
        report->where = signal->payload.ref.where;
        strcpy(report->says, pst_client_text(&client->texts, signal->backup, report->where));
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
    if (!pst_spsc_is_empty(client->channel->to_peer)) {
        pst_doorbell_cancel(bell);
        return;
    }
    int woken = pst_doorbell_wait(bell, PST_DOORBELL_FOREVER, cancel_fd);
    assert(woken >= 0);
    if (woken & PST_DOORBELL_EXTRA)
        request_abort(client);
    if (atomic_load_explicit(&client->node->is_hung, memory_order_acquire)) {
        client->report->error = PST_E_HUNG;
        client->ended = true;
    }
}

static int see_it_through(struct client *client)
{
    const struct pst_node_backup *options = client->options;
    struct pst_client_request request = {
        .master_node = options->node.node,
        .number = options->number,
        .flags = (options->single_threaded ? PST_BACKUP_SINGLE_THREADED : 0u) |
                 (options->verify ? PST_BACKUP_VERIFY : 0u),
    };
    int error = pst_client_identify(&request);
    if (error)
        return error;
    uint64_t began_ns = pst_monotonic_ns();
    memcpy(client->report->uid, request.uid, sizeof(request.uid));
    client->backup = pst_uid_low(request.uid);
    pst_client_request_backup(client->node, &request);
    while (!client->ended) {
        struct pst_signal signals[PST_CHANNEL_BURST];
        uint32_t count = pst_channel_from_hub(client->channel, signals);
        for (uint32_t i = 0; i < count; i++)
            on_signal(client, &signals[i]);
        if (count == 0)
            wait_for_signal(client);
    }
    client->report->elapsed_ns = pst_monotonic_ns() - began_ns;
    if (client->report->error == 0 && client->node->base)
        client->report->base = client->node->base->named.number;
    return -client->report->error;
}

int pst_node_run_backup(const struct pst_node_backup *options,
                        struct pst_node_backup_report *report)
{
    memset(report, 0, sizeof(*report));
    struct client client = {.options = options, .report = report};
    int error = pst_node_start(&options->node, &client.node);
    report->is_lost = error == -ETIMEDOUT;
    if (!error) {
        client.channel = node_client(client.node);
        error = see_it_through(&client);
        pst_pace_status(&client.node->pace, &report->pace);
        report->is_lost = !pst_node_stop(client.node, report->ldms);
    }
    report->error = -error;
    return error;
}
