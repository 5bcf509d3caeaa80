#include "engine/restore/catalog.h"

#include "engine/restore/backup.h"
#include "io/durable.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *pst_backup_state_text(enum pst_backup_state state)
{
    static const char *const texts[] = {
        [PST_BACKUP_COMPLETE] = "complete", [PST_BACKUP_INCOMPLETE] = "incomplete",
        [PST_BACKUP_DAMAGED] = "damaged",   [PST_BACKUP_NEWER] = "newer",
        [PST_BACKUP_IN_DOUBT] = "in doubt",
    };
    return texts[state];
}

/* Only that the parts are there and as long as the manifests say. */
static int check_part_sizes(int from_fd, const struct pst_backup *backup,
                            struct pst_findings *findings)
{
    struct pst_part_set set;
    int error = pst_part_set_make(backup, &set);
    for (uint32_t i = 0; !error && i < set.count; i++) {
        const struct pst_part_map *part = &set.parts[i];
        struct stat status;
        struct pst_damage damage = {.what = "part"};
        int wrong = 0;
        if (fstatat(from_fd, part->file.text, &status, AT_SYMLINK_NOFOLLOW) != 0)
            wrong = -errno;
        else if (!S_ISREG(status.st_mode))
            wrong = -EINVAL;
        else if ((uint64_t)status.st_size < part->file_bytes)
            wrong = -PST_E_TRUNCATED;
        else if ((uint64_t)status.st_size > part->file_bytes)
            wrong = -PST_E_CORRUPT;
        if (wrong == -PST_E_TRUNCATED || wrong == -PST_E_CORRUPT)
            damage.offset = wrong == -PST_E_CORRUPT ? part->file_bytes : (uint64_t)status.st_size;
        if (wrong)
            pst_findings_add_damage(findings, part->file.text, 0, &damage, wrong);
    }
    if (!error)
        pst_part_set_free(&set);
    return error;
}

/* Whether a node of several left its manifest here: then there may be a decision elsewhere. */
static bool is_in_doubt(int from_fd, uint32_t number)
{
    bool in_doubt = false;
    for (uint32_t node = 1; node <= PST_NODES_MAX && !in_doubt; node++) {
        const struct pst_file_name file =
            pst_backup_file_name(number, pst_name_node_manifest(number, node));
        struct pst_node_manifest manifest;
        struct pst_damage damage;
        char *bytes;
        size_t size;
        if (pst_small_file_read(from_fd, file.text, PST_MANIFEST_BYTES_MAX, &bytes, &size) != 0)
            continue;
        if (pst_node_manifest_decode(bytes, size, &manifest, NULL, &damage) == 0) {
            in_doubt = manifest.participants_count > 1;
            pst_node_manifest_release(&manifest);
        }
        free(bytes);
    }
    return in_doubt;
}

static void classify(struct pst_backup *backup, int error, const struct pst_findings *findings)
{
    backup->error = error ? error : findings->first_error;
    backup->reason[0] = '\0';
    if (error) {
        backup->state = error == -PST_E_INCOMPLETE ? PST_BACKUP_INCOMPLETE : PST_BACKUP_DAMAGED;
        snprintf(backup->reason, sizeof(backup->reason), "%s: %s",
                 pst_name_backup(backup->number).text, pst_error_text(error));
        return;
    }
    backup->state = findings->damages == 0                 ? PST_BACKUP_COMPLETE
                    : findings->newer == findings->damages ? PST_BACKUP_NEWER
                                                           : PST_BACKUP_DAMAGED;
    if (findings->damages)
        memcpy(backup->reason, findings->first, sizeof(backup->reason));
}

