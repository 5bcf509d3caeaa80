/* Reads and makes files of keys. Called by engine/api and by `penstock keygen`, on the thread of a
 * command or of a daemon's start. */
#include "engine/key/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "engine/base/hex.h"
#include "engine/base/limits.h"
#include "engine/base/shell.h"
#include "engine/key/interruption.h"
#include "engine/key/terminal.h"
#include "io/durable.h"

#define DIGITS (2 * PST_KEY_BYTES)
#define FILE_BYTES_MAX 256u
#define PUBLIC_BEGIN "penstock-public-key:"
#define SECRET_BEGIN "penstock-secret-key:"
#define ID_DIGITS (2 * PST_KEY_ID_BYTES)
#define LINE_BYTES (sizeof(SECRET_BEGIN) + DIGITS + 1 + ID_DIGITS + 1)

static int fail(char *message, const char *path, int error, const char *what)
{
    (void)snprintf(message, PST_MESSAGE_BYTES, "%.300s: %s", path,
                   what ? what : pst_error_text(error));
    return error;
}

const char *pst_key_id_text(const uint8_t id[PST_KEY_ID_BYTES], char text[PST_KEY_ID_TEXT_BYTES])
{
    return pst_hex_encode(id, PST_KEY_ID_BYTES, text);
}

/* ---- reading ---- */

static bool begins_with(const char *line, const char *begin)
{
    return strncmp(line, begin, strlen(begin)) == 0;
}

/* What a file is read for. */
enum use { A_KEY, A_PASSPHRASE, A_RECIPIENT };

static const char *file_fault(const struct stat *status, bool is_secret)
{
    if (!S_ISREG(status->st_mode))
        return "a key must be a regular file";
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return "a key must belong to the user who uses it, or to root";
    if (!is_secret && status->st_mode & (S_IWGRP | S_IWOTH))
        return "others could put their own key in its place: chmod 0644";
    if (!is_secret)
        return NULL;
    if (status->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO))
        return "a key must be closed to others: chmod 0600, or 0640 for a group";
    return NULL;
}

/* Leaves the first line of a text, without its end, LF or CR LF: it is what would be typed. bytes:
 * of the text, FILE_BYTES_MAX: there may be more. A part of the line would be another key. NULL, or
 * what is wrong. */
static const char *end_line(char *line, size_t bytes)
{
    line[bytes] = '\0';
    char *end = memchr(line, '\n', bytes);
    if (end)
        *end = '\0';
    else if (bytes == FILE_BYTES_MAX)
        return "its first line is longer than 255 characters";
    if (strlen(line) < (end ? (size_t)(end - line) : bytes))
        return "it is not text";
    if (begins_with(line, "\xef\xbb\xbf"))
        return "it begins with a byte order mark, which nobody could type: save it without one";
    size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\r')
        line[length - 1] = '\0';
    return NULL;
}

/* A second key would be passed over without a word, and nothing sealed for it. */
static bool has_more_lines(const char *text, size_t bytes)
{
    const char *end = memchr(text, '\n', bytes);
    for (const char *rest = end; rest && rest < text + bytes; rest++) {
        if (!strchr(" \t\r\n", *rest) || *rest == '\0')
            return true;
    }
    return bytes == FILE_BYTES_MAX;
}

/* The first line of a file, in secret memory of FILE_BYTES_MAX + 1. */
static int take_line(int fd, enum use use, char *line, const char **fault)
{
    ssize_t got, all = 0;
    while ((got = read(fd, line + all, FILE_BYTES_MAX - (size_t)all)) > 0)
        all += got;
    if (got < 0)
        return -errno;
    bool is_more = use != A_PASSPHRASE && has_more_lines(line, (size_t)all);
    *fault = end_line(line, (size_t)all);
    if (!*fault && is_more)
        *fault = "it holds more than one line: give each key in a file of its own";
    return *fault ? -EINVAL : 0;
}

static int read_fd(int fd, enum use use, char *line, const char **fault)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    *fault = file_fault(&status, use != A_RECIPIENT);
    if (*fault)
        return -EPERM;
    return take_line(fd, use, line, fault);
}

static int read_line(const char *path, enum use use, char *line, char *message)
{
    const char *fault = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int error = fd < 0 ? -errno : read_fd(fd, use, line, &fault);
    if (fd >= 0)
        close(fd);
    return error ? fail(message, path, error, fault) : 0;
}

