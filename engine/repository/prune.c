/* Removes backups from sight, and then from the disk, beside nodes that may be at work. `penstock
 * prune`'s thread. docs/adr/0019-collected-backups.md. */
#include "engine/repository/prune.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/own_error.h"
#include "engine/format/digest.h"
#include "engine/repository/archive_marks.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/decision.h"
#include "engine/repository/identify.h"
#include "engine/repository/layout.h"

#define UID_TEXT_BYTES (2 * PST_UID_BYTES + 1)

/* ---- locks ---- */

/* Whether no node is at work in a directory, which is locked then: 1, 0 or an error. As a node does
 * it (lease.c): alone exclusively, one of a cluster shared. */
static int lock_one(struct pst_repository *repository)
{
    int error = repository_lock(repository, repository->root, PST_REPOSITORY_EXCLUSIVE);
    if (error != -PST_E_BUSY)
        return error ? error : 1;
    return repository_lock(repository, repository->root, PST_REPOSITORY_SHARED);
}

int pst_prune_lock(struct pst_backup_list *list, uint64_t *idle, char *message)
{
    *idle = 0;
    for (uint32_t i = 0; i < list->directories.count; i++) {
        int is_idle = lock_one(&list->directories.repositories[i]);
        if (is_idle < 0) {
            snprintf(message, PST_MESSAGE_BYTES, "%s: %s", list->directories.paths[i],
                     is_idle == -PST_E_BUSY ? "a backup is being written into it; wait for its end"
                                            : pst_error_text(is_idle));
            return is_idle;
        }
        *idle |= (uint64_t)is_idle << i;
    }
    return 0;
}

/* ---- one backup ---- */

/* A backup that is to be removed: its directories, open and locked against another prune. */
struct prune_claim {
    const struct pst_backup *backup;
    uint64_t idle;
    int handles[PST_DIRECTORIES_MAX]; /* -1: none of it there */
    char *message;
};

static struct pst_repository *repository_of(const struct prune_claim *claim, uint32_t i)
{
    return &claim->backup->directories->repositories[i];
}

/* `why` is the whole message, but for an errno. */
static int refuse(const struct prune_claim *claim, uint32_t i, int error, const char *why)
{
    bool is_errno = error != -PST_E_BUSY && error != -PST_E_CHANGED && error != -PST_E_PINNED;
    snprintf(claim->message, PST_MESSAGE_BYTES, "%s/%s: %s%s%s",
             claim->backup->directories->paths[i], layout_backup(claim->backup->stored_as).text,
             why, is_errno ? ": " : "", is_errno ? pst_error_text(error) : "");
    return error;
}

/* Whether the directory that is open holds the backup of the list still: 1, 0 or an error. */
static int is_backup(const struct prune_claim *claim, uint32_t i)
{
    const struct pst_backup *backup = claim->backup;
    struct pst_repository *repository = repository_of(claim, i);
    struct identity identity;
    int found = identify_backup(repository, claim->handles[i], backup->stored_as, &identity, NULL);
    if (found < 0)
        return found;
    if (identity.number != backup->number || identity.has_uid != backup->has_uid ||
        memcmp(identity.uid, backup->uid, sizeof(identity.uid)) != 0)
        return 0;
    if (backup->state != PST_BACKUP_INCOMPLETE)
        return 1;
    int has = decision_is_there(repository, claim->handles[i], backup->number);
    return has < 0 ? has : !has && !identity.is_prepared;
}

/* Whether the name still leads to the directory that is open, and it to the backup of the list. */
static int is_still_it(const struct prune_claim *claim, uint32_t i)
{
    struct pst_repository *repository = repository_of(claim, i);
    struct pst_repository_status opened, named;
    int error = repository_status(repository, claim->handles[i], NULL, &opened);
    if (!error)
        error = repository_status(repository, repository->root,
                                  layout_backup(claim->backup->stored_as).text, &named);
    if (error)
        return error == -ENOENT ? 0 : error;
    return opened.device == named.device && opened.inode == named.inode ? is_backup(claim, i) : 0;
}

