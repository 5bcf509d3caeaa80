/*
 * The control socket of a node: what `penstock backup`, `status`, `abort` and `resolve --node
 * SOCKET` talk to. A UNIX socket (SOCK_SEQPACKET), mode 0600; who connects must be of the node's
 * user, or root. A packet is one JSON object of at most PST_CONTROL_BYTES_MAX; docs/architecture.md
 * lists them.
 *
 * The server is the node's client (engine/node/client.h), on one thread. A socket's client that
 * does not read misses progress, and is hung up on before anybody waits for it.
 */
#ifndef PST_ENGINE_SERVICE_CONTROL_H
#define PST_ENGINE_SERVICE_CONTROL_H

#include "engine/node/node.h"

#define PST_CONTROL_BYTES_MAX (64u * 1024)
#define PST_CONTROL_CLIENTS_MAX 16u

/* How long a node that is told to stop may take, at most. */
#define PST_CONTROL_END_S 15u

struct pst_control;
struct json_t;

/* Binds the socket and listens. A socket that nobody serves any more is replaced. Before any other
 * thread starts, for it sets the umask for a moment. -errno with why in message
 * (PST_MESSAGE_BYTES); -EADDRINUSE: somebody serves it. */
PST_MUST_USE int pst_control_open(const char *path, struct pst_control **control, char *message);

/* Serves until the interrupt (engine/service/interrupt.h), or until the node is broken; then ends
 * what backup there is. From then on pst_interrupt_end_within() holds. 0, or -errno. */
PST_MUST_USE int pst_control_run(struct pst_control *control, struct pst_node *node,
                                 const struct pst_node_config *config);

/* Removes the socket. Nothing for NULL. */
void pst_control_close(struct pst_control *control);

/* ---- the other end ---- */

/* Connects to a node. A descriptor, or -errno with message. */
PST_MUST_USE int pst_control_connect(const char *path, char *message);

/* Takes the reference. -errno. */
PST_MUST_USE int pst_control_send(int fd, struct json_t *request);

/* The next message, whose reference is the caller's. -errno; -EPIPE: the node has hung up;
 * -EINTR: the interrupt (interrupt_fd, -1: none) came first. */
PST_MUST_USE int pst_control_receive(int fd, int interrupt_fd, struct json_t **message);

#endif
