/*
 * Deals a node's fragments out to its LDMs: to whichever is free, PST_FRAGMENTS_AHEAD at a time,
 * or to the owner where a fragment has one. Fragments come from the sources while earlier ones are
 * being scanned. What a fragment costs does not grow with the LDMs, but with the fragments ahead of
 * it whose owners have no room. Pure; owned by the proxy that embeds it. Private to the room but
 * for the structs.
 */
#ifndef PST_ENGINE_PROTOCOL_DEALER_H
#define PST_ENGINE_PROTOCOL_DEALER_H

#include "engine/protocol/step.h"
#include "penstock/error.h"

struct pst_dealt {
    uint32_t sequence; /* of its BACKUP_FRAGMENT_REQ; 0: nothing is dealt here */
    uint32_t source;
    uint64_t fragment;
};

struct pst_dealer {
    uint32_t ldms;
    uint32_t queued;    /* listed, not dealt */
    uint32_t in_flight; /* dealt, not answered */
    uint64_t listed;    /* since the start: done, in flight, queued, or forgotten */
    uint64_t done;
    uint64_t forgotten;
    uint64_t listed_bytes;
    struct pst_dealt dealt[PST_LDMS_MAX][PST_FRAGMENTS_AHEAD];
    /* The LDMs, by instance - 1, that have so many; one that has PST_FRAGMENTS_AHEAD is in none. */
    struct pst_set ldms_with[PST_FRAGMENTS_AHEAD];
    uint32_t first;                                      /* of queue, which goes round */
    struct pst_fragment queue[PST_FRAGMENTS_LISTED_MAX]; /* oldest first */
};

void dealer_init(struct pst_dealer *dealer, uint32_t ldms);

/* -PST_E_NO_RESOURCES when the sources have listed more than PST_FRAGMENTS_LISTED_MAX ahead,
 * -PST_E_BAD_REQUEST when the fragment names an owner that this node does not have. */
int dealer_add(struct pst_dealer *dealer, const struct pst_fragment *fragment) PST_MUST_USE;

/* Takes the next fragment that an LDM may have now, for a request of this sequence. Returns that
 * LDM's instance, or 0 when there is none to deal. */
uint32_t dealer_next(struct pst_dealer *dealer, uint32_t sequence, struct pst_fragment *fragment);

/* An answer from an LDM. false: it was not dealt that, or has answered already. *dealt (may be
 * NULL) is set to the fragment that ended. */
bool dealer_answered(struct pst_dealer *dealer, uint32_t ldm, uint32_t sequence,
                     struct pst_dealt *dealt);

/* Forgets what is queued. What is in flight is still awaited. */
void dealer_stop(struct pst_dealer *dealer);

/* Whether nothing is queued nor in flight. */
bool dealer_is_idle(const struct pst_dealer *dealer);

/* Asserts what must hold between two steps. What is dealt to an LDM is checked where it changes. */
void dealer_check(const struct pst_dealer *dealer);

/* Asserts besides what must hold of each LDM, and costs a look at each. */
void dealer_check_ldms(const struct pst_dealer *dealer);

#endif
