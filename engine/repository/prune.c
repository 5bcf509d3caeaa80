#include "engine/repository/prune.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/repository/backup.h"
#include "io/beneath.h"
#include "io/durable.h"

#define UID_TEXT_BYTES (2 * PST_UID_BYTES + 1)

/* The name from which on it is gone. */
static struct pst_name pruned_name(uint32_t number, const char *uid)
{
    struct pst_name name;
    snprintf(name.text, sizeof(name.text), ".BACKUP-%u.%s.pruned", number, uid);
    return name;
}

static bool is_pruned_name(const char *name)
{
    unsigned number;
    char uid[UID_TEXT_BYTES];
    return sscanf(name, ".BACKUP-%u.%32[0-9a-f].pruned", &number, uid) == 2 &&
           strlen(uid) == UID_TEXT_BYTES - 1 && strcmp(pruned_name(number, uid).text, name) == 0;
}

/* Opens the directory itself once more: of what dirfd has, a stream would take the descriptor. */
static DIR *open_stream(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

/* ---- locks ---- */

/* As a node does it (engine/node/node.c): alone LOCK_EX, one of a cluster LOCK_SH. */
int pst_prune_lock(struct pst_backup_list *list, uint64_t *idle, char *message)
{
    *idle = 0;
    for (uint32_t i = 0; i < list->directories.count; i++) {
        int fd = list->directories.fds[i];
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            *idle |= UINT64_C(1) << i;
            continue;
        }
        int error = errno == EWOULDBLOCK ? 0 : -errno;
        if (!error && flock(fd, LOCK_SH | LOCK_NB) < 0)
            error = errno == EWOULDBLOCK ? -PST_E_BUSY : -errno;
        if (error) {
            snprintf(message, PST_MESSAGE_BYTES, "%s: %s", list->directories.paths[i],
                     error == -PST_E_BUSY ? "a backup is being written into it; wait for its end"
                                          : pst_error_text(error));
            return error;
        }
    }
    return 0;
}

/* ---- one backup ---- */

/* What is to be removed: its directories, open and locked against another prune. */
struct claim {
    const struct pst_backup *backup;
    uint64_t idle;
    int fds[PST_DIRECTORIES_MAX]; /* -1: none of it there */
    char *message;
};

/* why says it all, but for an errno. */
static int refuse(const struct claim *claim, uint32_t i, int error, const char *why)
{
    bool is_errno = error != -PST_E_BUSY && error != -PST_E_CHANGED;
    snprintf(claim->message, PST_MESSAGE_BYTES, "%s/%s: %s%s%s",
             claim->backup->directories->paths[i], pst_name_backup(claim->backup->number).text, why,
             is_errno ? ": " : "", is_errno ? pst_error_text(error) : "");
    return error;
}

