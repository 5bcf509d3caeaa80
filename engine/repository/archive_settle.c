/* Settles backups that are in doubt, by the disk alone and by the uid that its manifests name. The
 * archive's thread, for the outcome machine and for `penstock resolve`. docs/protocol.md, "Settling
 * what is in doubt". */
#include "engine/repository/archive_settle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/protocol/debris.h"
#include "engine/repository/archive_files.h"
#include "engine/repository/archive_sweep.h"
#include "engine/repository/layout.h"

/* What is on disk under the number of a backup, and how much of it is of the uid asked for. */
struct settle_found {
    int directory; /* -1: there is none */
    struct archive_file node;
    struct archive_file cluster;
    struct pst_cluster_manifest manifest;
    struct pst_debris debris;
};

/* Whether it is the cluster manifest of that backup, and lists this node's manifest as it is here.
 */
static int check_cluster(const struct pst_archive *archive, const struct archive_file *node,
                         const struct pst_cluster_manifest *manifest,
                         const struct pst_outcome *settled)
{
    if (manifest->common.number != settled->number ||
        memcmp(manifest->common.uid, settled->uid, sizeof(manifest->common.uid)) != 0)
        return -PST_E_MISPLACED;
    for (uint32_t i = 0; i < manifest->nodes_count; i++) {
        const struct pst_manifest_node *line = &manifest->nodes[i];
        if (line->node != archive->config->node)
            continue;
        bool is_listed = !node->error && line->file_bytes == node->bytes &&
                         memcmp(&line->digest, &node->digest, sizeof(line->digest)) == 0;
        return is_listed ? 0 : -PST_E_MISPLACED;
    }
    return -PST_E_MISPLACED;
}

static bool is_of(const struct archive_file *file, const uint8_t *uid)
{
    return !file->error && memcmp(file->uid, uid, sizeof(file->uid)) == 0;
}

/* A manifest that cannot be read may be of that backup: then there is no answer. */
static int judge(struct settle_found *found, const uint8_t *uid)
{
    found->debris.is_prepared = is_of(&found->node, uid);
    found->debris.is_committed = is_of(&found->cluster, uid);
    if (found->debris.is_committed)
        return 0;
    if (found->cluster.error && found->cluster.error != -ENOENT)
        return found->cluster.error;
    return found->node.error == -ENOENT ? 0 : found->node.error;
}

/* Other nodes ask again and again: the log has it once, until there is no answer for another
 * backup. */
static int fail_to_answer(struct pst_archive *archive, uint32_t number, int error)
{
    if (archive->unanswered == number)
        return error;
    archive->unanswered = number;
    return archive_fail(archive, layout_backup(number).text,
                        "whether it is complete cannot be said", error);
}

/* The caller closes what was found, whatever is returned. */
static int look(struct pst_archive *archive, const struct pst_outcome *asked,
                struct settle_found *found)
{
    memset(found, 0, sizeof(*found));
    found->directory = -1;
    found->node.error = found->cluster.error = -ENOENT;
    if (archive->backup != 0 &&
        memcmp(archive->node.common.uid, asked->uid, sizeof(asked->uid)) == 0)
        return -PST_E_BUSY;
    int directory = repository_open_backup(archive->repository, asked->number);
    if (directory == -ENOENT)
        return 0;
    if (directory < 0)
        return fail_to_answer(archive, asked->number, directory);
    found->directory = directory;
    archive_read_node(archive, directory, asked->number, &found->node);
    archive_read_cluster(archive, directory, asked->number, &found->manifest, &found->cluster);
    int error = judge(found, asked->uid);
    return error ? fail_to_answer(archive, asked->number, error) : 0;
}

static void close_found(const struct pst_archive *archive, const struct settle_found *found)
{
    if (found->directory >= 0)
        repository_close(archive->repository, found->directory);
}

