/*
 * Notifies the service manager, by the protocol of sd_notify(3). Called by daemon.c and control.c,
 * on the main thread.
 */
#include "engine/service/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/check.h"

int service_notify(const char *state)
{
    PST_CHECK_MAIN_THREAD();
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || *path == '\0')
        return 0;
    size_t bytes = strlen(path);
    if (bytes >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, bytes);
    if (*path == '@') /* an abstract name, which no zero ends */
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    socklen_t address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&address, address_bytes);
    int error = sent < 0 ? -errno : 0;
    close(fd);
    return error;
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
