/* Lists backups and finds one. Whoever lists, prunes, verifies or restores. */
#include "engine/repository/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/format/digest.h"
#include "engine/repository/identify.h"
#include "engine/repository/layout.h"
#include "engine/repository/part_map.h"
#include "engine/repository/repository_posix.h"

const char *pst_backup_state_text(enum pst_backup_state state)
{
    static const char *const texts[] = {
        [PST_BACKUP_COMPLETE] = "complete", [PST_BACKUP_INCOMPLETE] = "incomplete",
        [PST_BACKUP_DAMAGED] = "damaged",   [PST_BACKUP_NEWER] = "newer",
        [PST_BACKUP_IN_DOUBT] = "in doubt",
    };
    return texts[state];
}

static void check_part_size(const struct pst_part_map *part, struct pst_findings *findings)
{
    const struct pst_part_title title = part_title(part);
    struct pst_damage damage = {.what = title.text};
    struct pst_repository_status status;
    int wrong =
        repository_status(part->repository, part->repository->root, part->file.text, &status);
    if (!wrong && status.kind != PST_REPOSITORY_FILE)
        wrong = -EINVAL;
    if (!wrong && status.bytes != part->file_bytes) {
        bool is_short = status.bytes < part->file_bytes;
        wrong = is_short ? -PST_E_TRUNCATED : -PST_E_CORRUPT;
        damage.offset = is_short ? status.bytes : part->file_bytes;
    }
    if (wrong)
        pst_findings_add_damage(findings, &part->file, 0, &damage, wrong);
}

/* Only that the parts are there and as long as the manifests say. */
static int check_part_sizes(const struct pst_backup *backup, struct pst_findings *findings)
{
    struct pst_part_set set, copies;
    int error = pst_backup_parts_make(backup, &set, &copies);
    if (error)
        return error;
    for (uint32_t i = 0; i < set.count; i++)
        check_part_size(&set.parts[i], findings);
    for (uint32_t i = 0; i < copies.count; i++)
        check_part_size(&copies.parts[i], findings);
    pst_backup_parts_free(&set);
    pst_backup_parts_free(&copies);
    return 0;
}

static void classify(struct pst_backup *backup, int error, const struct pst_findings *findings)
{
    backup->error = error ? error : findings->first_error;
    backup->reason[0] = '\0';
    if (error) {
        backup->state = error == -PST_E_INCOMPLETE ? PST_BACKUP_INCOMPLETE : PST_BACKUP_DAMAGED;
        snprintf(backup->reason, sizeof(backup->reason), "%s: %s",
                 layout_backup(backup->number).text, pst_error_text(error));
        return;
    }
    backup->state = findings->damages == 0                 ? PST_BACKUP_COMPLETE
                    : findings->newer == findings->damages ? PST_BACKUP_NEWER
                                                           : PST_BACKUP_DAMAGED;
    if (findings->damages)
        memcpy(backup->reason, findings->first, sizeof(backup->reason));
}

static int read_backup(struct pst_backup *backup)
{
    struct pst_findings findings;
    uint64_t files = 0, bytes = 0;
    pst_findings_init(&findings, NULL, NULL);
    int error = pst_backup_load(backup, &findings, &files, &bytes);
    if (error == -PST_E_INCOMPLETE && backup->unread) /* a part of it may be there, unread */
        error = backup->unread;
    if (!error && backup->has_cluster)
        error = check_part_sizes(backup, &findings);
    if (pst_is_own_error(error))
        return error;
    classify(backup, error, &findings);
    if (backup->state == PST_BACKUP_INCOMPLETE && backup->is_prepared) {
        backup->state = PST_BACKUP_IN_DOUBT;
        snprintf(backup->reason, sizeof(backup->reason),
                 "%s: prepared; whether it was completed, its other nodes know",
                 layout_backup(backup->number).text);
    }
    return 0;
}

static int append(struct pst_backup_list *list, struct pst_backup *backup)
{
    struct pst_backup **backups =
        realloc(list->backups, (list->count + 1) * sizeof(*list->backups));
    if (!backups)
        return -ENOMEM;
    backups[list->count++] = backup;
    list->backups = backups;
    return 0;
}

/* What a directory holds, as far as it could be found out. */
struct identity {
    uint32_t number;
    const uint8_t *uid; /* NULL: unknown */
    bool is_prepared;
    int unread; /* it could not be read: -errno; else 0 */
};

