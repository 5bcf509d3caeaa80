/*
 * The HTTP server, by libmicrohttpd, which runs on a thread of the engine's own: one of the
 * library's would take signals of the process. Called by engine/service/metrics_server.c.
 */
#include "engine/http/http_server.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "engine/base/thread.h"
#include "engine/http/libmicrohttpd.h"

#define CONNECTIONS_MAX 16u
#define SILENCE_S 10u

/* Connections that are being closed, beside those. */
#define CLOSING_MAX 16u

struct pst_http_server {
    int clients[CONNECTIONS_MAX + CLOSING_MAX]; /* descriptors, the oldest first */
    uint32_t clients_count;
    uint32_t closing; /* the oldest of them, so many: they have been shut down */
    struct MHD_Daemon *daemon;
    int epoll_fd; /* the daemon's */
    int listen_fd;
    int stop_fd; /* readable: the thread is to end */
    pthread_t thread;
    const char *path;
    pst_http_handler *handler;
    void *context;
};

/* ---- addresses ---- */

/* Splits "[::1]:80", "1.2.3.4:80", ":80", "80"; host: NI_MAXHOST. false: it is none of them. */
static bool split(const char *text, char *host, const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t bytes = colon ? (size_t)(colon - text) : 0;
    *port = colon ? colon + 1 : text;
    if (bytes >= 2 && text[0] == '[' && text[bytes - 1] == ']') {
        text++;
        bytes -= 2;
    } else if (memchr(text, ':', bytes)) {
        return false; /* IPv6 without brackets: which colon is the port's? */
    }
    if (bytes >= NI_MAXHOST)
        return false;
    memcpy(host, text, bytes);
    host[bytes] = '\0';
    return true;
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 5 && text[digits] == '\0' && atol(text) <= UINT16_MAX;
}

int pst_http_parse(const char *text, struct pst_http_address *address)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                          .ai_socktype = SOCK_STREAM,
                                          .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    char host[NI_MAXHOST];
    const char *port;
    struct addrinfo *found;
    if (!split(text, host, &port) || !is_port(port) ||
        getaddrinfo(*host ? host : "127.0.0.1", port, &hints, &found) != 0)
        return -EINVAL;
    memset(address, 0, sizeof(*address));
    memcpy(&address->socket, found->ai_addr, found->ai_addrlen);
    address->bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

/* A descriptor or -errno. */
static int listen_at(const struct pst_http_address *address)
{
    int on = 1;
    int fd =
        socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, (const struct sockaddr *)&address->socket, address->bytes) == 0 &&
        listen(fd, (int)CONNECTIONS_MAX) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