/* What a node that runs there needs. */
static int check_nodes(const struct prune_claim *claim, uint32_t i)
{
    const struct pst_backup *backup = claim->backup;
    if (claim->idle >> i & 1)
        return 0;
    if (backup->state == PST_BACKUP_INCOMPLETE)
        return refuse(claim, i, -PST_E_BUSY,
                      "a node runs there, and removes itself what it left, but nothing that was "
                      "copied to there: stop it first");
    int marked = archive_is_marked(repository_of(claim, i), claim->handles[i], backup->number);
    if (marked < 0)
        return refuse(claim, i, marked, "read the directory");
    return marked ? refuse(claim, i, -PST_E_BUSY, "a node is at work on it") : 0;
}

static int refuse_stranger(const struct prune_claim *claim, uint32_t i, const char *name)
{
    snprintf(claim->message, PST_MESSAGE_BYTES,
             "%s/%s: %.200s does not belong to the backup: move it away first",
             claim->backup->directories->paths[i], layout_backup(claim->backup->stored_as).text,
             name);
    return -ENOTEMPTY;
}

static int check_names(const struct prune_claim *claim, uint32_t i, int directory,
                       bool (*is_known)(const char *name, uint32_t number));

static int check_parts(const struct prune_claim *claim, uint32_t i, const char *name)
{
    struct pst_repository *repository = repository_of(claim, i);
    int below = repository_open(repository, claim->handles[i], name);
    if (below < 0) /* a file, whatever it is called, is no directory of parts */
        return below == -ENOENT ? 0 : refuse_stranger(claim, i, name);
    int error = check_names(claim, i, below, layout_is_part_file);
    repository_close(repository, below);
    return error;
}

/* What is not named as a backup's files are was put there by somebody, who may want it. */
static int check_names(const struct prune_claim *claim, uint32_t i, int directory,
                       bool (*is_known)(const char *name, uint32_t number))
{
    struct pst_repository_names names;
    uint32_t number = claim->backup->number, part, parts;
    int error = repository_list(repository_of(claim, i), directory, &names);
    if (error)
        return refuse(claim, i, error, "read the directory");
    for (const char *name = repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name)) {
        if (!is_known(name, number))
            error = refuse_stranger(claim, i, name);
        else if (layout_parse_part_dir(name, number, &part, &parts))
            error = check_parts(claim, i, name);
    }
    repository_names_free(&names);
    return error;
}

static int check_pin(const struct prune_claim *claim, uint32_t i)
{
    int has = repository_has(repository_of(claim, i), claim->handles[i],
                             layout_pin(claim->backup->number).text);
    if (has < 0)
        return refuse(claim, i, has, "look for a pin");
    return has ? refuse(claim, i, -PST_E_PINNED, "it is pinned: penstock unpin it first") : 0;
}

/* Every prune takes the same lock, and nothing but a prune removes or replaces a committed backup;
 * an incomplete one is only touched where no node is. */
static int claim_in(struct prune_claim *claim, uint32_t i)
{
    struct pst_repository *repository = repository_of(claim, i);
    int handle = repository_open_backup(repository, claim->backup->stored_as);
    if (handle < 0)
        return handle == -ENOENT ? refuse(claim, i, -PST_E_CHANGED, "it is gone by now")
                                 : refuse(claim, i, handle, "open");
    claim->handles[i] = handle;
    int error = repository_lock(repository, handle, PST_REPOSITORY_EXCLUSIVE);
    if (error)
        return error == -PST_E_BUSY ? refuse(claim, i, error, "it is being read or pruned")
                                    : refuse(claim, i, error, "lock");
    int is_it = is_still_it(claim, i);
    if (is_it < 0)
        return refuse(claim, i, is_it, "read it again");
    if (!is_it)
        return refuse(claim, i, -PST_E_CHANGED, "it is another one by now");
    error = check_pin(claim, i);
    if (!error)
        error = check_nodes(claim, i);
    return error ? error : check_names(claim, i, handle, layout_is_inside);
}

