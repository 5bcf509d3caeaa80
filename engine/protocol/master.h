/*
 * Master: coordinates a backup over all nodes. Runs in LDM 1 of the master node; masterRef is that
 * BACKUP instance.
 *
 * Multithreaded nodes are addressed by their proxy, single-threaded ones by their LDM 1; one backup
 * may have both. The outcome is two-phase: once every node is prepared, the cluster manifest is
 * written durably (ARCHIVE_DECIDE_REQ). That write is the decision: whatever comes before it may
 * abort, nothing after it does.
 */
#ifndef PST_ENGINE_PROTOCOL_MASTER_H
#define PST_ENGINE_PROTOCOL_MASTER_H

#include "engine/protocol/sender.h"

/* X(name, meaning) */
#define PST_MASTER_STATE_LIST(X)                                                                   \
    X(IDLE, "no backup")                                                                           \
    X(NUMBERING, "the archive looks for a free number")                                            \
    X(DEFINING, "DEFINE_BACKUP_REQ is out")                                                        \
    X(STARTING, "START_BACKUP_REQ is out")                                                         \
    X(FREEZING, "GCP_PREPARE_REQ is out")                                                          \
    X(CUTTING, "GCP_COMMIT_REQ is out")                                                            \
    X(SCANNING, "BACKUP_FRAGMENT_REQ is out")                                                      \
    X(STOPPING, "STOP_BACKUP_REQ is out")                                                          \
    X(DECIDING, "the cluster manifest is being written: too late to abort")                        \
    X(COMMITTING, "COMMIT_BACKUP_REQ is out")                                                      \
    X(ABORTING, "ABORT_BACKUP_ORD is out; answers to the last REQ are awaited")                    \
    X(CLEANING, "CLEANUP_BACKUP_REQ is out")

enum pst_master_state {
#define X(name, meaning) PST_MASTER_##name,
    PST_MASTER_STATE_LIST(X)
#undef X
};

/* How often a number of the master's own choice is tried that another node refuses. */
#define PST_MASTER_NUMBERS_MAX 3u

struct pst_master {
    pst_ref self_ref;
    struct pst_timeouts timeouts;
    struct pst_set nodes;         /* live nodes, by id - 1 */
    struct pst_set multithreaded; /* of them, those with a proxy for several LDMs */

    uint64_t now_ns; /* of the event being served */
    enum pst_master_state state;
    uint64_t backup;
    struct pst_backup_req request; /* number: the one in use, once known */
    pst_ref client_ref;
    uint32_t client_sequence;
    uint32_t highest_number; /* that a node has which refused the one in use */
    uint32_t numbers_tried;
    bool number_is_free;   /* the client left it to the master */
    bool client_confirmed; /* BACKUP_CONF was sent: an end is told as a REP, not as a REF */

    struct pst_set participants; /* of the nodes, those that take part and live */
    struct pst_sender *sender;   /* of this state */
    uint64_t deadline_ns;
    uint32_t error; /* why it aborts; 0: it does not */
    pst_ref where;

    uint64_t start_gci;
    struct pst_sums sums;       /* of the prepared nodes */
    struct pst_commit manifest; /* the cluster manifest */
    uint32_t warnings;          /* nodes that did not store their copy of it */
    struct pst_backup_progress node_progress[PST_NODES_MAX];

    uint64_t completed; /* backups, since init */
    uint64_t aborted;
    struct pst_senders senders;
};

void pst_master_init(struct pst_master *master, pst_ref self_ref, const struct pst_set *nodes,
                     const struct pst_set *multithreaded, const struct pst_timeouts *timeouts);

void pst_master_step(struct pst_master *master, const struct pst_event *event,
                     struct pst_actions *actions);

uint64_t pst_master_deadline_ns(const struct pst_master *master);

const char *pst_master_state_name(enum pst_master_state state);

/* One row of the state table: the REQ that is out in a state, and the state after its last CONF. */
struct pst_master_transition {
    enum pst_master_state state;
    uint16_t gsn;
    enum pst_master_state next;
};

extern const struct pst_master_transition pst_master_transitions[];
extern const uint32_t pst_master_transitions_count;

#endif
