/*
 * The life of the part that an LDM writes: its states, the events that move it, and the one table
 * of its transitions. Pure; any thread. Private to engine/pipeline/.
 *
 *   NONE ─OPEN─▶ OPENING ──▶ OPENED ─START─▶ STARTING ──▶ STARTED ─STOP─▶ FLUSHING ──▶ SEALING
 *    ▲                                                                                    │
 *    └────────────────────────── RELEASE ── COMPLETE ◀── FINISHING ◀──────────────────────┘
 *
 *   a failure from STARTING on ───────────▶ SPOILT           an arrow without a name: DONE
 *   STARTED ─HALT─▶ HALTED
 *   any with a file ─DISCARD─▶ DRAINING ──▶ REMOVING ──▶ NONE
 *   FINISHING ─VERIFY─▶ VERIFYING ──▶ COMPLETE, if the part is to be read back
 *   OPENING, FINISHING, VERIFYING ─DISCARD─▶ CANCELLING ──▶ DRAINING, or NONE if no file was
 * created
 *
 * Three things beside the state are variables of the pipeline, because they hold across states: the
 * request that is to be answered, the first error of the part, and the error not yet reported.
 */
#ifndef PST_ENGINE_PIPELINE_PART_STATE_H
#define PST_ENGINE_PIPELINE_PART_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* What may be under way in a state. */
enum part_may {
    PART_MAY_ANSWER = 1, /* OPEN, START or STOP waits for its answer */
    PART_MAY_SCAN = 2,   /* fragments are being scanned */
    PART_MAY_WRITE = 4,  /* buffers are being filled or written */
};

/* Name, what may be under way, meaning. */
#define PART_STATE_LIST(X)                                                                         \
    X(NONE, 0, "there is no part")                                                                 \
    X(OPENING, PART_MAY_ANSWER, "OPEN: the file is being created")                                 \
    X(OPENED, 0, "the file is there, and empty")                                                   \
    X(STARTING, PART_MAY_ANSWER | PART_MAY_WRITE, "START: the header is being written")            \
    X(STARTED, PART_MAY_SCAN | PART_MAY_WRITE, "chunks are taken and written")                     \
    X(HALTED, PART_MAY_SCAN | PART_MAY_WRITE, "nothing more is written: HALT")                     \
    X(SPOILT, PART_MAY_SCAN | PART_MAY_WRITE, "nothing more is written: an error")                 \
    X(FLUSHING, PART_MAY_ANSWER | PART_MAY_WRITE, "STOP: the last chunks are being written")       \
    X(SEALING, PART_MAY_ANSWER | PART_MAY_WRITE, "STOP: index and trailer are being written")      \
    X(FINISHING, PART_MAY_ANSWER, "STOP: the file is being synced and closed")                     \
    X(VERIFYING, PART_MAY_ANSWER, "STOP: the file is being read back")                             \
    X(COMPLETE, 0, "the file is whole, durable and closed")                                        \
    X(CANCELLING, PART_MAY_ANSWER, "DISCARD: creation, sync, close or a read is in flight")        \
    X(DRAINING, PART_MAY_SCAN | PART_MAY_WRITE, "DISCARD: scans and writes are coming to an end")  \
    X(REMOVING, 0, "DISCARD: the file is being closed and removed")

enum part_state {
#define X(name, may, meaning) PART_##name,
    PART_STATE_LIST(X)
#undef X
        PART_STATES
};

/* Works of the participant's, and how an operation of a state has ended. */
#define PART_EVENT_LIST(X)                                                                         \
    X(OPEN)                                                                                        \
    X(START)                                                                                       \
    X(HALT)                                                                                        \
    X(STOP)                                                                                        \
    X(RELEASE)                                                                                     \
    X(DISCARD)                                                                                     \
    X(DONE)   /* what the state waits for has ended, and there is a file */                        \
    X(FAILED) /* an error spoils the part */                                                       \
    X(GONE)   /* there is no file, or no longer one of ours */                                     \
    X(VERIFY) /* the file is durable and closed, and is to be read back */

enum part_event {
#define X(name) PART_ON_##name,
    PART_EVENT_LIST(X)
#undef X
        PART_EVENTS
};

struct part_transition {
    enum part_state from;
    enum part_event event;
    enum part_state to;
};

extern const struct part_transition part_transitions[];
extern const uint32_t part_transitions_count;

/* The state that follows. Asserts that the table has this transition. */
enum part_state part_state_after(enum part_state state, enum part_event event);

/* Whether this may be under way in this state. */
bool part_state_may(enum part_state state, enum part_may what);

const char *part_state_name(enum part_state state);

#endif
