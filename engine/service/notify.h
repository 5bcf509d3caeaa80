/*
 * Notifications to the service manager, by the protocol of sd_notify(3): datagrams to the socket
 * that NOTIFY_SOCKET names. Nothing happens where there is none. Private to engine/service/. Main
 * thread only, because of the environment.
 */
#ifndef PST_ENGINE_SERVICE_NOTIFY_H
#define PST_ENGINE_SERVICE_NOTIFY_H

#include <stdint.h>

#include "penstock/error.h"

/* Sends "READY=1", "STOPPING=1" or "WATCHDOG=1". 0, or -errno: it could not be sent. */
int service_notify(const char *state);

/* How often to send WATCHDOG=1: half of the time that the service manager waits for it; 0: it does
 * not wait. */
uint64_t service_notify_watchdog_ns(void);

#endif
