/*
 * The cluster's directory on this host: locks that keep a node id to one process, and sockets by
 * which nodes find each other. The hub's thread, from opening (shm_fabric.c) and the handshake
 * (shm_join.c).
 */
#include "net/shm/shm_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "engine/base/parent.h"

/* Connections that may wait for the hub; a node that finds it full tries again. */
#define BACKLOG 64

struct failure {
    char *message;
    uint32_t bytes;
};

static int failed(struct failure failure, int error, const char *what, const char *path)
{
    (void)snprintf(failure.message, failure.bytes, "%s %s: %s", what, path, pst_error_text(error));
    return error;
}

static int make_directory_failed(struct failure failure, int error, const char *directory)
{
    return failed(failure, error, "cannot make the cluster directory", directory);
}

/* One that is there. *fd: -1, or to be closed, after an error too. */
static int open_directory(const char *directory, int *fd, struct failure failure)
{
    struct stat status;
    *fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0 || fstat(*fd, &status) < 0)
        return failed(failure, -errno, "cannot open the cluster directory", directory);
    if (status.st_uid == geteuid() && (status.st_mode & 0077) == 0)
        return 0;
    (void)snprintf(
        failure.message, failure.bytes,
        "the cluster directory %s must belong to the user who runs the node and be closed "
        "to others: chown it to uid %u, chmod 0700",
        directory, (unsigned)geteuid());
    return -EPERM;
}

static int busy(const struct shm_place *place, struct failure failure)
{
    char pid[16] = "";
    ssize_t bytes = pread(place->lock_fd, pid, sizeof(pid) - 1, 0);
    pid[bytes > 0 ? strcspn(pid, "\n") : 0] = '\0';
    (void)snprintf(failure.message, failure.bytes,
                   "node %u of this cluster runs already, as process %s: stop it, or give this one "
                   "another node id",
                   place->node, pid[0] ? pid : "unknown");
    return -EEXIST;
}

static int take_lock(struct shm_place *place, struct failure failure)
{
    char name[32], pid[16];
    (void)snprintf(name, sizeof(name), "node-%u.lock", place->node);
    place->lock_fd =
        openat(place->directory_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (place->lock_fd < 0)
        return failed(failure, -errno, "cannot open", name);
    if (flock(place->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? busy(place, failure)
                                    : failed(failure, -errno, "cannot lock", name);
    int length = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(place->lock_fd, 0) < 0 || pwrite(place->lock_fd, pid, (size_t)length, 0) < 0)
        return failed(failure, -errno, "cannot write", name);
    return 0;
}

/* Through the descriptor of the directory: a socket's path can have 108 bytes only, a directory's
 * more; and a directory that is moved stays the same one. */
static struct sockaddr_un address_of(const struct shm_place *place, uint32_t node)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/node-%u.sock",
                   place->directory_fd, node);
    return address;
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

/* The lock is ours: so a socket that is there was left by a dead process. */
static int listen_here(struct shm_place *place, struct failure failure)
{
    struct sockaddr_un address = address_of(place, place->node);
    place->listen_fd = new_socket();
    if (place->listen_fd < 0)
        return failed(failure, place->listen_fd, "cannot make", "a socket");
    if (unlink(address.sun_path) < 0 && errno != ENOENT)
        return failed(failure, -errno, "cannot remove the old socket", address.sun_path);
    /* the mode of a socket that is not bound yet is that of the file that bind(2) makes */
    if (fchmod(place->listen_fd, 0600) < 0 ||
        bind(place->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(place->listen_fd, BACKLOG) < 0)
        return failed(failure, -errno, "cannot listen at", address.sun_path);
    return 0;
}

int shm_place_open(struct shm_place *place, const char *directory, uint32_t node, char *message,
                   uint32_t message_bytes)
{
    struct failure failure = {message, message_bytes};
    *place = (struct shm_place){-1, -1, -1, node};
    int error = mkdir(directory, 0700) < 0 && errno != EEXIST
                    ? make_directory_failed(failure, -errno, directory)
                    : open_directory(directory, &place->directory_fd, failure);
    if (!error)
        error = take_lock(place, failure);
    if (!error)
        error = listen_here(place, failure);
    if (error)
        shm_place_close(place);
    return error;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int shm_place_check(const char *directory, char *message, uint32_t message_bytes)
{
    struct failure failure = {message, message_bytes};
    struct stat status;
    int fd = -1;
    if (lstat(directory, &status) < 0 && errno == ENOENT) {
        int error = pst_new_is_possible(directory);
        return error ? make_directory_failed(failure, error, directory) : 0;
    }
    int error = open_directory(directory, &fd, failure);
    close_one(&fd);
    return error;
}

void shm_place_close(struct shm_place *place)
{
    if (place->listen_fd >= 0) {
        struct sockaddr_un address = address_of(place, place->node);
        unlink(address.sun_path);
    }
    close_one(&place->listen_fd);
    /* After the socket: from here on its name may be another process's. Unlocked, for a child that
     * the process has forked may have the file open, too. */
    if (place->lock_fd >= 0)
        (void)flock(place->lock_fd, LOCK_UN);
    close_one(&place->lock_fd);
    close_one(&place->directory_fd);
}

/* The id in "node-N.sock", or 0. */
static uint32_t node_of(const char *name)
{
    unsigned node = 0;
    int length = 0;
    if (sscanf(name, "node-%3u.sock%n", &node, &length) != 1 || length == 0 || name[length] != '\0')
        return 0;
    return node <= PST_NODES_MAX ? node : 0;
}

int shm_place_lower_nodes(const struct shm_place *place, struct pst_set *nodes)
{
    *nodes = pst_set_first(0);
    int fd = openat(place->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *stream = fdopendir(fd);
    if (!stream) {
        int error = -errno;
        close(fd);
        return error;
    }
    for (struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
        uint32_t node = node_of(entry->d_name);
        if (node >= 1 && node < place->node)
            pst_set_add(nodes, node - 1);
    }
    closedir(stream);
    return 0;
}

int shm_place_connect(const struct shm_place *place, uint32_t node)
{
    struct sockaddr_un address = address_of(place, node);
    int fd = new_socket();
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

int shm_place_accept(const struct shm_place *place)
{
    int fd = accept4(place->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

bool shm_is_ours(int socket)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
        return false;
    return peer.uid == geteuid() || peer.uid == 0;
}
