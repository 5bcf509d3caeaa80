/*
 * Loads the module of the fabrics between hosts and of DPDK's EAL.
 */
#ifndef PST_ENGINE_SERVICE_NET_LOAD_H
#define PST_ENGINE_SERVICE_NET_LOAD_H

#include "net/module/net_module.h"

/* Loads it, if it is not loaded yet; it stays. Any thread. 0, or -errno with message
 * (PST_MESSAGE_BYTES): -ELIBACC: it is not there, or cannot be loaded; -ELIBBAD: it is of another
 * build than this program. */
PST_MUST_USE int net_load(char *message);

/* After net_load(). Any thread. */
const struct pst_net_module *net_loaded(void);

#endif