/* Whether line is begin and a key's digits. */
static bool take_digits(const char *line, const char *begin, uint8_t *key)
{
    const char *digits = line + strlen(begin);
    return begins_with(line, begin) && pst_hex_decode(digits, strlen(digits), key, PST_KEY_BYTES);
}

static void name_key(struct pst_key *key)
{
    const uint8_t *known = key->kind == PST_KEY_PUBLIC ? key->public_half : key->secret;
    uint8_t id[PST_KEY_BYTES];
    data_key_derive(known, "penstock key id", NULL, 0, id);
    memcpy(key->id, id, sizeof(key->id));
}

static int take_secret(const char *line, struct pst_key *key)
{
    key->secret = pst_secret_make(PST_KEY_BYTES);
    if (!key->secret)
        return -ENOMEM;
    if (take_digits(line, "", key->secret)) {
        key->kind = PST_KEY_FILE;
    } else if (take_digits(line, SECRET_BEGIN, key->secret)) {
        key->kind = PST_KEY_PUBLIC;
        crypto_scalarmult_base(key->public_half, key->secret);
    } else {
        pst_secret_free(key->secret);
        key->secret = NULL;
        return -EINVAL;
    }
    name_key(key);
    return 0;
}

/* Of one that is given twice, or both halves of a pair, the first counts: files, with secrets, are
 * read before recipients. */
static void count_key(struct pst_keyring *keyring)
{
    struct pst_key *key = &keyring->keys[keyring->count];
    for (uint32_t i = 0; i < keyring->count; i++) {
        if (memcmp(keyring->keys[i].id, key->id, sizeof(key->id)) == 0) {
            pst_secret_free(key->secret);
            *key = (struct pst_key){0};
            return;
        }
    }
    keyring->count++;
}

static const char *secret_fault(const char *line)
{
    return begins_with(line, PUBLIC_BEGIN)
               ? "this is the public half of a pair, which is a recipient and opens nothing: a key "
                 "is the secret half, in the file whose name lacks .pub"
               : "a key is a line of 64 hexadecimal digits, or the secret half of a pair; penstock "
                 "keygen makes both";
}

static int add_file(struct pst_keyring *keyring, const char *path, char *line, char *message)
{
    int error = read_line(path, A_KEY, line, message);
    if (error)
        return error;
    error = take_secret(line, &keyring->keys[keyring->count]);
    if (error)
        return fail(message, path, error, error == -EINVAL ? secret_fault(line) : NULL);
    count_key(keyring);
    return 0;
}

/* Of the few points that X25519 refuses nothing can be sealed for. */
static bool can_seal(const uint8_t *public_half)
{
    static const uint8_t any[PST_KEY_BYTES] = {1};
    uint8_t shared[PST_KEY_BYTES];
    return crypto_scalarmult(shared, any, public_half) == 0;
}

/* Its digits, and after a colon its id, which depends on each of them: what is sealed for a half in
 * which one is wrong, nobody opens. NULL, or what is wrong. */
static const char *take_public(const char *text, struct pst_key *key)
{
    const char *digits = text + strlen(PUBLIC_BEGIN);
    uint8_t id[PST_KEY_ID_BYTES];
    if (begins_with(text, SECRET_BEGIN))
        return "this is the secret half of a pair: a recipient is the public one, in the file "
               "whose name ends in .pub";
    if (!begins_with(text, PUBLIC_BEGIN) || strlen(digits) != DIGITS + 1 + ID_DIGITS ||
        digits[DIGITS] != ':' || !pst_hex_decode(digits, DIGITS, key->public_half, PST_KEY_BYTES) ||
        !pst_hex_decode(digits + DIGITS + 1, ID_DIGITS, id, sizeof(id)))
        return "no public half of a pair: " PUBLIC_BEGIN
               ", 64 hexadecimal digits, a colon and 16 more, which penstock keygen --pair makes";
    key->kind = PST_KEY_PUBLIC;
    name_key(key);
    if (memcmp(id, key->id, sizeof(id)) != 0)
        return "a character of this public half is wrong, for its last 16 digits do not fit the "
               "others: take it anew from the file that penstock keygen --pair made";
    return can_seal(key->public_half) ? NULL : "nothing can be sealed for this public half";
}

/* The public half itself, or the file that holds it. */
static int add_recipient(struct pst_keyring *keyring, const char *recipient, char *line,
                         char *message)
{
    const char *text = recipient;
    if (!begins_with(recipient, PUBLIC_BEGIN)) {
        int error = read_line(recipient, A_RECIPIENT, line, message);
        if (error)
            return error;
        text = line;
    }
    const char *fault = take_public(text, &keyring->keys[keyring->count]);
    if (fault)
        return fail(message, recipient, -EINVAL, fault);
    count_key(keyring);
    return 0;
}

