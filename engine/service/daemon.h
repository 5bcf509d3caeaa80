/*
 * A node of a cluster that stays until it is interrupted: `penstock node` as a job. Main thread
 * only.
 *
 *     pst_daemon_open; pst_daemon_start; pst_daemon_serve; pst_daemon_close
 */
#ifndef PST_ENGINE_SERVICE_DAEMON_H
#define PST_ENGINE_SERVICE_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "penstock/run.h"

/* Borrowed until pst_daemon_close, with what it points to. */
struct pst_daemon_job {
    const struct pst_backup_job *backup; /* its sources, directory, placement and limits */
    const char *socket_path;             /* of the control socket, which is made */
    uint32_t node;                       /* id, 1…PST_NODES_MAX */
    const char *cluster;                 /* its name, the same on all nodes */
    uint32_t cluster_id;                 /* likewise; not 0 */
    bool expected[PST_NODES_MAX + 1];    /* by id: nodes without which no backup is made, unless the
                                            request allows it */
    const char *const *members; /* of a cluster that spans hosts: ID[=ADDRESS[:PORT]], any number
                                   in each with commas between. They are expected, too */
    const char *const *member_places; /* where each was given, for messages */
    uint32_t members_count;           /* 0: all nodes are on this host */
    const char *key_path;             /* of the cluster's key; where there are members */
    uint32_t mtu_bytes;               /* of the network between them */
    const char *fabric_directory;     /* in which the nodes of this host find each other */
    uint64_t failure_ns;              /* how long another node may be silent */
    bool uses_eal;                    /* rings in memory of DPDK's EAL */
    const char *net_device;           /* where there are members: the port that the node uses, as of
                                         net/packet/packet_ethdev.h; NULL: the kernel's UDP */
    const char *net_address;          /* with net_device: ADDRESS/PREFIX of the node */
    const char *net_gateway;          /* to members in other networks; NULL: none */
    uint32_t net_vlan;                /* tag of all frames; 0: none */
    const char *metrics_address;      /* [ADDRESS:]PORT at which its metrics are served by HTTP;
                                         NULL: nowhere */
};

struct pst_daemon;

/* The id of a cluster that is given none: by its name, never 0. Any thread. */
uint32_t pst_daemon_cluster_id(const char *cluster);

/* Opens the sources and the control socket. After an error *daemon is NULL and message
 * (PST_MESSAGE_BYTES) says why: -EINVAL: the job asks for something impossible; -EADDRINUSE:
 * another process serves the socket. */
PST_MUST_USE int pst_daemon_open(const struct pst_daemon_job *job, struct pst_daemon **daemon,
                                 char *message);

/* Whether pst_daemon_open would find all that the job names, but for the control socket, which is
 * not touched: a node that runs so goes on. Nothing stays open. */
PST_MUST_USE int pst_daemon_check(const struct pst_daemon_job *job, char *message);

/* Starts the node's threads. -PST_E_BUSY: another process backs up into the directory; other errors
 * are in the log already. */
PST_MUST_USE int pst_daemon_start(struct pst_daemon *daemon);

/* LDMs that run. */
uint32_t pst_daemon_ldms(const struct pst_daemon *daemon);

/* Notifies the service manager, serves clients until the interrupt, and stops the threads. 0, or
 * -EIO: the node cannot go on. Once, after pst_daemon_start. */
PST_MUST_USE int pst_daemon_serve(struct pst_daemon *daemon);

/* Nothing for NULL. */
void pst_daemon_close(struct pst_daemon *daemon);

#endif
