/*
 * SignalSender: a request in flight to a set of receivers, and who has yet to answer.
 *
 * A sender whose deadline passed before all answers came stays as a zombie, to recognise the late
 * ones, until they came or pst_senders_release_stale() finds it at the next DEFINE and counts it.
 * Pure; owned by the machine that embeds it.
 */
#ifndef PST_ENGINE_PROTOCOL_SENDER_H
#define PST_ENGINE_PROTOCOL_SENDER_H

#include "engine/protocol/step.h"

#define PST_SENDERS_MAX 16u

struct pst_sender {
    uint16_t gsn; /* the REQ; 0: free */
    bool is_zombie;
    uint32_t sequence;
    uint64_t backup;
    struct pst_set waiting; /* members that have not answered */
    uint32_t error;         /* the first error, positive; 0: none */
    pst_ref where;          /* who gave it */
    struct pst_sums sums;   /* of the answers that carry any; added up by the owner */
};

struct pst_senders {
    struct pst_sender slots[PST_SENDERS_MAX];
    uint32_t sequence;      /* of the last request */
    uint64_t stale_senders; /* found leaked at a DEFINE, since init */
    uint64_t stray_answers; /* late, duplicate or never asked for, since init */
};

/* NULL when all slots are taken (by zombies); the caller answers PST_E_NO_RESOURCES. */
struct pst_sender *pst_senders_seize(struct pst_senders *senders, uint16_t gsn, uint64_t backup,
                                     const struct pst_set *targets);

/* Takes an answer from a member: notes a REF's error, takes the member off the waiting set. NULL if
 * nobody asked, the member has answered already, or the sender is a zombie (which is released with
 * its last late answer); those are counted in stray_answers. The sender returned is released by
 * the caller once its waiting set is empty and its result was read. */
struct pst_sender *pst_senders_answer(struct pst_senders *senders, const struct pst_signal *signal,
                                      uint32_t member);

/* As an answer with this error: the member will not answer any more. NULL if not waited for. */
struct pst_sender *pst_sender_fail_member(struct pst_sender *sender, uint32_t member,
                                          uint32_t error, pst_ref where);

void pst_sender_release(struct pst_sender *sender);

/* Nobody waits for it any longer; late answers are still recognised. */
void pst_sender_abandon(struct pst_sender *sender);

/* Releases every sender in use and counts it. */
void pst_senders_release_stale(struct pst_senders *senders);

uint32_t pst_senders_in_use(const struct pst_senders *senders);

#endif