static int rename_in(const struct prune_claim *claim, uint32_t i, const char *uid)
{
    struct pst_repository *repository = repository_of(claim, i);
    const struct layout_name name = layout_backup(claim->backup->stored_as);
    const struct layout_name pruned = layout_pruned(claim->backup->number, uid);
    int error = repository_remove_tree(repository, repository->root, pruned.text);
    if (error)
        return refuse(claim, i, error, "remove what was pruned before");
    error = repository_rename_durably(repository, repository->root, name.text, pruned.text, false);
    return error ? refuse(claim, i, error, repository->failed_step) : 0;
}

/* Where it was renamed: what stays elsewhere would be damaged. */
static void put_back(const struct prune_claim *claim, const char *uid)
{
    const struct layout_name name = layout_backup(claim->backup->stored_as);
    const struct layout_name pruned = layout_pruned(claim->backup->number, uid);
    for (uint32_t i = backup_next_in(claim->backup, 0); i < PST_DIRECTORIES_MAX;
         i = backup_next_in(claim->backup, i + 1)) {
        struct pst_repository *repository = repository_of(claim, i);
        int result = repository_has(repository, repository->root, name.text);
        if (result == 0)
            result = repository_rename_durably(repository, repository->root, pruned.text, name.text,
                                               false);
        if (result < 0)
            pst_log(PST_LOG_ERROR, "%s/%s cannot be put back: %s: rename it to %s by hand",
                    repository->path, pruned.text, pst_error_text(result), name.text);
    }
}

static void note_suspicion(const struct pst_backup *backup, const struct pst_backup *by)
{
    const struct pst_verified verified = {
        .is_known = true, .is_damaged = true, .unix_ns = by->verified.unix_ns, .windows = 1};
    struct pst_backup_hold hold;
    int error = pst_backup_keep(backup, &hold);
    if (!error) {
        error = pst_verified_note(backup, &hold, &verified);
        pst_backup_let_go(&hold);
    }
    if (error)
        pst_log(PST_LOG_WARNING,
                "backup %u: that it may have the damage which verify found in backup %u could not "
                "be noted beside it: %s: verify it",
                backup->number, by->number, pst_error_text(error));
}

/* What damage was found in by way of a backup that goes is not to be forgotten with it. */
static void pass_on_damage(const struct pst_backup *backup)
{
    const struct pst_backup_list *list = backup->list;
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *other = list->backups[i];
        /* damage that was found in it since is not to become older */
        bool is_noted =
            other->verified.is_damaged && other->verified.unix_ns >= backup->verified.unix_ns;
        if (!other->is_pruned && !is_noted && backup_shares_damage(backup, other))
            note_suspicion(other, backup);
    }
}

static int remove_from_sight(const struct prune_claim *claim)
{
    char uid[UID_TEXT_BYTES];
    int error = 0;
    pst_hex_encode(claim->backup->uid, PST_UID_BYTES, uid);
    pass_on_damage(claim->backup);
    for (uint32_t i = backup_next_in(claim->backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(claim->backup, i + 1))
        error = rename_in(claim, i, uid);
    if (error)
        put_back(claim, uid);
    return error;
}

/* What its state forbids. */
static int check_state(const struct pst_backup *backup, char *message)
{
    if (!backup->has_uid && !backup->unread) {
        /* NDB names its backups so too. */
        snprintf(message, PST_MESSAGE_BYTES,
                 "%s: nothing in it shows that it is a backup of Penstock: remove it by hand",
                 layout_backup(backup->stored_as).text);
        return -PST_E_INCOMPLETE;
    }
    if (backup->state != PST_BACKUP_IN_DOUBT && backup->state != PST_BACKUP_NEWER)
        return 0;
    bool is_newer = backup->state == PST_BACKUP_NEWER;
    snprintf(message, PST_MESSAGE_BYTES, "backup %u is %s", backup->number,
             is_newer ? "of a newer Penstock: prune it with that"
                      : "in doubt: its nodes must settle first whether it is complete");
    return is_newer ? -PST_E_NEWER : -PST_E_INCOMPLETE;
}

/* What has data in it would be damaged. */
static int check_holders(const struct pst_backup *backup, char *message)
{
    char holders[PST_MESSAGE_BYTES];
    if (!*backup_holders_text(backup, holders))
        return 0;
    snprintf(message, PST_MESSAGE_BYTES,
             "backup %u holds data of %.300s: it can only go with these, or after them",
             backup->number, holders);
    return -PST_E_REFERRED;
}

/* ---- what a node has made since the list was read ---- */

/* What the list has under a name. */
static const struct pst_backup *listed(const struct pst_backup_list *list, uint32_t stored_as)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->backups[i]->stored_as == stored_as && !list->backups[i]->is_pruned)
            return list->backups[i];
    }
    return NULL;
}

