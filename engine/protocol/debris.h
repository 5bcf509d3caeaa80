/*
 * What a node's disk has of a backup, and what follows: the rules by which the archive sweeps, and
 * answers nodes that are in doubt. docs/protocol.md, "Settling what is in doubt".
 */
#ifndef PST_ENGINE_PROTOCOL_DEBRIS_H
#define PST_ENGINE_PROTOCOL_DEBRIS_H

#include "engine/protocol/signal.h"

struct pst_debris {
    bool is_at_work;   /* a machine of this node is at work on it */
    bool is_committed; /* its cluster manifest is there */
    bool is_prepared;  /* this node's own manifest is there */
    bool is_alone;     /* nobody but this node took part */
};

enum pst_debris_verdict {
    PST_DEBRIS_KEEP,
    PST_DEBRIS_DOUBT,  /* keep it, and report it to the outcome machine */
    PST_DEBRIS_REMOVE, /* it never came to a decision, and never will */
};

/* What a sweep does with it. */
enum pst_debris_verdict pst_debris_judge(const struct pst_debris *debris);

/* The answer to another node that asks; 0: there is none now, PST_E_BUSY. */
enum pst_outcome_state pst_debris_outcome(const struct pst_debris *debris);

#endif
