/*
 * The control socket of a node, both ends: a UNIX socket (SOCK_SEQPACKET), mode 0600. A packet is
 * one JSON object of at most PST_CONTROL_BYTES_MAX; docs/architecture.md lists them.
 *
 * Main thread only.
 */
#ifndef PST_ENGINE_SERVICE_CONTROL_SOCKET_H
#define PST_ENGINE_SERVICE_CONTROL_SOCKET_H

#include "engine/base/limits.h"
#include "penstock/error.h"

/* The longest status is shorter, and a socket takes more. */
#define PST_CONTROL_BYTES_MAX (128u * 1024)

struct json_t;

/* Connects to the node that serves path. A descriptor, the caller's, or -errno with message
 * (PST_MESSAGE_BYTES). */
PST_MUST_USE int pst_control_connect(const char *path, char *message);

/* Sends one packet and takes the reference. -errno. */
PST_MUST_USE int pst_control_send(int fd, struct json_t *request);

/* Waits for the next packet, whose reference is the caller's. -errno; -EPIPE: the node has hung up;
 * -EBADMSG: it is no JSON object; -EINTR: interrupt_fd (-1: none) became readable first. */
PST_MUST_USE int pst_control_receive(int fd, int interrupt_fd, struct json_t **message);

/* Binds the socket and listens. A socket that no process serves any more is replaced. Before any
 * other thread starts, for it sets the umask for a moment. A descriptor, the caller's, as is the
 * file at path; or -errno with message (PST_MESSAGE_BYTES): -EADDRINUSE: another process serves it.
 * Private to engine/service/. */
PST_MUST_USE int control_listen(const char *path, int backlog, char *message);

#endif
