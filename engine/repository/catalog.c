/* Lists backups and finds one. Whoever lists, prunes, verifies or restores. */
#include "engine/repository/catalog.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/own_error.h"
#include "engine/format/digest.h"
#include "engine/repository/backup_draft.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/decision.h"
#include "engine/repository/identify.h"
#include "engine/repository/layout.h"
#include "engine/repository/part_map.h"
#include "engine/repository/repository_posix.h"

static void check_part_size(struct pst_backup *backup, const struct pst_part_map *part,
                            struct pst_findings *findings)
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
    if (!wrong)
        return;
    backup->is_hit[part->node_index] = true;
    pst_findings_add_damage(findings, &part->file, 0, &damage, wrong);
}

/* Only that the parts are there and as long as the manifests say. */
static int check_part_sizes(struct pst_backup *backup, struct pst_findings *findings)
{
    struct pst_part_set set, copies;
    int error = pst_backup_parts_make(backup, &set, &copies);
    if (error)
        return error;
    for (uint32_t i = 0; i < set.count; i++)
        check_part_size(backup, &set.parts[i], findings);
    for (uint32_t i = 0; i < copies.count; i++)
        check_part_size(backup, &copies.parts[i], findings);
    pst_backup_parts_free(&set);
    pst_backup_parts_free(&copies);
    return 0;
}

/* Of one that is undamaged. */
static void classify_whole(struct pst_backup *backup, const struct pst_findings *findings)
{
    char missing[PST_MESSAGE_BYTES], elsewhere[PST_MESSAGE_BYTES];
    if (*backup_elsewhere_text(backup, elsewhere)) {
        backup->state = PST_BACKUP_SPLIT;
        backup->error = -PST_E_ELSEWHERE;
        pst_backup_missing_text(backup, missing);
        snprintf(backup->reason, sizeof(backup->reason), "complete; %.400s%s%.90s", elsewhere,
                 missing[0] ? "; partial: " : "", missing);
        return;
    }
    if (*pst_backup_missing_text(backup, missing)) {
        backup->state = PST_BACKUP_PARTIAL;
        memcpy(backup->reason, missing, sizeof(backup->reason));
    }
    if (backup->stored_as != backup->number) {
        backup->state = PST_BACKUP_MISNAMED;
        snprintf(backup->reason, sizeof(backup->reason),
                 "%s holds backup %u: name it by its uid, or rename the directory to %s%s%.120s",
                 layout_backup(backup->stored_as).text, backup->number,
                 layout_backup(backup->number).text, missing[0] ? "; partial: " : "", missing);
    }
    if (!backup->reason[0] && backup->is_shut)
        pst_backup_shut_text(backup, backup->reason);
    if (!backup->reason[0] && findings->warnings)
        memcpy(backup->reason, findings->first_warning, sizeof(backup->reason));
}

static void classify(struct pst_backup *backup, int error, const struct pst_findings *findings)
{
    backup->error = error ? error : findings->first_error;
    backup->reason[0] = '\0';
    if (error) {
        backup->state = error == -PST_E_INCOMPLETE ? PST_BACKUP_INCOMPLETE : PST_BACKUP_DAMAGED;
        snprintf(backup->reason, sizeof(backup->reason), "%s: %s",
                 layout_backup(backup->stored_as).text, pst_error_text(error));
        return;
    }
    backup->state = findings->damages == 0                 ? PST_BACKUP_COMPLETE
                    : findings->newer == findings->damages ? PST_BACKUP_NEWER
                                                           : PST_BACKUP_DAMAGED;
    if (backup->state == PST_BACKUP_COMPLETE)
        classify_whole(backup, findings);
    else
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
                 layout_backup(backup->stored_as).text);
        return backup_read_origins(backup);
    }
    return backup->state == PST_BACKUP_INCOMPLETE ? backup_read_drafts(backup) : 0;
}

static int append(struct pst_backup_list *list, struct pst_backup *backup)
{
    if ((list->count & (list->count - 1)) == 0) {
        size_t room = list->count ? 2 * list->count : 1;
        struct pst_backup **backups = realloc(list->backups, room * sizeof(*backups));
        if (!backups)
            return -ENOMEM;
        list->backups = backups;
    }
    list->backups[list->count++] = backup;
    return 0;
}

/* Empty. The manifest's arrays are not touched: they are long, and a list may have thousands. */
static struct pst_backup *make_backup(void)
{
    struct pst_backup *backup = malloc(sizeof(*backup));
    if (!backup)
        return NULL;
    size_t behind = offsetof(struct pst_backup, nodes);
    memset(backup, 0, offsetof(struct pst_backup, cluster));
    pst_manifest_clear_cluster(&backup->cluster);
    memset((char *)backup + behind, 0, sizeof(*backup) - behind);
    return backup;
}

static void free_backup(struct pst_backup *backup)
{
    free(backup->seen);
    free(backup);
}

/* An entry of the list for what the i-th directory holds; the list takes the backup if there is no
 * error. */
