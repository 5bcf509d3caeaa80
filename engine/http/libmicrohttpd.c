/* Loads libmicrohttpd. Called by http_server.c, on the main thread. */
#include "engine/http/libmicrohttpd.h"

#include <stdbool.h>

/* The soname of all releases from 0.9.38 on, 1.0 too. */
#define LIBMICROHTTPD_FILE "libmicrohttpd.so.12"

struct libmicrohttpd libmicrohttpd;

/* A server that runs reads them: they are filled once. */
int libmicrohttpd_load(void)
{
    static const char *const names[] = {LIBMICROHTTPD_FUNCTIONS(PST_LATE_NAME)};
    static bool is_loaded;
    int error = is_loaded ? 0
                          : pst_late_load(LIBMICROHTTPD_FILE, "for metrics over HTTP", names,
                                          sizeof(names) / sizeof(names[0]), &libmicrohttpd);
    is_loaded = !error;
    return error;
}
