/*
 * Opens the control socket, at either end, and moves packets for the client's end. Called by the
 * commands that take --node and by control.c; main thread.
 */
#include "engine/service/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/base/check.h"
#include "engine/base/parent.h"
#include "engine/json/json_build.h"
#include "engine/json/json_read.h"

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
        return fail(message, -ENAMETOOLONG, path, "the path of a socket has at most 107 bytes");
    memcpy(address->sun_path, path, strlen(path));
    return 0;
}

/* timeout_ms: for connecting and for sending; 0: none. */
static int connect_within(const char *path, int timeout_ms, char *message)
{
    struct sockaddr_un address;
    struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    int error = address_of(path, &address, message);
    if (error)
        return error;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(message, -errno, path, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    error = errno == EAGAIN ? -ETIMEDOUT : -errno;
    close(fd);
    return fail(message, error, path, "no node answers there");
}

int pst_control_connect(const char *path, char *message)
{
    PST_CHECK_MAIN_THREAD();
    return connect_within(path, PST_CONTROL_ANSWER_MS, message);
}

/* Takes the reference. */
static int send_packet(int fd, struct json_t *request)
{
    char *text;
    size_t bytes;
    int error = pst_json_text(request, &text, &bytes);
    json_decref(request);
    if (error)
        return error;
    ssize_t sent = send(fd, text, bytes, MSG_NOSIGNAL);
    free(text);
    return sent < 0 ? -errno : 0;
}

int pst_control_send(int fd, struct json_t *request)
{
    PST_CHECK_MAIN_THREAD();
    return send_packet(fd, request);
}

/* The packet that is there. bytes: PST_CONTROL_BYTES_MAX. */
static int receive_packet(int fd, char *bytes, struct json_t **message)
{
    ssize_t got = recv(fd, bytes, PST_CONTROL_BYTES_MAX, MSG_TRUNC);
    if (got < 0)
        return -errno;
    if (got == 0)
        return -EPIPE;
    if ((size_t)got > PST_CONTROL_BYTES_MAX)
        return -EBADMSG;
    return pst_json_read(bytes, (size_t)got, message, NULL);
}

/* A connection that is readable once the node shows that it lives. */
static int ask_for_sign(const char *path)
{
    char ignored[PST_MESSAGE_BYTES];
    int fd = connect_within(path, PST_CONTROL_ANSWER_MS, ignored);
    int error = fd < 0 ? fd : send_packet(fd, json_pack("{s:s}", "request", "status"));
    if (!error || fd < 0)
        return fd;
    close(fd);
    return error;
}

/* Until fd is readable: 0. */
static int wait_for_packet(int fd, int interrupt_fd, const char *path, int *sign_fd)
{
    for (;;) {
        struct pollfd polled[3] = {{.fd = fd, .events = POLLIN},
                                   {.fd = interrupt_fd, .events = POLLIN},
                                   {.fd = *sign_fd, .events = POLLIN}};
        int ready = poll(polled, 3, path ? PST_CONTROL_ANSWER_MS : -1);
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready > 0 && polled[1].revents != 0)
            return -EINTR;
        if (ready > 0 && polled[0].revents != 0)
            return 0;
        if (ready == 0 && *sign_fd >= 0)
            return -ETIMEDOUT;
        if (ready > 0) {
            close(*sign_fd);
            *sign_fd = -1;
        } else if (ready == 0) {
            *sign_fd = ask_for_sign(path);
        }
        if (*sign_fd == -ETIMEDOUT)
            return -ETIMEDOUT;
    }
}

int pst_control_receive(int fd, int interrupt_fd, const char *path, struct json_t **message)
{
    PST_CHECK_MAIN_THREAD();
    static char bytes[PST_CONTROL_BYTES_MAX];
    int sign_fd = -1;
    int error = wait_for_packet(fd, interrupt_fd, path, &sign_fd);
    if (sign_fd >= 0)
        close(sign_fd);
    return error ? error : receive_packet(fd, bytes, message);
}

