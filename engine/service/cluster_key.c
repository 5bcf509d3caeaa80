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
#include "io/durable.h"
#include "net/quic/quic_network.h"

#define KEY_DIGITS (2u * PST_CLUSTER_KEY_BYTES)
#define FILE_BYTES_MAX 256u

static int fail(char *message, const char *path, int error, const char *what)
{
    (void)snprintf(message, PST_MESSAGE_BYTES, "%s: %s", path, what ? what : pst_error_text(error));
    return error;
}

/* ---- making ---- */

int pst_cluster_key_make(const char *path, char *message)
{
    uint8_t key[PST_CLUSTER_KEY_BYTES];
    char line[KEY_DIGITS + 2];
    PST_CHECK_MAIN_THREAD();
    ssize_t got = getrandom(key, sizeof(key), 0);
    int error = got < 0 ? -errno : got < (ssize_t)sizeof(key) ? -EIO : 0;
    (void)pst_hex_encode(key, sizeof(key), line);
    line[KEY_DIGITS] = '\n';
    if (!error)
        error = pst_durable_create(path, 0600, line, KEY_DIGITS + 1);
    explicit_bzero(key, sizeof(key));
    explicit_bzero(line, sizeof(line));
    return error
               ? fail(message, path, error, error == -EEXIST ? "exists, and stays as it is" : NULL)
               : 0;
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

/* Of what a file of keys holds; the message names no byte of it. */
static int refuse_text(char *message, const char *path, const char *what)
{
    (void)snprintf(message, PST_MESSAGE_BYTES,
                   "%s: %s: a cluster key is a line of 64 hexadecimal digits, and while it is "
                   "changed there are two; penstock keygen makes one",
                   path, what);
    return -EINVAL;
}

static int refuse_line(char *message, const char *path, uint32_t line, size_t digits)
{
    char what[64];
    if (digits == KEY_DIGITS)
        (void)snprintf(what, sizeof(what), "line %u has other characters than digits", line);
    else
        (void)snprintf(what, sizeof(what), "line %u has %zu characters", line, digits);
    return refuse_text(message, path, what);
}

/* Lower-case digits, and nothing else. */
static bool take_key(char *text, size_t digits, uint8_t *key)
{
    for (size_t i = 0; i < digits; i++)
        text[i] = (char)tolower((unsigned char)text[i]);
    return pst_hex_decode(text, digits, key, PST_CLUSTER_KEY_BYTES);
}

/* Such as zeros, of a file that was never filled. */
static bool is_one_byte(const uint8_t *key)
{
    return memcmp(key, key + 1, PST_CLUSTER_KEY_BYTES - 1) == 0;
}

static int take_keys(char *text, size_t bytes, const char *path, struct pst_quic_network *network,
                     char *message)
{
    network->keys_count = 0;
    if (bytes == 0)
        return refuse_text(message, path, "the file is empty");
    if (memchr(text, '\r', bytes))
        return refuse_text(message, path, "its lines end in CR LF, not in LF");
    if (memchr(text, '\0', bytes))
        return refuse_text(message, path, "it is not text");
    while (*text != '\0') {
        size_t digits = strcspn(text, "\n");
        if (network->keys_count == PST_CLUSTER_KEYS_MAX)
            return refuse_text(message, path, "it has more than two lines");
        if (!take_key(text, digits, network->keys[network->keys_count++]))
            return refuse_line(message, path, network->keys_count, digits);
        if (is_one_byte(network->keys[network->keys_count - 1]))
            return refuse_text(message, path,
                               "all bytes of a key are the same, so anybody could guess it");
        text += digits + (text[digits] == '\n');
    }
    if (network->keys_count == 2 &&
        memcmp(network->keys[0], network->keys[1], PST_CLUSTER_KEY_BYTES) == 0)
        return refuse_text(message, path, "both lines are the same key");
    return 0;
}

/* text: FILE_BYTES_MAX + 1. */
static int read_text(int fd, char *text, size_t *bytes, const char **fault)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    *fault = file_fault(&status);
    if (*fault)
        return -EPERM;
    ssize_t got = read(fd, text, FILE_BYTES_MAX);
    if (got < 0)
        return -errno;
    *bytes = (size_t)got;
    text[got] = '\0';
    return 0;
}

int cluster_key_read(const char *path, struct pst_quic_network *network, char *message)
{
    char text[FILE_BYTES_MAX + 1];
    size_t bytes = 0;
    const char *fault = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail(message, path, -errno, NULL);
    int error = read_text(fd, text, &bytes, &fault);
    close(fd);
    if (error)
        return fail(message, path, error, fault);
    error = take_keys(text, bytes, path, network, message);
    explicit_bzero(text, sizeof(text));
    return error;
}
