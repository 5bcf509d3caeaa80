/*
 * The functions of libmicrohttpd that a server takes: the library is loaded by the first one, for
 * it brings GnuTLS along, which takes longer to load than all else of a command.
 */
#ifndef PST_ENGINE_HTTP_LIBMICROHTTPD_H
#define PST_ENGINE_HTTP_LIBMICROHTTPD_H

#include <microhttpd.h>

#include "engine/base/late.h"

#define LIBMICROHTTPD_FUNCTIONS(X)                                                                 \
    X(MHD_start_daemon)                                                                            \
    X(MHD_stop_daemon)                                                                             \
    X(MHD_run)                                                                                     \
    X(MHD_get_timeout)                                                                             \
    X(MHD_get_daemon_info)                                                                         \
    X(MHD_get_connection_info)                                                                     \
    X(MHD_lookup_connection_value)                                                                 \
    X(MHD_create_response_from_buffer)                                                             \
    X(MHD_add_response_header)                                                                     \
    X(MHD_queue_response)                                                                          \
    X(MHD_destroy_response)

struct libmicrohttpd {
    LIBMICROHTTPD_FUNCTIONS(PST_LATE_MEMBER)
};

/* Filled by libmicrohttpd_load(). */
extern struct libmicrohttpd libmicrohttpd;

/* Main thread. 0, or -ELIBACC, with a line in the log: it cannot be loaded. */
PST_MUST_USE int libmicrohttpd_load(void);

#endif
