/* Loads a backup's manifests from every directory that has some, compares the copies, and keeps
 * prune off it while it is read. Whoever lists, shows, verifies or restores. */
#include "engine/repository/backup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/protocol/set.h"
#include "engine/repository/backup_keys.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/decision.h"
#include "engine/repository/layout.h"
#include "engine/repository/sealed_manifest.h"

/* The directories of the backup, open, and what was read there. */
struct load {
    struct pst_backup *backup;
    struct pst_findings *findings;
    int handles[PST_DIRECTORIES_MAX]; /* -1: holds nothing of it */
    uint64_t *files;
    uint64_t *manifest_bytes;
    struct pst_digest decision; /* of the one that is used */
};

struct text {
    char *bytes;
    size_t size;
};

/* -ENOENT where there is none; any other error is what is wrong with it, but for an error of our
 * own. */
static int read_manifest(struct load *load, uint32_t i, const char *name, struct text *text,
                         struct pst_damage *damage)
{
    *damage = (struct pst_damage){.what = "manifest"};
    if (load->handles[i] < 0)
        return -ENOENT;
    int error = repository_read(&load->backup->directories->repositories[i], load->handles[i], name,
                                PST_MANIFEST_BYTES_MAX, &text->bytes, &text->size);
    if (!error) {
        *load->files += 1;
        *load->manifest_bytes += text->size;
    }
    if (error != -EFBIG)
        return error;
    damage->what = "too long for a manifest";
    return -PST_E_CORRUPT;
}

/* The two files of the decision in one directory, read now or when the list was. */
static int read_pair(struct load *load, uint32_t i, struct decision_pair *pair)
{
    struct pst_backup *backup = load->backup;
    struct pst_cluster_manifest cluster;
    const struct pst_cluster_manifest *found = &cluster;
    if (backup->seen && i == backup->seen_in) {
        *pair = *backup->seen;
        found = &backup->cluster;
    } else {
        int error = decision_read_pair(&backup->directories->repositories[i], load->handles[i],
                                       backup->number, &cluster, pair);
        if (error)
            return error;
    }
    for (enum decision_which which = 0; which < DECISION_FILES; which++) {
        *load->files += pair->files[which].bytes > 0;
        *load->manifest_bytes += pair->files[which].bytes;
    }
    if (!pair->is_whole || backup->has_cluster)
        return 0;
    if (found != &backup->cluster)
        pst_manifest_copy_cluster(&backup->cluster, found);
    backup->has_cluster = true;
    load->decision =
        pair->files[pair->files[DECISION_MANIFEST].error ? DECISION_COPY : DECISION_MANIFEST]
            .digest;
    return 0;
}

static void warn_of_file(struct load *load, const struct pst_file_name *file, const char *what)
{
    const struct pst_finding warning = {
        .directory = file->directory, .file = file->text, .what = what, .warning = true};
    findings_add(load->findings, &warning);
}

/* One that is lost or damaged is no harm where another one is whole. Nobody misses the second file
 * of a backup that was written before there was one. */
static void report_file(struct load *load, uint32_t i, enum decision_which which,
                        struct decision_file *file, bool has_other)
{
    const struct pst_backup *backup = load->backup;
    const struct pst_file_name name =
        backup_file_name(backup, i, decision_name(backup->number, which).text);
    bool is_wanted = which == DECISION_MANIFEST ? has_other : backup->cluster.copies > 1;
    if (file->error == -ENOENT) {
        if (backup->has_cluster && is_wanted)
            warn_of_file(load, &name, "missing; the decision is known by another copy of it");
    } else if (file->error && backup->has_cluster) {
        warn_of_file(load, &name, "damaged; another copy of it is whole");
    } else if (file->error) {
        pst_findings_add_damage(load->findings, &name, 0, &file->damage, file->error);
    } else if (!pst_digest_equal(&file->digest, &load->decision)) {
        file->damage = (struct pst_damage){.what = "not the decision that another copy is"};
        pst_findings_add_damage(load->findings, &name, 0, &file->damage, -PST_E_CORRUPT);
    }
}

