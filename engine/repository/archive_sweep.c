/* Sweeps the backup directory: removes what never came to a decision, reports what is in doubt. The
 * archive's thread, at its start and before each backup, and when a backup ends without a decision.
 */
#include "engine/repository/archive_sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fault_point.h"
#include "engine/base/log.h"
#include "engine/base/own_error.h"
#include "engine/format/chunk.h"
#include "engine/format/part.h"
#include "engine/format/tail.h"
#include "engine/protocol/debris.h"
#include "engine/repository/archive_copied.h"
#include "engine/repository/archive_files.h"
#include "engine/repository/archive_marks.h"
#include "engine/repository/layout.h"
#include "engine/repository/node_manifest.h"
#include "engine/repository/verified.h"

/* Of the files of one part. */
struct own_part {
    const struct pst_part_identity *named;
    const uint8_t *uid; /* NULL: any */
};

typedef int header_check(const void *block, uint64_t bytes,
                         const struct pst_part_identity *identity, struct pst_damage *damage);

/* Whether a file is what this node wrote of the part under that name: 1, 0 or an error. Only such
 * files are removed. */
static int is_own_file(const struct pst_archive *archive, int directory, const char *name,
                       header_check *check, const struct own_part *own)
{
    char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_repository *repository = archive->repository;
    struct pst_repository_status status;
    int error = repository_status(repository, directory, name, &status);
    if (error || status.kind != PST_REPOSITORY_FILE)
        return error == -ENOENT ? 0 : error;
    int bytes = repository_read_head(repository, directory, name, block, sizeof(block));
    if (bytes < 0)
        return bytes == -ENOENT ? 0 : bytes;
    if (pst_part_is_blank(block, (uint64_t)bytes))
        return 1;
    struct pst_damage damage;
    if (check(block, (uint64_t)bytes, NULL, &damage))
        return 0;
    const struct pst_part_identity *found = &((const struct pst_block_head *)block)->identity;
    const struct pst_part_identity *named = own->named;
    return found->node == archive->config->node && found->number == named->number &&
           found->part == named->part && found->parts == named->parts &&
           (!own->uid || memcmp(found->uid, own->uid, sizeof(found->uid)) == 0);
}

static int remove_name(const struct pst_archive *archive, int directory, const char *name,
                       uint32_t *removed)
{
    int error = repository_remove(archive->repository, directory, name);
    *removed += !error;
    PST_FAULT_POINT("after", "NAME_SWEPT");
    return error == -ENOENT ? 0 : error;
}

static int remove_own(const struct pst_archive *archive, int directory, const char *name,
                      header_check *check, const struct own_part *own, uint32_t *removed)
{
    int is_own = is_own_file(archive, directory, name, check, own);
    return is_own > 0 ? remove_name(archive, directory, name, removed) : is_own;
}

static int remove_part(const struct pst_archive *archive, int backup, const char *name,
                       const struct own_part *own, uint32_t *removed)
{
    struct pst_repository *repository = archive->repository;
    uint32_t number = own->named->number, node = archive->config->node;
    struct layout_name tail = layout_tail_file(number, node);
    int directory = repository_open(repository, backup, name);
    if (directory < 0)
        return directory == -ENOENT ? 0 : directory;
    int error = remove_own(archive, directory, layout_part_file(number, node).text,
                           pst_part_header_check, own, removed);
    if (!error)
        error = remove_own(archive, directory, tail.text, pst_tail_check, own, removed);
    if (!error)
        error = remove_name(archive, directory, layout_temporary(tail.text).text, removed);
    repository_close(repository, directory);
    /* unless there are others' in it */
    *removed += repository_remove_directory(repository, backup, name) == 0;
    return error;
}

static int remove_parts(const struct pst_archive *archive, int backup, uint32_t number,
                        const uint8_t *uid, uint32_t *removed)
{
    struct pst_repository_names names;
    int error = repository_list(archive->repository, backup, &names);
    if (error)
        return error;
    for (const char *name = repository_names_next(&names, NULL); name;
         name = repository_names_next(&names, name)) {
        uint32_t part, parts;
        if (!layout_parse_part_dir(name, number, &part, &parts))
            continue;
        struct pst_part_identity named = {
            .number = number, .part = (uint16_t)part, .parts = (uint16_t)parts};
        const struct own_part own = {&named, uid};
        int part_error = remove_part(archive, backup, name, &own, removed);
        error = error ? error : part_error;
    }
    repository_names_free(&names);
    return error;
}

/* The manifest first: without it the backup is not prepared any more. The draft before the keys:
 * what no key opens any more would be left alone for ever. The mark last: while it is there, so is
 * something of this node's. */
