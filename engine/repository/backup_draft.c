/* Reads the drafts of a backup that was cut off, so that others can refer to it. Whoever lists,
 * prunes, verifies or restores, and the archive, for a base. */
#include "engine/repository/backup_draft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/gather.h"
#include "engine/repository/layout.h"
#include "engine/repository/node_manifest.h"

static bool is_of_backup(const struct pst_backup *backup, uint32_t node,
                         const struct pst_node_manifest *draft)
{
    const struct pst_manifest_common *common = &draft->common;
    return common->number == backup->number && draft->node == node &&
           (!backup->has_uid || memcmp(common->uid, backup->uid, sizeof(backup->uid)) == 0);
}

/* Where it comes among those that are known; they ascend. */
static uint32_t place_of(const struct pst_cluster_manifest *cluster, uint32_t node)
{
    uint32_t place = 0;
    while (place < cluster->nodes_count && cluster->nodes[place].node < node)
        place++;
    return place;
}

/* Takes what the draft owns, but for an error. */
static int enter(struct pst_backup *backup, const struct pst_node_manifest *draft)
{
    struct pst_cluster_manifest *cluster = &backup->cluster;
    uint32_t place = place_of(cluster, draft->node), count = cluster->nodes_count;
    if (place < count && cluster->nodes[place].node == draft->node)
        return -EEXIST; /* a copy, in another directory */
    struct pst_node_manifest *nodes = realloc(backup->nodes, (count + (size_t)1) * sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    backup->nodes = nodes;
    memmove(&nodes[place + 1], &nodes[place], (count - place) * sizeof(*nodes));
    memmove(&cluster->nodes[place + 1], &cluster->nodes[place],
            (count - place) * sizeof(*cluster->nodes));
    nodes[place] = *draft;
    cluster->nodes[place] =
        (struct pst_manifest_node){.node = draft->node, .sums = draft->common.sums};
    if (count == 0)
        cluster->common = draft->common;
    else
        pst_part_sums_add(&cluster->common.sums, &draft->common.sums);
    cluster->common.version.incompatible |= draft->common.version.incompatible;
    cluster->master_node = draft->master_node;
    cluster->nodes_count++;
    return 0;
}

static int read_draft(struct pst_backup *backup, struct pst_repository *repository, int directory,
                      const char *name, uint32_t node)
{
    struct pst_node_manifest *draft = malloc(sizeof(*draft));
    if (!draft)
        return -ENOMEM;
    int error = node_manifest_read(repository, directory, name, draft, NULL, NULL);
    if (!error) {
        bool counts = is_of_backup(backup, node, draft) && gather_is_done(draft);
        error = counts ? enter(backup, draft) : -ENOENT;
        if (error)
            pst_manifest_release_node(draft);
    }
    free(draft);
    return pst_is_own_error(error) ? error : 0;
}

static int read_drafts_in(struct pst_backup *backup, uint32_t i)
{
    struct pst_repository *repository = &backup->directories->repositories[i];
    struct pst_repository_names names = {0};
    uint32_t node;
    int directory = repository_open_backup(repository, backup->stored_as);
    if (directory < 0)
        return pst_is_own_error(directory) ? directory : 0;
    int error = repository_list(repository, directory, &names);
    for (const char *name = error ? NULL : repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name)) {
        if (layout_parse_draft(name, backup->number, &node))
            error = read_draft(backup, repository, directory, name, node);
    }
    repository_names_free(&names);
    repository_close(repository, directory);
    return pst_is_own_error(error) ? error : 0;
}

int backup_read_drafts(struct pst_backup *backup)
{
    int error = 0;
    memset(&backup->cluster, 0, sizeof(backup->cluster));
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1))
        error = read_drafts_in(backup, i);
    if (error || backup->cluster.nodes_count == 0)
        return error;
    backup->keys = calloc(backup->cluster.nodes_count, sizeof(*backup->keys));
    if (!backup->keys)
        return -ENOMEM;
    backup->has_cluster = backup->has_uid = true;
    memcpy(backup->uid, backup->cluster.common.uid, sizeof(backup->uid));
    backup->state = PST_BACKUP_CUT_OFF;
    backup_gather_origins(backup);
    snprintf(backup->reason, sizeof(backup->reason),
             "%s: it was never completed; what was written of it is kept for backups that refer to "
             "it",
             layout_backup(backup->stored_as).text);
    return 0;
}
