/* The scan of a node: fragments are dealt as they are listed, progress is judged and reported.
 * Pure; called by proxy.c, in the thread that steps the proxy. */
#include "engine/protocol/proxy_scan.h"

#include <assert.h>
#include <string.h>

#include "engine/protocol/proxy_answer.h"
#include "engine/protocol/proxy_order.h"
#include "penstock/error.h"

static void deal(struct pst_proxy *proxy, struct pst_actions *actions)
{
    struct pst_fragment fragment;
    while (!proxy->error) {
        uint32_t sequence = proxy->senders.sequence + 1;
        uint32_t ldm = dealer_next(&proxy->dealer, sequence, &fragment);
        if (ldm == 0)
            return;
        proxy->senders.sequence = sequence;
        struct pst_signal *request = actions_send(
            actions, PST_BACKUP_FRAGMENT_REQ, proxy->self_ref,
            proxy_member_ref(proxy, PST_BLOCK_BACKUP, ldm - 1), proxy->backup, sequence);
        request->payload.fragment = fragment;
        request->payload.fragment.master_ref = proxy->master_ref;
    }
}

/* What moves here puts off the proxy's own deadline; the report puts off the master's. While parts
 * are read back, nothing but the limits of STOP is put off. */
static void note_progress(struct pst_proxy *proxy)
{
    if (proxy->error)
        return;
    proxy->deadline_ns =
        proxy->now_ns +
        (proxy->state == PST_PROXY_STOPPING ? proxy->timeouts.proxy_ns : proxy->timeouts.stall_ns);
    proxy->progress_is_new = true;
}

void proxy_on_fragment_answer(struct pst_proxy *proxy, const struct pst_signal *answer,
                              struct pst_actions *actions)
{
    uint32_t ldm = proxy_member_of(proxy, PST_BLOCK_BACKUP, answer->sender_ref) + 1;
    struct pst_dealt dealt;
    if (answer->backup != proxy->backup || proxy->state == PST_PROXY_IDLE ||
        !dealer_answered(&proxy->dealer, ldm, answer->sequence, &dealt)) {
        proxy->senders.stray_answers++;
        return;
    }
    if (proxy->state != PST_PROXY_SCANNING)
        return;
    struct pst_signal *done =
        actions_send(actions, PST_SOURCE_FRAGMENT_DONE_ORD, proxy->self_ref,
                     proxy_member_ref(proxy, PST_BLOCK_SOURCE, dealt.source), proxy->backup, 0);
    done->payload.fragment.master_ref = proxy->master_ref;
    done->payload.fragment.source = dealt.source;
    done->payload.fragment.fragment = dealt.fragment;
    note_progress(proxy);
    if (answer->gsn == PST_BACKUP_FRAGMENT_REF)
        proxy_fail_scan(proxy, pst_error_of(answer->payload.ref.error), answer->payload.ref.where,
                        actions);
    deal(proxy, actions);
    proxy_end_step(proxy, actions);
}

void proxy_on_fragment_listed(struct pst_proxy *proxy, const struct pst_signal *listed,
                              struct pst_actions *actions)
{
    uint32_t source = proxy_member_of(proxy, PST_BLOCK_SOURCE, listed->sender_ref);
    if (proxy->state != PST_PROXY_SCANNING || listed->backup != proxy->backup ||
        source == PROXY_NO_MEMBER || listed->payload.fragment.source != source || proxy->error)
        return;
    if (!proxy_deals(proxy)) { /* after all listings: it must not be missing without a word */
        proxy_fail_scan(proxy, -PST_E_BAD_REQUEST, listed->sender_ref, actions);
        return;
    }
    note_progress(proxy);
    int error = dealer_add(&proxy->dealer, &listed->payload.fragment);
    if (error)
        proxy_fail_scan(proxy, error, listed->sender_ref, actions);
    deal(proxy, actions);
}

void proxy_on_progress(struct pst_proxy *proxy, const struct pst_signal *report)
{
    uint32_t member = proxy_member_of(proxy, PST_BLOCK_BACKUP, report->sender_ref);
    bool reads_back = proxy->state == PST_PROXY_STOPPING;
    if ((proxy->state != PST_PROXY_SCANNING && !reads_back) || report->backup != proxy->backup ||
        member == PROXY_NO_MEMBER)
        return;
    struct pst_sums *last = &proxy->ldm_progress[member];
    if (!reads_back && memcmp(last, &report->payload.progress.sums, sizeof(*last)) == 0)
        return;
    pst_sums_subtract(&proxy->progress, last);
    *last = report->payload.progress.sums;
    pst_sums_add(&proxy->progress, last);
    note_progress(proxy);
}

bool proxy_reports_progress(const struct pst_proxy *proxy)
{
    return proxy->state == PST_PROXY_SCANNING ||
           (proxy->state == PST_PROXY_STOPPING && proxy->progress_is_new);
}

void proxy_report_progress(struct pst_proxy *proxy, struct pst_actions *actions)
{
    proxy->progress_due_ns = proxy->now_ns + proxy->timeouts.progress_ns;
    if (!proxy->progress_is_new || proxy->request.sender_ref == 0)
        return;
    proxy->progress_is_new = false;
    struct pst_signal *report =
        actions_send(actions, PST_BACKUP_PROGRESS_REP, proxy->face_ref, proxy->request.sender_ref,
                     proxy->backup, proxy->request.sequence);
    report->payload.progress.master_ref = proxy->master_ref;
    report->payload.progress.sums = proxy->progress;
    report->payload.progress.expected_bytes = proxy->dealer.listed_bytes;
    report->payload.progress.expected_is_final =
        proxy->state == PST_PROXY_STOPPING || !proxy->sender;
}
