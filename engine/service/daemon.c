/*
 * A node that stays: opens its sources and control socket, starts it, serves it, stops it. Called
 * by `penstock node`, on the main thread, and by node_run.c, on the thread of a program.
 */
#include "engine/service/daemon.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/api/session.h"
#include "engine/base/log.h"
#include "engine/format/digest.h"
#include "engine/node/node.h"
#include "engine/node/node_telemetry.h"
#include "engine/service/control.h"
#include "engine/service/control_socket.h"
#include "engine/service/membership.h"
#include "engine/service/metrics_server.h"
#include "engine/service/net_load.h"
#include "engine/service/network.h"
#include "engine/service/notify.h"
#include "net/eal.h"
#include "net/quic/quic_network.h"

struct pst_daemon {
    const struct pst_daemon_job *job;
    struct pst_session *session;
    struct pst_set expected; /* by id - 1: of the job's nodes */
    struct pst_cluster_config cluster;
    struct pst_quic_network *network; /* NULL: all nodes are on this host */
    struct pst_eal_config eal;        /* where one is needed */
    char eal_name[24];                /* of that */
    struct control *control;
    struct metrics_server *metrics; /* NULL: not served */
    struct pst_node *node;          /* NULL: not started */
    bool is_lost;                   /* a thread hangs, and may still use what is here */
};

uint32_t pst_daemon_cluster_id(const char *cluster)
{
    struct pst_digest digest = pst_digest_of(cluster, strlen(cluster), 0);
    uint32_t id = 0;
    for (uint32_t i = 0; i < sizeof(id); i++)
        id = id << 8 | digest.bytes[i];
    return id != 0 ? id : 1;
}

const char *pst_daemon_fabric_directory(const char *cluster, char *text)
{
    snprintf(text, PST_FABRIC_DIRECTORY_BYTES, "/dev/shm/penstock-%u-%s", (unsigned)geteuid(),
             cluster);
    return text;
}

/* The session's node becomes one of the cluster. */
static void join(struct pst_daemon *daemon)
{
    const struct pst_daemon_job *job = daemon->job;
    const struct pst_node_job *node = &job->node;
    struct pst_node_config *config = pst_session_node(daemon->session);
    daemon->cluster = (struct pst_cluster_config){
        .name = node->cluster,
        .id = node->cluster_id,
        .expected = daemon->expected,
        .open_network = daemon->network ? network_open_fabric : NULL,
        .network = daemon->network,
        .near = daemon->network ? daemon->network->near : (struct pst_set){{0}},
        .fabric_directory = node->fabric_directory,
        .failure_ns = node->failure_ns,
        .uses_eal = job->uses_eal,
        .eal_ops = job->uses_eal || job->net_device ? net_loaded()->eal : NULL,
        .eal = &daemon->eal,
    };
    for (uint32_t id = 1; id <= PST_NODES_MAX; id++) {
        if (pst_set_has(&daemon->cluster.near, id - 1) ||
            (daemon->network && daemon->network->members[id].sin_family != 0))
            pst_set_add(&daemon->cluster.expected, id - 1);
    }
    config->node = node->node;
    config->cluster = &daemon->cluster;
}

/* All but the control socket. */
static int open_parts(const struct pst_daemon_job *job, struct pst_daemon **opened, char *message)
{
    *opened = NULL;
    struct pst_daemon *daemon = calloc(1, sizeof(*daemon));
    if (!daemon) {
        snprintf(message, PST_MESSAGE_BYTES, "out of memory");
        return -ENOMEM;
    }
    daemon->job = job;
    int error = membership_check(&job->node, &daemon->expected, message);
    if (!error && job->metrics_address)
        error = metrics_server_check(job->metrics_address, message);
    if (!error)
        error = pst_session_open(job->node.backup, &daemon->session, message);
    if (!error && (job->node.members_count > 0 || job->uses_eal))
        error = net_load(message);
    if (!error && job->node.members_count > 0)
        error = network_open(job, &daemon->network, &daemon->eal, message);
    daemon->eal.has_hugepages |= job->uses_eal;
    daemon->eal.name = daemon->eal_name;
    snprintf(daemon->eal_name, sizeof(daemon->eal_name), "%08x-%u", job->node.cluster_id,
             job->node.node);
    if (error) {
        pst_daemon_close(daemon);
        return error;
    }
    *opened = daemon;
    return 0;
}

