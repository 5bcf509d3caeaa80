/*
 * Opens the fabric of a node: the shm fabric, whose rings may lie in memory of DPDK's EAL. node.c
 * calls prepare and release on the main thread, hub.c open on the hub's.
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

int node_fabric_open(const struct pst_node_config *config, const struct pst_fabric_hello *hello,
                     struct pst_fabric **fabric)
{
    char message[PST_MESSAGE_BYTES] = "";
    const struct pst_shm_config shm = {
        .directory = config->cluster->fabric_directory,
        .hello = *hello,
        .failure_ns = config->cluster->failure_ns,
        .memory = config->cluster->uses_eal ? PST_SHM_EAL : PST_SHM_HUGE_IF_FREE,
    };
    int error = pst_shm_fabric_open(&shm, fabric, message, sizeof(message));
    if (error)
        pst_log(PST_LOG_ERROR, "cluster %s: cannot be joined: %s", config->cluster->name, message);
    return error;
}