/* ---- passphrases ---- */

/* RFC 9106, for hosts with little memory to spare. */
#define MEMORY_BYTES (UINT64_C(64) << 20)
#define PASSES 3u
#define MEMORY_BYTES_MAX (UINT64_C(1) << 30)
#define PASSES_MAX 16u

int passphrase_stretch(const char *passphrase, const struct pst_passphrase_cost *cost,
                       uint8_t *secret)
{
    _Static_assert(crypto_pwhash_SALTBYTES == sizeof(cost->salt), "as stored");
    if (cost->memory_bytes < crypto_pwhash_MEMLIMIT_MIN || cost->memory_bytes > MEMORY_BYTES_MAX ||
        cost->passes < 1 || cost->passes > PASSES_MAX)
        return -PST_E_CORRUPT;
    return crypto_pwhash(secret, PST_KEY_BYTES, passphrase, strlen(passphrase), cost->salt,
                         cost->passes, (size_t)cost->memory_bytes, crypto_pwhash_ALG_ARGON2ID13)
               ? -ENOMEM
               : 0;
}

/* Zeros, as a file that was never filled has, are no secret. What such a key has sealed it still
 * opens. */
static int check_secret(const struct pst_key *key, char *message)
{
    char id[PST_KEY_ID_TEXT_BYTES];
    if (!key->secret || memcmp(key->secret, key->secret + 1, PST_KEY_BYTES - 1) != 0)
        return 0;
    return fail(message, pst_key_id_text(key->id, id), -EINVAL,
                "all bytes of this key are the same, so anybody could guess it; penstock keygen "
                "makes one");
}

int pst_keyring_prepare(struct pst_keyring *keyring, char *message)
{
    for (uint32_t i = 0; i < keyring->count; i++) {
        struct pst_key *key = &keyring->keys[i];
        if (check_secret(key, message))
            return -EINVAL;
        if (key->kind != PST_KEY_PASSPHRASE || key->secret)
            continue;
        key->cost = (struct pst_passphrase_cost){.memory_bytes = MEMORY_BYTES, .passes = PASSES};
        randombytes_buf(key->cost.salt, sizeof(key->cost.salt));
        memcpy(key->id, key->cost.salt, sizeof(key->id));
        key->secret = pst_secret_make(PST_KEY_BYTES);
        int error =
            key->secret ? passphrase_stretch(key->passphrase, &key->cost, key->secret) : -ENOMEM;
        if (error)
            return fail(message, "passphrase", error, "no 64 MiB of memory to make a key of it");
    }
    return 0;
}

/* For whoever writes into a pipe: a program, or somebody at another terminal. */
#define PIPE_MS 60000

/* Its first line, in secret memory of FILE_BYTES_MAX + 1, or what it has when its writers have
 * ended. -ETIMEDOUT, -EINTR. */
static int await_line(int fd, int interrupt_fd, char *line, const char **fault)
{
    struct pollfd polled[] = {{.fd = fd, .events = POLLIN}, {.fd = interrupt_fd, .events = POLLIN}};
    size_t all = 0;
    ssize_t got = 1;
    while (got != 0 && all < FILE_BYTES_MAX && !memchr(line, '\n', all)) {
        int ready = poll(polled, 2, PIPE_MS);
        if (ready < 0 && errno == EINTR) /* another signal than those that end it */
            continue;
        if (ready <= 0)
            return ready == 0 ? -ETIMEDOUT : -errno;
        if (polled[1].revents)
            return -EINTR;
        got = read(fd, line + all, FILE_BYTES_MAX - all);
        if (got < 0 && errno != EAGAIN)
            return -errno;
        all += got > 0 ? (size_t)got : 0;
    }
    *fault = end_line(line, all);
    return *fault ? -EINVAL : 0;
}

static int read_pipe(const char *path, int interrupt_fd, char *line, char *message)
{
    struct stat status;
    const char *fault = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int error = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;
    if (!error)
        error = S_ISFIFO(status.st_mode) ? await_line(fd, interrupt_fd, line, &fault) : -EINVAL;
    if (fd >= 0)
        close(fd);
    if (error == -ETIMEDOUT)
        fault = "nobody has written a passphrase into this pipe for a minute";
    return error == -EINTR ? error : error ? fail(message, path, error, fault) : 0;
}

