/* Model of the archive's thread: numbers, directories, manifests and the decision. It always
 * answers ARCHIVE_DECIDE_REQ, and a REF means that the decision is not on disk. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void check_in(struct sim *sim, const char *what, uint32_t told, uint32_t expected)
{
    if (told != expected)
        sim_fail(sim, "the archive was told of %u %s, not %u, before it writes their manifest",
                 told, what, expected);
}

static uint32_t number(struct sim *sim, uint32_t wanted, uint32_t *chosen)
{
    uint32_t highest = 0;
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        if (backup->directory && backup->number == wanted)
            return PST_E_NUMBER_EXISTS;
        if (backup->directory && backup->number > highest)
            highest = backup->number;
    }
    *chosen = wanted != 0 ? wanted : highest + 1;
    return 0;
}

static uint32_t define(struct sim *sim, struct sim_backup *backup, uint32_t wanted)
{
    uint32_t chosen;
    uint32_t error = number(sim, wanted, &chosen);
    if (error != 0)
        return error;
    backup->directory = true;
    backup->number = wanted;
    return 0;
}

static void decide(struct sim *sim, struct sim_backup *backup)
{
    check_in(sim, "nodes", backup->nodes_told, 1);
    if (!backup->node_manifest)
        sim_fail(sim, "decided without a node manifest");
    for (uint32_t i = 0; i < sim->ldms_count; i++) {
        if (backup->parts[i].exists && !backup->parts[i].durable)
            sim_fail(sim, "decided while the part of LDM %u is not durable", i + 1);
    }
    backup->decision = !sim_planted(sim, SIM_PLANT_DECIDES_NOT);
    backup->was_decided = backup->decision;
}

static void clean_up(struct sim *sim, struct sim_backup *backup)
{
    if (backup->decision)
        sim_fail(sim, "a decided backup is cleaned up");
    backup->node_manifest &= sim_planted(sim, SIM_PLANT_LEAVES_MANIFEST);
    backup->directory = false;
    backup->directory_may_remain = false;
}

static void take_effect(struct sim *sim, const struct pst_signal *request,
                        struct pst_signal *answer)
{
    struct sim_backup *backup = sim_backup_of(sim, request->backup);
    const union pst_payload *payload = &request->payload;
    uint32_t error = 0;
    switch (request->gsn) {
    case PST_ARCHIVE_NUMBER_REQ:
        error = number(sim, payload->archive_number.number, &answer->payload.archive_number.number);
        break;
    case PST_ARCHIVE_DEFINE_REQ:
        error = define(sim, backup, payload->define.number);
        break;
    case PST_ARCHIVE_MANIFEST_REQ:
        check_in(sim, "parts", backup->parts_told,
                 pst_ref_instance(request->sender_ref) == 0 ? sim->ldms_count : 1);
        backup->node_manifest = true;
        answer->payload.commit.file_bytes = 4711;
        memset(answer->payload.commit.digest, 0x77, 16);
        break;
    case PST_ARCHIVE_DECIDE_REQ:
        decide(sim, backup);
        answer->payload.commit.file_bytes = 42;
        memset(answer->payload.commit.digest, 0x42, 16);
        break;
    case PST_ARCHIVE_COMMIT_REQ:
        if (payload->commit.digest[0] != 0x42 || payload->commit.file_bytes != 42)
            sim_fail(sim, "COMMIT names another cluster manifest than was decided");
        backup->copy = true;
        break;
    case PST_ARCHIVE_CLEANUP_REQ:
        clean_up(sim, backup);
        break;
    default:
        sim_fail(sim, "the archive is asked for %s", pst_gsn_name(request->gsn));
    }
    if (error != 0)
        *answer = sim_answer(request, error);
}

static void take_item(struct sim *sim, const struct pst_signal *order)
{
    struct sim_backup *backup = sim_backup_of(sim, order->backup);
    uint32_t item = order->payload.archive_item.item;
    backup->nodes_told += order->gsn == PST_ARCHIVE_NODE_ORD && item == SIM_NODE;
    backup->parts_told +=
        order->gsn == PST_ARCHIVE_PART_ORD && item >= 1 && item <= sim->ldms_count;
    bool is_node = order->gsn == PST_ARCHIVE_NODE_ORD;
    if (is_node && (order->payload.archive_item.file_bytes != 4711 ||
                    order->payload.archive_item.digest[15] != 0x77))
        sim_fail(sim, "the node manifest's size and digest did not reach the archive");
}

static void serve_next(struct sim *sim)
{
    struct sim_server *server = &sim->archive;
    const struct pst_signal *request;
    while ((request = sim_server_next(server)) != NULL &&
           (request->gsn == PST_ARCHIVE_PART_ORD || request->gsn == PST_ARCHIVE_NODE_ORD)) {
        take_item(sim, request);
        server->current.gsn = 0;
    }
    if (!request)
        return;
    if (sim_fault(sim, SIM_FAULT_ARCHIVE_REF))
        server->error = ENOSPC;
    else if (request->gsn != PST_ARCHIVE_DECIDE_REQ)
        server->is_lost = sim_fault(sim, SIM_FAULT_ARCHIVE_LOST);
    uint64_t takes_ns = sim_random_between(&sim->random, SIM_US, 20 * SIM_MS);
    if (sim_fault(sim, SIM_FAULT_ARCHIVE_SLOW))
        takes_ns = sim_slow_ns(sim);
    sim_queue_add(&sim->queue, SIM_SERVICE, SIM_ARCHIVE, sim->now_ns + takes_ns);
}

static void end_service(struct sim *sim)
{
    struct sim_server *server = &sim->archive;
    struct pst_signal answer = sim_answer(&server->current, server->error);
    if (server->error == 0)
        take_effect(sim, &server->current, &answer);
    else if (server->current.gsn == PST_ARCHIVE_CLEANUP_REQ)
        sim_backup_of(sim, server->current.backup)->directory_may_remain = true;
    server->current.gsn = 0;
    if (!server->is_lost)
        sim_send(sim, SIM_ARCHIVE, &answer);
    serve_next(sim);
}

void sim_archive_event(struct sim *sim, const struct sim_event *event)
{
    if (event->type == SIM_SERVICE) {
        end_service(sim);
        return;
    }
    assert(event->type == SIM_SIGNAL);
    sim_server_add(&sim->archive, &event->signal);
    serve_next(sim);
}
