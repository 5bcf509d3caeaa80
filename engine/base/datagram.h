/*
 * One datagram to a UNIX socket, by its address: how the service manager and the journal are told.
 * Any thread.
 */
#ifndef PST_ENGINE_BASE_DATAGRAM_H
#define PST_ENGINE_BASE_DATAGRAM_H

#include <stddef.h>

#include "penstock/error.h"

/* path: of a socket in the file system, or "@NAME" of an abstract one. flags: MSG_DONTWAIT, or 0:
 * it waits while the receiver's queue is full. 0, or -errno: it was not sent. Keeps no descriptor,
 * so it serves children that closed all of theirs. */
PST_MUST_USE int pst_datagram_send(const char *path, const void *bytes, size_t size, int flags);

#endif
