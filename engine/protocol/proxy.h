/*
 * BackupProxy: does a node's share of a backup. Takes the master's orders, fans them out to the
 * node's LDMs, drives the node's sources and its archive, answers once.
 *
 * Multithreaded, it is PROXY instance 0 and runs in the hub. Single-threaded, LDM 1 runs one in its
 * own thread as PROXY instance 1, for itself alone: the master then talks to BACKUP instance 1.
 *
 * Every order is a script of steps (proxy_order.c); docs/protocol.md has the table of states.
 */
#ifndef PST_ENGINE_PROTOCOL_PROXY_H
#define PST_ENGINE_PROTOCOL_PROXY_H

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
    X(CUTTING, "snapshots are taken, then writers thawed")                                         \
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
};

struct pst_proxy {
    pst_ref self_ref; /* whom LDMs, sources and archive answer */
    pst_ref face_ref; /* whom the master knows */
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
    struct pst_sender *sender; /* of this step; NULL between steps */
    uint64_t deadline_ns;
    uint32_t tries; /* of a freeze that missed its limit */
    uint64_t try_began_ns;
    uint64_t
        resume_ns;  /* until then the writers go on; PST_DEADLINE_NONE: there is no such pause */
    uint32_t error; /* the first, positive; 0: none */
    pst_ref where;

    uint64_t gci_max;
    uint32_t highest_number; /* of this node, where the archive refused a DEFINE for its number */
    struct pst_sums sums;    /* of the closed parts, and of what the listing could not read */
    uint64_t file_bytes;
    uint8_t digest[16];

    struct pst_sums progress; /* the sum of ldm_progress */
    struct pst_sums ldm_progress[PST_LDMS_MAX];
    bool progress_is_new;
    uint64_t progress_due_ns;

    uint64_t in_doubt; /* backups that were prepared when their master died, since init */
    struct pst_senders senders;
    struct pst_dealer dealer;
};

void pst_proxy_init(struct pst_proxy *proxy, pst_ref self_ref, pst_ref face_ref, uint32_t ldms,
                    uint32_t sources, const struct pst_timeouts *timeouts);

void pst_proxy_step(struct pst_proxy *proxy, const struct pst_event *event,
                    struct pst_actions *actions);

/* When it wants a PST_EVENT_TIMER; PST_DEADLINE_NONE for never. */
uint64_t pst_proxy_deadline_ns(const struct pst_proxy *proxy);

const char *pst_proxy_state_name(enum pst_proxy_state state);

/* One row of the state table: the order that is legal in a state, and where it leads. */
struct pst_proxy_transition {
    enum pst_proxy_state from;
    uint16_t gsn;
    enum pst_proxy_state busy;
    enum pst_proxy_state done;
};

extern const struct pst_proxy_transition pst_proxy_transitions[];
extern const uint32_t pst_proxy_transitions_count;

#endif
