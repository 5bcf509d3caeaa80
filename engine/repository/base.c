/* Chooses the base of a backup, and answers for it while that is made. Called on the archive's
 * thread but where the header says otherwise. */
#include "engine/repository/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/log.h"
#include "engine/repository/backup_keys.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/base_age.h"
#include "engine/repository/series.h"

/* ---- which one ---- */

/* What is at hand of a node's share of a backup; NULL: nothing. */
static const struct pst_node_manifest *node_in(const struct pst_backup *backup, uint32_t node,
                                               uint32_t *index)
{
    for (uint32_t i = 0; backup->nodes && i < backup->cluster.nodes_count; i++) {
        *index = i;
        if (backup->cluster.nodes[i].node == node && backup->nodes[i].parts_count > 0)
            return &backup->nodes[i];
    }
    return NULL;
}

static bool has_source(const struct pst_node_manifest *manifest, const char *name)
{
    for (uint32_t i = 0; i < manifest->sources_count; i++) {
        if (strcmp(manifest->sources[i].name, name) == 0)
            return true;
    }
    return false;
}

bool base_is_same_series(const struct pst_node_manifest *one, const struct pst_node_manifest *other)
{
    if (one->common.cluster_id != other->common.cluster_id ||
        one->sources_count != other->sources_count || !one->host || !other->host ||
        strcmp(one->host, other->host) != 0)
        return false;
    for (uint32_t i = 0; i < one->sources_count; i++) {
        if (!has_source(other, one->sources[i].name))
            return false;
    }
    return true;
}

/* Why a backup of the series cannot be the base, in message; false: it can. */
static bool is_unfit(const struct pst_base_seeker *seeker, const struct pst_backup *backup,
                     uint32_t index, char *message)
{
    const char *why = NULL;
    bool is_cut_off =
        backup->state == PST_BACKUP_CUT_OFF; /* its references are looked at one by one */
    bool is_split = backup->state == PST_BACKUP_SPLIT && !backup->is_elsewhere[index];
    if (backup->is_sealed[index] != (seeker->keyring != NULL))
        why = seeker->keyring ? "it is not sealed, and this one is"
                              : "it is sealed, and this one is not";
    else if (backup_is_shut(backup, index))
        why = "no key that was given opens it";
    else if (backup->state != PST_BACKUP_COMPLETE && !is_split && !is_cut_off)
        why = backup->reason[0] ? backup->reason : pst_backup_state_text(backup->state);
    else if (backup->verified.is_damaged)
        why = "verify found damage in it";
    else if (backup->cluster.common.started_unix_ns > seeker->now_unix_ns)
        why = "by the clock it was made in the future: the clock was set back";
    else if (!backup_opens_to_all(backup, index))
        why = "not all keys that this one is sealed for open it: penstock key add";
    if (!why)
        return false;
    snprintf(message, PST_MESSAGE_BYTES, "%s", why);
    return true;
}

/* Whether a backup is of sources of the seeker's names, as far as can be seen. */
static bool is_candidate(const struct pst_base_seeker *seeker, const struct pst_backup *backup,
                         uint32_t *index)
{
    const struct pst_node_manifest *manifest = node_in(backup, seeker->manifest->node, index);
    if (!manifest || backup->stored_as != backup->number)
        return false;
    return backup_is_shut(backup, *index) || base_is_same_series(manifest, seeker->manifest);
}

/* Whether a candidate is of the very sources, chosen alike, not of others of these names. Not if a
 * path has bytes that a manifest escapes: there the candidate has it so. */
static bool is_near(const struct pst_base_seeker *seeker, const struct pst_backup *backup,
                    uint32_t index)
{
    return series_has_same_sources(&backup->nodes[index], seeker->manifest);
}

