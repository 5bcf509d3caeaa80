/*
 * What the proxy's files need of each other's work, whatever is in service: members and their
 * refs, the first error, its answers to the master, and the order to stop. Private to the proxy.
 */
#ifndef PST_ENGINE_PROTOCOL_PROXY_ANSWER_H
#define PST_ENGINE_PROTOCOL_PROXY_ANSWER_H

#include "engine/protocol/proxy_state.h"

#define PROXY_NO_MEMBER PST_SET_MEMBERS /* in no set */

static inline uint32_t proxy_node(const struct pst_proxy *proxy)
{
    return pst_ref_node(proxy->self_ref);
}

/* Which instance of a block of this node sent this; PROXY_NO_MEMBER for a stranger. */
uint32_t proxy_member_of(const struct pst_proxy *proxy, enum pst_block block, pst_ref sender_ref);

/* The members of a block of this node: LDMs, sources, or the archive. */
struct pst_set proxy_members(const struct pst_proxy *proxy, enum pst_block block);

/* The ref of a member: the other way round. */
pst_ref proxy_member_ref(const struct pst_proxy *proxy, enum pst_block block, uint32_t member);

/* The first error counts. error: negative, or 0, which changes nothing. */
void proxy_note_error(struct pst_proxy *proxy, int error, pst_ref where);

/* Answers an order. error: negative. */
void proxy_refuse(const struct pst_proxy *proxy, const struct pst_signal *request, int error,
                  pst_ref where, struct pst_actions *actions);

/* Returns the CONF, to be filled in further: it carries masterRef only. */
struct pst_signal *proxy_confirm(const struct pst_proxy *proxy, const struct pst_signal *request,
                                 struct pst_actions *actions);

/* Orders LDMs and sources to end what they are doing. What was asked of them is still answered. */
void proxy_stop_work(struct pst_proxy *proxy, struct pst_actions *actions);

/* The scan has failed, error negative: what was asked for is still awaited, for a time. */
void proxy_fail_scan(struct pst_proxy *proxy, int error, pst_ref where,
                     struct pst_actions *actions);

#endif
