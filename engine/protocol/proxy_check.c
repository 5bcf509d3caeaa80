/* What must hold of a proxy between two steps, whatever came in. Pure; called at the end of each
 * step, in the thread that steps the proxy, in release builds too. */
#include "engine/protocol/proxy_check.h"

#include <assert.h>
#include <string.h>

#include "engine/protocol/proxy_answer.h"
#include "engine/protocol/proxy_order.h"

/* While an order is in service something is waited for, or else it would never end. */
static void check_order(const struct pst_proxy *proxy)
{
    const struct proxy_step *step = proxy_current_step(proxy);
    const struct pst_timeouts *timeouts = &proxy->timeouts;
    uint64_t longest_ns =
        timeouts->stall_ns > timeouts->proxy_ns ? timeouts->stall_ns : timeouts->proxy_ns;
    uint64_t latest_ns = proxy->now_ns + longest_ns;
    bool pauses = proxy->resume_ns != PST_DEADLINE_NONE;
    assert(step->gsn != 0);
    assert(proxy->turn == 0 || (step->in_turn && proxy->turn < proxy->sources));
    assert(proxy->tries >= 1 && proxy->tries <= PST_FREEZE_TRIES_MAX);
    assert(proxy->try_began_ns <= proxy->now_ns);
    assert(proxy->sender || pauses || (step->deals && !dealer_is_idle(&proxy->dealer)));
    assert(proxy->deadline_ns <= latest_ns);
    if (pauses) {
        assert(!proxy->sender && !proxy->error && proxy->tries > 1);
        assert(proxy->resume_ns <= proxy->now_ns + timeouts->thawed_ns);
    }
    if (!proxy->sender)
        return;
    struct pst_set members = proxy_members(proxy, pst_gsn_answered_by(step->gsn));
    assert(proxy->sender->gsn == step->gsn && proxy->sender->backup == proxy->backup);
    assert(pst_set_is_within(&proxy->sender->waiting, &members));
}

/* What costs a look at each LDM. */
static void check_ldms(const struct pst_proxy *proxy)
{
    struct pst_sums progress = {0};
    dealer_check_ldms(&proxy->dealer);
    for (uint32_t i = 0; i < proxy->ldms; i++)
        pst_sums_add(&progress, &proxy->ldm_progress[i]);
    assert(memcmp(&progress, &proxy->progress, sizeof(progress)) == 0);
}

void proxy_check(const struct pst_proxy *proxy)
{
    const struct proxy_rule *rule = proxy_rule_of(proxy);
    bool deals = proxy_deals(proxy);
    assert(pst_ref_block(proxy->self_ref) == PST_BLOCK_PROXY);
    assert(pst_ref_node(proxy->face_ref) == proxy_node(proxy));
    assert(proxy->ldms >= 1 && proxy->ldms <= PST_LDMS_MAX && proxy->sources <= PST_SOURCES_MAX);
    /* Each busy state serves one order, and no other state does: docs/protocol.md, "Proxy". */
    assert(proxy->request.gsn == rule->order);
    senders_check(&proxy->senders, proxy->sender);
    if (rule->order != 0) {
        check_order(proxy);
    } else {
        assert(!proxy->sender && proxy->resume_ns == PST_DEADLINE_NONE);
        assert(!rule->may_abort || !proxy->error); /* it waits for the next order */
        check_ldms(proxy);                         /* here alone: once for an order */
    }
    assert(proxy->error <= 0 && (proxy->error || proxy->where == 0));
    assert(proxy->state != PST_PROXY_ABORTED || proxy->error);
    /* Only a scan deals: docs/protocol.md, "Dealing". */
    assert(deals || proxy->dealer.queued == 0);
    assert(!deals || proxy->dealer.ldms == proxy->ldms);
    assert(!deals || !proxy->error || proxy->dealer.queued == 0);
    if (deals || proxy->dealer.in_flight > 0)
        dealer_check(&proxy->dealer);
}
