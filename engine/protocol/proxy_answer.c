/* The proxy's answers to its master, the refs of its LDMs, sources and archive, and the order to
 * stop. Pure; called by the proxy's other files, in the thread that steps the proxy. */
#include "engine/protocol/proxy_answer.h"

#include <assert.h>

#include "penstock/error.h"

struct pst_set proxy_members(const struct pst_proxy *proxy, enum pst_block block)
{
    switch (block) {
    case PST_BLOCK_BACKUP:
        return pst_set_first(proxy->ldms);
    case PST_BLOCK_SOURCE:
        return pst_set_first(proxy->sources);
    default:
        assert(block == PST_BLOCK_ARCHIVE);
        return pst_set_first(1);
    }
}

uint32_t proxy_member_of(const struct pst_proxy *proxy, enum pst_block block, pst_ref sender_ref)
{
    uint32_t instance = pst_ref_instance(sender_ref);
    if (pst_ref_node(sender_ref) != proxy_node(proxy) || pst_ref_block(sender_ref) != block)
        return PROXY_NO_MEMBER;
    switch (block) {
    case PST_BLOCK_BACKUP:
        return instance >= 1 && instance <= proxy->ldms ? instance - 1 : PROXY_NO_MEMBER;
    case PST_BLOCK_SOURCE:
        return instance < proxy->sources ? instance : PROXY_NO_MEMBER;
    case PST_BLOCK_ARCHIVE:
        return instance == 0 ? 0 : PROXY_NO_MEMBER;
    default:
        return PROXY_NO_MEMBER;
    }
}

pst_ref proxy_member_ref(const struct pst_proxy *proxy, enum pst_block block, uint32_t member)
{
    uint32_t instance = block == PST_BLOCK_BACKUP ? member + 1 : member;
    pst_ref ref = pst_ref_make(proxy_node(proxy), block, instance);
    assert(proxy_member_of(proxy, block, ref) == member);
    return ref;
}

void proxy_note_error(struct pst_proxy *proxy, int error, pst_ref where)
{
    assert(error <= 0);
    if (proxy->error || !error)
        return;
    proxy->error = error;
    proxy->where = where;
}

void proxy_refuse(const struct pst_proxy *proxy, const struct pst_signal *request, int error,
                  pst_ref where, struct pst_actions *actions)
{
    assert(error < 0 && gsn_is_request(request->gsn));
    struct pst_signal *ref = actions_send(actions, PST_REF_OF(request->gsn), proxy->face_ref,
                                          request->sender_ref, request->backup, request->sequence);
    ref->payload.ref.master_ref = request->payload.order.master_ref;
    ref->payload.ref.error = pst_reason_of(error);
    ref->payload.ref.where = where;
    if (error == -PST_E_NUMBER_EXISTS)
        ref->payload.ref.number = proxy->highest_number;
}

struct pst_signal *proxy_confirm(const struct pst_proxy *proxy, const struct pst_signal *request,
                                 struct pst_actions *actions)
{
    assert(gsn_is_request(request->gsn));
    struct pst_signal *conf = actions_send(actions, PST_CONF_OF(request->gsn), proxy->face_ref,
                                           request->sender_ref, request->backup, request->sequence);
    conf->payload.order.master_ref = request->payload.order.master_ref;
    return conf;
}

void proxy_stop_work(struct pst_proxy *proxy, struct pst_actions *actions)
{
    assert(proxy->error); /* an abort has a reason */
    dealer_stop(&proxy->dealer);
    struct pst_set ldms = proxy_members(proxy, PST_BLOCK_BACKUP);
    struct pst_signal *ord =
        actions_fan_out(actions, PST_ABORT_BACKUP_ORD, proxy->self_ref, PST_ROUTE_LDMS, &ldms,
                        pst_ref_make(proxy_node(proxy), PST_BLOCK_BACKUP, 0), proxy->backup, 0);
    ord->payload.abort.master_ref = proxy->master_ref;
    ord->payload.abort.request = PST_ABORT_BACKUP_FAILURE;
    ord->payload.abort.error = pst_reason_of(proxy->error);
    ord->payload.abort.where = proxy->where;
    if (proxy->sources == 0)
        return;
    struct pst_set sources = proxy_members(proxy, PST_BLOCK_SOURCE);
    struct pst_signal *abort =
        actions_fan_out(actions, PST_SOURCE_ABORT_ORD, proxy->self_ref, PST_ROUTE_SOURCES, &sources,
                        pst_ref_make(proxy_node(proxy), PST_BLOCK_SOURCE, 0), proxy->backup, 0);
    abort->payload.order.master_ref = proxy->master_ref;
}

void proxy_fail_scan(struct pst_proxy *proxy, int error, pst_ref where, struct pst_actions *actions)
{
    assert(proxy->state == PST_PROXY_SCANNING);
    assert(error < 0);
    if (proxy->error)
        return;
    proxy_note_error(proxy, error, where);
    proxy_stop_work(proxy, actions);
    proxy->deadline_ns = proxy->now_ns + proxy->timeouts.proxy_ns;
}
