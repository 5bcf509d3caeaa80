/*
 * A node's metrics over HTTP, on a thread of its own, which is a client of the node's control
 * socket as any other: it shares nothing with the node's threads, and where the node does not
 * answer in time, the request ends with 503. Private to engine/service/. Main thread only.
 */
#ifndef PST_ENGINE_SERVICE_METRICS_SERVER_H
#define PST_ENGINE_SERVICE_METRICS_SERVER_H

#include "penstock/error.h"

struct metrics_server;

/* Whether address is one: as of pst_http_parse. -EINVAL with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int metrics_server_check(const char *address, char *message);

/* Likewise, and whether it is of this host. -errno. */
PST_MUST_USE int metrics_server_try(const char *address, char *message);

/* Serves /metrics at address, of the node at this control socket (borrowed). -errno with message
 * as above. */
PST_MUST_USE int metrics_server_open(const char *address, const char *socket_path,
                                     struct metrics_server **server, char *message);

/* After the control socket, so that no request waits any more. Nothing for NULL. */
void metrics_server_close(struct metrics_server *server);

#endif
