/*
 * A node of a cluster that stays until it is stopped: what `penstock node` and pst_node_run
 * (penstock/node.h) have in common. One thread, any.
 *
 *     pst_daemon_open; pst_daemon_start; pst_daemon_serve; pst_daemon_close
 */
#ifndef PST_ENGINE_SERVICE_DAEMON_H
#define PST_ENGINE_SERVICE_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "penstock/node.h"

#define PST_FABRIC_DIRECTORY_BYTES 128u

/* Borrowed until pst_daemon_close, with what it points to. */
struct pst_daemon_job {
    /* Whole: cluster_id and fabric_directory are set; nothing is on_ready. */
    struct pst_node_job node;
    const char *const *member_places; /* where each member was given, for messages */
    /* The process is the node's: its service manager is notified, and it ends at once where the
     * node does not stop in time (interrupt_end_within). Main thread. */
    bool owns_process;
    bool uses_eal;               /* rings in memory of DPDK's EAL */
    const char *net_device;      /* where there are members: the port that the node uses, as of
                                    net/packet/packet_ethdev.h; NULL: the kernel's UDP */
    const char *net_address;     /* with net_device: ADDRESS/PREFIX of the node */
    const char *net_gateway;     /* to members in other networks; NULL: none */
    uint32_t net_vlan;           /* tag of all frames; 0: none */
    const char *metrics_address; /* [ADDRESS:]PORT at which its metrics are served by HTTP; NULL:
                                    nowhere. Main thread */
};

struct pst_daemon;

/* The id of a cluster that is given none: by its name, never 0. Any thread. */
uint32_t pst_daemon_cluster_id(const char *cluster);

/* The fabric directory of a node that is given none: text (PST_FABRIC_DIRECTORY_BYTES), which is
 * returned. Any thread. */
const char *pst_daemon_fabric_directory(const char *cluster, char *text);

/* Opens the sources and the control socket. After an error *daemon is NULL and message
 * (PST_MESSAGE_BYTES) says why: -EINVAL: the job asks for something impossible; -EADDRINUSE:
 * another process serves the socket. */
PST_MUST_USE int pst_daemon_open(const struct pst_daemon_job *job, struct pst_daemon **daemon,
                                 char *message);

/* Whether pst_daemon_open would find all that the job names, but for the control socket, which is
 * not touched: a node that runs so goes on. Nothing stays open. */
PST_MUST_USE int pst_daemon_check(const struct pst_daemon_job *job, char *message);

/* Starts the node's threads. -PST_E_BUSY: another process backs up into the directory; -PST_E_HUNG:
 * as of pst_daemon_serve; other errors are in the log already. */
PST_MUST_USE int pst_daemon_start(struct pst_daemon *daemon);

/* LDMs that run. */
uint32_t pst_daemon_ldms(const struct pst_daemon *daemon);

/* Serves clients until stop_fd is readable, and stops the threads. 0; -EIO: the node cannot go on;
 * -PST_E_HUNG, whatever else: a thread is left behind, and the job stays borrowed for good. Once,
 * after pst_daemon_start. */
PST_MUST_USE int pst_daemon_serve(struct pst_daemon *daemon);

/* false: a thread was left behind, and the job stays borrowed for good. true for NULL. */
bool pst_daemon_close(struct pst_daemon *daemon);

#endif
