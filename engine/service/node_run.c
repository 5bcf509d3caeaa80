/*
 * A node inside a program: pst_node_run (penstock/node.h). Runs on the program's thread, which is
 * the node's until the call returns.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/api/abi.h"
#include "engine/api/job_check.h"
#include "engine/base/log.h"
#include "engine/base/streams.h"
#include "engine/service/daemon.h"

struct embedded_node {
    struct pst_daemon_job job;
    char fabric_directory[PST_FABRIC_DIRECTORY_BYTES];
};

static int take_job(const struct pst_node_job *given, struct embedded_node *run, char *message)
{
    struct pst_node_job *node = &run->job.node;
    pst_node_job_init(node);
    int error = pst_abi_take(node, sizeof(*node), given, sizeof(*node));
    if (error) {
        (void)snprintf(message, PST_MESSAGE_BYTES, "pst_node_job: %s", pst_abi_error_text(error));
        return error;
    }
    error = pst_job_check_list("members", node->members, node->members_count, message);
    if (!error)
        error = pst_job_check_name("socket_path", node->socket_path, message);
    if (!error)
        error = pst_job_check_name("fabric_directory", node->fabric_directory, message);
    if (!error)
        error = pst_job_check_name("cluster_key", node->cluster_key, message);
    if (!error)
        error = pst_job_check_fd("stop_fd", node->stop_fd, message);
    if (!error)
        error = pst_job_check_sealing(node->backup, message);
    if (error)
        return error;
    if (node->cluster && node->cluster_id == 0)
        node->cluster_id = pst_daemon_cluster_id(node->cluster);
    if (node->cluster && !node->fabric_directory)
        node->fabric_directory = pst_daemon_fabric_directory(node->cluster, run->fabric_directory);
    return 0;
}

static int start_and_serve(struct pst_daemon *daemon, const struct pst_node_job *job, char *message)
{
    int error = pst_daemon_start(daemon);
    if (error) {
        (void)snprintf(message, PST_MESSAGE_BYTES,
                       "node %u cannot start: %s; the log says what failed", job->node,
                       pst_error_text(error));
        return error;
    }
    pst_log(PST_LOG_INFO, "node %u of cluster %s is up: socket %s; backups to %s", job->node,
            job->cluster, job->socket_path, job->backup->directory);
    error = pst_daemon_serve(daemon);
    if (error)
        (void)snprintf(message, PST_MESSAGE_BYTES, "node %u %s: %s", job->node,
                       error == -PST_E_HUNG ? "was stopped" : "cannot go on",
                       pst_error_text(error));
    return error;
}

/* What a thread that is left behind may still use is left to it. */
static int run_node(const struct pst_node_job *given, char *message)
{
    struct embedded_node *run = calloc(1, sizeof(*run));
    struct pst_daemon *daemon = NULL;
    if (!run)
        return -ENOMEM;
    int error = take_job(given, run, message);
    if (!error)
        error = pst_streams_occupy(message);
    if (!error)
        error = pst_daemon_open(&run->job, &daemon, message);
    if (!error)
        error = start_and_serve(daemon, &run->job.node, message);
    if (pst_daemon_close(daemon))
        free(run);
    return error;
}

int pst_node_run(const struct pst_node_job *job, struct pst_node_outcome *given)
{
    struct pst_node_outcome outcome = {0};
    int error = pst_abi_check(given, sizeof(outcome));
    if (error)
        return error;
    error = pst_abi_explain(run_node(job, outcome.message), outcome.message);
    pst_abi_give(given, &outcome, sizeof(outcome));
    return error;
}