static int load_cluster(struct load *load)
{
    const struct pst_backup *backup = load->backup;
    struct decision_pair pairs[PST_DIRECTORIES_MAX];
    bool is_there = false;
    for (uint32_t i = backup_next_in(backup, 0); i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        int error = read_pair(load, i, &pairs[i]);
        if (error)
            return error;
        for (enum decision_which which = 0; which < DECISION_FILES; which++)
            is_there = is_there || pairs[i].files[which].error != -ENOENT;
    }
    if (!is_there)
        return -PST_E_INCOMPLETE;
    for (uint32_t i = backup_next_in(backup, 0); i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        struct decision_file *files = pairs[i].files;
        for (enum decision_which which = 0; which < DECISION_FILES; which++)
            report_file(load, i, which, &files[which], files[!which].error != -ENOENT);
    }
    return 0;
}

static bool same_backup(const struct pst_manifest_common *a, const struct pst_manifest_common *b)
{
    return memcmp(a->uid, b->uid, sizeof(a->uid)) == 0 && a->number == b->number &&
           a->cluster_id == b->cluster_id;
}

/* Decodes it and compares it with its line in the cluster manifest. */
static int decode_node(const struct text *text, const struct pst_cluster_manifest *cluster,
                       const struct pst_manifest_node *known, struct pst_node_manifest *node,
                       struct pst_damage *damage)
{
    struct pst_digest digest;
    int error = pst_manifest_decode_node(text->bytes, text->size, node, &digest, damage);
    if (error)
        return error;
    *damage = (struct pst_damage){0, text->size, "not the one that the cluster manifest names"};
    if (!same_backup(&node->common, &cluster->common) || node->node != known->node)
        error = -PST_E_MISPLACED;
    else if (text->size != known->file_bytes || !pst_digest_equal(&digest, &known->digest))
        error = -PST_E_CORRUPT;
    if (error) {
        pst_manifest_release_node(node);
        memset(node, 0, sizeof(*node));
    }
    return error;
}

/* Puts what is sealed of a node's manifest in its place, if there is a key for it. */
static int open_node(struct load *load, uint32_t node_index, const struct text *text,
                     struct pst_node_manifest *node, struct pst_damage *damage)
{
    struct pst_backup *backup = load->backup;
    const struct backup_keys_look look = {.backup = backup,
                                          .handles = load->handles,
                                          .findings = load->findings,
                                          .files = load->files,
                                          .bytes = load->manifest_bytes};
    int error = 0;
    if (!manifest_is_sealed(&node->common))
        return 0;
    if (!backup->is_sealed[node_index])
        error = backup_open_keys(&look, node_index);
    backup->is_sealed[node_index] = true;
    const struct pst_data_key *key = &backup->keys[node_index];
    if (!error && key->secret)
        error = manifest_open_node(key, text->bytes, text->size, node, damage);
    if (error) {
        pst_manifest_release_node(node);
        memset(node, 0, sizeof(*node));
    }
    return error;
}

/* The manifest of a node, from every directory that has it. *found: one does. */
static int load_node(struct load *load, uint32_t node_index, bool *found)
{
    struct pst_backup *backup = load->backup;
    const struct pst_manifest_node *known = &backup->cluster.nodes[node_index];
    const struct layout_name name = layout_node_manifest(backup->number, known->node);
    for (uint32_t i = backup_next_in(backup, 0); i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        struct pst_node_manifest node;
        struct pst_damage damage;
        struct text text = {0};
        int error = read_manifest(load, i, name.text, &text, &damage);
        if (error == -ENOENT)
            continue;
        *found = true;
        if (!error)
            error = decode_node(&text, &backup->cluster, known, &node, &damage);
        if (!error)
            error = open_node(load, node_index, &text, &node, &damage);
        free(text.bytes);
        const struct pst_file_name file = backup_file_name(backup, i, name.text);
        if (pst_is_own_error(error))
            return error;
        if (error)
            pst_findings_add_damage(load->findings, &file, 0, &damage, error);
        else if (backup->nodes[node_index].owner)
            pst_manifest_release_node(&node);
        else
            pst_manifest_copy_node(&backup->nodes[node_index], &node);
    }
    return 0;
}

static void report_missing(struct load *load, uint32_t node)
{
    const struct pst_backup *backup = load->backup;
    const struct layout_name name = layout_node_manifest(backup->number, node);
    const struct pst_file_name file = backup_file_name(backup, PST_DIRECTORIES_MAX, name.text);
    char title[32];
    snprintf(title, sizeof(title), "manifest of node %u", node);
    const struct pst_damage damage = {.what = title};
    pst_findings_add_damage(load->findings, &file, 0, &damage, -ENOENT);
}

/* ---- nodes in other directories ---- */

/* Adds to nodes (by id - 1) those of which the name, in an open directory of the backup, is a file,
 * or has one: 0 or an error. */
