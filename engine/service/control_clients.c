/*
 * The clients of the control socket: lets them in, takes their requests, sends them answers. Called
 * by the server's other files, on its one thread, which never waits for a client.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/service/control_parts.h"
#include "engine/service/control_socket.h"

static void hang_up(struct control_client *client)
{
    close(client->fd);
    *client = (struct control_client){.fd = -1};
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
    char *text = message && client ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    if (!client)
        return;
    ssize_t sent = -1;
    if (text && strlen(text) <= PST_CONTROL_BYTES_MAX)
        sent = send(client->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
    free(text);
    if (sent < 0 && !may_drop)
        hang_up(client);
}

void control_refuse(struct control *control, uint64_t client, int error, const char *format, ...)
{
    char text[PST_MESSAGE_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    control_send(control, client,
                 json_pack("{s:s, s:i, s:s, s:s}", "message_type", "failed", "error", abs(error),
                           "error_name", pst_error_name(error), "message", text),
                 false);
}

json_t *control_next_request(struct control *control, uint32_t slot)
{
    static char bytes[PST_CONTROL_BYTES_MAX];
    struct control_client *client = &control->clients[slot];
    PST_CHECK_THREAD(&control->owner);
    ssize_t got = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return NULL;
    if (got <= 0 || (size_t)got > sizeof(bytes)) {
        hang_up(client);
        return NULL;
    }
    json_t *request = json_loadb(bytes, (size_t)got, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_string(json_object_get(request, "request")))
        return request;
    json_decref(request);
    control_refuse(control, client->id, -PST_E_BAD_REQUEST, "the request is malformed");
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

void control_accept(struct control *control)
{
    PST_CHECK_THREAD(&control->owner);
    int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX && is_ours(fd); i++) {
        if (control->clients[i].fd >= 0)
            continue;
        control->clients[i] = (struct control_client){.fd = fd, .id = ++control->last_client};
        return;
    }
    close(fd); /* of another user, or one too many */
}

void control_hang_up_all(struct control *control)
{
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (control->clients[i].fd >= 0)
            hang_up(&control->clients[i]);
    }
}
