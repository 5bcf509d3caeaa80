/* Which LDM is to scan which fragment. Pure; called by the proxy, in the thread that steps it. */
#include "engine/protocol/dealer.h"

#include <assert.h>
#include <string.h>

void dealer_init(struct pst_dealer *dealer, uint32_t ldms)
{
    assert(ldms >= 1 && ldms <= PST_LDMS_MAX);
    memset(dealer, 0, sizeof(*dealer));
    dealer->ldms = ldms;
    dealer->ldms_with[0] = pst_set_first(ldms);
}

/* The fragment that has so many before it in the queue. */
static struct pst_fragment *queue_at(struct pst_dealer *dealer, uint32_t index)
{
    return &dealer->queue[(dealer->first + index) % PST_FRAGMENTS_LISTED_MAX];
}

int dealer_add(struct pst_dealer *dealer, const struct pst_fragment *fragment)
{
    if (dealer->queued == PST_FRAGMENTS_LISTED_MAX)
        return -PST_E_NO_RESOURCES;
    if (fragment->owner > dealer->ldms)
        return -PST_E_BAD_REQUEST;
    *queue_at(dealer, dealer->queued++) = *fragment;
    dealer->listed++;
    dealer->listed_bytes += fragment->bytes;
    return 0;
}

static uint32_t load(const struct pst_dealer *dealer, uint32_t ldm)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++)
        count += dealer->dealt[ldm - 1][i].sequence != 0;
    return count;
}

static void check_ldm(const struct pst_dealer *dealer, uint32_t ldm)
{
    uint32_t ldm_load = load(dealer, ldm);
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++)
        assert(pst_set_has(&dealer->ldms_with[i], ldm - 1) == (i == ldm_load));
}

/* Around each change of what is dealt to an LDM. */
static void begin_change(struct pst_dealer *dealer, uint32_t ldm)
{
    check_ldm(dealer, ldm);
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++)
        pst_set_remove(&dealer->ldms_with[i], ldm - 1);
}

static void end_change(struct pst_dealer *dealer, uint32_t ldm)
{
    uint32_t ldm_load = load(dealer, ldm);
    if (ldm_load < PST_FRAGMENTS_AHEAD)
        pst_set_add(&dealer->ldms_with[ldm_load], ldm - 1);
}

/* The first LDM of those with the fewest fragments, if any has room; 0 if none. */
static uint32_t freest(const struct pst_dealer *dealer)
{
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        uint32_t member = pst_set_next(&dealer->ldms_with[i], 0);
        if (member < PST_SET_MEMBERS)
            return member + 1;
    }
    return 0;
}

static void take(struct pst_dealer *dealer, uint32_t index, uint32_t ldm, uint32_t sequence,
                 struct pst_fragment *fragment)
{
    assert(index < dealer->queued && ldm >= 1 && ldm <= dealer->ldms);
    *fragment = *queue_at(dealer, index);
    for (uint32_t i = index; i > 0; i--) /* those that it overtakes */
        *queue_at(dealer, i) = *queue_at(dealer, i - 1);
    dealer->first = (dealer->first + 1) % PST_FRAGMENTS_LISTED_MAX;
    dealer->queued--;
    begin_change(dealer, ldm);
    struct pst_dealt *dealt = dealer->dealt[ldm - 1];
    while (dealt->sequence != 0)
        dealt++;
    assert(dealt < dealer->dealt[ldm - 1] + PST_FRAGMENTS_AHEAD);
    *dealt = (struct pst_dealt){sequence, fragment->source, fragment->fragment};
    end_change(dealer, ldm);
    dealer->in_flight++;
}

uint32_t dealer_next(struct pst_dealer *dealer, uint32_t sequence, struct pst_fragment *fragment)
{
    assert(sequence != 0 && dealer->queued <= PST_FRAGMENTS_LISTED_MAX);
    uint32_t any = freest(dealer);
    for (uint32_t i = 0; any != 0 && i < dealer->queued; i++) {
        uint32_t owner = queue_at(dealer, i)->owner;
        if (owner != 0 && load(dealer, owner) == PST_FRAGMENTS_AHEAD)
            continue;
        uint32_t ldm = owner != 0 ? owner : any;
        assert(load(dealer, ldm) < PST_FRAGMENTS_AHEAD);
        take(dealer, i, ldm, sequence, fragment);
        return ldm;
    }
    return 0;
}

bool dealer_answered(struct pst_dealer *dealer, uint32_t ldm, uint32_t sequence,
                     struct pst_dealt *dealt)
{
    if (ldm < 1 || ldm > dealer->ldms || sequence == 0)
        return false;
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        struct pst_dealt *slot = &dealer->dealt[ldm - 1][i];
        if (slot->sequence != sequence)
            continue;
        if (dealt)
            *dealt = *slot;
        begin_change(dealer, ldm);
        slot->sequence = 0;
        end_change(dealer, ldm);
        assert(dealer->in_flight > 0);
        dealer->in_flight--;
        dealer->done++;
        return true;
    }
    return false;
}

void dealer_stop(struct pst_dealer *dealer)
{
    dealer->forgotten += dealer->queued;
    dealer->queued = 0;
}

bool dealer_is_idle(const struct pst_dealer *dealer)
{
    return dealer->queued == 0 && dealer->in_flight == 0;
}

void dealer_check(const struct pst_dealer *dealer)
{
    assert(dealer->ldms >= 1 && dealer->ldms <= PST_LDMS_MAX);
    assert(dealer->queued <= PST_FRAGMENTS_LISTED_MAX && dealer->first < PST_FRAGMENTS_LISTED_MAX);
    assert(dealer->in_flight <= dealer->ldms * PST_FRAGMENTS_AHEAD);
    /* Every fragment listed is somewhere. */
    assert(dealer->listed == dealer->done + dealer->forgotten + dealer->in_flight + dealer->queued);
}

void dealer_check_ldms(const struct pst_dealer *dealer)
{
    uint32_t in_flight = 0;
    for (uint32_t ldm = 1; ldm <= dealer->ldms; ldm++) {
        check_ldm(dealer, ldm);
        in_flight += load(dealer, ldm);
    }
    assert(dealer->in_flight == in_flight);
}
