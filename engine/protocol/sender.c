#include "engine/protocol/sender.h"

#include <assert.h>
#include <string.h>

#include "penstock/error.h"

struct pst_sender *pst_senders_seize(struct pst_senders *senders, uint16_t gsn, uint64_t backup,
                                     const struct pst_set *targets)
{
    assert(gsn != 0 && !pst_set_is_empty(targets));
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        struct pst_sender *sender = &senders->slots[i];
        if (sender->gsn != 0)
            continue;
        memset(sender, 0, sizeof(*sender));
        sender->gsn = gsn;
        sender->sequence = ++senders->sequence;
        sender->backup = backup;
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

struct pst_sender *pst_senders_answer(struct pst_senders *senders, const struct pst_signal *signal,
                                      uint32_t member)
{
    struct pst_sender *sender = find(senders, signal);
    if (!sender || !pst_set_has(&sender->waiting, member)) {
        senders->stray_answers++;
        return NULL;
    }
    if (signal->gsn == PST_REF_OF(sender->gsn)) {
        const struct pst_ref_payload *ref = &signal->payload.ref;
        uint32_t error = ref->error != 0 ? ref->error : PST_E_BAD_REQUEST;
        pst_sender_fail_member(sender, member, error, ref->where);
    } else {
        pst_sender_fail_member(sender, member, 0, 0);
    }
    if (!sender->is_zombie)
        return sender;
    senders->stray_answers++;
    if (pst_set_is_empty(&sender->waiting))
        pst_sender_release(sender);
    return NULL;
}

struct pst_sender *pst_sender_fail_member(struct pst_sender *sender, uint32_t member,
                                          uint32_t error, pst_ref where)
{
    if (!pst_set_has(&sender->waiting, member))
        return NULL;
    pst_set_remove(&sender->waiting, member);
    if (error && sender->error == 0) {
        sender->error = error;
        sender->where = where;
    }
    return sender;
}

void pst_sender_release(struct pst_sender *sender)
{
    assert(sender->gsn != 0);
    sender->gsn = 0;
}

void pst_sender_abandon(struct pst_sender *sender)
{
    assert(sender->gsn != 0);
    if (pst_set_is_empty(&sender->waiting))
        pst_sender_release(sender);
    else
        sender->is_zombie = true;
}

void pst_senders_release_stale(struct pst_senders *senders)
{
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        if (senders->slots[i].gsn == 0)
            continue;
        pst_sender_release(&senders->slots[i]);
        senders->stale_senders++;
    }
}

uint32_t pst_senders_in_use(const struct pst_senders *senders)
{
    uint32_t in_use = 0;
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++)
        in_use += senders->slots[i].gsn != 0;
    return in_use;
}