/* It may have been renamed by a process that was killed before it was synced. */
static int sync_decision(struct pst_archive *archive, uint32_t number,
                         const struct settle_found *found)
{
    int error = repository_sync(archive->repository, found->directory);
    return error ? fail_to_answer(archive, number, error) : 0;
}

int pst_archive_outcome(struct pst_archive *archive, struct pst_outcome *asked)
{
    struct settle_found found;
    archive_check(archive);
    int error = look(archive, asked, &found);
    if (!error && found.debris.is_committed)
        error = sync_decision(archive, asked->number, &found);
    close_found(archive, &found);
    if (error)
        return error;
    asked->state = pst_debris_outcome(&found.debris);
    if (asked->state == PST_OUTCOME_COMMITTED) {
        asked->file_bytes = found.cluster.bytes;
        memcpy(asked->digest, found.cluster.digest.bytes, sizeof(asked->digest));
    }
    return 0;
}

/* Not what a decision that is lost was of: it stays in doubt. */
static int remove_prepared(struct pst_archive *archive, const struct pst_outcome *settled)
{
    bool is_news = archive->unanswered != settled->number;
    int held = archive_is_held(archive, settled->number, settled->uid, is_news);
    if (held == 0)
        return archive_remove(archive, settled->number, settled->uid);
    archive->unanswered = settled->number;
    return held > 0 ? -PST_E_REFERRED : held;
}

int pst_archive_settle_aborted(struct pst_archive *archive, const struct pst_outcome *settled)
{
    struct settle_found found;
    archive_check(archive);
    int error = look(archive, settled, &found);
    close_found(archive, &found);
    if (error)
        return error;
    if (found.debris.is_committed)
        return -PST_E_WRONG_STATE;
    if (found.debris.is_prepared)
        return remove_prepared(archive, settled);
    /* Nothing is known to be of that backup: the sweep's rules do for what there is. */
    return archive_sweep_one(archive, settled->number, NULL);
}

/* Checks the manifest that is to be stored, or for NULL the one that is there. */
static int check_decision(const struct pst_archive *archive, struct settle_found *found,
                          const struct pst_outcome *settled, const char *bytes, size_t size)
{
    struct pst_damage damage;
    int error = bytes ? pst_manifest_decode_cluster(bytes, size, &found->manifest, NULL, &damage)
                      : found->cluster.error;
    return error ? error : check_cluster(archive, &found->node, &found->manifest, settled);
}

static int commit_found(struct pst_archive *archive, struct settle_found *found,
                        const struct pst_outcome *settled, const char *bytes, size_t size)
{
    uint32_t number = settled->number;
    bool is_committed = found->debris.is_committed;
    if (!found->debris.is_prepared && !is_committed)
        return -PST_E_NO_BACKUP;
    int error = check_decision(archive, found, settled, is_committed ? NULL : bytes, size);
    if (error)
        return error;
    /* whether --verify was asked for is not known any more */
    error = is_committed ? sync_decision(archive, number, found)
                         : archive_store_cluster(archive, number, bytes, size, true);
    if (error)
        return error;
    archive_end_decided(archive, found->directory, number);
    const struct pst_alert alert = {
        .kind = PST_ALERT_BACKUP_COMPLETE, .backup = number, .uid = settled->uid};
    char from[32] = "";
    if (!is_committed && settled->node != 0)
        snprintf(from, sizeof(from), ", taken from node %u", settled->node);
    pst_log_alert(PST_LOG_INFO, &alert, "%s/%s: complete: its cluster manifest is here%s",
                  archive->repository->path, layout_backup(number).text, from);
    return 0;
}

int pst_archive_settle_committed(struct pst_archive *archive, const struct pst_outcome *settled,
                                 const char *bytes, size_t size)
{
    struct settle_found found;
    archive_check(archive);
    int error = look(archive, settled, &found);
    if (!error)
        error = commit_found(archive, &found, settled, bytes, size);
    close_found(archive, &found);
    return error;
}
