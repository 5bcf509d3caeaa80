/* Sends a datagram to a UNIX socket. Called by journal.c, on any thread, and for the service
 * manager by engine/service/notify.c. */
#include "engine/base/datagram.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int pst_datagram_send(const char *path, const void *bytes, size_t size, int flags)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t path_bytes = strlen(path);
    if (path_bytes >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, path_bytes);
    if (*path == '@') /* an abstract name, which no zero ends */
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    socklen_t address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes);
    ssize_t sent = sendto(fd, bytes, size, flags | MSG_NOSIGNAL, (const struct sockaddr *)&address,
                          address_bytes);
    int error = sent < 0 ? -errno : 0;
    close(fd);
    return error;
}
