#include "engine/service/control.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/service/control_internal.h"
#include "engine/service/interrupt.h"
#include "engine/service/notify.h"
#include "penstock/run.h"

/* How long a backup may take to come to its end when the node is to stop; a source that waits for a
 * freeze, as long as it may by default, too. */
#define STOP_NS UINT64_C(13000000000)
_Static_assert(STOP_NS < PST_CONTROL_END_S * UINT64_C(1000000000), "the threads end after that");
_Static_assert(STOP_NS > PST_FREEZE_WAIT_NS_DEFAULT, "then the cleanup is to come");
#define STOP_POLL_MS 20

uint32_t control_master(const struct pst_control *control)
{
    uint32_t node = 1;
    while (!pst_set_has(&control->live, node - 1))
        node++;
    return node;
}

static void hang_up(struct pst_control *control, uint32_t client)
{
    close(control->clients[client].fd);
    control->clients[client].fd = -1;
    control_forget_client(control, client);
}

void control_tell(struct pst_control *control, uint32_t client, json_t *message, bool may_drop)
{
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    if (client == PST_CONTROL_CLIENTS_MAX || control->clients[client].fd < 0) {
        free(text);
        return;
    }
    ssize_t sent = -1;
    if (text && strlen(text) <= PST_CONTROL_BYTES_MAX)
        sent = send(control->clients[client].fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
    free(text);
    if (sent < 0 && !may_drop)
        hang_up(control, client);
}

void control_refuse(struct pst_control *control, uint32_t client, int error, const char *format,
                    ...)
{
    char text[PST_MESSAGE_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    control_tell(control, client,
                 json_pack("{s:s, s:i, s:s, s:s}", "message_type", "failed", "error", abs(error),
                           "error_name", pst_error_name(error), "message", text),
                 false);
}

/* ---- what clients ask for ---- */

static void serve(struct pst_control *control, uint32_t client, const char *bytes, size_t size)
{
    json_error_t why;
    json_t *request = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &why);
    const char *what = json_string_value(json_object_get(request, "request"));
    if (!what)
        control_refuse(control, client, -PST_E_BAD_REQUEST, "the request is not understood");
    else if (strcmp(what, "backup") == 0)
        control_begin(control, client, request);
    else if (strcmp(what, "abort") == 0)
        control_abort(control, client, request);
    else if (strcmp(what, "resolve") == 0)
        control_resolve(control, client, request);
    else if (strcmp(what, "status") == 0)
        control_status(control, client);
    else
        control_refuse(control, client, -PST_E_BAD_REQUEST, "there is no request \"%.32s\"", what);
    json_decref(request);
}

static void hear(struct pst_control *control, uint32_t client)
{
    static char bytes[PST_CONTROL_BYTES_MAX];
    ssize_t got = recv(control->clients[client].fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || (size_t)got > sizeof(bytes))
        hang_up(control, client);
    else
        serve(control, client, bytes, (size_t)got);
}

static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
        return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

static void welcome(struct pst_control *control)
{
    int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    for (uint32_t i = 0; i < PST_CONTROL_CLIENTS_MAX && is_ours(fd); i++) {
        if (control->clients[i].fd >= 0)
            continue;
        control->clients[i].fd = fd;
        return;
    }
    close(fd); /* a stranger, or one too many */
}

/* ---- the loop ---- */

static void take_signals(struct pst_control *control)
{
    struct pst_signal signals[PST_CHANNEL_BURST];
    uint32_t count;
    while ((count = pst_client_take(control->node, signals)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            control_on_signal(control, &signals[i]);
    }
}

/* Waits for signals, clients and the interrupt, and serves them. */
static void turn(struct pst_control *control, int interrupt_fd, int timeout_ms)
{
    struct pollfd polled[PST_CONTROL_CLIENTS_MAX + 3];
    for (uint32_t i = 0; i < PST_CONTROL_CLIENTS_MAX; i++)
        polled[i] = (struct pollfd){.fd = control->clients[i].fd, .events = POLLIN};
    struct pollfd *listener = &polled[PST_CONTROL_CLIENTS_MAX];
    listener[0] = (struct pollfd){.fd = control->listen_fd, .events = POLLIN};
    listener[1] = (struct pollfd){.fd = interrupt_fd, .events = POLLIN};
    listener[2] = (struct pollfd){.fd = pst_client_fd(control->node), .events = POLLIN};
    bool may_sleep = pst_client_may_sleep(control->node);
    int ready = poll(polled, PST_CONTROL_CLIENTS_MAX + 3, may_sleep ? timeout_ms : 0);
    take_signals(control);
    if (ready <= 0)
        return;
    for (uint32_t i = 0; i < PST_CONTROL_CLIENTS_MAX; i++) {
        if (polled[i].revents != 0 && control->clients[i].fd == polled[i].fd)
            hear(control, i);
    }
    if (listener[0].revents != 0)
        welcome(control);
}

/* Whether the node can go on. Who watches this process hears of it, but not of a hub that hangs. */
static bool is_well(struct pst_control *control, uint64_t watchdog_ns)
{
    struct pst_node_status status;
    pst_node_status(control->node, &status);
    if (watchdog_ns != 0 && pst_monotonic_ns() - status.told_ns < watchdog_ns &&
        pst_notify("WATCHDOG=1") < 0)
        pst_log(PST_LOG_WARNING, "the service manager's watchdog cannot be told");
    return !status.is_broken;
}

/* In which the watchdog is to hear of us. */
static int watchdog_ms(uint64_t watchdog_ns)
{
    uint64_t ms = watchdog_ns / 1000000 / 2;
    return watchdog_ns == 0 ? -1 : ms < 1 ? 1 : ms < INT_MAX ? (int)ms : INT_MAX;
}

static void stop(struct pst_control *control)
{
    pst_interrupt_end_within(PST_CONTROL_END_S);
    (void)pst_notify("STOPPING=1"); /* if it cannot be told, it stops all the same */
    uint64_t until_ns = pst_monotonic_ns() + STOP_NS;
    while (control_end_backup(control) && pst_monotonic_ns() < until_ns)
        turn(control, -1, STOP_POLL_MS);
}

int pst_control_run(struct pst_control *control, struct pst_node *node,
                    const struct pst_node_config *config)
{
    uint64_t watchdog_ns = pst_notify_watchdog_ns();
    bool well = true;
    control->node = node;
    control->config = config;
    pst_set_add(&control->live, config->node - 1);
    while (!pst_interrupted() && well) {
        turn(control, pst_interrupt_fd(), watchdog_ms(watchdog_ns));
        well = is_well(control, watchdog_ns);
    }
    stop(control);
    return well ? 0 : -EIO;
}

/* ---- the socket ---- */

static int fail(char *message, int error, const char *path, const char *what)
{
    snprintf(message, PST_MESSAGE_BYTES, "%s: %s: %s", path, what, pst_error_text(error));
    return error;
}

static int address_of(const char *path, struct sockaddr_un *address, char *message)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(address->sun_path))
        return fail(message, -ENAMETOOLONG, path, "a socket's path has 107 bytes at most");
    memcpy(address->sun_path, path, strlen(path));
    return 0;
}