/* Whether what it was compared with was complete, so that it has but what has changed since. */
static bool has_complete_base(const struct pst_backup *backup, uint32_t index)
{
    const struct pst_manifest_base *named = &backup->nodes[index].base;
    if (named->number == 0)
        return false;
    const struct pst_backup *base = pst_backup_origin(backup, named->uid, named->number);
    return !base || base->state != PST_BACKUP_CUT_OFF;
}

static bool has_near(const struct pst_base_seeker *seeker, const struct pst_backup_list *list)
{
    uint32_t index;
    bool has = false;
    for (size_t i = 0; !has && i < list->count; i++)
        has = list->backups[i]->state != PST_BACKUP_CUT_OFF &&
              is_candidate(seeker, list->backups[i], &index) &&
              is_near(seeker, list->backups[i], index);
    return has;
}

/* Whether the newest near backups, or where there is none the newest candidates, are so many with a
 * base that it is time for one without. */
static bool is_time_for_full(const struct pst_base_seeker *seeker,
                             const struct pst_backup_list *list)
{
    uint32_t with_base = 0, index;
    if (seeker->policy->full_every == 0)
        return false;
    bool must_be_near = has_near(seeker, list);
    for (size_t i = list->count; i > 0 && with_base + 1 < seeker->policy->full_every; i--) {
        const struct pst_backup *backup = list->backups[i - 1];
        if (backup->state == PST_BACKUP_CUT_OFF || !is_candidate(seeker, backup, &index) ||
            (must_be_near && !is_near(seeker, backup, index)))
            continue;
        if (!has_complete_base(backup, index))
            return false;
        with_base++;
    }
    return with_base + 1 >= seeker->policy->full_every;
}

/* ---- one of them ---- */

static int read_layer(struct pst_base *base, struct pst_base_layer *layer, char *message)
{
    size_t files = base->files.count, runs = base->runs.count;
    int error = pst_backup_keep(layer->backup, &layer->hold);
    if (error) {
        snprintf(message, PST_MESSAGE_BYTES, "%s", pst_error_text(error));
        return error;
    }
    error = base_load(base, message);
    if (!error && base->files.count == files && base->runs.count == runs && base->young == 0) {
        snprintf(message, PST_MESSAGE_BYTES, "nothing of it can be referred to");
        error = -ENOENT;
    }
    if (error)
        pst_backup_let_go(&layer->hold);
    return error;
}

static int take(struct pst_base *base, const struct pst_backup *backup, uint32_t index,
                char *message)
{
    struct pst_base_layer *layer = &base->layers[base->layers_count++];
    *layer = (struct pst_base_layer){.backup = backup, .node_index = index};
    int error = read_layer(base, layer, message);
    if (error)
        base->layers_count--;
    base->is_held = base->layers_count > 0;
    return error;
}

static void log_taken(const struct pst_base *base)
{
    char young[96] = "";
    if (base->young > 0 && !base->rehash)
        snprintf(young, sizeof(young), "; %zu had changed shortly before it, and are read",
                 base->young);
    pst_log(PST_LOG_INFO, "backup %u is the base: %zu of its files can be referred to%s",
            base->layers[0].backup->number, base->files.count, young);
}

/* The newest that will do of those that are near, as what is shut may be, or of the others.
 * -ENOENT: none will; -PST_E_CORRUPT: and nothing is to be looked for elsewhere. */
static int take_newest_of(const struct pst_base_seeker *seeker, struct pst_base *base,
                          bool is_to_be_near)
{
    for (size_t i = base->list.count; i > 0; i--) {
        const struct pst_backup *backup = base->list.backups[i - 1];
        char message[PST_MESSAGE_BYTES];
        uint32_t index;
        if (backup->state == PST_BACKUP_CUT_OFF || !is_candidate(seeker, backup, &index) ||
            (backup_is_shut(backup, index) || is_near(seeker, backup, index)) != is_to_be_near)
            continue;
        int error =
            is_unfit(seeker, backup, index, message) ? -EINVAL : take(base, backup, index, message);
        if (!error || error == -ENOMEM)
            return error;
        pst_log(PST_LOG_WARNING, "backup %u is not taken as the base: %s", backup->number, message);
        /* The damage may lie in what an older one has too. */
        if (backup->verified.is_damaged && backup->nodes[index].origins_count > 0)
            return -PST_E_CORRUPT;
    }
    return -ENOENT;
}

