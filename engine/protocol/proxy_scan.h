/*
 * The scan of a node: fragments are dealt as they are listed; progress is judged and reported.
 * Private to the proxy.
 */
#ifndef PST_ENGINE_PROTOCOL_PROXY_SCAN_H
#define PST_ENGINE_PROTOCOL_PROXY_SCAN_H

#include "engine/protocol/proxy_state.h"

/* A source lists a fragment: SOURCE_FRAGMENT_REP. */
void proxy_on_fragment_listed(struct pst_proxy *proxy, const struct pst_signal *listed,
                              struct pst_actions *actions);

/* An LDM has scanned one, or failed to. */
void proxy_on_fragment_answer(struct pst_proxy *proxy, const struct pst_signal *answer,
                              struct pst_actions *actions);

/* An LDM's sums have grown, or it has read back more of its part. */
void proxy_on_progress(struct pst_proxy *proxy, const struct pst_signal *report);

/* Whether a report to the master is, or may become, due: progress_due_ns. */
bool proxy_reports_progress(const struct pst_proxy *proxy);

/* To the master, if there is anything new. */
void proxy_report_progress(struct pst_proxy *proxy, struct pst_actions *actions);

#endif
