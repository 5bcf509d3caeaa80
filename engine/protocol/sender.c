/* The table of a machine's requests in flight. Pure; called by master and proxy, in the thread
 * that steps them. */
#include "engine/protocol/sender.h"

#include <assert.h>
#include <string.h>

#include "penstock/error.h"

struct pst_sender *senders_seize(struct pst_senders *senders, uint16_t gsn, uint64_t backup,
                                 const struct pst_set *targets)
{
    assert(gsn_is_request(gsn) && !pst_set_is_empty(targets));
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        struct pst_sender *sender = &senders->slots[i];
        if (sender->gsn != 0)
            continue;
        memset(sender, 0, sizeof(*sender));
        sender->gsn = gsn;
        sender->sequence = ++senders->sequence;
        assert(sender->sequence != 0); /* 0 is an ORD's */
        sender->backup = backup;
        sender->asked = *targets;
        sender->waiting = *targets;
        return sender;
    }
    return NULL;
}

static struct pst_sender *find(struct pst_senders *senders, const struct pst_signal *signal)
{
    uint16_t gsn = pst_gsn_answered(signal->gsn);
    for (uint32_t i = 0; gsn != 0 && i < PST_SENDERS_MAX; i++) {
        struct pst_sender *sender = &senders->slots[i];
        if (sender->gsn == gsn && sender->sequence == signal->sequence &&
            sender->backup == signal->backup)
            return sender;
    }
    return NULL;
}

struct pst_sender *senders_answer(struct pst_senders *senders, const struct pst_signal *signal,
                                  uint32_t member)
{
    struct pst_sender *sender = find(senders, signal);
    if (!sender || !pst_set_has(&sender->waiting, member)) {
        senders->stray_answers++;
        return NULL;
    }
    if (signal->gsn == PST_REF_OF(sender->gsn)) {
        const struct pst_ref_payload *ref = &signal->payload.ref;
        sender_fail_member(sender, member, pst_error_of(ref->error), ref->where);
    } else {
        sender_fail_member(sender, member, 0, 0);
    }
    assert(!pst_set_has(&sender->waiting, member)); /* its second answer will be stray */
    if (!sender->is_zombie)
        return sender;
    senders->stray_answers++;
    if (pst_set_is_empty(&sender->waiting))
        sender_release(sender);
    return NULL;
}

bool sender_fail_member(struct pst_sender *sender, uint32_t member, int error, pst_ref where)
{
    assert(sender->gsn != 0 && error <= 0);
    if (!pst_set_has(&sender->waiting, member))
        return false;
    pst_set_remove(&sender->waiting, member);
    pst_set_add(&sender->answered, member);
    if (error && !sender->error) {
        sender->error = error;
        sender->where = where;
    }
    return true;
}

void sender_release(struct pst_sender *sender)
{
    assert(sender->gsn != 0);
    sender->gsn = 0;
}

void sender_abandon(struct pst_sender **sender)
{
    if (!*sender)
        return;
    assert((*sender)->gsn != 0 && !(*sender)->is_zombie);
    if (pst_set_is_empty(&(*sender)->waiting))
        sender_release(*sender);
    else
        (*sender)->is_zombie = true;
    *sender = NULL;
}

void senders_release_stale(struct pst_senders *senders)
{
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        if (senders->slots[i].gsn == 0)
            continue;
        sender_release(&senders->slots[i]);
        senders->stale_senders++;
    }
}

void pst_senders_count(const struct pst_senders *senders, struct pst_request_counters *counters)
{
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++)
        counters->zombies += senders->slots[i].gsn != 0 && senders->slots[i].is_zombie;
    counters->stale += senders->stale_senders;
    counters->strays += senders->stray_answers;
}

uint32_t senders_in_use(const struct pst_senders *senders)
{
    uint32_t in_use = 0;
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++)
        in_use += senders->slots[i].gsn != 0;
    return in_use;
}

void senders_check(const struct pst_senders *senders, const struct pst_sender *current)
{
    assert(!current || (current >= senders->slots && current < senders->slots + PST_SENDERS_MAX));
    assert(!current || current->gsn != 0);
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        const struct pst_sender *sender = &senders->slots[i];
        if (sender->gsn == 0)
            continue;
        assert(gsn_is_request(sender->gsn));
        assert(sender->sequence != 0 && sender->sequence <= senders->sequence);
        struct pst_set all = pst_set_union(&sender->waiting, &sender->answered);
        assert(pst_set_is_within(&sender->asked, &all));
        assert(pst_set_is_within(&all, &sender->asked));
        struct pst_set both = pst_set_common(&sender->waiting, &sender->answered);
        assert(pst_set_is_empty(&both));
        /* One that nobody waits for is released with the last answer. */
        assert(!pst_set_is_empty(&sender->waiting));
        assert(sender->is_zombie == (sender != current));
        assert(sender->error <= 0);
        assert(sender->error || sender->where == 0);
    }
}
