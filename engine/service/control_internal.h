/*
 * Private to the control socket's server: control.c has the sockets, control_job.c the backups,
 * control_resolve.c decisions by hand, control_status.c the answer to status.
 */
#ifndef PST_ENGINE_SERVICE_CONTROL_INTERNAL_H
#define PST_ENGINE_SERVICE_CONTROL_INTERNAL_H

#include <jansson.h>

#include "engine/node/client.h"
#include "engine/service/control.h"

struct control_client {
    int fd; /* -1: free */
};

/* A backup that a client asked for. It goes on when its client has gone. */
struct control_job {
    struct pst_client_request request;
    uint64_t backup; /* 0: free */
    uint32_t client; /* index; PST_CONTROL_CLIENTS_MAX: gone */
    bool is_confirmed;
    uint64_t began_ns;
    struct pst_backup_progress progress;
};

struct control_last {
    uint32_t number; /* 0: there was none yet */
    uint32_t error;  /* 0: complete */
    uint8_t uid[16];
    uint64_t ended_unix_ns;
    uint64_t elapsed_ns;
    struct pst_sums sums;
};

/* A decision by hand that the node makes so: one at a time. */
struct control_resolving {
    bool is_waiting;
    uint32_t client; /* index; PST_CONTROL_CLIENTS_MAX: gone */
    bool commits;
    uint32_t number;
    uint8_t uid[16];
};

struct pst_control {
    char *path;
    int listen_fd;
    struct pst_node *node;
    const struct pst_node_config *config;
    struct control_client clients[PST_CONTROL_CLIENTS_MAX];
    struct control_job jobs[PST_CONTROL_CLIENTS_MAX];
    struct control_last last;
    struct control_resolving resolving;
    uint64_t ending;                                   /* the backup that was aborted to stop */
    struct pst_set live;                               /* by id - 1 */
    struct pst_node_change changes[PST_NODES_MAX + 1]; /* by id: the last that was told */
};

/* control.c. Takes the reference; a client that cannot take it is hung up on, or with may_drop
 * misses it. */
void control_tell(struct pst_control *control, uint32_t client, json_t *message, bool may_drop);
void control_refuse(struct pst_control *control, uint32_t client, int error, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

uint32_t control_master(const struct pst_control *control);

/* control_job.c */
void control_begin(struct pst_control *control, uint32_t client, const json_t *request);
void control_abort(struct pst_control *control, uint32_t client, const json_t *request);

/* Has the backup aborted that this node is in, once. Whether there is one: until there is none, its
 * end, cleanup included, has not come. */
bool control_end_backup(struct pst_control *control);
void control_on_signal(struct pst_control *control, const struct pst_signal *signal);
void control_forget_client(struct pst_control *control, uint32_t client);

/* control_resolve.c */
void control_resolve(struct pst_control *control, uint32_t client, const json_t *request);
void control_resolved(struct pst_control *control, const struct pst_signal *signal);

/* control_status.c */
void control_status(struct pst_control *control, uint32_t client);

#endif
