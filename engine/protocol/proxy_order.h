/*
 * Orders of the master's: each is a script of steps, which asks archive, LDMs or sources and waits
 * for all of them (docs/protocol.md, "Proxy"). Private to the proxy.
 */
#ifndef PST_ENGINE_PROTOCOL_PROXY_ORDER_H
#define PST_ENGINE_PROTOCOL_PROXY_ORDER_H

#include "engine/protocol/proxy_state.h"

/* A step asks all of the block that answers its REQ. */
struct proxy_step {
    uint16_t gsn; /* the REQ; 0: the script has ended */
    bool in_turn; /* one source after the other, in name order */
    bool deals;   /* fragments are dealt meanwhile: it also waits for those, and is judged by
                     progress, not by time */
    bool pauses;  /* the writers go on for a while after it, but for the first try */
    int retry_on; /* with this error, negative, the order begins anew; 0: with none */
    /* What an answer adds up; NULL: nothing. The CONF may ask for more: member sent it. */
    void (*on_conf)(struct pst_proxy *proxy, const struct pst_signal *conf, uint32_t member,
                    struct pst_actions *actions);
    void (*on_ref)(struct pst_proxy *proxy, const struct pst_ref_payload *ref);
};

/* Of the order in service; there must be one. */
const struct proxy_step *proxy_current_step(const struct pst_proxy *proxy);

/* Whether fragments are being listed and dealt. */
bool proxy_deals(const struct pst_proxy *proxy);

/* Serves an order, in the state busy, from this step of its script on. */
void proxy_serve(struct pst_proxy *proxy, const struct pst_signal *request,
                 enum pst_proxy_state busy, uint32_t step, struct pst_actions *actions);

/* An answer to a step's request. */
void proxy_on_answer(struct pst_proxy *proxy, const struct pst_signal *answer,
                     struct pst_actions *actions);

/* Goes on if all that the step waits for has come. */
void proxy_end_step(struct pst_proxy *proxy, struct pst_actions *actions);

/* The writers have gone on for a while: the order's next step. */
void proxy_resume(struct pst_proxy *proxy, struct pst_actions *actions);

/* The order's deadline has passed. */
void proxy_give_up(struct pst_proxy *proxy, struct pst_actions *actions);

/* Ends the order in service with its one answer. */
void proxy_finish(struct pst_proxy *proxy, struct pst_actions *actions);

#endif
