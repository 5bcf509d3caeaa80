/*
 * The control socket of a node, both ends: a UNIX socket (SOCK_SEQPACKET), mode 0600. A packet is
 * one JSON object of at most PST_CONTROL_BYTES_MAX; docs/architecture.md lists them.
 *
 * Main thread only, but for control_ask.
 */
#ifndef PST_ENGINE_SERVICE_CONTROL_SOCKET_H
#define PST_ENGINE_SERVICE_CONTROL_SOCKET_H

#include <sys/types.h>

#include "engine/base/limits.h"
#include "penstock/error.h"

/* The longest status is shorter, and a socket takes more. */
#define PST_CONTROL_BYTES_MAX (128u * 1024)

struct json_t;

/* A node answers within that, but for what takes as long as a backup does. */
#define PST_CONTROL_ANSWER_MS 10000

/* Connects to the node that serves path. A descriptor, the caller's, or -errno with message
 * (PST_MESSAGE_BYTES). */
PST_MUST_USE int pst_control_connect(const char *path, char *message);

/* Sends one packet and takes the reference. -errno. */
PST_MUST_USE int pst_control_send(int fd, struct json_t *request);

/* Waits for the next packet, whose reference is the caller's. -errno; -EPIPE: the node has hung up;
 * -EBADMSG: it is no JSON object; -ENOMEM; -EINTR: interrupt_fd (-1: none) became readable first;
 * -ETIMEDOUT: for PST_CONTROL_ANSWER_MS nothing came, and for as long again no answer to a second
 * connection at path (NULL: it may be silent for good). After an error *message is unchanged or
 * NULL. */
PST_MUST_USE int pst_control_receive(int fd, int interrupt_fd, const char *path,
                                     struct json_t **message);

/* Sends one request over a connection of its own, and waits for one answer, timeout_ms at most; the
 * reference of request is taken, that of *answer the caller's. Any thread. -errno as above;
 * -ETIMEDOUT. */
PST_MUST_USE int control_ask(const char *path, struct json_t *request, int timeout_ms,
                             struct json_t **answer);

struct control_listener {
    int fd;       /* listens */
    int lock_fd;  /* locks path + CONTROL_LOCK_SUFFIX: who has it alone may replace the socket */
    dev_t device; /* of the socket's file */
    ino_t inode;
};

#define CONTROL_LOCK_SUFFIX ".penstock-lock"

/* Binds the socket and listens. A socket that no process serves any more is replaced. Any
 * thread. 0, the descriptors the caller's, as are the files at path and of the lock; or -errno with
 * message (PST_MESSAGE_BYTES): -EADDRINUSE: another process serves it, or is about to; -EEXIST:
 * there is a file that is no socket. Private to engine/service/. */
PST_MUST_USE int control_listen(const char *path, int backlog, struct control_listener *listener,
                                char *message);

/* Whether that could be, but for another process that serves path. */
PST_MUST_USE int control_listen_check(const char *path, char *message);

/* Closes it, and removes its files unless they are somebody else's by now. */
void control_unlisten(struct control_listener *listener, const char *path);

#endif
