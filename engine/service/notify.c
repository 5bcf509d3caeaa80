/*
 * Notifies the service manager, by the protocol of sd_notify(3). Called by daemon.c and control.c,
 * on the main thread.
 */
#include "engine/service/notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "engine/base/datagram.h"

int service_notify(const char *state)
{
    PST_CHECK_MAIN_THREAD();
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || *path == '\0')
        return 0;
    return pst_datagram_send(path, state, strlen(state), MSG_DONTWAIT);
}

uint64_t service_notify_watchdog_ns(void)
{
    PST_CHECK_MAIN_THREAD();
    const char *pid = getenv("WATCHDOG_PID");
    const char *limit = getenv("WATCHDOG_USEC");
    if (!limit || (pid && strtoul(pid, NULL, 10) != (unsigned long)getpid()))
        return 0;
    return strtoull(limit, NULL, 10) * 1000 / 2;
}
