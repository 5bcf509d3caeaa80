/*
 * The clients of the control socket: lets them in, takes their requests, sends them answers. Called
 * by the server's other files, on its one thread, which never waits for a client.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/printable.h"
#include "engine/base/time_text.h"
#include "engine/json/json_build.h"
#include "engine/json/json_read.h"
#include "engine/service/control_parts.h"
#include "engine/service/control_socket.h"

/* A child that the process has forked may have the socket open, too: the client is told all the
 * same. */
static void hang_up(struct control_client *client)
{
    (void)shutdown(client->fd, SHUT_RDWR);
    close(client->fd);
    *client = (struct control_client){.fd = -1};
}

/* A packet in a buffer that is full: there is more room for the last one. */
static void say_farewell(const struct control_client *client)
{
    static const char word[] = "{\"message_type\":\"event\",\"event\":\"dropped\"}";
    int bytes;
    socklen_t length = sizeof(bytes);
    if (getsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &bytes, &length) < 0)
        return;
    /* The kernel reports twice what it was asked for, and doubles that again. */
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    (void)send(client->fd, word, sizeof(word) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Whoever follows learns that it is not the node that has ended. */
static void dismiss(struct control_client *client)
{
    if (client->follows)
        say_farewell(client);
    hang_up(client);
}

static struct control_client *find(struct control *control, uint64_t id)
{
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->clients[i].fd >= 0 && control->clients[i].id == id)
            return &control->clients[i];
    }
    return NULL;
}

void control_send(struct control *control, uint64_t id, json_t *message, bool may_drop)
{
    PST_CHECK_THREAD(&control->owner);
    struct control_client *client = find(control, id);
    char *text = NULL;
    size_t bytes;
    int error = client ? pst_json_text(message, &text, &bytes) : 0;
    json_decref(message);
    if (!client)
        return;
    ssize_t sent = -1;
    if (!error && bytes <= PST_CONTROL_BYTES_MAX)
        sent = send(client->fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    free(text);
    if (sent < 0 && !may_drop)
        hang_up(client);
}

static void refuse(struct control *control, uint64_t client, int error, bool is_known,
                   const char *format, va_list list) __attribute__((format(printf, 5, 0)));

static void refuse(struct control *control, uint64_t client, int error, bool is_known,
                   const char *format, va_list list)
{
    char text[PST_MESSAGE_BYTES];
    vsnprintf(text, sizeof(text), format, list);
    pst_make_printable(text, strlen(text)); /* JSON takes no half character, where a text was cut */
    control_send(control, client,
                 json_pack("{s:s, s:i, s:s, s:s, s:b}", "message_type", "failed", "error",
                           abs(error), "error_name", pst_error_name(error), "message", text,
                           "outcome_known", (int)is_known),
                 false);
}

void control_refuse(struct control *control, uint64_t client, int error, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    refuse(control, client, error, true, format, list);
    va_end(list);
}

void control_refuse_unknown(struct control *control, uint64_t client, int error, const char *format,
                            ...)
{
    va_list list;
    va_start(list, format);
    refuse(control, client, error, false, format, list);
    va_end(list);
}

void control_push(struct control *control, struct control_client *client, const json_t *message)
{
    char *text;
    size_t bytes;
    PST_CHECK_THREAD(&control->owner);
    int error = pst_json_text(message, &text, &bytes);
    ssize_t sent = error ? -1 : send(client->fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    free(text);
    if (sent >= 0) {
        client->quiet_since_ns = pst_monotonic_ns();
        return;
    }
    pst_log(PST_LOG_WARNING, "a client that follows events does not read them, and is dropped");
    dismiss(client);
}

void control_begin_following(struct control *control, uint64_t id)
{
    struct control_client *client = find(control, id);
    if (!client)
        return;
    char when[PST_TIME_TEXT_BYTES];
    client->follows = true;
    control_send(control, id,
                 json_pack("{s:s, s:s, s:s, s:I}", "message_type", "event", "event", "following",
                           "time", pst_time_text(pst_unix_ns(), 9, when), "node",
                           (json_int_t)control->config->node),
                 false);
}

/* What a request may have beside its name: a client of a newer version must not believe that this
 * node did what it does not know. */
static const struct request_key {
    const char *request;
    const char *name;
    json_type type; /* JSON_TRUE: a boolean */
} request_keys[] = {
    {"backup", "number", JSON_INTEGER},     {"backup", "single_threaded", JSON_TRUE},
    {"backup", "allow_missing", JSON_TRUE}, {"backup", "verify", JSON_TRUE},
    {"abort", "backup", JSON_STRING},       {"resolve", "backup", JSON_STRING},
    {"resolve", "outcome", JSON_STRING},    {"resolve", "manifest", JSON_STRING},
    {"pace", "pace", JSON_STRING},          {"pace", "min_rate", JSON_INTEGER},
};

static const struct request_key *find_key(const char *request, const char *name)
{
    for (size_t i = 0; i < sizeof(request_keys) / sizeof(request_keys[0]); i++) {
        if (strcmp(request_keys[i].request, request) == 0 &&
            strcmp(request_keys[i].name, name) == 0)
            return &request_keys[i];
    }
    return NULL;
}

/* 0, or why the request is refused, with the key. */
static int check_keys(json_t *request, const char **key)
{
    const char *what = json_string_value(json_object_get(request, "request"));
    json_t *value;
    if (!what)
        return -PST_E_BAD_REQUEST;
    json_object_foreach(request, *key, value)
    {
        if (strcmp(*key, "request") == 0)
            continue;
        const struct request_key *known = find_key(what, *key);
        if (!known)
            return -PST_E_OPTION;
        if (known->type != json_typeof(value) &&
            !(known->type == JSON_TRUE && json_is_false(value)))
            return -PST_E_BAD_REQUEST;
    }
    return 0;
}

json_t *control_next_request(struct control *control, uint32_t slot)
{
    struct control_client *client = &control->clients[slot];
    PST_CHECK_THREAD(&control->owner);
    ssize_t got =
        recv(client->fd, control->packet, sizeof(control->packet), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return NULL;
    if (got <= 0 || (size_t)got > sizeof(control->packet)) {
        hang_up(client);
        return NULL;
    }
    client->has_asked = true;
    client->quiet_since_ns = pst_monotonic_ns();
    json_t *request;
    struct pst_json_fault fault;
    const char *key = NULL;
    int error = pst_json_read(control->packet, (size_t)got, &request, &fault);
    if (!error)
        error = check_keys(request, &key);
    if (!error)
        return request;
    if (error == -PST_E_OPTION)
        control_refuse(control, client->id, error,
                       "this node is of an older version, which does not know \"%.32s\" of a "
                       "request; update it, or leave that out",
                       key);
    else if (error == -EBADMSG)
        control_refuse(control, client->id, -PST_E_BAD_REQUEST,
                       "the request is malformed: at byte %zu: %s", fault.offset, fault.what);
    else if (error == -ENOMEM)
        control_refuse(control, client->id, -PST_E_NO_RESOURCES,
                       "the node has no memory for the request");
    else
        control_refuse(control, client->id, error, "the request is malformed");
    json_decref(request);
    return NULL;
}

static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
        return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

/* Whether the client is owed an answer. */
static bool waits(const struct control *control, const struct control_client *client)
{
    if (control->resolving.is_waiting && control->resolving.client == client->id)
        return true;
    for (uint32_t i = 0; i < CONTROL_JOBS_MAX; i++) {
        if (control->jobs[i].backup != 0 && control->jobs[i].client == client->id)
            return true;
    }
    return false;
}

/* The client that has been waiting for nothing the longest; NULL: each waits. */
static struct control_client *idlest(struct control *control)
{
    struct control_client *found = NULL;
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd >= 0 && !waits(control, client) &&
            (!found || client->quiet_since_ns < found->quiet_since_ns))
            found = client;
    }
    return found;
}

static struct control_client *make_room(struct control *control)
{
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->clients[i].fd < 0)
            return &control->clients[i];
    }
    struct control_client *client = idlest(control);
    assert(client); /* there are more slots than clients that can wait */
    dismiss(client);
    return client;
}