int pst_control_connect(const char *path, char *message)
{
    struct sockaddr_un address;
    int error = address_of(path, &address, message);
    if (error)
        return error;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(message, -errno, path, "socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    error = -errno;
    close(fd);
    return fail(message, error, path, "no node answers there");
}

static int bind_privately(int fd, const struct sockaddr_un *address)
{
    mode_t mask = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int error = rc < 0 ? -errno : 0;
    umask(mask);
    return error;
}

static int listen_at(const char *path, char *message)
{
    struct sockaddr_un address;
    char ignored[PST_MESSAGE_BYTES];
    int error = address_of(path, &address, message);
    if (error)
        return error;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(message, -errno, path, "socket");
    error = bind_privately(fd, &address);
    if (error == -EADDRINUSE) {
        int other = pst_control_connect(path, ignored);
        if (other >= 0)
            close(other);
        if (other == -ECONNREFUSED && unlink(path) == 0)
            error = bind_privately(fd, &address);
    }
    if (!error && listen(fd, PST_CONTROL_CLIENTS_MAX) < 0)
        error = -errno;
    if (!error)
        return fd;
    close(fd);
    return fail(message, error, path, "no socket can be made there");
}

int pst_control_open(const char *path, struct pst_control **control, char *message)
{
    struct pst_control *made = calloc(1, sizeof(*made));
    char *copy = made ? strdup(path) : NULL;
    int fd = copy ? listen_at(path, message) : fail(message, -ENOMEM, path, "open");
    if (fd < 0) {
        free(copy);
        free(made);
        return fd;
    }
    made->path = copy;
    made->listen_fd = fd;
    for (uint32_t i = 0; i < PST_CONTROL_CLIENTS_MAX; i++)
        made->clients[i].fd = -1;
    *control = made;
    return 0;
}

void pst_control_close(struct pst_control *control)
{
    if (!control)
        return;
    for (uint32_t i = 0; i < PST_CONTROL_CLIENTS_MAX; i++) {
        if (control->clients[i].fd >= 0)
            close(control->clients[i].fd);
    }
    close(control->listen_fd);
    unlink(control->path);
    free(control->path);
    free(control);
}

/* ---- the other end ---- */

int pst_control_send(int fd, struct json_t *request)
{
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (!text)
        return -ENOMEM;
    ssize_t sent = send(fd, text, strlen(text), MSG_NOSIGNAL);
    free(text);
    return sent < 0 ? -errno : 0;
}

int pst_control_receive(int fd, int interrupt_fd, struct json_t **message)
{
    static char bytes[PST_CONTROL_BYTES_MAX];
    struct pollfd polled[2] = {{.fd = fd, .events = POLLIN},
                               {.fd = interrupt_fd, .events = POLLIN}};
    while (poll(polled, 2, -1) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    if (polled[1].revents != 0)
        return -EINTR;
    ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_TRUNC);
    if (got < 0)
        return -errno;
    if (got == 0)
        return -EPIPE;
    *message = (size_t)got <= sizeof(bytes) ? json_loadb(bytes, (size_t)got, 0, NULL) : NULL;
    return json_is_object(*message) ? 0 : -EBADMSG;
}
