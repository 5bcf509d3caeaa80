/*
 * The connections that the kernel has as ends of forward.c: UNIX, TCP, and TLS over TCP. Called on
 * the main thread of each process.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/ends.h"
#include "bench/program.h"

#define SIGNALS_MAX 32u /* of one put, as a fabric's burst */
#define PORT 7421u

struct sockaddr_in ends_address(const struct ends_place *place, uint32_t node, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(place->network + node);
    return address;
}

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    bench_must(memory, "memory");
    return memory;
}

/* ---- connections: UNIX, TCP, TLS ---- */

struct connection {
    int fd;
    gnutls_session_t session; /* NULL: as it is */
    uint32_t in_bytes, out_bytes;
    uint8_t in[SIGNALS_MAX * PST_SIGNAL_BYTES];
    uint8_t out[SIGNALS_MAX * PST_SIGNAL_BYTES]; /* what did not go in at once */
};

struct connections {
    uint32_t packet; /* signals in one send, at most */
    int epoll;
    uint32_t count;
    struct connection *of[ENDS_NODES_MAX + 1]; /* by node */
    uint32_t last;                             /* node that was read last */
};

static void flush(struct connection *connection)
{
    ssize_t sent;
    if (connection->out_bytes == 0)
        return;
    if (connection->session)
        sent = gnutls_record_send(connection->session, connection->out, connection->out_bytes);
    else
        sent = send(connection->fd, connection->out, connection->out_bytes,
                    MSG_DONTWAIT | MSG_NOSIGNAL);
    bench_must(sent > 0 || (connection->session ? sent == GNUTLS_E_AGAIN : errno == EAGAIN),
               "connection");
    if (sent <= 0)
        return;
    connection->out_bytes -= (uint32_t)sent;
    memmove(connection->out, connection->out + sent, connection->out_bytes);
}

/* A hub that has answered the last signal ends. */
static bool has_ended(const struct connection *connection, ssize_t got)
{
    return got == 0 || (connection->session && got == GNUTLS_E_PREMATURE_TERMINATION);
}