static bool is_same(const struct pst_backup *backup, const struct identity *identity)
{
    return backup->number == identity->number && backup->has_uid == (identity->uid != NULL) &&
           (!identity->uid || memcmp(backup->uid, identity->uid, PST_UID_BYTES) == 0);
}

/* The entry of the list for what the i-th directory holds, made where there is none. */
static int enter(struct pst_backup_list *list, uint32_t i, const struct identity *identity)
{
    struct pst_backup *backup = NULL;
    for (size_t j = 0; j < list->count && !backup; j++)
        backup = is_same(list->backups[j], identity) ? list->backups[j] : NULL;
    if (!backup) {
        backup = calloc(1, sizeof(*backup));
        int error = backup ? append(list, backup) : -ENOMEM;
        if (error) {
            free(backup);
            return error;
        }
        backup->number = identity->number;
        backup->directories = &list->directories;
        backup->has_uid = identity->uid;
        if (identity->uid)
            memcpy(backup->uid, identity->uid, PST_UID_BYTES);
    }
    backup->found_in |= UINT64_C(1) << i;
    backup->is_prepared = backup->is_prepared || identity->is_prepared;
    backup->unread = backup->unread ? backup->unread : identity->unread;
    return 0;
}

static int enter_directory(struct pst_backup_list *list, uint32_t i, const char *name)
{
    uint32_t number;
    uint8_t uid[PST_UID_BYTES];
    bool is_prepared = false;
    struct pst_repository *repository = &list->directories.repositories[i];
    if (!layout_parse_backup(name, &number))
        return 0;
    int directory = repository_open_backup(repository, number);
    if (repository_is_no_directory(directory))
        return 0;
    int found = directory;
    if (directory >= 0) {
        found = identify_backup(repository, directory, number, uid, &is_prepared);
        repository_close(repository, directory);
    }
    if (pst_is_own_error(found))
        return found;
    return enter(list, i,
                 &(struct identity){.number = number,
                                    .uid = found > 0 ? uid : NULL,
                                    .is_prepared = is_prepared,
                                    .unread = found < 0 ? found : 0});
}

static int enter_all(struct pst_backup_list *list, uint32_t i)
{
    struct pst_repository *repository = &list->directories.repositories[i];
    struct pst_repository_names names;
    int error = repository_list(repository, repository->root, &names);
    if (error)
        return error;
    for (const char *name = repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name))
        error = enter_directory(list, i, name);
    repository_names_free(&names);
    return error;
}

static int status_of(struct pst_repository *repository, struct pst_repository_status *status)
{
    return repository_status(repository, repository->root, NULL, status);
}

/* Opens a directory, but for one that is open already. */
static int open_directory(struct pst_directories *directories, const char *path)
{
    struct pst_repository_status status, known;
    struct pst_repository *repository = &directories->repositories[directories->count];
    int error = path ? repository_posix_open(repository, path, NULL) : -EINVAL;
    if (error)
        return error;
    error = status_of(repository, &status);
    bool is_known = false;
    for (uint32_t i = 0; !error && i < directories->count; i++) {
        error = status_of(&directories->repositories[i], &known);
        is_known = is_known || (known.device == status.device && known.inode == status.inode);
    }
    if (error || is_known) {
        repository_close(repository, repository->root);
        return error;
    }
    directories->paths[directories->count++] = path;
    return 0;
}

static int by_number_and_start(const void *a, const void *b)
{
    const struct pst_backup *left = *(const struct pst_backup *const *)a;
    const struct pst_backup *right = *(const struct pst_backup *const *)b;
    if (left->number != right->number)
        return left->number > right->number ? 1 : -1;
    uint64_t started = left->has_cluster ? left->cluster.common.started_unix_ns : 0;
    uint64_t other = right->has_cluster ? right->cluster.common.started_unix_ns : 0;
    return (started > other) - (started < other);
}

/* Releases the list after an error. */
static int fail(struct pst_backup_list *list, const char *path, int error, char *message)
{
    snprintf(message, PST_MESSAGE_BYTES, "%s: %s; name the directory that was backed up into",
             path ? path : "a directory that is NULL", pst_error_text(error));
    pst_backup_list_release(list);
    return error;
}

int catalog_read(struct pst_backup_list *list, char *message)
{
    const char *path = NULL;
    int error = 0;
    for (uint32_t i = 0; !error && i < list->directories.count; i++) {
        path = list->directories.paths[i];
        error = enter_all(list, i);
    }
    for (size_t i = 0; !error && i < list->count; i++)
        error = read_backup(list->backups[i]);
    if (error)
        return fail(list, path, error, message);
    if (list->count)
        qsort(list->backups, list->count, sizeof(*list->backups), by_number_and_start);
    return 0;
}