static int remove_all(const struct pst_archive *archive, int backup, uint32_t number,
                      const uint8_t *uid, uint32_t *removed)
{
    uint32_t node = archive->config->node;
    struct layout_name manifest = layout_node_manifest(number, node);
    struct layout_name draft = layout_draft(number, node);
    int error = remove_name(archive, backup, manifest.text, removed);
    if (!error)
        error = repository_sync(archive->repository, backup);
    if (!error)
        error = remove_parts(archive, backup, number, uid, removed);
    if (!error)
        error = remove_name(archive, backup, draft.text, removed);
    for (uint32_t copy = 0; !error && copy < LAYOUT_KEYS_COPIES; copy++) {
        struct layout_name keys = layout_keys(number, node, copy);
        error = remove_name(archive, backup, keys.text, removed);
        if (!error)
            error = remove_name(archive, backup, layout_temporary(keys.text).text, removed);
    }
    if (!error)
        error = remove_name(archive, backup, layout_temporary(manifest.text).text, removed);
    if (!error)
        error = remove_name(archive, backup, layout_cluster_temporary(number, node).text, removed);
    if (!error)
        error =
            remove_name(archive, backup, layout_cluster_copy_temporary(number, node).text, removed);
    if (!error)
        error = remove_name(archive, backup, layout_temporary(draft.text).text, removed);
    if (!error)
        error = remove_name(archive, backup, layout_mark(number, node).text, removed);
    return error;
}

/* That it was verified, before its decision was lost, is nobody's any more. */
static int remove_note(const struct pst_archive *archive, int backup, uint32_t number,
                       const uint8_t *uid, uint32_t *removed)
{
    struct pst_verified verified = {0};
    if (!uid)
        return 0;
    verified_read(archive->repository, backup, number, uid, &verified);
    bool is_there = verified.unix_ns > 0; /* a decision that is lost makes it one of a copy */
    return is_there ? remove_name(archive, backup, layout_verified(number).text, removed) : 0;
}

/* The directory of a backup goes too, unless others have something in it. */
static int remove_backup(const struct pst_archive *archive, int backup, uint32_t number,
                         const uint8_t *uid, bool *is_left, uint32_t *removed)
{
    struct pst_repository *repository = archive->repository;
    int error = remove_all(archive, backup, number, uid, removed);
    if (!error)
        error = remove_note(archive, backup, number, uid, removed);
    if (error)
        return error;
    int result =
        repository_remove_directory(repository, repository->root, layout_backup(number).text);
    *is_left = result && result != -ENOENT;
    *removed += !result;
    return repository_sync(repository, *is_left ? backup : repository->root);
}

/* What another node has gathered of its own is needed. */
static bool has_draft(const struct pst_archive *archive, int backup, uint32_t number)
{
    struct pst_repository_names names = {0};
    uint32_t node;
    bool found = false;
    int error = repository_list(archive->repository, backup, &names);
    for (const char *name = error ? NULL : repository_names_next(&names, NULL); name && !found;
         name = repository_names_next(&names, name))
        found = layout_parse_draft(name, number, &node);
    repository_names_free(&names);
    return found;
}

int archive_remove(const struct pst_archive *archive, uint32_t number, const uint8_t *uid)
{
    struct pst_repository *repository = archive->repository;
    struct layout_name name = layout_backup(number);
    int backup = repository_open_backup(repository, number);
    if (backup < 0)
        return backup == -ENOENT ? 0 : backup;
    bool is_left = false;
    uint32_t removed = 0;
    int error = remove_backup(archive, backup, number, uid, &is_left, &removed);
    bool is_needed = !error && is_left && has_draft(archive, backup, number);
    repository_close(repository, backup);
    if (error)
        return archive_fail(archive, name.text, "cannot be removed", error);
    if (removed > 0)
        pst_log(PST_LOG_INFO, "%s/%s: removed: it was never completed%s", repository->path,
                name.text, is_left ? "; what is not this node's is left alone" : "");
    else if (!archive->has_swept && is_left && !is_needed)
        pst_log(PST_LOG_WARNING,
                "%s/%s: left alone: nothing in it is of a backup %u of this node; if nobody needs "
                "it, remove it by hand",
                repository->path, name.text, number);
    return 0;
}

static bool is_own(const struct pst_archive *archive, const struct pst_cluster_manifest *manifest)
{
    bool is_listed = false;
    for (uint32_t i = 0; i < manifest->nodes_count; i++)
        is_listed = is_listed || manifest->nodes[i].node == archive->config->node;
    return is_listed && manifest->common.cluster_id == archive->config->cluster_id;
}