int control_ask(const char *path, struct json_t *request, int timeout_ms, struct json_t **answer)
{
    char message[PST_MESSAGE_BYTES];
    char *bytes = malloc(PST_CONTROL_BYTES_MAX);
    int fd = bytes ? connect_within(path, timeout_ms, message) : -ENOMEM;
    *answer = NULL;
    if (fd < 0) {
        json_decref(request);
        free(bytes);
        return fd;
    }
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    int error = send_packet(fd, request);
    if (!error && poll(&polled, 1, timeout_ms) <= 0)
        error = -ETIMEDOUT;
    if (!error)
        error = receive_packet(fd, bytes, answer);
    close(fd);
    free(bytes);
    return error;
}

/* ---- the node's end ---- */

static bool is_file(const char *path, dev_t device, ino_t inode)
{
    struct stat found;
    return lstat(path, &found) == 0 && found.st_dev == device && found.st_ino == inode;
}

/* Between bind(2) and listen(2) a socket looks like one that was left behind: only the lock says
 * that somebody is about to serve it. A descriptor or -errno; -EADDRINUSE: another has it. */
static int take_lock(const char *path)
{
    char name[PATH_MAX];
    snprintf(name, sizeof(name), "%s" CONTROL_LOCK_SUFFIX, path);
    for (;;) {
        struct stat locked;
        int fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return -errno;
        int error = flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &locked) < 0 ? -errno : 0;
        if (!error && is_file(name, locked.st_dev, locked.st_ino))
            return fd;
        close(fd);
        if (error) /* else whoever had it has just removed it */
            return error == -EWOULDBLOCK ? -EADDRINUSE : error;
    }
}

static void give_lock_back(int fd, const char *path)
{
    char name[PATH_MAX];
    snprintf(name, sizeof(name), "%s" CONTROL_LOCK_SUFFIX, path);
    unlink(name);
    close(fd);
}

/* The socket's file gets the mode of the descriptor: the umask is the process's, and other threads
 * of a program that embeds the node make files meanwhile. */
static int bind_privately(int fd, const struct sockaddr_un *address)
{
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return -errno;
    return 0;
}

/* Something is at path: binds once more if it is a socket that no process serves. A file that is no
 * socket refuses connections too, and must stay. */
static int replace(int fd, const struct sockaddr_un *address, const char *path)
{
    char ignored[PST_MESSAGE_BYTES];
    struct stat found;
    if (lstat(path, &found) < 0 || !S_ISSOCK(found.st_mode))
        return -EEXIST;
    int other = connect_within(path, 0, ignored);
    if (other >= 0)
        close(other);
    return other == -ECONNREFUSED && unlink(path) == 0 ? bind_privately(fd, address) : -EADDRINUSE;
}

static int bind_and_listen(const struct sockaddr_un *address, const char *path, int backlog,
                           struct control_listener *listener)
{
    struct stat bound;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int error = bind_privately(fd, address);
    if (error == -EADDRINUSE)
        error = replace(fd, address, path);
    if (!error && (listen(fd, backlog) < 0 || lstat(path, &bound) < 0))
        error = -errno;
    if (error) {
        close(fd);
        return error;
    }
    listener->fd = fd;
    listener->device = bound.st_dev;
    listener->inode = bound.st_ino;
    return 0;
}

int control_listen_check(const char *path, char *message)
{
    struct sockaddr_un address;
    struct stat found;
    int error = address_of(path, &address, message);
    if (error)
        return error;
    error =
        lstat(path, &found) == 0 && !S_ISSOCK(found.st_mode) ? -EEXIST : pst_new_is_possible(path);
    return error ? fail(message, error, path, "cannot create the socket") : 0;
}

int control_listen(const char *path, int backlog, struct control_listener *listener, char *message)
{
    struct sockaddr_un address;
    int error = address_of(path, &address, message);
    if (error)
        return error;
    listener->lock_fd = take_lock(path);
    if (listener->lock_fd < 0)
        return fail(message, listener->lock_fd, path, "cannot create the socket");
    error = bind_and_listen(&address, path, backlog, listener);
    if (!error)
        return 0;
    give_lock_back(listener->lock_fd, path);
    return fail(message, error, path, "cannot create the socket");
}

void control_unlisten(struct control_listener *listener, const char *path)
{
    close(listener->fd);
    if (is_file(path, listener->device, listener->inode))
        unlink(path);
    give_lock_back(listener->lock_fd, path);
}
