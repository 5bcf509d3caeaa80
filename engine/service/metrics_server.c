/*
 * Answers GET /metrics with the node's metrics. Opened and closed by daemon.c, on the main thread;
 * answers on the thread of the HTTP server.
 */
#include "engine/service/metrics_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/log.h"
#include "engine/http/http_server.h"
#include "engine/metrics/node_metrics.h"
#include "engine/service/control_socket.h"

#define METRICS_PATH "/metrics"

/* Prometheus waits 10 s, by default. */
#define ANSWER_MS 3000

struct metrics_server {
    const char *socket_path;
    struct pst_http_server *http;
};

/* Whoever does not ask for OpenMetrics gets the format that came before it. */
static enum pst_exposition_format format_of(const char *accept)
{
    return strstr(accept, "application/openmetrics-text") ? PST_EXPOSITION_OPENMETRICS
                                                          : PST_EXPOSITION_PROMETHEUS;
}

static const char *media_type(enum pst_exposition_format format)
{
    return format == PST_EXPOSITION_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

static void answer_request(void *context, const char *accept, struct pst_http_answer *answer)
{
    const struct metrics_server *server = context;
    enum pst_exposition_format format = format_of(accept);
    json_t *status = NULL;
    int error = control_ask(server->socket_path, json_pack("{s:s}", "request", "status"), ANSWER_MS,
                            &status);
    const char *type = json_string_value(json_object_get(status, "message_type"));
    if (!error && (!type || strcmp(type, "status") != 0))
        error = -EPROTO; /* the node has no memory for one */
    if (!error)
        error = pst_metrics_of_node(status, format, &answer->text, &answer->bytes);
    json_decref(status);
    if (error)
        return;
    answer->status = 200;
    answer->media_type = media_type(format);
}

static int parse(const char *address, struct pst_http_address *parsed, char *message)
{
    int error = pst_http_parse(address, parsed);
    if (error)
        snprintf(message, PST_MESSAGE_BYTES,
                 "--metrics %s: give PORT or ADDRESS:PORT, such as 127.0.0.1:9420 or [::1]:9420",
                 address);
    return error;
}

int metrics_server_check(const char *address, char *message)
{
    struct pst_http_address parsed;
    return parse(address, &parsed, message);
}

static int fail_to_listen(const char *address, int error, char *message)
{
    snprintf(message, PST_MESSAGE_BYTES, "--metrics %s: %s", address, pst_error_text(error));
    return error;
}

int metrics_server_try(const char *address, char *message)
{
    struct pst_http_address parsed;
    int error = parse(address, &parsed, message);
    if (error)
        return error;
    error = pst_http_check(&parsed);
    return error ? fail_to_listen(address, error, message) : 0;
}

int metrics_server_open(const char *address, const char *socket_path,
                        struct metrics_server **opened, char *message)
{
    struct pst_http_address parsed;
    *opened = NULL;
    int error = pst_http_parse(address, &parsed);
    struct metrics_server *server = error ? NULL : calloc(1, sizeof(*server));
    if (!error && !server)
        error = -ENOMEM;
    if (!error) {
        server->socket_path = socket_path;
        error = pst_http_open(&parsed, METRICS_PATH, answer_request, server, &server->http);
    }
    if (error) {
        free(server);
        return fail_to_listen(address, error, message);
    }
    char name[PST_HTTP_NAME_BYTES];
    pst_http_name(server->http, name);
    pst_log(PST_LOG_INFO, "metrics are served at http://%s" METRICS_PATH, name);
    *opened = server;
    return 0;
}

void metrics_server_close(struct metrics_server *server)
{
    if (!server)
        return;
    pst_http_close(server->http);
    free(server);
}