/* A crash may have come between the two files of a decision, one may be lost, or an older Penstock
 * have written but one. */
static void complete_decision(const struct pst_archive *archive, int backup, uint32_t number,
                              const char *text, size_t bytes)
{
    for (enum decision_which which = 0; which < DECISION_FILES; which++) {
        if (repository_has(archive->repository, backup, decision_name(number, which).text) == 0)
            archive_write_copy(archive, backup, number, which, text, bytes, true);
    }
}

/* What is seen may be in the cache only, left by a process that was killed, and half a copy beside
 * it, where another node was first in one directory. */
static int sync_seen(const struct pst_archive *archive, int backup, uint32_t number)
{
    struct pst_repository *repository = archive->repository;
    uint32_t node = archive->config->node;
    (void)repository_remove(repository, backup, layout_cluster_temporary(number, node).text);
    (void)repository_remove(repository, backup, layout_cluster_copy_temporary(number, node).text);
    int error = repository_sync(repository, backup);
    return error ? archive_fail(archive, layout_backup(number).text, "fsync", error) : 0;
}

/* A decision is believed from here on. One that is damaged has no say: verify and list report it.
 * No mark and no draft of this node stays in a committed backup. */
static int believe(const struct pst_archive *archive, int backup, uint32_t number)
{
    struct pst_cluster_manifest manifest;
    struct decision_file file;
    char *text = NULL;
    archive_end_decided(archive, backup, number);
    if (archive->has_synced)
        return 0;
    (void)decision_read(archive->repository, backup, number, &manifest, &file, &text);
    if (pst_is_own_error(file.error))
        return archive_fail(archive, layout_backup(number).text, "read its manifest", file.error);
    int error = sync_seen(archive, backup, number);
    if (!error && !file.error) {
        const struct pst_manifest_common *common = &manifest.common;
        if (archive->on_gci)
            archive->on_gci(archive->context, common->stop_gci > common->start_gci
                                                  ? common->stop_gci
                                                  : common->start_gci);
        if (is_own(archive, &manifest))
            complete_decision(archive, backup, number, text, file.bytes);
    }
    if (!file.error)
        free(text);
    return error;
}

/* Of another cluster: this cluster's nodes would answer that they know nothing of it, and so it
 * would be removed. */
static bool is_foreign(const struct pst_archive *archive, const struct archive_file *node)
{
    return archive->on_doubt && node->cluster_id != archive->config->cluster_id;
}

static void warn_of_doubt(const struct pst_archive *archive, uint32_t number,
                          const struct archive_file *node)
{
    struct layout_name name = layout_backup(number);
    const struct pst_alert alert = {
        .kind = PST_ALERT_BACKUP_IN_DOUBT, .backup = number, .uid = node->uid};
    if (is_foreign(archive, node))
        pst_log_alert(
            PST_LOG_WARNING, &alert,
            "%s/%s: left alone: in doubt, and of the cluster with the id %08x; a node of that "
            "cluster with this directory can settle it",
            archive->repository->path, name.text, node->cluster_id);
    else if (node->master_node == archive->config->node)
        pst_log_alert(
            PST_LOG_WARNING, &alert,
            "%s/%s: in doubt: this node, its master, has no cluster manifest of it; it is aborted "
            "once all others that took part say that they have none, or by penstock resolve",
            archive->repository->path, name.text);
    else
        pst_log_alert(PST_LOG_WARNING, &alert,
                      "%s/%s: in doubt: node %u, its master, or another that took part has to say "
                      "whether it is complete",
                      archive->repository->path, name.text, node->master_node);
}

static void report_doubt(const struct pst_archive *archive, uint32_t number,
                         const struct archive_file *node, bool is_news)
{
    if (node->error) {
        pst_log(PST_LOG_WARNING, "%s/%s: left alone: %s: %s", archive->repository->path,
                layout_backup(number).text,
                layout_node_manifest(number, archive->config->node).text,
                pst_error_text(node->error));
        return;
    }
    if (is_news)
        warn_of_doubt(archive, number, node);
    if (!archive->on_doubt || is_foreign(archive, node))
        return;
    struct pst_doubt_rep doubt = {
        .number = number,
        .nodes = node->nodes,
        .master_ref = pst_ref_make(node->master_node, PST_BLOCK_BACKUP, 1),
    };
    memcpy(doubt.uid, node->uid, sizeof(doubt.uid));
    archive->on_doubt(archive->context, &doubt);
}

