/*
 * The control server's state and its parts, private to engine/service/. A part calls only those
 * above it here; control.c is on top of all. One thread, which the functions check.
 */
#ifndef PST_ENGINE_SERVICE_CONTROL_PARTS_H
#define PST_ENGINE_SERVICE_CONTROL_PARTS_H

#include <jansson.h>

#include "engine/base/check.h"
#include "engine/node/client.h"
#include "engine/service/control_socket.h"

#define CONTROL_JOBS_MAX 16u

/* All jobs and the decision by hand may have clients that wait, and one more can always ask for the
 * status or an abort: of the clients that wait for nothing the oldest makes room. */
#define CONTROL_CLIENTS_MAX (CONTROL_JOBS_MAX + 2u)

/* How long a client may be connected without a request. */
#define CONTROL_IDLE_NS UINT64_C(10000000000)

/* How long nobody is let in after the process had no descriptor left for a client. */
#define CONTROL_DEAF_NS UINT64_C(100000000)

struct control_client {
    int fd;      /* -1: free */
    uint64_t id; /* never given twice; 0: free */
    bool has_asked;
    bool follows;            /* is told what happens; owed nothing: it makes room like others */
    uint64_t quiet_since_ns; /* its last request, or when it was let in; CLOCK_MONOTONIC */
};

/* A backup that a client asked for. It goes on when its client has gone. */
struct control_job {
    struct pst_client_request request;
    uint64_t backup; /* 0: free */
    uint64_t client; /* id */
    bool is_confirmed;
    bool verifies;          /* each node has confirmed that it reads its files back */
    struct pst_set missing; /* of the nodes that belong to the cluster, in this backup; by id - 1 */
    uint64_t began_ns;
    struct pst_backup_progress progress;
};

struct control_last {
    uint32_t number; /* 0: there was none yet */
    uint32_t error;  /* 0: complete */
    uint8_t uid[16];
    struct pst_set missing; /* as of the job */
    uint64_t ended_unix_ns;
    uint64_t elapsed_ns;
    struct pst_sums sums;
};

/* A decision by hand that the node carries out: one at a time. */
struct control_resolving {
    bool is_waiting;
    uint64_t client; /* id */
    bool commits;
    uint32_t number;
    uint8_t uid[16];
};

/* What those who follow have been told. */
struct control_seen {
    uint64_t due_ns; /* of the next look */
    struct pst_set live;
    struct pst_set kept_out;
    const char *phase; /* of the backup that runs; NULL: none does */
    uint32_t number;
    uint64_t progress_due_ns;
    uint64_t ends; /* of backups */
    uint32_t stalls;
    uint32_t in_doubt;
    bool is_hung;
};

struct control {
    struct pst_thread_owner owner; /* bound while it serves */
    char *path;
    struct control_listener listener;
    struct pst_node *node;
    const struct pst_node_config *config;
    struct control_client clients[CONTROL_CLIENTS_MAX];
    char packet[PST_CONTROL_BYTES_MAX]; /* the one that is being read */
    uint64_t last_client;               /* the highest id given so far */
    uint64_t deaf_until_ns;             /* until then nobody is let in */
    struct control_job jobs[CONTROL_JOBS_MAX];
    struct control_last last;
    struct control_resolving resolving;
    struct pst_client_texts texts;
    struct control_seen seen;
    uint64_t started_unix_ns;                          /* when it began to serve */
    bool is_stopping;                                  /* no backup may begin any more */
    uint64_t ending;                                   /* the backup that was aborted to stop */
    struct pst_set live;                               /* by id - 1; this node always */
    struct pst_node_change changes[PST_NODES_MAX + 1]; /* by id: the last one reported */
};

/* The lowest live node. */
static inline uint32_t control_master(const struct control *control)
{
    uint32_t node = 1;
    while (!pst_set_has(&control->live, node - 1))
        node++;
    return node;
}

/* control_check.c. What must hold between two turns of the server, asserted. */
void control_check(const struct control *control);

/* control_clients.c. Lets a client in that waits at the listening socket; if all slots are taken,
 * in place of the one that has been waiting for nothing the longest. */
void control_accept(struct control *control);

/* Whether clients may be let in now; without descriptors it pauses. */
bool control_may_accept(const struct control *control);

/* Hangs up on clients that have connected and asked for nothing for too long. Returns in how many
 * ms to call again, at most limit_ms (-1: without limit). */
int control_expire(struct control *control, int limit_ms);

/* Sends to the client with this id, if it is still there, and takes the reference. A client that
 * cannot take the message is hung up on, or with may_drop misses it. */
void control_send(struct control *control, uint64_t client, json_t *message, bool may_drop);

/* Sets the ids of the missing nodes, where there are any: as pst_json_set. */
void control_add_missing(json_t **object, const struct pst_set *missing);
void control_refuse(struct control *control, uint64_t client, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Likewise, of work that may or may not have been done. */
void control_refuse_unknown(struct control *control, uint64_t client, int error, const char *format,
                            ...) __attribute__((format(printf, 4, 5)));

/* Tells a client that follows. One that cannot take it is hung up on, with a last word. */
void control_push(struct control *control, struct control_client *client, const json_t *message);

/* From now on the client is told what happens, and this first. */
void control_begin_following(struct control *control, uint64_t client);

/* The next request of a slot of control->clients, the caller's reference; NULL: there is none, or
 * it was refused, or the client has hung up. */
json_t *control_next_request(struct control *control, uint32_t slot);

void control_hang_up_all(struct control *control);

/* control_pace.c. The node's pace; and sets it as a client asks. */
json_t *control_pace_json(const struct pst_pace_status *pace);
void control_set_pace(struct control *control, uint64_t client, const json_t *request);

/* control_status.c. Answers a request for the status. The JSON of any fits a packet. */
void control_status(struct control *control, uint64_t client);
json_t *control_status_json(const struct control *control, const struct pst_node_status *status);
json_t *control_running_json(const struct pst_node_status *status, uint32_t node);
json_t *control_last_backup_json(const struct control *control, const struct pst_last_backup *last);
json_t *control_stalls_json(const struct pst_node_status *status);

/* control_progress.c. Logs how far the node is in the backup that it takes part in. */
void control_log_progress(const struct control *control);

/* control_events.c. Has the client follow. */
void control_follow(struct control *control, uint64_t client);

/* Tells those who follow what has changed, if it is time to look. Returns in how many ms to call
 * again, at most limit_ms (-1: without limit). */
int control_tell_followers(struct control *control, int limit_ms);

/* Likewise, of this status, whatever the time. */
void control_look(struct control *control, const struct pst_node_status *status);

/* What the freeze of a source did could not be undone. */
void control_tell_left_frozen(struct control *control, uint32_t node, const char *source);

/* The node stops. */
void control_tell_stop(struct control *control);

/* control_resolve.c. Asks the node for a decision, and answers the client when it is made. */
void control_resolve(struct control *control, uint64_t client, const json_t *request);
void control_on_resolved(struct control *control, const struct pst_signal *signal);

/* control_job.c. Asks the master for a backup, or for its abort. */
void control_begin(struct control *control, uint64_t client, const json_t *request);
void control_abort(struct control *control, uint64_t client, const json_t *request);

/* Has the backup aborted that this node takes part in, once. Returns whether there is one: its end
 * comes later, after the cleanup. */
bool control_end_backup(struct control *control);

/* The master's answers and reports about the jobs. */
void control_on_job_signal(struct control *control, const struct pst_signal *signal);
void control_on_node_change(struct control *control, const struct pst_signal *signal);

#endif