static int find_named(const struct pst_base_seeker *seeker, const struct pst_backup_list *list,
                      const struct pst_backup **backup, uint32_t *index, char *message)
{
    int error = pst_backup_find(list, seeker->policy->id, PST_PICK_COMPLETE, backup, message);
    if (error)
        return error;
    if ((*backup)->state == PST_BACKUP_CUT_OFF || !is_candidate(seeker, *backup, index)) {
        snprintf(message, PST_MESSAGE_BYTES,
                 "backup %u is not one of the same node, host and sources, or is not whole",
                 (*backup)->number);
        return -PST_E_NO_BACKUP;
    }
    return is_unfit(seeker, *backup, *index, message) ? -PST_E_NO_BACKUP : 0;
}

int pst_base_check(const struct pst_base_seeker *seeker, char *message)
{
    struct pst_backup_list list;
    const struct pst_backup *backup;
    uint32_t index;
    int error = pst_backup_list_read_with(&seeker->directory, 1, seeker->keyring, &list, message);
    if (error)
        return error;
    error = find_named(seeker, &list, &backup, &index, message);
    pst_backup_list_release(&list);
    return error;
}

/* Of files elsewhere, or chosen otherwise, some may be the same, as after a move. */
static int take_newest(const struct pst_base_seeker *seeker, struct pst_base *base)
{
    int error = take_newest_of(seeker, base, true);
    return error == -ENOENT ? take_newest_of(seeker, base, false) : error;
}

static int take_named(const struct pst_base_seeker *seeker, struct pst_base *base)
{
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    uint32_t index;
    int error = find_named(seeker, &base->list, &backup, &index, message);
    if (!error)
        error = take(base, backup, index, message);
    if (error)
        pst_log(PST_LOG_ERROR, "base %s: %s", seeker->policy->id, message);
    return error;
}

/* The newest backup that was made and is near, whether it would do or not; 0: none. What was cut
 * off before it, it may refer to: a full one would have the same bytes again. */
static uint32_t last_near(const struct pst_base_seeker *seeker, const struct pst_backup_list *list)
{
    uint32_t index;
    for (size_t i = list->count; i > 0; i--) {
        const struct pst_backup *backup = list->backups[i - 1];
        if (backup->state != PST_BACKUP_CUT_OFF && is_candidate(seeker, backup, &index) &&
            !backup_is_shut(backup, index) && is_near(seeker, backup, index))
            return backup->number;
    }
    return 0;
}

/* Nobody verifies what was cut off but in a backup that refers to it. */
static bool is_of_no_use(const struct pst_base_seeker *seeker, const struct pst_base *base,
                         const struct pst_backup *backup, uint32_t index, char *message)
{
    const struct pst_backup *by = backup_suspected_by(&base->list, backup);
    if (!by)
        return is_unfit(seeker, backup, index, message);
    snprintf(message, PST_MESSAGE_BYTES, "verify found damage in backup %u, which refers to it",
             by->number);
    return true;
}

/* What is kept of backups that were cut off since the base was made; is_full: of those alone that
 * would have had no base. */
