/* The invariants of a proxy. Private to the proxy. */
#ifndef PST_ENGINE_PROTOCOL_PROXY_CHECK_H
#define PST_ENGINE_PROTOCOL_PROXY_CHECK_H

#include "engine/protocol/proxy_state.h"

/* Asserts what must hold between two steps. */
void proxy_check(const struct pst_proxy *proxy);

#endif