/* By the kernel's sockets. */
static int check_way(const struct pst_daemon *daemon, char *message)
{
    const struct pst_daemon_job *job = daemon->job;
    if (!daemon->network || job->net_device)
        return 0;
    return network_check_mtu(daemon->network, job->node.node, message);
}

/* What is made when the node starts, and may not be made now. */
static int check_places(const struct pst_daemon_job *job, char *message)
{
    int error = control_listen_check(job->node.socket_path, message);
    if (!error && job->metrics_address)
        error = metrics_server_try(job->metrics_address, message);
    if (!error)
        error = pst_session_probe_directory(job->node.backup->directory, message);
    return error;
}

int pst_daemon_check(const struct pst_daemon_job *job, char *message)
{
    struct pst_daemon *daemon;
    int error = open_parts(job, &daemon, message);
    if (!error)
        error = check_places(job, message);
    if (!error)
        error = check_way(daemon, message);
    if (!error) {
        join(daemon);
        error = pst_node_check_fabric(&daemon->cluster, message);
    }
    pst_daemon_close(daemon);
    return error;
}

int pst_daemon_open(const struct pst_daemon_job *job, struct pst_daemon **opened, char *message)
{
    int error = open_parts(job, opened, message);
    if (error)
        return error;
    error = control_open(job->node.socket_path, &(*opened)->control, message);
    if (!error && job->metrics_address)
        error = metrics_server_open(job->metrics_address, job->node.socket_path,
                                    &(*opened)->metrics, message);
    if (error) {
        pst_daemon_close(*opened);
        *opened = NULL;
        return error;
    }
    if (check_way(*opened, message)) /* an interface may get another MTU at any time */
        pst_log(PST_LOG_WARNING, "%s", message);
    join(*opened);
    return 0;
}

int pst_daemon_start(struct pst_daemon *daemon)
{
    int error = pst_node_start(pst_session_node(daemon->session), &daemon->node);
    daemon->is_lost = error == -ETIMEDOUT;
    if (!error)
        pst_node_telemetry_open(pst_session_node(daemon->session), daemon->node);
    return daemon->is_lost ? -PST_E_HUNG : error;
}

uint32_t pst_daemon_ldms(const struct pst_daemon *daemon)
{
    return pst_session_ldms(daemon->session);
}

int pst_daemon_serve(struct pst_daemon *daemon)
{
    const struct pst_daemon_job *job = daemon->job;
    assert(daemon->node);
    int error = job->owns_process ? service_notify("READY=1") : 0;
    if (error)
        pst_log(PST_LOG_WARNING, "cannot notify the service manager that the node is ready: %s",
                pst_error_text(error));
    if (job->node.on_ready)
        job->node.on_ready(job->node.context);
    error = control_run(daemon->control, daemon->node, pst_session_node(daemon->session),
                        job->node.stop_fd, job->owns_process);
    pst_log(PST_LOG_INFO, "node %u stops", job->node.node);
    pst_node_telemetry_close(pst_session_node(daemon->session));
    daemon->is_lost = !pst_node_stop(daemon->node, NULL);
    daemon->node = NULL;
    return daemon->is_lost ? -PST_E_HUNG : error;
}

bool pst_daemon_close(struct pst_daemon *daemon)
{
    if (!daemon)
        return true;
    assert(!daemon->node);
    control_close(daemon->control);
    metrics_server_close(daemon->metrics);
    if (daemon->is_lost)
        return false;
    pst_session_close(daemon->session);
    network_close(daemon->network);
    free(daemon);
    return true;
}
