/*
 * Tells the service manager how the process is, by the protocol of sd_notify(3): datagrams to the
 * socket that NOTIFY_SOCKET names. Nothing happens where there is none. Main thread.
 */
#ifndef PST_ENGINE_SERVICE_NOTIFY_H
#define PST_ENGINE_SERVICE_NOTIFY_H

#include <stdint.h>

#include "penstock/error.h"

/* state: "READY=1", "STOPPING=1", "WATCHDOG=1". 0, or -errno: it could not be told. */
int pst_notify(const char *state);

/* How often WATCHDOG=1 is to be told, half of what the service manager waits; 0: it does not. */
uint64_t pst_notify_watchdog_ns(void);

#endif
