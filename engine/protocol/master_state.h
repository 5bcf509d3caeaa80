/*
 * What a master remembers, its states, and what each state means. Private to the master's files but
 * for the struct, which its owner has memory for and may read.
 */
#ifndef PST_ENGINE_PROTOCOL_MASTER_STATE_H
#define PST_ENGINE_PROTOCOL_MASTER_STATE_H

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
        PST_MASTER_STATES
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
    bool client_confirmed; /* BACKUP_CONF was sent: the end is reported by a REP, not by a REF */

    struct pst_set participants; /* of the nodes, those that take part and live */
    struct pst_sender *sender;   /* of this state, in senders; NULL: nothing is asked */
    uint64_t deadline_ns;        /* of this state */
    int error;                   /* why it aborts, negative; 0: it does not */
    pst_ref where;               /* where that happened */

    uint64_t start_gci;
    struct pst_sums sums;       /* of the prepared nodes */
    struct pst_commit manifest; /* the cluster manifest */
    uint32_t warnings;          /* nodes that did not store their copy of it */
    uint32_t logged;            /* warnings in the logs of the prepared nodes */
    uint32_t left_frozen;       /* sources of theirs that say so */
    struct pst_backup_progress node_progress[PST_NODES_MAX];

    uint64_t completed; /* backups, since init */
    uint64_t aborted;
    struct pst_senders senders;
};

const char *pst_master_state_name(enum pst_master_state state);

/* Those who are asked in a state. */
enum master_asks {
    MASTER_ASKS_NOBODY = 1,
    MASTER_ASKS_ARCHIVE, /* of its own node */
    MASTER_ASKS_NODES,   /* all participants */
};

/* What a REF, a deadline, an abort or the death of a participant does in a state. */
enum master_on_trouble {
    MASTER_GOES_ON = 1, /* nothing: what is left to do is done */
    MASTER_ENDS,        /* no node knows of the backup yet: the client is refused */
    MASTER_ABORTS,      /* the nodes are ordered to abort */
    MASTER_DECIDES,     /* only the archive's REF aborts; there is no deadline */
};

/* Whether something is known or done in a state that comes about at one point of a backup. */
enum master_fact {
    MASTER_NOT_YET = 1,
    MASTER_DONE,
    MASTER_EITHER,
};

/* One row of the state table. */
struct master_rule {
    uint16_t gsn;               /* the REQ that is out; 0: none, or that of the state before */
    enum pst_master_state next; /* after the last answer */
    enum master_asks asks;
    enum master_on_trouble on_trouble;
    bool by_progress;           /* judged by progress, not by time alone */
    enum master_fact confirmed; /* BACKUP_CONF */
    enum master_fact cut;       /* the start GCI */
};

extern const struct master_rule master_rules[PST_MASTER_STATES];

static inline const struct master_rule *master_rule_of(const struct pst_master *master)
{
    return &master_rules[master->state];
}

/* Whether an abort, a deadline or a death ends the backup: it is not too late. */
static inline bool master_may_abort(const struct pst_master *master)
{
    enum master_on_trouble on_trouble = master_rule_of(master)->on_trouble;
    return on_trouble == MASTER_ENDS || on_trouble == MASTER_ABORTS;
}

/* Asserts what must hold between two steps. */
void master_check(const struct pst_master *master);

#endif