/* The client stays in the queue of the socket, which poll(2) reports at once again. */
static void pause_for_descriptors(struct control *control, int error)
{
    struct control_client *client = idlest(control);
    uint64_t now_ns = pst_monotonic_ns();
    if (now_ns >= control->deaf_until_ns + CONTROL_IDLE_NS) /* a line for each spell of it */
        pst_log(PST_LOG_WARNING, "a client of the control socket waits: %s", pst_error_text(error));
    control->deaf_until_ns = now_ns + CONTROL_DEAF_NS;
    if (client)
        dismiss(client);
}

void control_accept(struct control *control)
{
    PST_CHECK_THREAD(&control->owner);
    int fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int error = fd < 0 ? -errno : 0;
    if (error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM)
        pause_for_descriptors(control, error);
    if (error)
        return;
    if (is_ours(fd))
        *make_room(control) = (struct control_client){
            .fd = fd, .id = ++control->last_client, .quiet_since_ns = pst_monotonic_ns()};
    else
        close(fd);
}

bool control_may_accept(const struct control *control)
{
    return pst_monotonic_ns() >= control->deaf_until_ns;
}

static int ms_until(uint64_t due_ns, uint64_t now_ns, int limit_ms)
{
    int ms = due_ns > now_ns ? (int)((due_ns - now_ns) / 1000000) + 1 : 0;
    return limit_ms >= 0 && limit_ms < ms ? limit_ms : ms;
}

int control_expire(struct control *control, int limit_ms)
{
    PST_CHECK_THREAD(&control->owner);
    uint64_t now_ns = pst_monotonic_ns();
    if (control->deaf_until_ns > now_ns)
        limit_ms = ms_until(control->deaf_until_ns, now_ns, limit_ms);
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        uint64_t due_ns = client->quiet_since_ns + CONTROL_IDLE_NS;
        if (client->fd < 0 || client->has_asked)
            continue;
        if (due_ns <= now_ns)
            hang_up(client);
        else
            limit_ms = ms_until(due_ns, now_ns, limit_ms);
    }
    return limit_ms;
}

void control_hang_up_all(struct control *control)
{
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->clients[i].fd >= 0)
            hang_up(&control->clients[i]);
    }
}