static bool is_marked(int backup_fd, uint32_t number)
{
    DIR *dir = open_stream(backup_fd);
    const struct dirent *entry;
    bool found = !dir;
    while (dir && !found && (entry = readdir(dir)) != NULL) {
        unsigned marked, node;
        found = sscanf(entry->d_name, "BACKUP-%u.%u.mark", &marked, &node) == 2 &&
                marked == number && strcmp(entry->d_name, pst_name_mark(number, node).text) == 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

/* Whether the name still leads to the directory that is open, and it to the backup of the list. */
static bool is_still_it(const struct claim *claim, uint32_t i)
{
    const struct pst_backup *backup = claim->backup;
    const struct pst_name name = pst_name_backup(backup->number);
    struct stat opened, named;
    uint8_t uid[PST_UID_BYTES];
    bool is_prepared;
    if (fstat(claim->fds[i], &opened) < 0 ||
        fstatat(backup->directories->fds[i], name.text, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
        opened.st_dev != named.st_dev || opened.st_ino != named.st_ino)
        return false;
    bool has_uid = pst_backup_identify(claim->fds[i], backup->number, uid, &is_prepared);
    if (has_uid != backup->has_uid || (has_uid && memcmp(uid, backup->uid, sizeof(uid)) != 0))
        return false;
    return backup->state != PST_BACKUP_INCOMPLETE ||
           (!is_prepared && faccessat(claim->fds[i], pst_name_cluster_manifest(backup->number).text,
                                      F_OK, AT_SYMLINK_NOFOLLOW) < 0);
}

/* Whoever else prunes has the same lock, and nobody else removes or replaces a committed backup; an
 * incomplete one is only touched where no node is. */
static int claim_in(struct claim *claim, uint32_t i)
{
    const struct pst_backup *backup = claim->backup;
    bool is_idle = claim->idle >> i & 1;
    claim->fds[i] = openat(backup->directories->fds[i], pst_name_backup(backup->number).text,
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (claim->fds[i] < 0)
        return errno == ENOENT ? refuse(claim, i, -PST_E_CHANGED, "it is gone by now")
                               : refuse(claim, i, -errno, "open");
    if (flock(claim->fds[i], LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? refuse(claim, i, -PST_E_BUSY, "it is being read or pruned")
                                    : refuse(claim, i, -errno, "lock");
    if (!is_still_it(claim, i))
        return refuse(claim, i, -PST_E_CHANGED, "it is another one by now");
    if (!is_idle && backup->state == PST_BACKUP_INCOMPLETE)
        return refuse(claim, i, -PST_E_BUSY, "a node runs there, and removes itself what it left");
    if (!is_idle && is_marked(claim->fds[i], backup->number))
        return refuse(claim, i, -PST_E_BUSY, "a node is at work on it");
    return 0;
}

static int rename_in(const struct claim *claim, uint32_t i, const char *uid)
{
    const struct pst_backup *backup = claim->backup;
    int dirfd = backup->directories->fds[i];
    const struct pst_name name = pst_name_backup(backup->number);
    const struct pst_name pruned = pruned_name(backup->number, uid);
    struct pst_durable_context context = {.failed_step = "remove what was pruned before"};
    int error = pst_beneath_remove(dirfd, pruned.text);
    if (!error)
        error =
            pst_durable_rename(dirfd, name.text, dirfd, pruned.text, RENAME_NOREPLACE, &context);
    return error ? refuse(claim, i, error, context.failed_step) : 0;
}

static int remove_from_sight(const struct claim *claim)
{
    char uid[UID_TEXT_BYTES];
    int error = 0;
    pst_hex_encode(claim->backup->uid, PST_UID_BYTES, uid);
    for (uint32_t i = pst_backup_next_in(claim->backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = pst_backup_next_in(claim->backup, i + 1))
        error = rename_in(claim, i, uid);
    return error;
}

/* What its state forbids. */
static int check_state(const struct pst_backup *backup, char *message)
{
    if (backup->state != PST_BACKUP_IN_DOUBT && backup->state != PST_BACKUP_NEWER)
        return 0;
    bool is_newer = backup->state == PST_BACKUP_NEWER;
    snprintf(message, PST_MESSAGE_BYTES, "backup %u is %s", backup->number,
             is_newer ? "of a newer Penstock: prune it with that"
                      : "in doubt: its nodes must settle first whether it is complete");
    return is_newer ? -PST_E_NEWER : -PST_E_INCOMPLETE;
}

int pst_prune(const struct pst_backup *backup, uint64_t idle, bool only_look, char *message)
{
    struct claim claim = {.backup = backup, .idle = idle, .message = message};
    int error = check_state(backup, message);
    if (error)
        return error;
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++)
        claim.fds[i] = -1;
    for (uint32_t i = pst_backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = pst_backup_next_in(backup, i + 1))
        error = claim_in(&claim, i);
    if (!error && !only_look)
        error = remove_from_sight(&claim);
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++) {
        if (claim.fds[i] >= 0)
            close(claim.fds[i]);
    }
    return error;
}

/* ---- what was pruned ---- */

/* Its cluster manifest last: a node that has had the directory open since before sees it as
 * committed, and leaves it alone, until there is nothing else in it. */
static int empty(int fd, uint32_t number)
{
    const struct pst_name cluster = pst_name_cluster_manifest(number);
    DIR *dir = open_stream(fd);
    const struct dirent *entry;
    int error = dir ? 0 : -errno;
    while (!error && (errno = 0, entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, cluster.text) != 0)
            error = pst_beneath_remove(fd, entry->d_name);
    }
    if (!error && dir)
        error = -errno;
    if (dir)
        closedir(dir);
    return error;
}

static int remove_pruned(int dirfd, const char *name)
{
    unsigned number = 0;
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int error = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
    if (!error && sscanf(name, ".BACKUP-%u.", &number) == 1)
        error = empty(fd, number);
    if (!error)
        error = pst_beneath_remove(dirfd, name);
    close(fd);
    return error == -EWOULDBLOCK ? 0 : error; /* another prune does it */
}

static int sweep_in(int dirfd)
{
    DIR *dir = open_stream(dirfd);
    const struct dirent *entry;
    int error = dir ? 0 : -errno;
    while (dir && (errno = 0, entry = readdir(dir)) != NULL) {
        int one = is_pruned_name(entry->d_name) ? remove_pruned(dirfd, entry->d_name) : 0;
        error = error ? error : one;
    }
    if (dir)
        closedir(dir);
    return error;
}

int pst_prune_sweep(struct pst_backup_list *list, char *message)
{
    int error = 0;
    for (uint32_t i = 0; i < list->directories.count; i++)
        flock(list->directories.fds[i], LOCK_UN);
    for (uint32_t i = 0; i < list->directories.count; i++) {
        int one = sweep_in(list->directories.fds[i]);
        if (one && !error)
            snprintf(message, PST_MESSAGE_BYTES,
                     "%s: what was pruned could not be removed whole: %s; prune once more",
                     list->directories.paths[i], pst_error_text(one));
        error = error ? error : one;
    }
    return error;
}