int pst_backup_list_read(const char *const *paths, uint32_t count, struct pst_backup_list *list,
                         char *message)
{
    *list = (struct pst_backup_list){0};
    if (count < 1 || count > PST_DIRECTORIES_MAX) {
        snprintf(message, PST_MESSAGE_BYTES, "name 1 to %u directories of backups, not %u",
                 PST_DIRECTORIES_MAX, count);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < count; i++) {
        int error = open_directory(&list->directories, paths[i]);
        if (error)
            return fail(list, paths[i], error, message);
    }
    return catalog_read(list, message);
}

void pst_backup_list_release(struct pst_backup_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        pst_backup_unload(list->backups[i]);
        free(list->backups[i]);
    }
    free(list->backups);
    for (uint32_t i = 0; i < list->directories.count; i++) {
        struct pst_repository *repository = &list->directories.repositories[i];
        repository_close(repository, repository->root);
    }
    *list = (struct pst_backup_list){0};
}

static void uid_text(const struct pst_backup *backup, char text[2 * PST_UID_BYTES + 1])
{
    pst_hex_encode(backup->uid, PST_UID_BYTES, text);
}

static bool has_uid(const struct pst_backup *backup, const char *prefix)
{
    char uid[2 * PST_UID_BYTES + 1];
    uid_text(backup, uid);
    return backup->has_uid && strlen(prefix) >= 4 && strncmp(uid, prefix, strlen(prefix)) == 0;
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

static int refuse_number(const struct pst_backup *one, const struct pst_backup *other,
                         char *message)
{
    char uid[2 * PST_UID_BYTES + 1] = "not known", other_uid[2 * PST_UID_BYTES + 1] = "not known";
    if (one->has_uid)
        uid_text(one, uid);
    if (other->has_uid)
        uid_text(other, other_uid);
    snprintf(message, PST_MESSAGE_BYTES,
             "%u is the number of two backups, uid %s (%s) and uid %s (%s): give a uid, or the "
             "first digits of one, or fewer directories",
             one->number, uid, pst_backup_state_text(one->state), other_uid,
             pst_backup_state_text(other->state));
    return -PST_E_NO_BACKUP;
}

/* All backups of one number stand together; those of no known uid are debris beside one that has
 * a uid. */
static int find_number(const struct pst_backup_list *list, size_t first,
                       const struct pst_backup **backup, char *message)
{
    const struct pst_backup *found = list->backups[first];
    for (size_t i = first + 1; i < list->count && list->backups[i]->number == found->number; i++) {
        const struct pst_backup *other = list->backups[i];
        if (found->has_uid && other->has_uid)
            return refuse_number(found, other, message);
        found = found->has_uid ? found : other;
    }
    *backup = found;
    return 0;
}

static int find_newest(const struct pst_backup_list *list, enum pst_backup_pick pick,
                       const struct pst_backup **backup, char *message)
{
    const struct pst_backup *found = NULL;
    for (size_t i = list->count; i > 0; i--) {
        const struct pst_backup *candidate = list->backups[i - 1];
        if (found && candidate->number != found->number)
            break;
        if (found && is_picked(candidate, pick))
            return refuse_number(candidate, found, message);
        found = !found && is_picked(candidate, pick) ? candidate : found;
    }
    *backup = found;
    if (!found)
        snprintf(message, PST_MESSAGE_BYTES, "there is no complete backup");
    return found ? 0 : -PST_E_NO_BACKUP;
}

int pst_backup_find(const struct pst_backup_list *list, const char *id, enum pst_backup_pick pick,
                    const struct pst_backup **backup, char *message)
{
    const struct pst_backup *found = NULL;
    size_t uids = 0;
    if (!id)
        return find_newest(list, pick, backup, message);
    for (size_t i = 0; i < list->count; i++) {
        if (is_number(id, list->backups[i]))
            return find_number(list, i, backup, message);
        if (has_uid(list->backups[i], id)) {
            found = list->backups[i];
            uids++;
        }
    }
    *backup = found;
    if (uids == 1)
        return 0;
    if (uids > 1)
        snprintf(message, PST_MESSAGE_BYTES, "%zu backups have a uid that begins with %s", uids,
                 id);
    else
        snprintf(message, PST_MESSAGE_BYTES, "no backup has the number or uid %s", id);
    return -PST_E_NO_BACKUP;
}