/* Fills in what the directory i has under a name: 1, 0 or an error. */
static int identify_in(struct pst_backup *other, uint32_t i)
{
    struct pst_repository *repository = &other->directories->repositories[i];
    struct identity identity;
    int handle = repository_open_backup(repository, other->stored_as);
    if (handle < 0)
        return handle == -ENOENT ? 0 : handle;
    int found = identify_backup(repository, handle, other->stored_as, &identity, NULL);
    repository_close(repository, handle);
    if (found <= 0)
        return found;
    other->number = identity.number;
    other->has_uid = identity.has_uid;
    memcpy(other->uid, identity.uid, sizeof(other->uid));
    other->found_in = UINT64_C(1) << i;
    return 1;
}

/* Reads what it refers to, be it decided or prepared. */
static int load_origins(struct pst_backup *other)
{
    struct pst_findings findings;
    uint64_t files = 0, bytes = 0;
    pst_findings_init(&findings, NULL, NULL);
    int error = pst_backup_load(other, &findings, &files, &bytes);
    pthread_mutex_destroy(&findings.mutex);
    if (pst_is_own_error(error))
        return error;
    return other->has_cluster ? 0 : backup_read_origins(other);
}

/* As where it is only looked at what would be. */
static bool is_pruned(const struct pst_backup *other)
{
    bool is = false;
    for (size_t i = 0; i < other->list->count; i++) {
        const struct pst_backup *known = other->list->backups[i];
        is |= known->is_pruned && known->number == other->number &&
              memcmp(known->uid, other->uid, sizeof(known->uid)) == 0;
    }
    return is;
}

static int look_at_new(const struct prune_claim *claim, struct pst_backup *other, uint32_t i)
{
    const struct pst_backup *backup = claim->backup;
    int found = identify_in(other, i);
    int error = found > 0 ? load_origins(other) : found;
    if (error)
        return listed(backup->list, other->stored_as) && !pst_is_own_error(error)
                   ? 0 /* it could not be read then either */
                   : refuse(claim, i, error, "look at a new backup");
    if (!found || is_pruned(other) || !pst_backup_refers_to(other, backup))
        return 0;
    snprintf(claim->message, PST_MESSAGE_BYTES,
             "backup %u holds data of backup %u, which has just been made: it can only go with "
             "this, or after it",
             backup->number, other->number);
    return -PST_E_REFERRED;
}

static int check_new(const struct prune_claim *claim, uint32_t i, uint32_t stored_as)
{
    const struct pst_backup *known = listed(claim->backup->list, stored_as);
    if (known && known->has_cluster)
        return 0; /* what is decided does not change */
    struct pst_backup *other = calloc(1, sizeof(*other));
    if (!other)
        return refuse(claim, i, -ENOMEM, "look at a new backup");
    other->stored_as = stored_as;
    other->directories = claim->backup->directories;
    other->list = claim->backup->list;
    int error = look_at_new(claim, other, i);
    pst_backup_unload(other);
    free(other);
    return error;
}

/* A backup that was in work when the list was read may be decided by now, and refer to this one. It
 * kept this one until then, so, with this one claimed, the decision is seen. */
static int check_new_holders(const struct prune_claim *claim, uint32_t i)
{
    struct pst_repository *repository = repository_of(claim, i);
    struct pst_repository_names names;
    uint32_t number;
    int error = repository_list(repository, repository->root, &names);
    if (error)
        return refuse(claim, i, error, "look for new backups");
    for (const char *name = repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name)) {
        if (layout_parse_backup(name, &number) && number != claim->backup->stored_as)
            error = check_new(claim, i, number);
    }
    repository_names_free(&names);
    return error;
}

static void note_pruned(const struct pst_backup *backup)
{
    for (size_t i = 0; i < backup->list->count; i++)
        backup->list->backups[i]->is_pruned |= backup->list->backups[i] == backup;
}