/* What cannot be read stays, and is no reason to stop; the next sweep looks again. */
static int leave_alone(struct pst_archive *archive, uint32_t number, int error, bool is_news)
{
    struct layout_name name = layout_backup(number);
    archive->left_unread = true;
    if (pst_is_own_error(error))
        return archive_fail(archive, name.text, NULL, error);
    if (is_news)
        pst_log(PST_LOG_WARNING, "%s/%s: left alone: it cannot be read: %s",
                archive->repository->path, name.text, pst_error_text(error));
    return 0;
}

static bool is_among(const struct pst_manifest_origin *origins, uint32_t count, uint32_t number,
                     const uint8_t *uid)
{
    bool is = false;
    for (uint32_t i = 0; i < count && !is; i++)
        is = uid ? memcmp(origins[i].uid, uid, sizeof(origins[i].uid)) == 0
                 : origins[i].number == number;
    return is;
}

/* Whether the share of a node has data in it: 1, 0, or why that cannot be known. */
static int share_has_origin(const struct pst_archive *archive, int backup, const char *name,
                            uint32_t origin, const uint8_t *uid)
{
    struct pst_node_manifest *node = malloc(sizeof(*node));
    if (!node)
        return -ENOMEM;
    int found = node_manifest_read(archive->repository, backup, name, node, NULL, NULL);
    if (!found) {
        found = is_among(node->origins, node->origins_count, origin, uid);
        pst_manifest_release_node(node);
    }
    free(node);
    return found == -ENOENT ? 0 : found;
}

/* The same of a backup that is in doubt. */
static int shares_have_origin(const struct pst_archive *archive, int backup, uint32_t number,
                              uint32_t origin, const uint8_t *uid)
{
    struct pst_repository_names names = {0};
    uint32_t node;
    int has = repository_list(archive->repository, backup, &names);
    for (const char *name = has ? NULL : repository_names_next(&names, NULL); name && !has;
         name = repository_names_next(&names, name)) {
        if (layout_parse_node_manifest(name, number, &node))
            has = share_has_origin(archive, backup, name, origin, uid);
    }
    repository_names_free(&names);
    return has;
}

/* The same of a backup. uid: NULL: nobody knows that of origin any more, and its number has to do.
 */
static int has_origin(const struct pst_archive *archive, uint32_t number, uint32_t origin,
                      const uint8_t *uid)
{
    struct pst_cluster_manifest manifest;
    struct decision_file file;
    int backup = repository_open_backup(archive->repository, number);
    if (backup < 0)
        return repository_is_no_directory(backup) ? 0 : backup;
    int has = decision_read(archive->repository, backup, number, &manifest, &file, NULL);
    bool is_of_all = !has && manifest.nodes_count == 1; /* a master may not know what others name */
    if (!has)
        has = is_among(manifest.origins, manifest.origins_count, origin, uid);
    if ((!has && !is_of_all) || has == -ENOENT)
        has = shares_have_origin(archive, backup, number, origin, uid);
    repository_close(archive->repository, backup);
    return has;
}

static void warn_of_holder(const struct pst_archive *archive, uint32_t number, uint32_t holder,
                           int has)
{
    const char *path = archive->repository->path;
    struct layout_name name = layout_backup(number);
    if (has > 0)
        pst_log(PST_LOG_WARNING,
                "%s/%s: left alone: backup %u has data in it, so it was complete, and has lost its "
                "cluster manifest and the copy of it: put a copy of either in its place",
                path, name.text, holder);
    else
        pst_log(PST_LOG_WARNING,
                "%s/%s: left alone: it has no cluster manifest, but backup %u, whose own cannot be "
                "read, may have data in it: %s",
                path, name.text, holder, pst_error_text(has));
}

int archive_is_held(const struct pst_archive *archive, uint32_t number, const uint8_t *uid,
                    bool is_news)
{
    struct pst_repository *repository = archive->repository;
    struct pst_repository_names names = {0};
    uint32_t other;
    int has = repository_list(repository, repository->root, &names);
    for (const char *name = repository_names_next(&names, NULL); name && !has;
         name = repository_names_next(&names, name)) {
        if (!layout_parse_backup(name, &other) || other == number)
            continue;
        has = has_origin(archive, other, number, uid);
        if (has < 0 && other < number && !pst_is_own_error(has))
            has = 0; /* only a --number that was asked for makes a later one lower */
        if (has && is_news)
            warn_of_holder(archive, number, other, has);
    }
    repository_names_free(&names);
    return has;
}