/* Whoever types has all the time. */
#define NO_LIMIT_NS (UINT64_MAX / 4)

/* A command that Ctrl-C has ended may have ended first. */
#define SIGNAL_MS 50

static bool came(int interrupt_fd)
{
    struct pollfd polled = {.fd = interrupt_fd, .events = POLLIN};
    return poll(&polled, 1, SIGNAL_MS) > 0;
}

static int command_fault(int error, char *message)
{
    static const char name[] = "passphrase command";
    switch (error) {
    case -ECHILD:
        return fail(message, name, -EINVAL, "it failed");
    case -EMSGSIZE:
        return fail(message, name, -EINVAL,
                    "it printed more than a MiB, and was killed: have it print the passphrase");
    default:
        return fail(message, name, error, NULL);
    }
}

/* What it prints goes from the pipe into secret memory, and the command into no message. */
static int read_command(const char *command, int interrupt_fd, char *line, char *message)
{
    const char *const environment[] = {NULL};
    struct pst_shell shell = {.command = command,
                              .environment = environment,
                              .limit_ns = NO_LIMIT_NS,
                              .interrupt_fd = interrupt_fd,
                              .output = line,
                              .output_bytes = FILE_BYTES_MAX,
                              .asks = true};
    int error = pst_shell_run(&shell, message);
    if (error == -EINTR || (error && came(interrupt_fd)))
        return -EINTR;
    if (error)
        return command_fault(error, message);
    const char *fault = end_line(line, shell.output_used);
    return fault ? fail(message, "passphrase command", -EINVAL, fault) : 0;
}

/* Twice where a slip of the hand would shut a backup for good. */
static int ask(uint32_t asks, int interrupt_fd, char *line, char *message)
{
    int error = terminal_ask("Passphrase: ", line, FILE_BYTES_MAX, interrupt_fd);
    if (error || asks < 2)
        return error ? fail(message, "/dev/tty", error, NULL) : 0;
    char *again = pst_secret_make(FILE_BYTES_MAX + 1);
    if (!again)
        return fail(message, "passphrase", -ENOMEM, NULL);
    error = terminal_ask("The same once more: ", again, FILE_BYTES_MAX, interrupt_fd);
    bool is_other = !error && strcmp(line, again) != 0;
    pst_secret_free(again);
    if (is_other)
        return fail(message, "passphrase", -EINVAL, "the two are not the same");
    return error ? fail(message, "/dev/tty", error, NULL) : 0;
}

/* From whoever runs this, who may rather end it. */
static int read_answer(const struct pst_keys *named, int cancel_fd, char *line, char *message)
{
    struct interruption interruption;
    int error = interruption_begin(&interruption, cancel_fd);
    if (error)
        return fail(message, "passphrase", error, NULL);
    if (named->passphrase_asks > 0)
        error = ask(named->passphrase_asks, interruption.fd, line, message);
    else if (named->passphrase_command)
        error = read_command(named->passphrase_command, interruption.fd, line, message);
    else
        error = read_pipe(named->passphrase_file, interruption.fd, line, message);
    interruption_end(&interruption);
    if (error != -EINTR)
        return error;
    (void)snprintf(message, PST_MESSAGE_BYTES, "no passphrase was given");
    return -ECANCELED;
}

static int read_passphrase(const struct pst_keys *named, int cancel_fd, char *line, char *message)
{
    struct stat status;
    if (named->passphrase_asks > 0 || named->passphrase_command)
        return read_answer(named, cancel_fd, line, message);
    bool is_pipe = stat(named->passphrase_file, &status) == 0 && S_ISFIFO(status.st_mode);
    return is_pipe ? read_answer(named, cancel_fd, line, message)
                   : read_line(named->passphrase_file, A_PASSPHRASE, line, message);
}

static int add_passphrase(const struct pst_keys *named, int cancel_fd, struct pst_keyring *keyring,
                          char *line, char *message)
{
    struct pst_key *key = &keyring->keys[keyring->count];
    int error = read_passphrase(named, cancel_fd, line, message);
    if (error)
        return error;
    if (line[0] == '\0')
        return fail(message, "passphrase", -EINVAL, "it is empty");
    key->passphrase = pst_secret_make(FILE_BYTES_MAX + 1);
    if (!key->passphrase)
        return fail(message, "passphrase", -ENOMEM, NULL);
    key->kind = PST_KEY_PASSPHRASE;
    strcpy(key->passphrase, line);
    keyring->count++;
    return 0;
}