static int add_nodes_of(const struct load *load, uint32_t i, const char *name,
                        struct pst_set *nodes)
{
    const struct pst_backup *backup = load->backup;
    struct pst_repository *repository = &backup->directories->repositories[i];
    uint32_t part, parts, node;
    if (layout_parse_node_manifest(name, backup->number, &node))
        pst_set_add(nodes, node - 1);
    if (!layout_parse_part_dir(name, backup->number, &part, &parts))
        return 0;
    for (uint32_t j = 0; j < backup->cluster.nodes_count; j++) {
        node = backup->cluster.nodes[j].node;
        const struct layout_name file = layout_part(backup->number, node, part, parts);
        int has = repository_has(repository, load->handles[i], file.text);
        if (pst_is_own_error(has))
            return has;
        if (has != 0 && has != -ENOTDIR)
            pst_set_add(nodes, node - 1);
    }
    return 0;
}

/* The nodes that have files in the i-th directory; one that cannot be read may have any. */
static int nodes_in(const struct load *load, uint32_t i, struct pst_set *nodes)
{
    struct pst_repository *repository = &load->backup->directories->repositories[i];
    struct pst_repository_names names;
    *nodes = (struct pst_set){{0}};
    int error = repository_list(repository, load->handles[i], &names);
    if (error && !pst_is_own_error(error)) {
        for (uint32_t node = 0; node < PST_NODES_MAX; node++)
            pst_set_add(nodes, node);
        return 0;
    }
    if (error)
        return error;
    for (const char *name = repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name))
        error = add_nodes_of(load, i, name, nodes);
    repository_names_free(&names);
    return error;
}

/* Whether nodes of which nothing is here (found: manifests that are, by index) may have written
 * elsewhere: not where as many directories are given as there are nodes, nor where one of them
 * holds the decision alone, for its own node's files are lost then. */
static int look_elsewhere(struct load *load, const bool *found)
{
    struct pst_backup *backup = load->backup;
    struct pst_set all = {{0}};
    bool may_be = backup->directories->count < backup->cluster.nodes_count;
    for (uint32_t i = backup_next_in(backup, 0); may_be && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        struct pst_set nodes;
        int error = nodes_in(load, i, &nodes);
        if (error)
            return error;
        may_be = pst_set_count(&nodes) > 0;
        all = pst_set_union(&all, &nodes);
    }
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++) {
        uint32_t node = backup->cluster.nodes[i].node;
        backup->is_elsewhere[i] = may_be && !found[i] && !pst_set_has(&all, node - 1);
        if (!found[i] && !backup->is_elsewhere[i])
            report_missing(load, node);
    }
    return 0;
}

static int load_nodes(struct load *load)
{
    uint32_t count = load->backup->cluster.nodes_count;
    bool found[PST_NODES_MAX] = {false}, has_all = true;
    int error = 0;
    for (uint32_t i = 0; !error && i < count; i++) {
        error = load_node(load, i, &found[i]);
        has_all = has_all && found[i];
    }
    return error || has_all ? error : look_elsewhere(load, found);
}

static int look_for_pin(struct load *load, uint32_t i)
{
    struct pst_backup *backup = load->backup;
    int has = repository_has(&backup->directories->repositories[i], load->handles[i],
                             layout_pin(backup->number).text);
    backup->is_pinned = backup->is_pinned || has > 0;
    return has < 0 ? has : 0;
}

/* The label, and what else the master has sealed; where its own manifest could not be had, or has
 * no key, what everybody may read remains. */
static int open_cluster(struct load *load)
{
    struct pst_backup *backup = load->backup;
    struct pst_cluster_manifest *cluster = &backup->cluster;
    const struct pst_data_key *key = NULL;
    for (uint32_t i = 0; i < cluster->nodes_count; i++)
        key = cluster->nodes[i].node == cluster->master_node ? &backup->keys[i] : key;
    backup_check_sealing(backup, load->findings);
    if (!manifest_is_sealed(&cluster->common) || !key || !key->secret)
        return 0;
    for (uint32_t i = backup_next_in(backup, 0); i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        struct pst_cluster_manifest unused;
        struct decision_file file;
        struct pst_damage damage;
        char *text;
        if (decision_read(&backup->directories->repositories[i], load->handles[i], backup->number,
                          &unused, &file, &text) != 0)
            continue;
        int error = manifest_open_cluster(key, text, file.bytes, cluster, &damage);
        free(text);
        const struct pst_file_name name =
            backup_file_name(backup, i, decision_name(backup->number, DECISION_MANIFEST).text);
        if (error && !pst_is_own_error(error))
            pst_findings_add_damage(load->findings, &name, 0, &damage, error);
        return pst_is_own_error(error) ? error : 0;
    }
    return 0;
}

