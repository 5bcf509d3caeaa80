/* The base of the backup in work, and what the nodes of it refer to. Called by archive.c, on the
 * archive's thread. */
#include "engine/repository/archive_base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/repository/archive_files.h"
#include "engine/repository/layout.h"
#include "engine/repository/node_manifest.h"

bool archive_wants_base(const struct pst_archive *archive)
{
    const struct pst_base_policy *policy = archive->config->base;
    return policy && policy->mode != PST_BASE_NONE;
}

/* All threads have ended what they did with the last one. */
int archive_find_base(struct pst_archive *archive)
{
    const struct pst_base_seeker seeker = {
        .policy = archive->config->base,
        .directory = archive->repository->path,
        .keyring = archive->config->keyring,
        .manifest = &archive->node,
        .now_unix_ns = archive->node.common.started_unix_ns,
    };
    if (!archive->base)
        return 0;
    pst_base_close(*archive->base);
    *archive->base = NULL;
    int error = base_open(&seeker, archive->base);
    const struct pst_base *base = *archive->base;
    if (error || !base)
        return error;
    archive->node.base = base->named;
    archive->node.common.version.incompatible |= PST_FORMAT_REFERS;
    return 0;
}

/* What this node has of it, a draft of one that was cut off. */
static int find_share(const struct pst_archive *archive, uint32_t number)
{
    struct pst_repository *repository = archive->repository;
    uint32_t node = archive->config->node;
    int backup = repository_open_backup(repository, number);
    if (backup < 0)
        return backup;
    int has = repository_has(repository, backup, layout_node_manifest(number, node).text);
    if (has == 0)
        has = repository_has(repository, backup, layout_draft(number, node).text);
    repository_close(repository, backup);
    return has ? has : -ENOENT;
}

/* A hold keeps prune off them, and nobody else. */
static int check_origins(const struct pst_archive *archive)
{
    for (uint32_t i = 0; i < archive->node.origins_count; i++) {
        uint32_t number = archive->node.origins[i].number;
        int found = find_share(archive, number);
        if (found < 0)
            return archive_fail(archive, layout_backup(number).text,
                                "it was removed or moved while a backup was made that has data in "
                                "it, which is given up",
                                found);
    }
    return 0;
}

int archive_end_base(struct pst_archive *archive)
{
    if (!archive->base || !*archive->base)
        return 0;
    archive->node.origins_count =
        base_uses(*archive->base, archive->node.origins, &archive->node.common.version);
    return check_origins(archive);
}

static void add(struct pst_cluster_manifest *cluster, const struct pst_manifest_origin *origin)
{
    for (uint32_t i = 0; i < cluster->origins_count; i++) {
        struct pst_manifest_origin *known = &cluster->origins[i];
        if (memcmp(known->uid, origin->uid, sizeof(known->uid)) != 0)
            continue;
        known->bytes += origin->bytes;
        known->objects += origin->objects;
        return;
    }
    if (cluster->origins_count < PST_ORIGINS_MAX)
        cluster->origins[cluster->origins_count++] = *origin;
}

static void add_all(struct pst_cluster_manifest *cluster, const struct pst_node_manifest *node)
{
    cluster->common.version.incompatible |=
        node->common.version.incompatible & (PST_FORMAT_REFERS | PST_FORMAT_TAILS);
    for (uint32_t i = 0; i < node->origins_count; i++)
        add(cluster, &node->origins[i]);
}

void archive_add_origins(struct pst_archive *archive, int directory)
{
    struct pst_cluster_manifest *cluster = &archive->cluster;
    add_all(cluster, &archive->node);
    for (uint32_t i = 0; i < cluster->nodes_count; i++) {
        struct pst_node_manifest manifest;
        struct pst_digest digest;
        uint64_t bytes;
        uint32_t node = cluster->nodes[i].node;
        struct layout_name name = layout_node_manifest(cluster->common.number, node);
        if (node == archive->config->node ||
            node_manifest_read(archive->repository, directory, name.text, &manifest, &digest,
                               &bytes))
            continue;
        add_all(cluster, &manifest);
        pst_manifest_release_node(&manifest);
    }
}

static uint64_t bytes_of(const struct pst_node_manifest *node)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < node->origins_count; i++)
        bytes += node->origins[i].bytes;
    return bytes;
}

static void add_node(const struct pst_archive *archive, int directory, uint32_t node,
                     struct pst_referred *referred)
{
    struct layout_name name = layout_node_manifest(archive->node.common.number, node);
    struct pst_node_manifest *manifest = malloc(sizeof(*manifest));
    bool is_there = manifest && node_manifest_read(archive->repository, directory, name.text,
                                                   manifest, NULL, NULL) == 0;
    if (is_there) {
        referred->bytes += bytes_of(manifest);
        pst_manifest_release_node(manifest);
    }
    referred->nodes_unknown += !is_there;
    free(manifest);
}

void archive_report_referred(const struct pst_archive *archive, int directory)
{
    const struct pst_node_manifest *own = &archive->node;
    struct pst_referred referred = {
        .backup = archive->backup, .base = own->base.number, .bytes = bytes_of(own)};
    if (!archive->on_referred || !archive_wants_base(archive))
        return;
    for (uint32_t i = 0; i < own->participants_count; i++) {
        if (own->participants[i] != own->node)
            add_node(archive, directory, own->participants[i], &referred);
    }
    archive->on_referred(archive->context, &referred);
}