int pst_prune(const struct pst_backup *backup, uint64_t idle, bool only_look, char *message)
{
    struct prune_claim claim = {.backup = backup, .idle = idle, .message = message};
    int error = check_state(backup, message);
    if (!error)
        error = check_holders(backup, message);
    if (error)
        return error;
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++)
        claim.handles[i] = -1;
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1))
        error = claim_in(&claim, i);
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1))
        error = check_new_holders(&claim, i);
    if (!error && !only_look)
        error = remove_from_sight(&claim);
    if (!error)
        note_pruned(backup);
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++) {
        if (claim.handles[i] >= 0)
            repository_close(repository_of(&claim, i), claim.handles[i]);
    }
    return error;
}

/* ---- what was pruned ---- */

/* How far it is. */
struct sweep {
    pst_prune_progress *on_progress; /* NULL: nobody wants to know */
    void *context;
    uint64_t removed, all;
};

static void show(const struct sweep *sweep)
{
    if (sweep->on_progress)
        sweep->on_progress(sweep->context, sweep->removed, sweep->all);
}

/* Its decision, both files of it, last: a node that has had the directory open since before sees it
 * as committed, and leaves it alone, until there is nothing else in it. */
static int empty(const struct sweep *sweep, struct pst_repository *repository, int directory,
                 uint32_t number)
{
    struct pst_repository_names names;
    uint32_t decided;
    int error = repository_list(repository, directory, &names);
    if (error)
        return error;
    for (const char *name = repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name)) {
        if (!layout_parse_cluster(name, &decided) || decided != number)
            error = repository_remove_tree(repository, directory, name);
        show(sweep);
    }
    repository_names_free(&names);
    return error;
}

static int remove_pruned(const struct sweep *sweep, struct pst_repository *repository,
                         const char *name, uint32_t number)
{
    int directory = repository_open(repository, repository->root, name);
    if (directory < 0)
        return directory == -ENOENT ? 0 : directory;
    int error = repository_lock(repository, directory, PST_REPOSITORY_EXCLUSIVE);
    bool is_anothers = error == -PST_E_BUSY; /* another prune removes it */
    if (!error)
        error = empty(sweep, repository, directory, number);
    if (!error)
        error = repository_remove_tree(repository, repository->root, name);
    repository_close(repository, directory);
    return is_anothers ? 0 : error;
}

static uint64_t count_pruned(const struct pst_repository_names *names)
{
    uint64_t count = 0;
    uint32_t number;
    for (const char *name = repository_names_next(names, NULL); name;
         name = repository_names_next(names, name))
        count += layout_parse_pruned(name, &number);
    return count;
}

static int sweep_in(struct sweep *sweep, struct pst_repository *repository)
{
    struct pst_repository_names names;
    int error = repository_list(repository, repository->root, &names);
    if (error)
        return error;
    sweep->all += count_pruned(&names);
    for (const char *name = repository_names_next(&names, NULL); name;
         name = repository_names_next(&names, name)) {
        uint32_t number;
        if (!layout_parse_pruned(name, &number))
            continue;
        int one = remove_pruned(sweep, repository, name, number);
        error = error ? error : one;
        sweep->removed++;
        show(sweep);
    }
    repository_names_free(&names);
    return error;
}

int pst_prune_sweep(struct pst_backup_list *list, pst_prune_progress *on_progress, void *context,
                    char *message)
{
    struct sweep sweep = {.on_progress = on_progress, .context = context};
    int error = 0;
    for (uint32_t i = 0; i < list->directories.count; i++)
        (void)repository_lock(&list->directories.repositories[i],
                              list->directories.repositories[i].root, PST_REPOSITORY_UNLOCKED);
    for (uint32_t i = 0; i < list->directories.count; i++) {
        int one = sweep_in(&sweep, &list->directories.repositories[i]);
        if (one && !error)
            snprintf(message, PST_MESSAGE_BYTES,
                     "%s: what was pruned could not be removed whole: %s; prune once more",
                     list->directories.paths[i], pst_error_text(one));
        error = error ? error : one;
    }
    return error;
}
