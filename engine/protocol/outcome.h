/*
 * Outcome: settles the backups that a node holds in doubt, and answers other nodes' questions.
 * One in each node's hub, OUTCOME instance 0.
 *
 * In doubt is a backup of which this node is prepared (its node manifest is on disk) and whose
 * decision it does not know (no cluster manifest), while no machine of this node works on it. The
 * archive reports each one (ARCHIVE_DOUBT_REP), when the node starts and whenever one is left.
 * It holds nothing but files.
 *
 * Only the master's node ever decides to commit, by its own disk, and only after all were prepared.
 * So any of these settles it, and nothing else does but a decision by hand (RESOLVE_REQ):
 *   - somebody has the cluster manifest: committed; a copy is stored;
 *   - a participant is neither prepared nor committed: aborted, for it never was or will be
 * decided;
 *   - none of those that took part has a decision, and no machine of theirs is at work on it:
 * aborted, likewise. That the master's own node has none proves nothing: its disk may have lost it.
 * docs/adr/0013-presumed-abort.md and 0060-the-masters-disk-may-lose.md argue that, and why nobody
 * can take over for a master's node whose disk is away.
 */
#ifndef PST_ENGINE_PROTOCOL_OUTCOME_H
#define PST_ENGINE_PROTOCOL_OUTCOME_H

#include "engine/protocol/step.h"

/* In work at a time; there may be more on disk, which follow. */
#define PST_DOUBTS_MAX 8u

/* Questions of other nodes that wait for the archive's answer; more are refused and come again. */
#define PST_QUERIES_MAX 16u

/* X(name, meaning) */
#define PST_DOUBT_STATE_LIST(X)                                                                    \
    X(FREE, "no backup")                                                                           \
    X(ASKING, "in doubt: the other participants are asked, again and again")                       \
    X(COMMITTING, "committed: a copy of the cluster manifest is being stored")                     \
    X(ABORTING, "aborted: the files are being removed")

enum pst_doubt_state {
#define X(name, meaning) PST_DOUBT_##name,
    PST_DOUBT_STATE_LIST(X)
#undef X
        PST_DOUBT_STATES
};

struct pst_doubt {
    enum pst_doubt_state state;
    uint64_t backup;
    struct pst_doubt_rep what; /* as the archive reported it */
    struct pst_set waiting;    /* asked and not answered yet, by id - 1 */
    struct pst_set prepared;   /* live, and have answered the last question so */
    uint32_t sequence;         /* of the last question, or of what the archive is asked */
    uint64_t deadline_ns;      /* when they are asked again */
    pst_ref resolver_ref;      /* the sender of a RESOLVE_REQ to be answered; 0: none */
    uint32_t resolver_sequence;
};

/* A question of another node's on its way through the archive. */
struct pst_query {
    pst_ref asker_ref; /* 0: free */
    uint64_t backup;
    uint32_t asker_sequence;
    uint32_t sequence; /* of the ARCHIVE_OUTCOME_REQ */
};

struct pst_outcome_machine {
    pst_ref self_ref;
    struct pst_timeouts timeouts;
    struct pst_set nodes; /* live, by id - 1, this one among them */
    uint64_t now_ns;      /* of the event being served */

    uint32_t sequence;       /* of the last request */
    uint32_t sweep_sequence; /* of the ARCHIVE_SWEEP_REQ that is out; 0: none */
    uint64_t sweep_due_ns;   /* PST_DEADLINE_NONE: the directory is swept */
    bool must_sweep_again;   /* the table was full: more are on disk */
    struct pst_doubt doubts[PST_DOUBTS_MAX];
    struct pst_query queries[PST_QUERIES_MAX];

    uint64_t committed; /* settled since init */
    uint64_t aborted;
    uint64_t stray_signals; /* late, duplicate or never asked for */
};

/* Wants a timer at once: that is when it has the archive sweep. */
void pst_outcome_init(struct pst_outcome_machine *outcome, uint32_t node,
                      const struct pst_set *nodes, const struct pst_timeouts *timeouts);

void pst_outcome_step(struct pst_outcome_machine *outcome, const struct pst_event *event,
                      struct pst_actions *actions);

/* When it wants a PST_EVENT_TIMER; PST_DEADLINE_NONE for never. */
uint64_t pst_outcome_deadline_ns(const struct pst_outcome_machine *outcome);

/* How many it works on: what a node's status shows. */
uint32_t pst_outcome_in_doubt(const struct pst_outcome_machine *outcome);

/* Of the nodes that took part in one: those that are not there, owe an answer, or have refused one.
 */
struct pst_set pst_outcome_waits_for(const struct pst_outcome_machine *outcome,
                                     const struct pst_doubt *doubt);

const char *pst_doubt_state_name(enum pst_doubt_state state);

/* What an answer of a node about a backup in doubt means. Rows are looked at in order; the first
 * that fits counts. */
struct outcome_rule {
    uint32_t answer;         /* enum pst_outcome_state */
    bool of_all;             /* only once all others that took part have given it */
    enum pst_doubt_state to; /* ASKING: wait on */
};

extern const struct outcome_rule outcome_rules[];
extern const uint32_t outcome_rules_count;

#endif
