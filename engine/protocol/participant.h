/*
 * Participant: one LDM's part in a backup. Takes orders from its proxy, has its LDM do the work,
 * and answers the sender of the last REQ (senderRef).
 *
 * masterRef, set by DEFINE_BACKUP_REQ, names the coordinator. Its three uses: trouble outside any
 * request goes straight to it; its node's death aborts this part; only it may give orders.
 */
#ifndef PST_ENGINE_PROTOCOL_PARTICIPANT_H
#define PST_ENGINE_PROTOCOL_PARTICIPANT_H

#include "engine/protocol/step.h"

/* X(name, meaning) */
#define PST_PARTICIPANT_STATE_LIST(X)                                                              \
    X(IDLE, "no backup")                                                                           \
    X(DEFINING, "the part file is being created")                                                  \
    X(DEFINED, "the part file is open")                                                            \
    X(STARTING, "the part's header is being written")                                              \
    X(STARTED, "changes are captured, nothing is being scanned")                                   \
    X(SCANNING, "fragments are being scanned")                                                     \
    X(STOPPING, "the part is being closed")                                                        \
    X(PREPARED, "the part is durable; the master decides")                                         \
    X(COMMITTING, "the backup is complete and being forgotten")                                    \
    X(ABORTED, "stopped; waits for the order to clean up")                                         \
    X(CLEANING, "the part is being removed")

enum pst_participant_state {
#define X(name, meaning) PST_PARTICIPANT_##name,
    PST_PARTICIPANT_STATE_LIST(X)
#undef X
        PST_PARTICIPANT_STATES
};

struct participant_scan {
    uint32_t sequence; /* of its BACKUP_FRAGMENT_REQ; 0: none */
    uint32_t source;
    uint64_t fragment;
    pst_ref sender_ref; /* 0: answered already */
};

struct pst_participant {
    pst_ref self_ref;
    struct pst_timeouts timeouts;

    enum pst_participant_state state;
    uint64_t backup;
    pst_ref master_ref;
    pst_ref sender_ref; /* of the last REQ */

    uint16_t request; /* the REQ in service, scans excepted; 0: none */
    uint32_t sequence;
    uint64_t deadline_ns;
    uint32_t scans_running;
    struct participant_scan scans[PST_FRAGMENTS_AHEAD];

    int error;     /* why it is ABORTED, negative; 0: it is not */
    pst_ref where; /* where that happened */
    bool trouble_reported;
    uint64_t stray_events; /* late results, unknown orders; since init */
};

void participant_init(struct pst_participant *participant, pst_ref self_ref,
                      const struct pst_timeouts *timeouts);

void participant_step(struct pst_participant *participant, const struct pst_event *event,
                      struct pst_actions *actions);

/* When it wants a PST_EVENT_TIMER; PST_DEADLINE_NONE for never. */
uint64_t participant_deadline_ns(const struct pst_participant *participant);

const char *pst_participant_state_name(enum pst_participant_state state);

/* One row of the state table: the REQ that is legal in a state, the work it starts, and where it
 * leads. SCANNING leads back to STARTED with the last scan. */
struct participant_transition {
    enum pst_participant_state from;
    uint16_t gsn;
    enum pst_work_type work;
    enum pst_participant_state busy;
    enum pst_participant_state done;
};

extern const struct participant_transition participant_transitions[];
extern const uint32_t participant_transitions_count;

#endif