static int open_all(struct load *load)
{
    const struct pst_backup *backup = load->backup;
    int error = 0;
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++)
        load->handles[i] = -1;
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        int handle =
            repository_open_backup(&backup->directories->repositories[i], backup->stored_as);
        if (repository_is_no_directory(handle))
            return -PST_E_NO_BACKUP;
        if (handle < 0)
            return handle;
        load->handles[i] = handle;
        error = look_for_pin(load, i);
    }
    return error;
}

static int load_all(struct load *load)
{
    struct pst_backup *backup = load->backup;
    int error = open_all(load);
    if (!error)
        error = load_cluster(load);
    if (error || !backup->has_cluster)
        return error;
    uint32_t count = backup->cluster.nodes_count;
    backup->nodes = malloc(count * sizeof(*backup->nodes));
    backup->keys = calloc(count, sizeof(*backup->keys));
    for (uint32_t i = 0; backup->nodes && i < count; i++)
        pst_manifest_clear_node(&backup->nodes[i]);
    if (!backup->nodes || !backup->keys)
        return -ENOMEM;
    for (uint32_t i = backup_next_in(backup, 0); i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        verified_read(&backup->directories->repositories[i], load->handles[i], backup->number,
                      backup->cluster.common.uid, &backup->verified);
        verified_look_since(backup, i, load->handles[i]);
    }
    error = load_nodes(load);
    if (!error)
        error = open_cluster(load);
    if (!error)
        backup_gather_origins(backup);
    return error;
}

int pst_backup_load(struct pst_backup *backup, struct pst_findings *findings, uint64_t *files,
                    uint64_t *manifest_bytes)
{
    struct load load = {
        .backup = backup, .findings = findings, .files = files, .manifest_bytes = manifest_bytes};
    backup->has_cluster = backup->is_pinned = false;
    backup->verified = (struct pst_verified){0};
    backup->here_since_ns = 0;
    backup->nodes = NULL;
    backup->keys = NULL;
    backup->is_shut = false;
    backup->wanted[0] = '\0';
    memset(backup->is_sealed, 0, sizeof(backup->is_sealed));
    memset(backup->is_elsewhere, 0, sizeof(backup->is_elsewhere));
    memset(backup->is_hit, 0, sizeof(backup->is_hit));
    int error = load_all(&load);
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++) {
        if (load.handles[i] >= 0)
            repository_close(&backup->directories->repositories[i], load.handles[i]);
    }
    free(backup->seen);
    backup->seen = NULL;
    if (error)
        pst_backup_unload(backup);
    return error;
}

uint32_t pst_backup_missing(const struct pst_backup *backup, uint32_t ids[PST_NODES_MAX])
{
    const struct pst_cluster_manifest *cluster = &backup->cluster;
    uint32_t count = 0, node = 0;
    for (uint32_t i = 0; backup->has_cluster && i < cluster->members_count; i++) {
        while (node < cluster->nodes_count && cluster->nodes[node].node < cluster->members[i])
            node++;
        if (node == cluster->nodes_count || cluster->nodes[node].node != cluster->members[i])
            ids[count++] = cluster->members[i];
    }
    return count;
}

uint32_t pst_backup_elsewhere(const struct pst_backup *backup, uint32_t ids[PST_NODES_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; backup->has_cluster && i < backup->cluster.nodes_count; i++) {
        if (backup->is_elsewhere[i])
            ids[count++] = backup->cluster.nodes[i].node;
    }
    return count;
}

/* "node 2", "nodes 2, 3", cut at 400 bytes. */
#define IDS_BYTES 410u
static const char *ids_text(const uint32_t *ids, uint32_t count, char text[IDS_BYTES])
{
    char list[6 * PST_NODES_MAX] = "";
    for (uint32_t i = 0, used = 0; i < count; i++)
        used += (uint32_t)snprintf(list + used, sizeof(list) - used, "%s%u", i ? ", " : "", ids[i]);
    snprintf(text, IDS_BYTES, "node%s %.400s", count > 1 ? "s" : "", list);
    return text;
}

