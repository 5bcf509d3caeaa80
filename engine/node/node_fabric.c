/*
 * Opens the fabric of a node: the one between hosts that it was given, or the shm fabric, or one
 * that is both; and before that DPDK's EAL, where one of them needs it. node.c calls prepare and
 * release on the main thread, hub.c open on the hub's.
 */
#include "engine/node/node_fabric.h"

#include <stdio.h>

#include "engine/base/log.h"
#include "net/eal.h"
#include "net/mixed_fabric.h"
#include "net/shm/shm_fabric.h"

static const struct pst_eal_ops *eal_of(const struct pst_node_config *config)
{
    return config->cluster ? config->cluster->eal_ops : NULL;
}

int node_fabric_prepare(const struct pst_node_config *config)
{
    const struct pst_eal_ops *eal = eal_of(config);
    char message[PST_MESSAGE_BYTES] = "";
    int error = eal ? eal->open(config->cluster->eal, message, sizeof(message)) : 0;
    if (error)
        pst_log(PST_LOG_ERROR, "%s", message);
    return error;
}

void node_fabric_release(const struct pst_node_config *config)
{
    if (eal_of(config))
        eal_of(config)->close();
}

static int open_shm(const struct pst_cluster_config *cluster, const struct pst_fabric_hello *hello,
                    struct pst_fabric **fabric, char *message)
{
    const struct pst_shm_config shm = {
        .directory = cluster->fabric_directory,
        .hello = *hello,
        .failure_ns = cluster->failure_ns,
        .memory = cluster->uses_eal ? PST_SHM_EAL : PST_SHM_HUGE_IF_FREE,
        .eal = cluster->eal_ops,
    };
    return pst_shm_fabric_open(&shm, fabric, message, PST_MESSAGE_BYTES);
}

static int open_both(const struct pst_cluster_config *cluster, const struct pst_fabric_hello *hello,
                     struct pst_fabric **fabric, char *message)
{
    struct pst_fabric *near, *far;
    int error = open_shm(cluster, hello, &near, message);
    if (error)
        return error;
    error = cluster->open_network(cluster, hello, &far, message);
    if (error) {
        pst_fabric_close(near);
        return error;
    }
    error = pst_mixed_fabric_open(near, &cluster->near, far, fabric);
    if (error)
        snprintf(message, PST_MESSAGE_BYTES, "%s", pst_error_text(error));
    else
        pst_log(PST_LOG_INFO, "cluster %s: %u of the other nodes on this host, found in %s",
                cluster->name, pst_set_count(&cluster->near), cluster->fabric_directory);
    return error;
}

static int open_any(const struct pst_cluster_config *cluster, const struct pst_fabric_hello *hello,
                    struct pst_fabric **fabric, char *message)
{
    if (!cluster->open_network)
        return open_shm(cluster, hello, fabric, message);
    return pst_set_is_empty(&cluster->near) ? cluster->open_network(cluster, hello, fabric, message)
                                            : open_both(cluster, hello, fabric, message);
}

int pst_node_check_fabric(const struct pst_cluster_config *cluster, char *message)
{
    if (cluster->open_network && pst_set_is_empty(&cluster->near))
        return 0;
    return pst_shm_fabric_check(cluster->fabric_directory, message, PST_MESSAGE_BYTES);
}

int node_fabric_open(const struct pst_node_config *config, const struct pst_fabric_hello *hello,
                     struct pst_fabric **fabric)
{
    const struct pst_cluster_config *cluster = config->cluster;
    char message[PST_MESSAGE_BYTES] = "";
    int error = open_any(cluster, hello, fabric, message);
    if (error)
        pst_log(PST_LOG_ERROR, "cluster %s: cannot be joined: %s", cluster->name, message);
    return error;
}