static uint32_t read_one(struct connections *end, uint32_t node, struct pst_signal *signals)
{
    struct connection *connection = end->of[node];
    uint8_t *to = connection->in + connection->in_bytes;
    size_t room = sizeof(connection->in) - connection->in_bytes;
    ssize_t got = connection->session ? gnutls_record_recv(connection->session, to, room)
                                      : recv(connection->fd, to, room, MSG_DONTWAIT);
    if (has_ended(connection, got))
        (void)epoll_ctl(end->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
    else
        bench_must(got > 0 || (connection->session ? got == GNUTLS_E_AGAIN : errno == EAGAIN),
                   "connection");
    if (got <= 0)
        return 0;
    connection->in_bytes += (uint32_t)got;
    uint32_t count = connection->in_bytes / PST_SIGNAL_BYTES, bytes = count * PST_SIGNAL_BYTES;
    memcpy(signals, connection->in, bytes);
    connection->in_bytes -= bytes;
    memmove(connection->in, connection->in + bytes, connection->in_bytes);
    return count;
}

static bool has_pending(const struct connections *end)
{
    for (uint32_t node = 1; node <= ENDS_NODES_MAX; node++) {
        if (end->of[node] && end->of[node]->session &&
            gnutls_record_check_pending(end->of[node]->session) > 0)
            return true;
    }
    return false;
}

/* Of one that has something: of several the kernel says which. */
static uint32_t next_readable(struct connections *end)
{
    struct epoll_event event;
    if (end->count == 1 || has_pending(end)) {
        do
            end->last = end->last % ENDS_NODES_MAX + 1;
        while (!end->of[end->last]);
        return end->last;
    }
    return epoll_wait(end->epoll, &event, 1, 0) == 1 ? event.data.u32 : 0;
}

static uint32_t connections_take(void *argument, struct pst_signal *signals)
{
    struct connections *end = argument;
    for (uint32_t node = 1; node <= ENDS_NODES_MAX; node++) {
        if (end->of[node])
            flush(end->of[node]);
    }
    uint32_t node = next_readable(end);
    return node != 0 ? read_one(end, node, signals) : 0;
}

static uint32_t connections_put(void *argument, uint32_t node, const struct pst_signal *signals,
                                uint32_t count)
{
    struct connections *end = argument;
    struct connection *connection = end->of[node];
    flush(connection);
    if (connection->out_bytes > 0)
        return 0;
    uint32_t some = count < end->packet ? count : end->packet;
    memcpy(connection->out, signals, some * sizeof(*signals));
    connection->out_bytes = some * (uint32_t)sizeof(*signals);
    flush(connection);
    return some;
}

static void connections_sleep(void *argument)
{
    struct connections *end = argument;
    struct epoll_event event;
    if (!has_pending(end))
        (void)epoll_wait(end->epoll, &event, 1, -1);
}

static void connections_close(void *argument)
{
    struct connections *end = argument;
    for (uint32_t node = 1; node <= ENDS_NODES_MAX; node++) {
        struct connection *connection = end->of[node];
        if (!connection)
            continue;
        if (connection->session)
            gnutls_deinit(connection->session);
        close(connection->fd);
        free(connection);
    }
    close(end->epoll);
    free(end);
}

/* Both begin by saying who they are; the client first. */
static void add(struct connections *end, int fd, uint32_t self, struct connection **added)
{
    struct pst_signal name = {.sequence = self};
    bench_must(send(fd, &name, sizeof(name), MSG_NOSIGNAL) == (ssize_t)sizeof(name) &&
                   recv(fd, &name, sizeof(name), MSG_WAITALL) == (ssize_t)sizeof(name),
               "who is there");
    struct connection *connection = allocate(sizeof(*connection));
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = name.sequence};
    connection->fd = fd;
    end->of[name.sequence] = connection;
    end->count++;
    bench_must(epoll_ctl(end->epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll");
    *added = connection;
}

typedef void add_function(struct connection *connection, bool is_server);

static void connect_all(struct connections *end, const struct ends_place *place, uint32_t node,
                        const struct sockaddr *address, socklen_t bytes, int type,
                        add_function *added)
{
    int one = 1, fd = socket(address->sa_family, type | SOCK_CLOEXEC, 0);
    struct connection *connection;
    bench_must(fd >= 0, "socket");
    if (node != 1) {
        while (connect(fd, address, bytes) < 0) {
            bench_must(errno == ENOENT || errno == ECONNREFUSED, "connect");
            (void)usleep(1000);
        }
        add(end, fd, node, &connection);
        added(connection, false);
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bench_must(bind(fd, address, bytes) == 0 && listen(fd, (int)place->nodes) == 0, "listen");
    for (uint32_t i = 1; i < place->nodes; i++) {
        int accepted = accept(fd, NULL, NULL);
        bench_must(accepted >= 0, "accept");
        add(end, accepted, node, &connection);
        added(connection, true);
    }
    close(fd);
}

static struct connections *make(uint32_t packet)
{
    struct connections *end = allocate(sizeof(*end));
    end->packet = packet;
    end->epoll = epoll_create1(EPOLL_CLOEXEC);
    bench_must(end->epoll >= 0, "epoll");
    return end;
}

static void add_unix(struct connection *connection, bool is_server)
{
    (void)connection, (void)is_server;
}

static void *open_unix(const struct ends_place *place, uint32_t node, uint32_t packet)
{
    struct connections *end = make(packet);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/by-%u", place->directory,
                   packet);
    if (node == 1)
        (void)unlink(address.sun_path);
    connect_all(end, place, node, (struct sockaddr *)&address, sizeof(address), SOCK_SEQPACKET,
                add_unix);
    if (node == 1)
        (void)unlink(address.sun_path);
    return end;
}

static void *unix_32_open(const struct ends_place *place, uint32_t node)
{
    return open_unix(place, node, SIGNALS_MAX);
}

static void *unix_1_open(const struct ends_place *place, uint32_t node)
{
    return open_unix(place, node, 1);
}

static void add_tcp(struct connection *connection, bool is_server)
{
    int one = 1;
    (void)is_server;
    bench_must(setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0,
               "TCP_NODELAY");
}

static void *open_tcp(const struct ends_place *place, uint32_t node, uint16_t port,
                      add_function *added)
{
    struct connections *end = make(SIGNALS_MAX);
    const struct sockaddr_in address = ends_address(place, 1, port);
    connect_all(end, place, node, (const struct sockaddr *)&address, sizeof(address), SOCK_STREAM,
                added);
    return end;
}

static void *tcp_open(const struct ends_place *place, uint32_t node)
{
    return open_tcp(place, node, PORT, add_tcp);
}

/* ---- TLS ---- */

static void tls_must(int error)
{
    if (error >= 0)
        return;
    (void)fprintf(stderr, "penstock-bench: %s\n", gnutls_strerror(error));
    exit(1);
}

static int find_key(gnutls_session_t session, const char *name, gnutls_datum_t *key)
{
    (void)session, (void)name;
    key->data = gnutls_calloc(1, 32);
    key->size = 32;
    return key->data ? 0 : -1;
}

static void set_credentials(gnutls_session_t session, bool is_server)
{
    static uint8_t zeros[32];
    const gnutls_datum_t key = {zeros, sizeof(zeros)};
    static gnutls_psk_server_credentials_t server;
    static gnutls_psk_client_credentials_t client;
    if (is_server && !server) {
        tls_must(gnutls_psk_allocate_server_credentials(&server));
        gnutls_psk_set_server_credentials_function(server, find_key);
    } else if (!is_server && !client) {
        tls_must(gnutls_psk_allocate_client_credentials(&client));
        tls_must(gnutls_psk_set_client_credentials(client, "bench", &key, GNUTLS_PSK_KEY_RAW));
    }
    tls_must(gnutls_credentials_set(session, GNUTLS_CRD_PSK, is_server ? (void *)server : client));
}

static void add_tls(struct connection *connection, bool is_server)
{
    int error;
    add_tcp(connection, is_server);
    gnutls_session_t session;
    tls_must(gnutls_init(&session, (is_server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK |
                                       GNUTLS_NO_AUTO_SEND_TICKET));
    tls_must(gnutls_priority_set_direct(session,
                                        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:"
                                        "-GROUP-ALL:+GROUP-X25519:-KX-ALL:+ECDHE-PSK",
                                        NULL));
    set_credentials(session, is_server);
    gnutls_transport_set_int(session, connection->fd);
    while ((error = gnutls_handshake(session)) == GNUTLS_E_AGAIN || error == GNUTLS_E_INTERRUPTED)
        ;
    tls_must(error);
    connection->session = session;
    int flags = fcntl(connection->fd, F_GETFL);
    bench_must(fcntl(connection->fd, F_SETFL, flags | O_NONBLOCK) == 0, "O_NONBLOCK");
}

static void *tls_open(const struct ends_place *place, uint32_t node)
{
    return open_tcp(place, node, PORT + 1, add_tls);
}

const struct end_kind end_unix_32 = {"unix-32",       unix_32_open,      connections_take,
                                     connections_put, connections_sleep, connections_close};
const struct end_kind end_unix_1 = {"unix-1",        unix_1_open,       connections_take,
                                    connections_put, connections_sleep, connections_close};
const struct end_kind end_tcp = {"tcp",           tcp_open,          connections_take,
                                 connections_put, connections_sleep, connections_close};
const struct end_kind end_tls = {"tls",           tls_open,          connections_take,
                                 connections_put, connections_sleep, connections_close};