static int enter(struct pst_backup_list *list, uint32_t i, const struct identity *identity,
                 struct pst_backup *backup)
{
    int error = append(list, backup);
    if (error)
        return error;
    backup->number = identity->number;
    backup->stored_as = identity->stored_as;
    backup->directories = &list->directories;
    backup->list = list;
    backup->found_in = UINT64_C(1) << i;
    backup->seen_in = i;
    backup->has_uid = identity->has_uid;
    memcpy(backup->uid, identity->uid, sizeof(backup->uid));
    backup->is_prepared = identity->is_prepared;
    backup->unread = identity->unread;
    return 0;
}

/* What is read of the decision stays with the backup, for its load. */
static int identify_into(struct pst_backup *backup, struct pst_repository *repository,
                         int directory, uint32_t number, struct identity *identity)
{
    struct identity_decision decision = {.cluster = &backup->cluster};
    int found = identify_backup(repository, directory, number, identity, &decision);
    if (found < 0 || identity->number != identity->stored_as)
        return found;
    backup->seen = malloc(sizeof(*backup->seen));
    if (!backup->seen)
        return -ENOMEM;
    *backup->seen = decision.pair;
    return found;
}

static int enter_directory(struct pst_backup_list *list, uint32_t i, const char *name)
{
    uint32_t number;
    struct pst_repository *repository = &list->directories.repositories[i];
    if (!layout_parse_backup(name, &number))
        return 0;
    struct identity identity = {.number = number, .stored_as = number};
    int directory = repository_open_backup(repository, number);
    if (repository_is_no_directory(directory))
        return 0;
    struct pst_backup *backup = make_backup();
    int found = backup ? directory : -ENOMEM;
    if (backup && directory >= 0)
        found = identify_into(backup, repository, directory, number, &identity);
    if (directory >= 0)
        repository_close(repository, directory);
    identity.unread = found < 0 ? found : 0;
    int error = pst_is_own_error(found) ? found : 0;
    if (!error)
        error = enter(list, i, &identity, backup);
    if (error && backup)
        free_backup(backup);
    return error;
}

static int by_identity(const void *a, const void *b)
{
    const struct pst_backup *left = *(const struct pst_backup *const *)a;
    const struct pst_backup *right = *(const struct pst_backup *const *)b;
    if (left->number != right->number)
        return left->number > right->number ? 1 : -1;
    if (left->stored_as != right->stored_as)
        return left->stored_as > right->stored_as ? 1 : -1;
    if (left->has_uid != right->has_uid)
        return left->has_uid - right->has_uid;
    return memcmp(left->uid, right->uid, sizeof(left->uid));
}

/* What several directories hold of one backup becomes one entry. */
static void merge(struct pst_backup_list *list)
{
    size_t count = 0;
    if (list->count)
        qsort(list->backups, list->count, sizeof(*list->backups), by_identity);
    for (size_t i = 0; i < list->count; i++) {
        struct pst_backup *backup = list->backups[i];
        struct pst_backup *last = count ? list->backups[count - 1] : NULL;
        if (!last || by_identity(&last, &backup) != 0) {
            list->backups[count++] = backup;
            continue;
        }
        last->found_in |= backup->found_in;
        last->is_prepared = last->is_prepared || backup->is_prepared;
        last->unread = last->unread ? last->unread : backup->unread;
        free_backup(backup);
    }
    list->count = count;
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
    if (!error)
        merge(list);
    for (size_t i = 0; !error && i < list->count; i++)
        error = read_backup(list->backups[i]);
    if (error)
        return fail(list, path, error, message);
    if (list->count)
        qsort(list->backups, list->count, sizeof(*list->backups), by_number_and_start);
    error = backup_judge_origins(list);
    return error ? fail(list, path, error, message) : 0;
}

int pst_backup_list_read(const char *const *paths, uint32_t count, struct pst_backup_list *list,
                         char *message)
{
    return pst_backup_list_read_with(paths, count, NULL, list, message);
}

int pst_backup_list_read_with(const char *const *paths, uint32_t count,
                              const struct pst_keyring *keyring, struct pst_backup_list *list,
                              char *message)
{
    *list = (struct pst_backup_list){.directories.keyring = keyring};
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
        free_backup(list->backups[i]);
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

/* Then only its uid names it: there may be another backup of its number, and its directory has the
 * name of a third. */
static bool is_misnamed(const struct pst_backup *backup)
{
    return backup->stored_as != backup->number;
}

static bool is_usable(const struct pst_backup *backup)
{
    return pst_backup_is_usable(backup->state) && !is_misnamed(backup);
}

static bool is_decided(const struct pst_backup *backup)
{
    return !pst_backup_was_never_completed(backup->state) && backup->state != PST_BACKUP_IN_DOUBT &&
           !is_misnamed(backup);
}

/* "12" is a number, and never the beginning of a uid. */
static bool is_number(const char *id, uint32_t number)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", number);
    return strcmp(text, id) == 0;
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
        if (is_misnamed(other))
            continue;
        if (found->has_uid && other->has_uid)
            return refuse_number(found, other, message);
        found = found->has_uid ? found : other;
    }
    *backup = found;
    return 0;
}