static int add_cut_off(const struct pst_base_seeker *seeker, struct pst_base *base, bool is_full)
{
    uint32_t index, after = base->layers_count > 0 ? base->layers[0].backup->number
                                                   : last_near(seeker, &base->list);
    char message[PST_MESSAGE_BYTES];
    for (size_t i = base->list.count; i > 0 && base->layers_count < PST_BASE_LAYERS_MAX; i--) {
        const struct pst_backup *backup = base->list.backups[i - 1];
        size_t files = base->files.count;
        if (backup->state != PST_BACKUP_CUT_OFF || backup->number < after ||
            !is_candidate(seeker, backup, &index) || (is_full && has_complete_base(backup, index)))
            continue;
        int error = is_of_no_use(seeker, base, backup, index, message)
                        ? -EINVAL
                        : take(base, backup, index, message);
        if (error == -ENOMEM)
            return error;
        if (error)
            pst_log(PST_LOG_WARNING, "backup %u, which was cut off, is of no use: %s",
                    backup->number, message);
        else
            pst_log(PST_LOG_INFO, "backup %u was cut off: %zu of its files can be referred to",
                    backup->number, base->files.count - files);
    }
    return 0;
}

static int choose(const struct pst_base_seeker *seeker, struct pst_base *base)
{
    bool is_named = seeker->policy->mode == PST_BASE_ID;
    bool is_full = !is_named && is_time_for_full(seeker, &base->list);
    int error = 0;
    if (is_full)
        pst_log(PST_LOG_INFO, "one backup of %u has no base: this one", seeker->policy->full_every);
    else
        error = is_named ? take_named(seeker, base) : take_newest(seeker, base);
    if (base->layers_count > 0)
        log_taken(base);
    if (is_named || error == -ENOMEM)
        return error;
    error = add_cut_off(seeker, base, is_full);
    return !error && base->layers_count == 0 ? -ENOENT : error;
}

static int seed(struct pst_base *base)
{
    uint64_t value;
    if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
        return -EIO;
    base->files.seed = base->runs.seed = value;
    return 0;
}

static void name_base(struct pst_base *base)
{
    const struct pst_backup *backup = base->layers[0].backup;
    memcpy(base->named.uid, backup->uid, sizeof(base->named.uid));
    base->named.number = backup->number;
}

int base_open(const struct pst_base_seeker *seeker, struct pst_base **base)
{
    char message[PST_MESSAGE_BYTES];
    *base = NULL;
    if (seeker->policy->mode == PST_BASE_NONE)
        return 0;
    struct pst_base *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    made->rehash = seeker->policy->rehash;
    made->trust_after_ns = seeker->policy->trust_after_ns ? seeker->policy->trust_after_ns
                                                          : base_trust_after_ns(BASE_AGE_SYSCTLS);
    int error =
        pst_backup_list_read_with(&seeker->directory, 1, seeker->keyring, &made->list, message);
    bool is_auto = seeker->policy->mode == PST_BASE_AUTO;
    if (error)
        pst_log(is_auto ? PST_LOG_WARNING : PST_LOG_ERROR, "no base can be looked for: %s",
                message);
    else
        error = seed(made);
    if (!error)
        error = choose(seeker, made);
    if (!error) {
        name_base(made);
        *base = made;
        return 0;
    }
    pst_base_close(made);
    return is_auto && error != -ENOMEM ? 0 : error;
}

void pst_base_let_go(struct pst_base *base)
{
    for (uint32_t i = 0; base && base->is_held && i < base->layers_count; i++)
        pst_backup_let_go(&base->layers[i].hold);
    if (base)
        base->is_held = false;
}

void pst_base_close(struct pst_base *base)
{
    if (!base)
        return;
    pst_base_let_go(base);
    base_files_free(&base->files);
    base_runs_free(&base->runs);
    pst_backup_list_release(&base->list);
    free(base);
}

/* ---- while the backup is made ---- */

bool pst_base_find(const struct pst_base *base, const char *source, const struct pst_object *object,
                   const struct pst_object_identity *identity, uint64_t *place, uint64_t *bytes)
{
    if (base->rehash || base->files.count == 0)
        return false;
    const struct pst_digest key = base_files_key(&base->files, source, object, identity);
    const struct base_file *file = base_files_find(&base->files, &key);
    if (!file)
        return false;
    *place = (uint64_t)(file - base->files.files);
    *bytes = file->bytes;
    return true;
}