static int read_backup(int from_fd, uint32_t number, struct pst_backup **read)
{
    struct pst_backup *backup = calloc(1, sizeof(*backup));
    if (backup == NULL)
        return -ENOMEM;
    backup->number = number;
    struct pst_findings findings;
    uint64_t files = 0, bytes = 0;
    pst_findings_init(&findings, NULL, NULL);
    int error = pst_backup_load(from_fd, backup, &findings, &files, &bytes);
    if (!error && backup->has_cluster)
        error = check_part_sizes(from_fd, backup, &findings);
    if (error == -ENOMEM || error == -EMFILE || error == -ENFILE) {
        pst_backup_unload(backup);
        free(backup);
        return error;
    }
    classify(backup, error, &findings);
    if (backup->state == PST_BACKUP_INCOMPLETE && is_in_doubt(from_fd, number)) {
        backup->state = PST_BACKUP_IN_DOUBT;
        snprintf(backup->reason, sizeof(backup->reason),
                 "%s: prepared; whether it was completed, its other nodes know",
                 pst_name_backup(number).text);
    }
    *read = backup;
    return 0;
}

static int append(struct pst_backup_list *list, struct pst_backup *backup)
{
    struct pst_backup **backups =
        realloc(list->backups, (list->count + 1) * sizeof(*list->backups));
    if (backups == NULL)
        return -ENOMEM;
    backups[list->count++] = backup;
    list->backups = backups;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct pst_backup *const *left = a, *const *right = b;
    return ((*left)->number > (*right)->number) - ((*left)->number < (*right)->number);
}

static int read_entries(DIR *dir, struct pst_backup_list *list)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return -errno;
        uint32_t number;
        if (!pst_name_parse_backup(entry->d_name, &number))
            continue;
        struct stat status;
        if (fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISDIR(status.st_mode))
            continue;
        struct pst_backup *backup = NULL;
        int error = read_backup(dirfd(dir), number, &backup);
        if (error)
            return error;
        error = append(list, backup);
        if (error) {
            pst_backup_unload(backup);
            free(backup);
            return error;
        }
    }
}

int pst_backup_list_read(const char *from, struct pst_backup_list *list)
{
    *list = (struct pst_backup_list){0};
    DIR *dir = opendir(from);
    if (dir == NULL)
        return -errno;
    int error = read_entries(dir, list);
    closedir(dir);
    if (error)
        pst_backup_list_release(list);
    else if (list->count)
        qsort(list->backups, list->count, sizeof(*list->backups), by_number);
    return error;
}

void pst_backup_list_release(struct pst_backup_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        pst_backup_unload(list->backups[i]);
        free(list->backups[i]);
    }
    free(list->backups);
    *list = (struct pst_backup_list){0};
}

static bool has_uid(const struct pst_backup *backup, const char *prefix)
{
    char uid[2 * PST_UID_BYTES + 1];
    pst_hex_encode(backup->cluster.common.uid, PST_UID_BYTES, uid);
    return backup->has_cluster && strlen(prefix) >= 4 && strncmp(uid, prefix, strlen(prefix)) == 0;
}

static bool is_picked(const struct pst_backup *backup, enum pst_backup_pick pick)
{
    if (pick == PST_PICK_COMPLETE)
        return backup->state == PST_BACKUP_COMPLETE;
    return backup->state != PST_BACKUP_INCOMPLETE && backup->state != PST_BACKUP_IN_DOUBT;
}

/* "12" is a number, and never the beginning of a uid. */
static bool is_number(const char *id, const struct pst_backup *backup)
{
    char number[16];
    snprintf(number, sizeof(number), "%u", backup->number);
    return strcmp(number, id) == 0;
}

int pst_backup_find(const struct pst_backup_list *list, const char *id, enum pst_backup_pick pick,
                    const struct pst_backup **backup, char *message)
{
    const struct pst_backup *found = NULL;
    size_t uids = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *candidate = list->backups[i];
        if (id == NULL && is_picked(candidate, pick))
            found = candidate;
        if (id != NULL && is_number(id, candidate)) {
            *backup = candidate;
            return 0;
        }
        if (id != NULL && has_uid(candidate, id)) {
            found = candidate;
            uids++;
        }
    }
    if (found != NULL && uids <= 1) {
        *backup = found;
        return 0;
    }
    if (uids > 1)
        snprintf(message, PST_MESSAGE_BYTES, "%zu backups have a uid that begins with %s", uids,
                 id);
    else if (id != NULL)
        snprintf(message, PST_MESSAGE_BYTES, "no backup has the number or uid %s", id);
    else
        snprintf(message, PST_MESSAGE_BYTES, "there is no complete backup");
    return -PST_E_NO_BACKUP;
}