static int passphrases(const struct pst_keys *named)
{
    return (named->passphrase_file != NULL) + (named->passphrase_command != NULL) +
           (named->passphrase_asks > 0);
}

static int add_all(const struct pst_keys *named, int cancel_fd, struct pst_keyring *keyring,
                   char *line, char *message)
{
    int error = 0;
    for (uint32_t i = 0; !error && i < named->files_count; i++)
        error = add_file(keyring, named->files[i], line, message);
    for (uint32_t i = 0; !error && i < named->recipients_count; i++)
        error = add_recipient(keyring, named->recipients[i], line, message);
    if (!error && passphrases(named) > 0)
        error = add_passphrase(named, cancel_fd, keyring, line, message);
    return error;
}

int pst_keyring_read(const struct pst_keys *named, int cancel_fd, struct pst_keyring **keyring,
                     char *message)
{
    *keyring = NULL;
    if (!named)
        return 0;
    if (named->struct_bytes < sizeof(*named))
        return fail(message, "keys", -EINVAL, "pst_keys was not initialised");
    if (named->files_count + named->recipients_count == 0 && passphrases(named) == 0)
        return 0;
    if (passphrases(named) > 1)
        return fail(message, "passphrase", -EINVAL,
                    "give a file, a command or the terminal, not two of them");
    if (named->files_count > PST_KEYRING_MAX || named->recipients_count > PST_KEYRING_MAX ||
        named->files_count + named->recipients_count >= PST_KEYRING_MAX)
        return fail(message, "keys", -EINVAL, "too many: 15, and a passphrase, are the most");
    char *line = pst_secret_make(FILE_BYTES_MAX + 1);
    struct pst_keyring *made = calloc(1, sizeof(*made));
    int error = line && made ? add_all(named, cancel_fd, made, line, message)
                             : fail(message, "keys", -ENOMEM, "no memory that can be locked");
    pst_secret_free(line);
    if (error)
        pst_keyring_release(made);
    else
        *keyring = made;
    return error;
}

bool pst_keyring_opens(const struct pst_keyring *keyring)
{
    bool opens = false;
    for (uint32_t i = 0; i < keyring->count; i++)
        opens = opens || keyring->keys[i].secret || keyring->keys[i].passphrase;
    return opens;
}

void pst_keyring_release(struct pst_keyring *keyring)
{
    if (!keyring)
        return;
    for (uint32_t i = 0; i < PST_KEYRING_MAX; i++) {
        pst_secret_free(keyring->keys[i].secret);
        pst_secret_free(keyring->keys[i].passphrase);
    }
    free(keyring);
}

/* ---- making ---- */

static int write_file(const char *path, mode_t mode, const char *text, char *message)
{
    int error = pst_durable_create(path, mode, text, strlen(text));
    return error
               ? fail(message, path, error, error == -EEXIST ? "exists, and stays as it is" : NULL)
               : 0;
}

static void write_line(char *line, const char *begin, const uint8_t *key)
{
    strcpy(line, begin);
    pst_hex_encode(key, PST_KEY_BYTES, line + strlen(begin));
}

static void write_public(char *line, const struct pst_key *key)
{
    write_line(line, PUBLIC_BEGIN, key->public_half);
    strcat(line, ":");
    pst_key_id_text(key->id, line + strlen(line));
    strcat(line, "\n");
}

/* memory: a secret half and a line. */
static int make_pair(const char *path, const char *public_path, uint8_t *memory, char *message)
{
    struct pst_key key = {.kind = PST_KEY_PUBLIC};
    char public_line[LINE_BYTES], *line = (char *)memory + PST_KEY_BYTES;
    crypto_box_keypair(key.public_half, memory);
    name_key(&key);
    write_line(line, SECRET_BEGIN, memory);
    strcat(line, "\n");
    write_public(public_line, &key);
    int error = write_file(path, 0600, line, message);
    if (error)
        return error;
    error = write_file(public_path, 0644, public_line, message);
    if (error)
        (void)unlink(path);
    return error;
}

int pst_key_pair_make(const char *path, char *message)
{
    char *public_path;
    if (asprintf(&public_path, "%s.pub", path) < 0)
        return fail(message, path, -ENOMEM, NULL);
    uint8_t *memory = pst_secret_make(PST_KEY_BYTES + LINE_BYTES);
    int error = memory ? make_pair(path, public_path, memory, message)
                       : fail(message, path, -ENOMEM, "no memory that can be locked");
    pst_secret_free(memory);
    free(public_path);
    return error;
}