/* It may be on its way, or cut off: whoever copies it may need it. */
static bool is_left_as_copy(const struct pst_archive *archive, int backup, uint32_t number,
                            const struct archive_file *node)
{
    bool is = archive_is_copied(archive, backup, number, node);
    if (is)
        pst_log(PST_LOG_WARNING,
                "%s/%s: left alone: it was copied to here, and is not complete: if nobody is "
                "copying it any more, copy it once more, or stop the node and prune it",
                archive->repository->path, layout_backup(number).text);
    return is;
}

/* What is to be done with the directory of a backup, committed being whether its cluster manifest
 * is there. *node: its manifest, where that matters. */
static int judge(const struct pst_archive *archive, int backup, uint32_t number, bool committed,
                 enum pst_debris_verdict *verdict, struct archive_file *node)
{
    struct pst_debris debris = {
        .is_at_work = archive->backup != 0 && archive->node.common.number == number,
        .is_committed = committed,
    };
    *node = (struct archive_file){.error = -ENOENT};
    /* Nearly all are committed, and all are swept at every backup: no more is read of them. */
    if (!debris.is_committed)
        archive_read_node(archive, backup, number, node);
    /* A manifest that cannot be read, or only by a newer Penstock, may name other nodes. */
    debris.is_prepared = node->error != -ENOENT;
    debris.is_alone = !node->error && pst_set_count(&node->nodes) == 1;
    *verdict = pst_debris_judge(&debris);
    if (*verdict == PST_DEBRIS_REMOVE) {
        int others = archive_is_others(archive, backup, number);
        /* the next definition of a backup decides what becomes of it */
        int has_draft = others ? others
                               : repository_has(archive->repository, backup,
                                                layout_draft(number, archive->config->node).text);
        if (has_draft)
            *verdict = PST_DEBRIS_KEEP;
        if (has_draft < 0)
            return archive_fail(archive, layout_backup(number).text, NULL, has_draft);
    }
    if (*verdict == PST_DEBRIS_REMOVE && is_left_as_copy(archive, backup, number, node))
        *verdict = PST_DEBRIS_KEEP;
    if (*verdict == PST_DEBRIS_REMOVE &&
        archive_is_held(archive, number, node->error ? NULL : node->uid, true))
        *verdict = PST_DEBRIS_KEEP;
    return committed && !debris.is_at_work ? believe(archive, backup, number) : 0;
}

static int judge_opened(struct pst_archive *archive, int backup, uint32_t number, bool is_news,
                        enum pst_debris_verdict *verdict, struct archive_file *node)
{
    int committed = decision_is_there(archive->repository, backup, number);
    *verdict = PST_DEBRIS_KEEP;
    if (committed < 0)
        return leave_alone(archive, number, committed, is_news);
    return judge(archive, backup, number, committed, verdict, node);
}

/* uid: of the parts that may be removed; NULL: any. is_news: that it is in doubt, or cannot be
 * read.
 */
static int sweep_backup(struct pst_archive *archive, uint32_t number, const uint8_t *uid,
                        bool is_news)
{
    struct archive_file node;
    enum pst_debris_verdict verdict;
    int backup = repository_open_backup(archive->repository, number);
    if (backup < 0)
        return repository_is_no_directory(backup) ? 0
                                                  : leave_alone(archive, number, backup, is_news);
    int error = judge_opened(archive, backup, number, is_news, &verdict, &node);
    repository_close(archive->repository, backup);
    if (verdict == PST_DEBRIS_DOUBT)
        report_doubt(archive, number, &node, is_news);
    if (verdict == PST_DEBRIS_REMOVE) /* what cannot be removed does no harm */
        (void)archive_remove(archive, number, uid);
    return error;
}

int archive_sweep_one(struct pst_archive *archive, uint32_t number, const uint8_t *uid)
{
    return sweep_backup(archive, number, uid, true);
}

int pst_archive_sweep(struct pst_archive *archive)
{
    struct pst_repository *repository = archive->repository;
    struct pst_repository_names names;
    archive_check(archive);
    archive->left_unread = false;
    int error = repository_list(repository, repository->root, &names);
    if (error) {
        pst_log(PST_LOG_ERROR, "%s: read the directory: %s", repository->path,
                pst_error_text(error));
        return error;
    }
    for (const char *name = repository_names_next(&names, NULL); name;
         name = repository_names_next(&names, name)) {
        uint32_t number;
        int one = 0;
        if (layout_parse_backup(name, &number))
            one = sweep_backup(archive, number, NULL, !archive->has_swept);
        else
            archive_sweep_unmarked(archive, name);
        error = error ? error : one;
    }
    repository_names_free(&names);
    archive->has_swept |= !error;
    archive->has_synced |= !error && !archive->left_unread;
    archive_check(archive);
    return error;
}