const char *pst_backup_missing_text(const struct pst_backup *backup, char *text)
{
    uint32_t ids[PST_NODES_MAX];
    uint32_t count = pst_backup_missing(backup, ids);
    char nodes[IDS_BYTES];
    text[0] = '\0';
    if (count)
        snprintf(text, PST_MESSAGE_BYTES, "%s %s missing", ids_text(ids, count, nodes),
                 count > 1 ? "are" : "is");
    return text;
}

const char *backup_elsewhere_text(const struct pst_backup *backup, char *text)
{
    uint32_t ids[PST_NODES_MAX];
    uint32_t count = pst_backup_elsewhere(backup, ids);
    char nodes[IDS_BYTES];
    text[0] = '\0';
    if (count)
        snprintf(text, PST_MESSAGE_BYTES,
                 "files of %s are not in the directories given: name theirs too",
                 ids_text(ids, count, nodes));
    return text;
}

const char *pst_backup_shut_text(const struct pst_backup *backup, char *text)
{
    bool has_given = backup->directories->keyring;
    if (!backup->is_shut) /* a key opens what else there is */
        snprintf(text, PST_MESSAGE_BYTES,
                 "it is sealed, and the manifest of its master, node %u, is missing or damaged, or "
                 "in a directory that was not given",
                 backup->cluster.master_node);
    else if (backup->wanted[0] == '\0')
        snprintf(
            text, PST_MESSAGE_BYTES,
            "it is sealed, and its files of keys are missing or damaged, or cannot be read, so "
            "no key opens it");
    else
        snprintf(text, PST_MESSAGE_BYTES, "it is sealed: %s %s",
                 has_given ? "no key that was given opens it; it wants" : "give the",
                 backup->wanted);
    return text;
}

void pst_backup_unload(struct pst_backup *backup)
{
    for (uint32_t i = 0; backup->nodes && i < backup->cluster.nodes_count; i++) {
        if (backup->nodes[i].owner)
            pst_manifest_release_node(&backup->nodes[i]);
    }
    for (uint32_t i = 0; backup->keys && i < backup->cluster.nodes_count; i++)
        pst_data_key_release(&backup->keys[i]);
    free(backup->nodes);
    free(backup->keys);
    backup->nodes = NULL;
    backup->keys = NULL;
}

/* ---- sums ---- */

static void report_sums(const struct pst_backup *backup, const char *file, const char *what,
                        struct pst_findings *findings)
{
    const struct pst_file_name name = backup_file_name(backup, PST_DIRECTORIES_MAX, file);
    const struct pst_damage damage = {.what = what};
    pst_findings_add_damage(findings, &name, 0, &damage, -PST_E_INCONSISTENT);
}

/* unreadable of a node also counts what its listing could not read, which is in no part. */
static void check_node_sums(const struct pst_backup *backup, uint32_t i, const uint64_t *objects,
                            struct pst_findings *findings)
{
    const struct pst_node_manifest *node = &backup->nodes[i];
    const struct pst_part_sums *sums = &node->common.sums;
    const struct layout_name file = layout_node_manifest(backup->number, node->node);
    struct pst_part_sums parts = {0};
    for (uint32_t j = 0; j < node->parts_count; j++)
        pst_part_sums_add(&parts, &node->parts[j].sums);
    bool has_all = parts.unreadable <= sums->unreadable;
    parts.unreadable = sums->unreadable;
    if (!has_all || memcmp(&parts, sums, sizeof(parts)) != 0)
        report_sums(backup, file.text, "its sums are not those of its parts", findings);
    if (memcmp(sums, &backup->cluster.nodes[i].sums, sizeof(*sums)) != 0)
        report_sums(backup, file.text, "its sums are not those that the cluster manifest names",
                    findings);
    if (objects && objects[i] != sums->objects)
        report_sums(backup, file.text, "it counts other objects than the catalogues have",
                    findings);
}

void pst_backup_check_sums(const struct pst_backup *backup, const uint64_t *objects,
                           struct pst_findings *findings)
{
    struct pst_part_sums nodes = {0};
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++) {
        pst_part_sums_add(&nodes, &backup->cluster.nodes[i].sums);
        if (backup->nodes[i].parts_count > 0)
            check_node_sums(backup, i, objects, findings);
    }
    if (memcmp(&nodes, &backup->cluster.common.sums, sizeof(nodes)) != 0)
        report_sums(backup, layout_cluster_manifest(backup->number).text,
                    "its sums are not those of its nodes", findings);
}
