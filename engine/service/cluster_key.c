/*
 * Makes and reads the files of cluster keys. Called by `penstock keygen` and by network.c, on the
 * main thread.
 */
#include "engine/service/cluster_key.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "engine/base/hex.h"
#include "engine/base/limits.h"
#include "net/quic/quic_network.h"

#define KEY_DIGITS (2u * PST_CLUSTER_KEY_BYTES)
#define FILE_BYTES_MAX 256u

static int fail(char *message, const char *path, int error, const char *what)
{
    (void)snprintf(message, PST_MESSAGE_BYTES, "%s: %s", path, what ? what : pst_error_text(error));
    return error;
}

/* ---- making ---- */

static int write_key(int fd)
{
    uint8_t key[PST_CLUSTER_KEY_BYTES];
    char line[KEY_DIGITS + 2];
    ssize_t got = getrandom(key, sizeof(key), 0);
    (void)pst_hex_encode(key, sizeof(key), line);
    line[KEY_DIGITS] = '\n';
    ssize_t written = got == (ssize_t)sizeof(key) ? write(fd, line, KEY_DIGITS + 1) : -1;
    int error = written == (ssize_t)KEY_DIGITS + 1 ? 0 : -EIO;
    if (got < 0 || written < 0)
        error = -errno;
    explicit_bzero(key, sizeof(key));
    explicit_bzero(line, sizeof(line));
    if (!error && fsync(fd) < 0)
        error = -errno;
    return error;
}

int pst_cluster_key_make(const char *path, char *message)
{
    PST_CHECK_MAIN_THREAD();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(message, path, -errno, errno == EEXIST ? "exists, and stays as it is" : NULL);
    int error = write_key(fd);
    if (close(fd) < 0 && !error)
        error = -errno;
    if (!error)
        return 0;
    (void)unlink(path);
    return fail(message, path, error, NULL);
}

/* ---- reading ---- */

static const char *file_fault(const struct stat *status)
{
    if (!S_ISREG(status->st_mode))
        return "a cluster key must be a regular file";
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return "a cluster key must belong to the node's user or to root";
    if (status->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO))
        return "a cluster key must be closed to others: chmod 0600, or 0640 for a group";
    return NULL;
}

/* A line of digits, with its end; moves on past it. */
static bool take_key(char **text, uint8_t *key)
{
    size_t digits = strcspn(*text, "\n");
    for (size_t i = 0; i < digits; i++)
        (*text)[i] = (char)tolower((unsigned char)(*text)[i]);
    bool is_key = pst_hex_decode(*text, digits, key, PST_CLUSTER_KEY_BYTES);
    *text += digits + ((*text)[digits] == '\n');
    return is_key;
}

static bool take_keys(char *text, struct pst_quic_network *network)
{
    network->keys_count = 0;
    while (*text != '\0') {
        if (network->keys_count == PST_CLUSTER_KEYS_MAX ||
            !take_key(&text, network->keys[network->keys_count++]))
            return false;
    }
    return network->keys_count > 0;
}

/* text: FILE_BYTES_MAX + 1. */
static int read_text(int fd, char *text, const char **fault)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    *fault = file_fault(&status);
    if (*fault)
        return -EPERM;
    ssize_t bytes = read(fd, text, FILE_BYTES_MAX);
    if (bytes < 0)
        return -errno;
    text[bytes] = '\0';
    return 0;
}

int cluster_key_read(const char *path, struct pst_quic_network *network, char *message)
{
    char text[FILE_BYTES_MAX + 1];
    const char *fault = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail(message, path, -errno, NULL);
    int error = read_text(fd, text, &fault);
    close(fd);
    if (!error && !take_keys(text, network)) {
        error = -EINVAL;
        fault = "a cluster key is a line of 64 hexadecimal digits, or two lines while it is "
                "changed; penstock keygen makes one";
    }
    explicit_bzero(text, sizeof(text));
    return error ? fail(message, path, error, fault) : 0;
}