/* The newest may be there, but for files in other directories. */
static void say_no_complete(const struct pst_backup_list *list, char *message)
{
    snprintf(message, PST_MESSAGE_BYTES, "there is no complete backup");
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *backup = list->backups[i];
        if (backup->state == PST_BACKUP_SPLIT)
            snprintf(message, PST_MESSAGE_BYTES, "there is no complete backup; %u is %.420s",
                     backup->number, backup->reason);
    }
}

static int votes(uint64_t one, uint64_t other)
{
    return (one > other) - (one < other);
}

bool catalog_is_newer(const struct pst_backup *one, const struct pst_backup *other)
{
    const struct pst_manifest_common *its = &one->cluster.common, *others = &other->cluster.common;
    int sum = votes(one->number, other->number);
    if (one->has_cluster && other->has_cluster)
        sum += votes(its->started_unix_ns, others->started_unix_ns) +
               votes(its->start_gci, others->start_gci);
    return sum > 0;
}

static int find_newest(const struct pst_backup_list *list,
                       bool (*is_picked)(const struct pst_backup *backup),
                       const struct pst_backup **backup, char *message)
{
    const struct pst_backup *found = NULL, *same = NULL;
    for (size_t i = list->count; i > 0; i--) {
        const struct pst_backup *candidate = list->backups[i - 1];
        if (!is_picked(candidate))
            continue;
        if (found && candidate->number == found->number)
            same = candidate;
        else if (!found || catalog_is_newer(candidate, found)) {
            found = candidate;
            same = NULL;
        }
    }
    if (same)
        return refuse_number(same, found, message);
    *backup = found;
    if (!found)
        say_no_complete(list, message);
    return found ? 0 : -PST_E_NO_BACKUP;
}

static bool is_uid_of_both(const struct pst_backup *one, const struct pst_backup *other)
{
    return one && memcmp(one->uid, other->uid, sizeof(one->uid)) == 0;
}

/* Of a backup and a copy of it in a directory of another name, the backup is meant. */
static int find_uid(const struct pst_backup_list *list, const char *id,
                    const struct pst_backup **backup, char *message)
{
    const struct pst_backup *found = NULL;
    size_t uids = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *candidate = list->backups[i];
        if (!has_uid(candidate, id))
            continue;
        bool is_copy =
            is_uid_of_both(found, candidate) && is_misnamed(found) != is_misnamed(candidate);
        uids += !is_copy;
        if (!is_copy || is_misnamed(found))
            found = candidate;
    }
    *backup = found;
    if (uids > 1)
        snprintf(message, PST_MESSAGE_BYTES, "%zu backups have a uid that begins with %s", uids,
                 id);
    return uids == 1 ? 0 : -PST_E_NO_BACKUP;
}

static void say_none(const struct pst_backup_list *list, const char *id, char *message)
{
    char uid[2 * PST_UID_BYTES + 1];
    snprintf(message, PST_MESSAGE_BYTES, "no backup has the number or uid %s", id);
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *backup = list->backups[i];
        if (!is_misnamed(backup) ||
            (!is_number(id, backup->number) && !is_number(id, backup->stored_as)))
            continue;
        uid_text(backup, uid);
        snprintf(message, PST_MESSAGE_BYTES, "%s holds backup %u: name it by its uid, %s",
                 layout_backup(backup->stored_as).text, backup->number, uid);
    }
}

int pst_backup_find(const struct pst_backup_list *list, const char *id, enum pst_backup_pick pick,
                    const struct pst_backup **backup, char *message)
{
    if (!id) {
        int error = find_newest(list, is_usable, backup, message);
        return error && !*backup && pick == PST_PICK_DECIDED
                   ? find_newest(list, is_decided, backup, message)
                   : error;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (is_number(id, list->backups[i]->number) && !is_misnamed(list->backups[i]))
            return find_number(list, i, backup, message);
    }
    int error = find_uid(list, id, backup, message);
    if (error && !*backup)
        say_none(list, id, message);
    return error;
}

/* Numbers of another directory say nothing, and they are all that is known of it. */
static bool is_of_unknown_age(const struct pst_backup *backup, const struct pst_backup *chosen)
{
    return !backup->has_cluster && (backup->found_in & chosen->found_in) == 0;
}

uint32_t pst_backup_warn_passed_over(const struct pst_backup_list *list,
                                     const struct pst_backup *chosen)
{
    uint32_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *backup = list->backups[i];
        bool is_unknown = is_of_unknown_age(backup, chosen);
        if ((!is_unknown && !catalog_is_newer(backup, chosen)) ||
            pst_backup_was_never_completed(backup->state))
            continue;
        pst_log(PST_LOG_WARNING, "backup %u, which %s newer than %u, is passed over: it is %s: %s",
                backup->number, is_unknown ? "may be" : "is", chosen->number,
                pst_backup_state_text(backup->state), backup->reason);
        count++;
    }
    return count;
}
