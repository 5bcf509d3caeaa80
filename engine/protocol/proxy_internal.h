/* What the files of the proxy share: proxy.c takes events, proxy_order.c serves orders,
 * proxy_scan.c scans. */
#ifndef PST_ENGINE_PROTOCOL_PROXY_INTERNAL_H
#define PST_ENGINE_PROTOCOL_PROXY_INTERNAL_H

#include "engine/protocol/proxy.h"

static inline uint32_t own_node(const struct pst_proxy *proxy)
{
    return pst_ref_node(proxy->self_ref);
}

#define NO_MEMBER 256u /* in no set */

/* Who of a block of this node sent this; NO_MEMBER for a stranger. */
uint32_t pst_proxy_member_of(const struct pst_proxy *proxy, enum pst_block block,
                             pst_ref sender_ref);

/* proxy_order.c */

/* The first error counts. */
void pst_proxy_note_error(struct pst_proxy *proxy, uint32_t error, pst_ref where);

void pst_proxy_refuse(const struct pst_proxy *proxy, const struct pst_signal *request,
                      uint32_t error, pst_ref where, struct pst_actions *actions);
void pst_proxy_confirm(const struct pst_proxy *proxy, const struct pst_signal *request,
                       struct pst_actions *actions);

/* Serves an order from its first step; take_order and advance are the halves of it. */
void pst_proxy_serve(struct pst_proxy *proxy, const struct pst_signal *request,
                     enum pst_proxy_state busy, struct pst_actions *actions);
void pst_proxy_take_order(struct pst_proxy *proxy, const struct pst_signal *request,
                          enum pst_proxy_state busy);
void pst_proxy_advance(struct pst_proxy *proxy, struct pst_actions *actions);

/* Goes on if all that the step waits for has come. */
void pst_proxy_end_step(struct pst_proxy *proxy, struct pst_actions *actions);

/* The writers have gone on for a while: the next try to freeze them. */
void pst_proxy_resume(struct pst_proxy *proxy, struct pst_actions *actions);

/* The order's deadline has passed. */
void pst_proxy_give_up(struct pst_proxy *proxy, struct pst_actions *actions);

/* Ends the order in service with its answer. */
void pst_proxy_finish(struct pst_proxy *proxy, struct pst_actions *actions);

/* Tells LDMs and sources to end what they are doing; they answer it. */
void pst_proxy_stop_work(struct pst_proxy *proxy, struct pst_actions *actions);

/* Whether the step in service is the listing and dealing of fragments. */
bool pst_proxy_is_listing(const struct pst_proxy *proxy);

/* proxy_scan.c */

/* The scan has failed; what was asked for is still awaited, for a time. */
void pst_proxy_fail_scan(struct pst_proxy *proxy, uint32_t error, pst_ref where,
                         struct pst_actions *actions);

void pst_proxy_on_fragment_listed(struct pst_proxy *proxy, const struct pst_signal *listed,
                                  struct pst_actions *actions);
void pst_proxy_on_fragment_answer(struct pst_proxy *proxy, const struct pst_signal *answer,
                                  struct pst_actions *actions);
void pst_proxy_on_progress(struct pst_proxy *proxy, const struct pst_signal *report);
void pst_proxy_report_progress(struct pst_proxy *proxy, struct pst_actions *actions);

#endif