int pst_http_check(const struct pst_http_address *address)
{
    struct pst_http_address any_port = *address;
    int error = libmicrohttpd_load();
    if (error)
        return error;
    if (address->socket.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&any_port.socket)->sin6_port = 0;
    else
        ((struct sockaddr_in *)&any_port.socket)->sin_port = 0;
    int fd = listen_at(&any_port);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* ---- requests ---- */

static enum MHD_Result send_text(struct MHD_Connection *connection,
                                 const struct pst_http_answer *answer)
{
    static char empty[1];
    struct MHD_Response *response = libmicrohttpd.MHD_create_response_from_buffer(
        answer->bytes, answer->text ? answer->text : empty,
        answer->text ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!response) {
        free(answer->text);
        return MHD_NO;
    }
    enum MHD_Result result = MHD_YES;
    if (answer->media_type)
        result = libmicrohttpd.MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                                       answer->media_type);
    if (result == MHD_YES)
        result = libmicrohttpd.MHD_queue_response(connection, answer->status, response);
    libmicrohttpd.MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_status(struct MHD_Connection *connection, unsigned status)
{
    const struct pst_http_answer answer = {.status = status};
    return send_text(connection, &answer);
}

/* The library asks first when the headers are there, and again for each piece of a body, which
 * nobody reads. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_bytes, void **state)
{
    static char is_known;
    const struct pst_http_server *server = context;
    struct pst_http_answer answer = {.status = MHD_HTTP_SERVICE_UNAVAILABLE};
    (void)version;
    (void)body;
    if (!*state) {
        *state = &is_known;
        return MHD_YES;
    }
    if (*body_bytes > 0) {
        *body_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(url, server->path) != 0)
        return send_status(connection, MHD_HTTP_NOT_FOUND);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return send_status(connection, MHD_HTTP_METHOD_NOT_ALLOWED);
    const char *accept = libmicrohttpd.MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                                   MHD_HTTP_HEADER_ACCEPT);
    server->handler(server->context, accept ? accept : "", &answer);
    return send_text(connection, &answer);
}

/* ---- connections ---- */

static void let_in(struct pst_http_server *server, int fd)
{
    assert(server->clients_count < CONNECTIONS_MAX + CLOSING_MAX);
    server->clients[server->clients_count++] = fd;
    if (server->clients_count - server->closing > CONNECTIONS_MAX)
        (void)shutdown(server->clients[server->closing++], SHUT_RDWR);
}

static void forget(struct pst_http_server *server, int fd)
{
    uint32_t i = 0;
    while (i < server->clients_count && server->clients[i] != fd)
        i++;
    assert(i < server->clients_count);
    server->closing -= i < server->closing;
    server->clients_count--;
    memmove(&server->clients[i], &server->clients[i + 1],
            (server->clients_count - i) * sizeof(server->clients[0]));
}

/* Who connects and asks nothing keeps nobody out. */
static void on_connection(void *context, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode what)
{
    int fd = libmicrohttpd.MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                 ->connect_fd;
    (void)state;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        let_in(context, fd);
    else
        forget(context, fd);
}

/* ---- the thread ---- */

static int timeout_ms(struct MHD_Daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (libmicrohttpd.MHD_get_timeout(daemon, &ms) != MHD_YES)
        return -1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void *run(void *argument)
{
    struct pst_http_server *server = argument;
    struct pollfd polled[2] = {{.fd = server->epoll_fd, .events = POLLIN},
                               {.fd = server->stop_fd, .events = POLLIN}};
    pst_thread_name("pst http");
    while (polled[1].revents == 0) {
        (void)poll(polled, 2, timeout_ms(server->daemon)); /* an error is one turn too many */
        (void)libmicrohttpd.MHD_run(
            server->daemon); /* likewise: a connection that failed is closed */
    }
    return NULL;
}

static int start_daemon(struct pst_http_server *server, const struct pst_http_address *address)
{
    int error = libmicrohttpd_load();
    if (error)
        return error;
    int fd = listen_at(address);
    if (fd < 0)
        return fd;
    server->daemon = libmicrohttpd.MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX + CLOSING_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        SILENCE_S, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
    if (!server->daemon) {
        close(fd);
        return -ENOMEM;
    }
    server->listen_fd = fd;
    server->epoll_fd =
        libmicrohttpd.MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return 0;
}

static void release(struct pst_http_server *server)
{
    if (server->daemon)
        libmicrohttpd.MHD_stop_daemon(server->daemon);
    if (server->stop_fd >= 0)
        close(server->stop_fd);
    free(server);
}

int pst_http_open(const struct pst_http_address *address, const char *path,
                  pst_http_handler *handler, void *context, struct pst_http_server **opened)
{
    PST_CHECK_MAIN_THREAD();
    *opened = NULL;
    struct pst_http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    server->path = path;
    server->handler = handler;
    server->context = context;
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    int error = server->stop_fd < 0 ? -errno : start_daemon(server, address);
    if (!error)
        error = pst_thread_create(&server->thread, run, server);
    if (error) {
        release(server);
        return error;
    }
    *opened = server;
    return 0;
}

void pst_http_name(const struct pst_http_server *server, char *text)
{
    struct pst_http_address own = {.bytes = sizeof(own.socket)};
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(server->listen_fd, (struct sockaddr *)&own.socket, &own.bytes) < 0 ||
        getnameinfo((const struct sockaddr *)&own.socket, own.bytes, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        host[0] = port[0] = '\0';
    bool is_v6 = own.socket.ss_family == AF_INET6;
    snprintf(text, PST_HTTP_NAME_BYTES, "%s%.46s%s:%.5s", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
             port);
}

void pst_http_close(struct pst_http_server *server)
{
    if (!server)
        return;
    PST_CHECK_MAIN_THREAD();
    (void)eventfd_write(server->stop_fd, 1);
    pthread_join(server->thread, NULL);
    release(server);
}