static struct pst_reference whole_file(const struct pst_base *base, uint64_t place, uint64_t object)
{
    const struct base_file *file = &base->files.files[place];
    struct pst_reference reference = {
        .object = object,
        .bytes = file->bytes,
        .origin_object = file->origin_object,
        .origin = file->origin,
        .hash_kind = PST_HASH_OBJECT,
    };
    memcpy(reference.hash, file->sum, sizeof(file->sum));
    return reference;
}

static struct pst_reference reference_of(const struct base_run *run)
{
    struct pst_reference reference = {
        .object_offset = run->offset,
        .bytes = run->bytes,
        .origin_object = run->origin_object,
        .origin = run->origin,
        .hash_kind = PST_HASH_SHA_256,
    };
    memcpy(reference.hash, run->hash, sizeof(reference.hash));
    return reference;
}

bool pst_base_next_reference(const struct pst_base *base, uint64_t place, uint64_t object,
                             uint64_t *next, struct pst_reference *reference)
{
    const struct base_file *file = &base->files.files[place];
    if (!base_file_has_runs(file)) {
        *reference = whole_file(base, place, object);
        return (*next)++ == 0;
    }
    size_t i = base_runs_first(&base->runs, file->object) + *next;
    if (i >= base->runs.count || base->runs.runs[i].object != file->object)
        return false;
    *reference = reference_of(&base->runs.runs[i]);
    reference->object = object;
    ++*next;
    return true;
}

uint64_t pst_base_object(const struct pst_base *base, const char *source,
                         const struct pst_object *object)
{
    return base_runs_object(&base->runs, source, object);
}

bool pst_base_run(const struct pst_base *base, uint64_t base_object, uint64_t offset,
                  uint64_t bytes, const uint8_t hash[PST_REFERENCE_HASH_BYTES],
                  struct pst_reference *reference)
{
    const struct base_run *run = base_runs_find(&base->runs, base_object, offset, bytes, hash);
    if (!run)
        return false;
    *reference = reference_of(run);
    return true;
}

void pst_base_note_use(struct pst_base *base, const struct pst_reference *reference)
{
    struct pst_base_use *use = &base->uses[reference->origin];
    atomic_fetch_add_explicit(&use->bytes, reference->bytes, memory_order_relaxed);
    uint64_t last = atomic_exchange_explicit(&use->last, reference->object, memory_order_relaxed);
    /* runs of one come one after the other, mostly */
    if (reference->hash_kind == PST_HASH_OBJECT || last != reference->object)
        atomic_fetch_add_explicit(&use->objects, 1, memory_order_relaxed);
}

/* Whether it has parts with a tail. */
static bool has_tails(const struct pst_base *base, const struct pst_origin *origin)
{
    bool has = false;
    for (size_t i = 0; i < base->list.count && !has; i++) {
        const struct pst_backup *backup = base->list.backups[i];
        has = backup->state == PST_BACKUP_CUT_OFF &&
              memcmp(backup->uid, origin->uid, sizeof(origin->uid)) == 0 &&
              (backup->cluster.common.version.incompatible & PST_FORMAT_TAILS) != 0;
    }
    return has;
}

uint32_t base_uses(const struct pst_base *base, struct pst_manifest_origin origins[PST_ORIGINS_MAX],
                   struct pst_manifest_version *version)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < base->origins_count; i++) {
        uint64_t bytes = atomic_load_explicit(&base->uses[i].bytes, memory_order_relaxed);
        if (bytes == 0)
            continue;
        struct pst_manifest_origin *origin = &origins[count++];
        *origin = (struct pst_manifest_origin){
            .number = base->origins[i].number,
            .bytes = bytes,
            .objects = atomic_load_explicit(&base->uses[i].objects, memory_order_relaxed),
        };
        memcpy(origin->uid, base->origins[i].uid, sizeof(origin->uid));
        version->incompatible |= has_tails(base, &base->origins[i]) ? PST_FORMAT_TAILS : 0;
    }
    return count;
}
