/*
 * A node inside a program: pst_node_run (penstock/node.h). Runs on the program's thread, which is
 * the node's until the call returns.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "engine/api/abi.h"
#include "engine/api/job_check.h"
#include "engine/base/log.h"
#include "engine/base/parent.h"
#include "engine/base/streams.h"
#include "engine/service/daemon.h"

struct embedded_node {
    struct pst_daemon_job job;
    struct pst_backup_job backup;
    char *paths[3]; /* absolute, wherever the program goes later; NULL: not needed */
    char fabric_directory[PST_FABRIC_DIRECTORY_BYTES];
};

/* Makes *path absolute, unless it is too long then. */
static int fix_path(const char **path, size_t bytes_max, char **own)
{
    if (!*path || !**path)
        return 0;
    *own = pst_absolute_path(*path);
    if (*own && strlen(*own) < bytes_max)
        *path = *own;
    return *own ? 0 : -errno;
}

static int fix_paths(struct embedded_node *run)
{
    struct pst_node_job *node = &run->job.node;
    size_t socket_bytes = sizeof(((struct sockaddr_un *)NULL)->sun_path);
    int error = fix_path(&run->backup.directory, PATH_MAX, &run->paths[0]);
    if (!error)
        error = fix_path(&node->fabric_directory, PATH_MAX, &run->paths[1]);
    return error ? error : fix_path(&node->socket_path, socket_bytes, &run->paths[2]);
}

/* What is of one backup alone is left out. */
static int take_backup(struct embedded_node *run, char *message)
{
    struct pst_backup_job *backup = &run->backup;
    pst_backup_job_init(backup);
    int error = pst_abi_take(backup, sizeof(*backup), run->job.node.backup,
                             offsetof(struct pst_backup_job, label));
    if (error) {
        (void)snprintf(message, PST_MESSAGE_BYTES, "pst_backup_job: %s", pst_abi_error_text(error));
        return error;
    }
    backup->struct_bytes = sizeof(*backup);
    backup->number = 0;
    backup->run.cancel_fd = -1;
    run->job.node.backup = backup;
    return fix_paths(run);
}

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
    if (!error && node->backup)
        error = take_backup(run, message);
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
    if (pst_daemon_close(daemon)) {
        for (size_t i = 0; i < sizeof(run->paths) / sizeof(run->paths[0]); i++)
            free(run->paths[i]);
        free(run);
    }
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
