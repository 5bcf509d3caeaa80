/*
 * The server behind a node's control socket: what `penstock backup`, `status`, `abort` and `resolve
 * --node SOCKET` ask. A client must run as the node's user, or as root; one that does not read
 * misses progress, and is hung up on before the server would wait for it. Private to
 * engine/service/.
 *
 * The server is the node's client (engine/node/client.h). One thread, any.
 */
#ifndef PST_ENGINE_SERVICE_CONTROL_H
#define PST_ENGINE_SERVICE_CONTROL_H

#include <stdbool.h>

#include "penstock/error.h"

/* How long a node may take to stop, at most. */
#define CONTROL_END_S 15u

struct control;
struct pst_node;
struct pst_node_config;

/* Makes the socket (control_listen). -errno with message (PST_MESSAGE_BYTES); -EADDRINUSE: another
 * process serves it. */
PST_MUST_USE int control_open(const char *path, struct control **control, char *message);

/* Serves until stop_fd is readable, or until the node is broken; then ends the running backup.
 * owns_process: the service manager is notified of both, and from then on interrupt_end_within()
 * holds. 0, or -EIO: broken. */
PST_MUST_USE int control_run(struct control *control, struct pst_node *node,
                             const struct pst_node_config *config, int stop_fd, bool owns_process);

/* Removes the socket. Nothing for NULL. */
void control_close(struct control *control);

#endif
