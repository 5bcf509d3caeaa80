/*
 * A node of a cluster inside a program: what `penstock node` runs, with sources of the program's
 * own. Each backup of the cluster then has its data as of the same instant as all other nodes'.
 *
 *     pst_node_run blocks ── on_ready ── … ── stop_fd is readable ── running backup ended ──
 * returns
 *
 * A program gives it a thread, which serves the control socket; the threads that it starts are as
 * in penstock/run.h, and so is what it leaves alone in the process. Several nodes may run in one
 * process, of the same cluster too, each with a directory, a socket and sources of its own.
 * Fabrics and control sockets lock files by flock(2), never by fcntl(2). Clients are `penstock
 * backup`, `status`, `abort`, `events` … `--node SOCKET`, or whoever writes to the socket
 * (docs/embedding.md).
 *
 * The program need not use the main thread. While a node runs, no sources of it are given to
 * another job, and pst_log_set_hook is not called.
 */
#ifndef PENSTOCK_NODE_H
#define PENSTOCK_NODE_H

#include <stdint.h>
#include <string.h>

#include "penstock/error.h"
#include "penstock/limits.h"
#include "penstock/run.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PST_NODE_ID_MAX 255u
#define PST_NODE_FAILURE_NS_DEFAULT UINT64_C(450000000)
#define PST_NODE_MTU_BYTES_DEFAULT 1500u

/* Texts are as those of the options of `penstock node`, which messages name. All is borrowed for
 * the call. */
struct pst_node_job {
    uint32_t struct_bytes;
    uint32_t node;           /* its id, 1 … PST_NODE_ID_MAX; of those that live, the lowest one
                                coordinates the backups */
    const char *cluster;     /* its name, the same on all nodes: letters, digits, '_' and '-' */
    uint32_t cluster_id;     /* likewise; 0: by the name */
    int stop_fd;             /* readable: stop in order; an eventfd, a signalfd …; never read. -1:
                                the node runs until it cannot go on */
    const char *socket_path; /* of the control socket, which is made: for the user of the process,
                                and root */
    /* Sources, directory, threads, limits: of every backup. What is of one backup alone (number,
     * single_threaded, verify, run.cancel_fd, run.on_status) is not looked at: who asks for a
     * backup says it. */
    const struct pst_backup_job *backup;
    const char *nodes;            /* --nodes: "1-3,7": without these no backup is made, unless who
                                     asks for it allows that; NULL: none */
    const char *fabric_directory; /* in which the nodes of a host find each other; NULL: that of the
                                     user and the cluster's name in /dev/shm */
    uint64_t failure_ns;          /* another node may be silent so long; the same on all nodes */
    /* --member "ID[=ADDRESS[:PORT]]", of a cluster that spans hosts, instead of nodes; count 0: all
     * are on this host. The module of the network is loaded (libdir/penstock/net.so, beside the
     * shared library; of a static one, where penstock itself would look for it). */
    const char *const *members;
    uint32_t members_count;
    uint32_t mtu_bytes;
    const char *cluster_key; /* file of the key, with members */
    /* The node serves its socket. On the caller's thread, once. May be NULL. */
    void (*on_ready)(void *context);
    void *context;
};

static inline void pst_node_job_init(struct pst_node_job *job)
{
    memset(job, 0, sizeof(*job));
    job->struct_bytes = (uint32_t)sizeof(*job);
    job->stop_fd = -1;
    job->failure_ns = PST_NODE_FAILURE_NS_DEFAULT;
    job->mtu_bytes = PST_NODE_MTU_BYTES_DEFAULT;
}

struct pst_node_outcome {
    uint32_t struct_bytes;
    uint32_t reserved;
    char message[PST_MESSAGE_BYTES]; /* after an error */
};

static inline void pst_node_outcome_init(struct pst_node_outcome *outcome)
{
    memset(outcome, 0, sizeof(*outcome));
    outcome->struct_bytes = (uint32_t)sizeof(*outcome);
}

/* 0: it was stopped by stop_fd; a backup that ran was aborted everywhere first, within 13 s, and
 * the sources are idle and the caller's again. Else:
 *   -EINVAL        what is asked for is impossible
 *   -EADDRINUSE    another node serves the socket
 *   -EEXIST        a node of this id runs in the cluster already
 *   -PST_E_BUSY    another process, or another node of this one, writes into the directory
 *   -EIO           it ran, and could not go on
 *   -PST_E_HUNG    a source or a disk hangs. A thread is left behind; what *job points to must stay
 *                  for good
 * or what kept it from starting. */
PST_MUST_USE int pst_node_run(const struct pst_node_job *job, struct pst_node_outcome *outcome);

#ifdef __cplusplus
}
#endif

#endif
