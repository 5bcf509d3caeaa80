/* What archive.c, archive_settle.c, archive_sweep.c and archive_marks.c have in common. The
 * archive's thread. */
#include "engine/repository/archive_files.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/repository/layout.h"
#include "engine/repository/node_manifest.h"

static void check_work(const struct pst_archive *archive)
{
    const struct pst_manifest_common *common = &archive->node.common;
    assert(archive->backup == pst_uid_low(common->uid));
    assert(common->number >= 1 && common->number <= PST_BACKUP_NUMBER_MAX);
    assert(memcmp(common->uid, archive->cluster.common.uid, sizeof(common->uid)) == 0);
    assert(common->number == archive->cluster.common.number);
    assert(archive->node.node == archive->config->node);
    assert(archive->node.master_node == archive->cluster.master_node);
    assert(archive->node.participants_count >= 1);
    assert(archive->is_shared == (archive->node.participants_count > 1));
    assert(archive->parts == 1 || archive->parts == archive->config->ldms);
    assert(archive->node.parts_count <= archive->parts);
    assert(archive->cluster.nodes_count <= PST_NODES_MAX);
    for (uint32_t i = 1; i < archive->cluster.nodes_count; i++)
        assert(archive->cluster.nodes[i - 1].node < archive->cluster.nodes[i].node);
}

void archive_check(const struct pst_archive *archive)
{
    PST_CHECK_THREAD(&archive->owner);
    assert(archive->config->node >= 1 && archive->config->node <= PST_NODES_MAX);
    if (archive->backup != 0)
        check_work(archive);
}

int archive_fail(const struct pst_archive *archive, const char *name, const char *step, int error)
{
    const struct pst_repository *repository = archive->repository;
    pst_log(PST_LOG_ERROR, "%s/%s: %s: %s", repository->path, name,
            step                      ? step
            : repository->failed_step ? repository->failed_step
                                      : "write",
            pst_error_text(error));
    return error;
}

int archive_fail_inside(const struct pst_archive *archive, uint32_t number, const char *name,
                        const char *step, int error)
{
    char path[2 * LAYOUT_NAME_BYTES];
    snprintf(path, sizeof(path), "%s/%s", layout_backup(number).text, name);
    return archive_fail(archive, path, step, error);
}

void archive_read_node(const struct pst_archive *archive, int directory, uint32_t number,
                       struct archive_file *file)
{
    struct layout_name name = layout_node_manifest(number, archive->config->node);
    struct pst_node_manifest manifest;
    *file = (struct archive_file){0};
    file->error = node_manifest_read(archive->repository, directory, name.text, &manifest,
                                     &file->digest, &file->bytes);
    if (file->error)
        return;
    memcpy(file->uid, manifest.common.uid, sizeof(file->uid));
    file->cluster_id = manifest.common.cluster_id;
    file->master_node = manifest.master_node;
    file->finished_unix_ns = manifest.common.finished_unix_ns;
    for (uint32_t i = 0; i < manifest.participants_count; i++)
        pst_set_add(&file->nodes, manifest.participants[i] - 1);
    pst_manifest_release_node(&manifest);
}

void archive_read_cluster(const struct pst_archive *archive, int directory, uint32_t number,
                          struct pst_cluster_manifest *manifest, struct archive_file *file)
{
    struct decision_file found;
    *file = (struct archive_file){0};
    file->error = decision_read(archive->repository, directory, number, manifest, &found, NULL);
    if (file->error)
        return;
    file->bytes = found.bytes;
    file->digest = found.digest;
    memcpy(file->uid, manifest->common.uid, sizeof(file->uid));
}

void archive_end_decided(const struct pst_archive *archive, int directory, uint32_t number)
{
    uint32_t node = archive->config->node;
    (void)repository_remove(archive->repository, directory, layout_draft(number, node).text);
    (void)repository_remove(archive->repository, directory, layout_mark(number, node).text);
}

void archive_write_copy(const struct pst_archive *archive, int directory, uint32_t number,
                        enum decision_which which, const char *text, size_t bytes, bool reads_back)
{
    int error = decision_write(archive->repository, directory, number, archive->config->node, which,
                               text, bytes, reads_back);
    if (error)
        pst_log(PST_LOG_WARNING,
                "%s/%s/%s: cannot be written, so that the decision is kept once only: %s",
                archive->repository->path, layout_backup(number).text,
                decision_name(number, which).text, pst_error_text(error));
}

int archive_store_cluster(const struct pst_archive *archive, uint32_t number, const char *bytes,
                          size_t size, bool reads_back)
{
    struct pst_repository *repository = archive->repository;
    struct layout_name name = layout_cluster_manifest(number);
    int directory = repository_open_backup(repository, number);
    if (directory < 0)
        return archive_fail(archive, layout_backup(number).text, "open", directory);
    int error = decision_write(repository, directory, number, archive->config->node,
                               DECISION_MANIFEST, bytes, size, reads_back);
    if (!error)
        archive_write_copy(archive, directory, number, DECISION_COPY, bytes, size, reads_back);
    repository_close(repository, directory);
    return error ? archive_fail(archive, name.text, NULL, error) : 0;
}
