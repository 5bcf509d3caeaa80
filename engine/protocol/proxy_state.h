/*
 * What a BackupProxy remembers, its states, and what each state means for orders and troubles.
 * Private to the proxy's files but for the struct, which its owner has memory for and may read.
 */
#ifndef PST_ENGINE_PROTOCOL_PROXY_STATE_H
#define PST_ENGINE_PROTOCOL_PROXY_STATE_H

#include "engine/protocol/dealer.h"
#include "engine/protocol/sender.h"

/* X(name, meaning) */
#define PST_PROXY_STATE_LIST(X)                                                                    \
    X(IDLE, "no backup")                                                                           \
    X(DEFINING, "archive and LDMs prepare")                                                        \
    X(DEFINED, "part files are open")                                                              \
    X(STARTING, "LDMs start to capture changes")                                                   \
    X(STARTED, "changes are captured")                                                             \
    X(FREEZING, "sources are being frozen, in name order")                                         \
    X(FROZEN, "no writer of this node is in the middle of a write")                                \
    X(CUTTING, "each source takes its snapshot and lets its writers go on")                        \
    X(CUT, "the snapshots exist")                                                                  \
    X(SCANNING, "fragments are listed and dealt")                                                  \
    X(SCANNED, "all is scanned, the snapshots are released")                                       \
    X(STOPPING, "LDMs close their parts, then the node manifest is written")                       \
    X(PREPARED, "everything durable; the master decides")                                          \
    X(COMMITTING, "the decision is being stored")                                                  \
    X(ABORTED, "stopped; waits for the order to clean up")                                         \
    X(CLEANING, "files of this backup are being removed")

enum pst_proxy_state {
#define X(name, meaning) PST_PROXY_##name,
    PST_PROXY_STATE_LIST(X)
#undef X
        PST_PROXY_STATES
};

struct pst_proxy {
    pst_ref self_ref; /* LDMs, sources and archive answer this one */
    pst_ref face_ref; /* the master knows this one */
    uint32_t ldms;
    uint32_t sources;
    struct pst_timeouts timeouts;

    uint64_t now_ns; /* of the event being served */
    enum pst_proxy_state state;
    uint64_t backup;
    pst_ref master_ref;

    struct pst_signal request; /* the order in service; gsn 0: none. sender_ref is senderRef */
    uint32_t step;             /* of its script */
    uint32_t turn;             /* the source whose turn it is, where they take turns */
    struct pst_sender *sender; /* of this step, in senders; NULL between steps */
    uint64_t deadline_ns;      /* of the order in service */
    uint32_t tries;            /* of the order in service, 1…PST_FREEZE_TRIES_MAX */
    uint64_t try_began_ns;
    uint64_t resume_ns; /* until then the writers go on; PST_DEADLINE_NONE: there is no pause */
    int error;          /* the first, negative; 0: none */
    pst_ref where;      /* where it happened */

    uint64_t gci_max;
    uint32_t highest_number; /* of this node, where the archive refused a DEFINE for its number */
    struct pst_sums sums;    /* of the closed parts, and of what the listing could not read */
    uint64_t file_bytes;     /* of the node manifest, as is the digest */
    uint32_t warnings;       /* that the node logged until then */
    uint32_t left_frozen;    /* sources that say so */
    uint8_t digest[16];

    struct pst_sums progress; /* the sum of ldm_progress */
    struct pst_sums ldm_progress[PST_LDMS_MAX];
    bool progress_is_new;
    uint64_t progress_due_ns;

    uint64_t in_doubt; /* backups that were prepared when their master died, since init */
    struct pst_senders senders;
    struct pst_dealer dealer;
};

const char *pst_proxy_state_name(enum pst_proxy_state state);

/* One row of the state table: the order that is legal in a state, and where it leads. */
struct proxy_transition {
    enum pst_proxy_state from;
    uint16_t gsn;
    enum pst_proxy_state busy;
    enum pst_proxy_state done;
};

extern const struct proxy_transition proxy_transitions[];
extern const uint32_t proxy_transitions_count;

/* NULL: no order that has a row. */
const struct proxy_transition *proxy_transition_of(uint16_t gsn);

/* What the death of its master means. */
enum proxy_on_death {
    PROXY_GOES_ON = 1,  /* nothing, or nothing any more */
    PROXY_CLEANS_UP,    /* it aborts and cleans up by itself */
    PROXY_LEAVES_DOUBT, /* the decision is not known */
};

/* What a state means. */
struct proxy_rule {
    uint16_t order;               /* the order in service; 0: none is */
    bool may_abort;               /* an ABORT_BACKUP_ORD stops it */
    int define_error;             /* a DEFINE is refused with this, negative; 0: it is served */
    int cleanup_error;            /* likewise a CLEANUP of this backup */
    enum proxy_on_death on_death; /* of the master */
};

/* Of the state that it is in. */
const struct proxy_rule *proxy_rule_of(const struct pst_proxy *proxy);

#endif
