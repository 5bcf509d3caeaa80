/*
 * SignalSender: a request in flight to a set of receivers, and those of them that owe an answer
 * (docs/protocol.md, "Proxy", SignalSenders).
 *
 * A sender whose deadline passed before all answers came stays as a zombie, to recognise the late
 * ones, until they came or senders_release_stale() finds it at the next DEFINE and counts it.
 * Pure; owned by the machine that embeds it. Private to the room but for the structs.
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
    struct pst_set asked; /* all members; each is either waited for or has answered */
    struct pst_set waiting;
    struct pst_set answered; /* or will not any more */
    int error;               /* the first error, negative; 0: none */
    pst_ref where;           /* where it happened */
};

struct pst_senders {
    struct pst_sender slots[PST_SENDERS_MAX];
    uint32_t sequence;      /* of the last request */
    uint64_t stale_senders; /* found leaked at a DEFINE, since init */
    uint64_t stray_answers; /* late, duplicate or never asked for, since init */
};

/* NULL when all slots are taken (by zombies); the caller answers PST_E_NO_RESOURCES. */
struct pst_sender *senders_seize(struct pst_senders *senders, uint16_t gsn, uint64_t backup,
                                 const struct pst_set *targets);

/* Takes an answer from a member: notes a REF's error, takes the member off the waiting set. NULL if
 * nobody asked, the member has answered already, or the sender is a zombie (which is released with
 * its last late answer); those are counted in stray_answers. The sender returned is released by
 * the caller once its waiting set is empty and its result was read. */
struct pst_sender *senders_answer(struct pst_senders *senders, const struct pst_signal *signal,
                                  uint32_t member);

/* The member will not answer any more, which counts as an answer with this error, negative, or 0.
 * false if it was not waited for. */
bool sender_fail_member(struct pst_sender *sender, uint32_t member, int error, pst_ref where);

void sender_release(struct pst_sender *sender);

/* Nobody waits for *sender any longer; late answers are still recognised. It becomes NULL, and may
 * be. */
void sender_abandon(struct pst_sender **sender);

/* Releases every sender in use and counts it. */
void senders_release_stale(struct pst_senders *senders);

/* What became of requests, for a node's status. */
struct pst_request_counters {
    uint64_t zombies; /* given up, answers may still come */
    uint64_t stale;   /* likewise, and none had come at the next DEFINE; since init */
    uint64_t strays;  /* answers and orders: late, twice, or never asked for; since init */
};

/* Adds what the senders know. */
void pst_senders_count(const struct pst_senders *senders, struct pst_request_counters *counters);

uint32_t senders_in_use(const struct pst_senders *senders);

/* Asserts what must hold between two steps. current: the one that the machine waits for, or NULL;
 * all others are zombies. */
void senders_check(const struct pst_senders *senders, const struct pst_sender *current);

#endif
