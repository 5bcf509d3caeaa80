/*
 * Opens the fabric of a node: the one between hosts that it was given, or else the shm fabric,
 * whose rings may lie in memory of DPDK's EAL. node.c calls prepare and release on the main thread,
 * hub.c open on the hub's.
 */
#include "engine/node/node_fabric.h"

#include <stdio.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "net/shm/shm_eal.h"
#include "net/shm/shm_fabric.h"

static bool uses_eal(const struct pst_node_config *config)
{
    return config->cluster && config->cluster->uses_eal;
}

int node_fabric_prepare(const struct pst_node_config *config)
{
    char name[48], message[PST_MESSAGE_BYTES] = "";
    if (!uses_eal(config))
        return 0;
    snprintf(name, sizeof(name), "penstock-%ld", (long)getpid());
    int error = pst_eal_open(name, message, sizeof(message));
    if (error)
        pst_log(PST_LOG_ERROR, "%s", message);
    return error;
}

void node_fabric_release(const struct pst_node_config *config)
{
    if (uses_eal(config))
        pst_eal_close();
}

static int open_shm(const struct pst_cluster_config *cluster, const struct pst_fabric_hello *hello,
                    struct pst_fabric **fabric, char *message)
{
    const struct pst_shm_config shm = {
        .directory = cluster->fabric_directory,
        .hello = *hello,
        .failure_ns = cluster->failure_ns,
        .memory = cluster->uses_eal ? PST_SHM_EAL : PST_SHM_HUGE_IF_FREE,
    };
    return pst_shm_fabric_open(&shm, fabric, message, PST_MESSAGE_BYTES);
}

int node_fabric_open(const struct pst_node_config *config, const struct pst_fabric_hello *hello,
                     struct pst_fabric **fabric)
{
    const struct pst_cluster_config *cluster = config->cluster;
    char message[PST_MESSAGE_BYTES] = "";
    int error = cluster->open_network ? cluster->open_network(cluster, hello, fabric, message)
                                      : open_shm(cluster, hello, fabric, message);
    if (error)
        pst_log(PST_LOG_ERROR, "cluster %s: cannot be joined: %s", cluster->name, message);
    return error;
}
