/* Reads the drafts of a backup that was cut off, so that others can refer to it. Whoever lists,
 * prunes, verifies or restores, and the archive, for a base. */
#include "engine/repository/backup_draft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/repository/backup_keys.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/gather.h"
#include "engine/repository/layout.h"
#include "engine/repository/node_manifest.h"
#include "engine/repository/sealed_manifest.h"
#include "engine/repository/verified.h"

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

/* It is no backup, and more than debris. */
static void say_cut_off(struct pst_backup *backup)
{
    snprintf(backup->reason, sizeof(backup->reason),
             "%s: it was never completed; the next backup of the same sources with --base auto "
             "refers to what of it is whole",
             layout_backup(backup->stored_as).text);
}

static int read_draft(struct pst_backup *backup, struct pst_repository *repository, int directory,
                      const char *name, uint32_t node)
{
    struct pst_node_manifest *draft = malloc(sizeof(*draft));
    if (!draft)
        return -ENOMEM;
    int error = node_manifest_read(repository, directory, name, draft, NULL, NULL);
    if (!error) {
        bool is_its = is_of_backup(backup, node, draft), is_done = gather_is_done(draft);
        error = is_its && is_done ? enter(backup, draft) : -ENOENT;
        if (is_its && !is_done)
            say_cut_off(backup);
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

/* ---- what is sealed ---- */

/* Puts what is sealed of a node's draft in its place; what the key did not seal has no parts. */
static int open_draft(struct pst_backup *backup, uint32_t i, int directory, uint32_t node_index)
{
    struct pst_repository *repository = &backup->directories->repositories[i];
    struct pst_node_manifest *node = &backup->nodes[node_index];
    struct layout_name name = layout_draft(backup->number, node->node);
    struct pst_damage damage;
    char *text;
    size_t size;
    int error =
        repository_read(repository, directory, name.text, PST_MANIFEST_BYTES_MAX, &text, &size);
    if (error)
        return pst_is_own_error(error) ? error : 0;
    error = manifest_open_draft(&backup->keys[node_index], text, size, node, &damage);
    free(text);
    if (!error && gather_is_done(node))
        return 0;
    node->parts_count = 0;
    return pst_is_own_error(error) ? error : 0;
}

static int open_sealed(const struct backup_keys_look *look, uint32_t node_index)
{
    struct pst_backup *backup = look->backup;
    int error = backup_open_keys(look, node_index);
    backup->is_sealed[node_index] = true;
    for (uint32_t i = 0; !error && backup->keys[node_index].secret && i < PST_DIRECTORIES_MAX;
         i++) {
        if (look->handles[i] >= 0)
            error = open_draft(backup, i, look->handles[i], node_index);
    }
    return error;
}

/* What all its drafts say by now, as where a decision was opened. */
static void note_opened(struct pst_backup *backup)
{
    struct pst_manifest_version *version = &backup->cluster.common.version;
    version->incompatible = 0;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++)
        version->incompatible |= backup->nodes[i].common.version.incompatible;
}

static int open_all(struct pst_backup *backup, const int *handles)
{
    struct pst_findings findings;
    uint64_t files = 0, bytes = 0;
    const struct backup_keys_look look = {.backup = backup,
                                          .handles = handles,
                                          .findings = &findings,
                                          .files = &files,
                                          .bytes = &bytes};
    int error = 0;
    pst_findings_init(&findings, NULL, NULL);
    for (uint32_t i = 0; !error && i < backup->cluster.nodes_count; i++) {
        if (manifest_is_sealed(&backup->nodes[i].common))
            error = open_sealed(&look, i);
    }
    note_opened(backup);
    pthread_mutex_destroy(&findings.mutex);
    return error;
}

/* Without a key, what everybody may read remains. */
static int open_drafts(struct pst_backup *backup)
{
    int handles[PST_DIRECTORIES_MAX], error = 0;
    backup->keys = calloc(backup->cluster.nodes_count, sizeof(*backup->keys));
    if (!backup->keys)
        return -ENOMEM;
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++)
        handles[i] = -1;
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        handles[i] =
            repository_open_backup(&backup->directories->repositories[i], backup->stored_as);
        error = handles[i] < 0 ? handles[i] : 0;
        if (!error)
            verified_look_since(backup, i, handles[i]);
    }
    if (!error)
        error = open_all(backup, handles);
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++) {
        if (handles[i] >= 0)
            repository_close(&backup->directories->repositories[i], handles[i]);
    }
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
    backup->has_cluster = backup->has_uid = true;
    memcpy(backup->uid, backup->cluster.common.uid, sizeof(backup->uid));
    error = open_drafts(backup);
    if (error)
        return error;
    backup->state = PST_BACKUP_CUT_OFF;
    backup_gather_origins(backup);
    snprintf(backup->reason, sizeof(backup->reason),
             "%s: it was never completed; what was written of it is kept for backups that refer to "
             "it",
             layout_backup(backup->stored_as).text);
    return 0;
}
