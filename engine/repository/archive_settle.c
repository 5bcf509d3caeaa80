#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/protocol/debris.h"
#include "engine/repository/archive.h"
#include "engine/repository/layout.h"
#include "io/durable.h"

static int open_backup(const struct pst_archive *archive, uint32_t number)
{
    int fd = openat(archive->directory_fd, pst_name_backup(number).text,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void take_node(const char *bytes, size_t size, struct pst_archive_file *file)
{
    struct pst_node_manifest manifest;
    struct pst_damage damage;
    file->error = pst_node_manifest_decode(bytes, size, &manifest, &file->digest, &damage);
    if (file->error < 0)
        return;
    memcpy(file->uid, manifest.common.uid, sizeof(file->uid));
    file->cluster_id = manifest.common.cluster_id;
    file->bytes = size;
    file->master_node = manifest.master_node;
    for (uint32_t i = 0; i < manifest.participants_count; i++)
        pst_set_add(&file->nodes, manifest.participants[i] - 1);
    pst_node_manifest_release(&manifest);
}

void pst_archive_read_node(const struct pst_archive *archive, int backup_fd, uint32_t number,
                           struct pst_archive_file *file)
{
    struct pst_name name = pst_name_node_manifest(number, archive->config->node);
    char *bytes;
    size_t size;
    memset(file, 0, sizeof(*file));
    file->error = pst_small_file_read(backup_fd, name.text, PST_MANIFEST_BYTES_MAX, &bytes, &size);
    if (file->error < 0)
        return;
    take_node(bytes, size, file);
    free(bytes);
}

/* Whether it is the cluster manifest of that backup, and says that this node's manifest, where it
 * is here, belongs to it. */
static int check_cluster(const struct pst_archive *archive, const struct pst_archive_file *node,
                         const struct pst_cluster_manifest *manifest, uint32_t number,
                         const uint8_t *uid)
{
    if (manifest->common.number != number ||
        memcmp(manifest->common.uid, uid, sizeof(manifest->common.uid)) != 0)
        return -PST_E_MISPLACED;
    for (uint32_t i = 0; i < manifest->nodes_count; i++) {
        const struct pst_manifest_node *line = &manifest->nodes[i];
        if (line->node != archive->config->node)
            continue;
        bool is_listed = node->error == 0 && line->file_bytes == node->bytes &&
                         memcmp(&line->digest, &node->digest, sizeof(line->digest)) == 0;
        return is_listed ? 0 : -PST_E_MISPLACED;
    }
    return -PST_E_MISPLACED;
}

static void read_cluster(int backup_fd, uint32_t number, struct pst_cluster_manifest *manifest,
                         struct pst_archive_file *file)
{
    struct pst_damage damage;
    char *bytes;
    memset(file, 0, sizeof(*file));
    file->error = pst_small_file_read(backup_fd, pst_name_cluster_manifest(number).text,
                                      PST_MANIFEST_BYTES_MAX, &bytes, &file->bytes);
    if (file->error < 0)
        return;
    file->error = pst_cluster_manifest_decode(bytes, file->bytes, manifest, &file->digest, &damage);
    free(bytes);
    if (file->error == 0)
        memcpy(file->uid, manifest->common.uid, sizeof(file->uid));
}

/* What is on disk under the number of a backup, and what that says of its uid. */
struct found {
    int fd; /* -1: there is no such directory */
    struct pst_archive_file node;
    struct pst_archive_file cluster;
    struct pst_cluster_manifest manifest;
    struct pst_debris debris;
};

static bool is_of(const struct pst_archive_file *file, const uint8_t *uid)
{
    return file->error == 0 && memcmp(file->uid, uid, sizeof(file->uid)) == 0;
}

/* A manifest that cannot be read may be of that backup: then nothing can be said. */
static int judge(struct found *found, const uint8_t *uid)
{
    found->debris.is_prepared = is_of(&found->node, uid);
    found->debris.is_committed = is_of(&found->cluster, uid);
    if (found->debris.is_committed)
        return 0;
    if (found->cluster.error < 0 && found->cluster.error != -ENOENT)
        return found->cluster.error;
    return found->node.error == -ENOENT ? 0 : found->node.error;
}

/* Others ask again and again: it is said once, until it is another that cannot be told of. */
static int say(struct pst_archive *archive, uint32_t number, int error)
{
    if (archive->unsaid == number)
        return error;
    archive->unsaid = number;
    pst_log(PST_LOG_ERROR, "%s/%s: whether it is complete cannot be said: %s",
            archive->config->directory, pst_name_backup(number).text, pst_error_text(error));
    return error;
}

/* The caller closes found->fd, whatever is returned. */
static int look(struct pst_archive *archive, const struct pst_outcome *asked, struct found *found)
{
    memset(found, 0, sizeof(*found));
    found->fd = -1;
    found->node.error = found->cluster.error = -ENOENT;
    if (archive->backup != 0 &&
        memcmp(archive->node.common.uid, asked->uid, sizeof(asked->uid)) == 0)
        return -PST_E_BUSY;
    int fd = open_backup(archive, asked->number);
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return say(archive, asked->number, fd);
    found->fd = fd;
    pst_archive_read_node(archive, fd, asked->number, &found->node);
    read_cluster(fd, asked->number, &found->manifest, &found->cluster);
    int error = judge(found, asked->uid);
    return error ? say(archive, asked->number, error) : 0;
}

/* It may have been renamed by a process that was killed before it was synced. */
static int sync_decision(struct pst_archive *archive, uint32_t number, int fd)
{
    struct pst_durable_context context = {.fault = archive->config->fault};
    int error = pst_durable_sync_dir(fd, &context);
    return error ? say(archive, number, error) : 0;
}

int pst_archive_outcome(struct pst_archive *archive, struct pst_outcome *asked)
{
    struct found found;
    int error = look(archive, asked, &found);
    if (!error && found.debris.is_committed)
        error = sync_decision(archive, asked->number, found.fd);
    if (found.fd >= 0)
        close(found.fd);
    if (error)
        return error;
    asked->state = pst_debris_outcome(&found.debris);
    if (asked->state == PST_OUTCOME_COMMITTED) {
        asked->file_bytes = found.cluster.bytes;
        memcpy(asked->digest, found.cluster.digest.bytes, sizeof(asked->digest));
    }
    return 0;
}

int pst_archive_settle_aborted(struct pst_archive *archive, const struct pst_outcome *settled)
{
    struct found found;
    int error = look(archive, settled, &found);
    if (found.fd >= 0)
        close(found.fd);
    if (error)
        return error;
    if (found.debris.is_committed)
        return -PST_E_WRONG_STATE;
    if (found.debris.is_prepared)
        return pst_archive_remove(archive, settled->number, settled->uid);
    /* Nothing is known to be of that backup: the sweep's rules do for what there is. */
    return pst_archive_sweep_one(archive, settled->number);
}

/* The manifest that is to be stored, or for NULL the one that is there. */
static int check(const struct pst_archive *archive, struct found *found,
                 const struct pst_outcome *settled, const char *bytes, size_t size)
{
    struct pst_damage damage;
    int error = bytes ? pst_cluster_manifest_decode(bytes, size, &found->manifest, NULL, &damage)
                      : found->cluster.error;
    if (error)
        return error;
    return check_cluster(archive, &found->node, &found->manifest, settled->number, settled->uid);
}

int pst_archive_settle_committed(struct pst_archive *archive, const struct pst_outcome *settled,
                                 const char *bytes, size_t size)
{
    struct found found;
    uint32_t number = settled->number;
    int error = look(archive, settled, &found);
    if (!error && !found.debris.is_prepared && !found.debris.is_committed)
        error = -PST_E_NO_BACKUP;
    if (error)
        goto out;
    error = found.debris.is_committed ? check(archive, &found, settled, NULL, 0)
                                      : check(archive, &found, settled, bytes, size);
    if (error)
        goto out;
    error = found.debris.is_committed ? sync_decision(archive, number, found.fd)
                                      : pst_archive_store_cluster(archive, number, bytes, size);
    if (error)
        goto out;
    unlinkat(found.fd, pst_name_mark(number, archive->config->node).text, 0);
    pst_log(PST_LOG_INFO, "%s/%s: complete: its cluster manifest is here",
            archive->config->directory, pst_name_backup(number).text);
out:
    if (found.fd >= 0)
        close(found.fd);
    return error;
}
