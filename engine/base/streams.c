/* Occupies closed standard streams. Called at the start of every command, and by the entries of the
 * library before they open a file. */
#include "engine/base/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "penstock/limits.h"

int pst_streams_occupy(char *message)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        int null = open("/dev/null", O_RDONLY); /* commands inherit it */
        if (null < 0) {
            int error = -errno;
            (void)snprintf(message, PST_MESSAGE_BYTES,
                           "descriptor %d is closed, and /dev/null cannot be opened in its place: "
                           "%s",
                           fd, pst_error_text(error));
            return error;
        }
        if (null > STDERR_FILENO)
            close(null); /* another thread was faster */
    }
    return 0;
}
