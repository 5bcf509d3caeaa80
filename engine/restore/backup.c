#include "engine/restore/backup.h"

#include "io/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pst_file_name pst_backup_file_name(uint32_t number, struct pst_name name)
{
    struct pst_file_name file;
    snprintf(file.text, sizeof(file.text), "%s/%s", pst_name_backup(number).text, name.text);
    return file;
}

/* An error of this system, not of the backup. */
static bool is_our_trouble(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

static void add_error(struct pst_findings *findings, const char *file, int error, const char *what)
{
    const struct pst_damage damage = {.what = what};
    pst_findings_add_damage(findings, file, 0, &damage, error);
}

struct text {
    char *bytes;
    size_t size;
};

/* text.bytes is NULL where a finding was made. */
static int read_manifest(int dirfd, struct pst_name name, const char *file,
                         struct pst_findings *findings, struct text *text)
{
    text->bytes = NULL;
    int error =
        pst_small_file_read(dirfd, name.text, PST_MANIFEST_BYTES_MAX, &text->bytes, &text->size);
    if (error == 0 || is_our_trouble(error))
        return error;
    text->bytes = NULL;
    add_error(findings, file, error == -EFBIG ? -PST_E_CORRUPT : error,
              error == -EFBIG ? "too long for a manifest" : "manifest");
    return 0;
}

static int load_cluster(int dirfd, struct pst_backup *backup, struct pst_findings *findings,
                        uint64_t *files, uint64_t *manifest_bytes)
{
    const struct pst_name name = pst_name_cluster_manifest(backup->number);
    const struct pst_file_name file = pst_backup_file_name(backup->number, name);
    if (faccessat(dirfd, name.text, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return -PST_E_INCOMPLETE;
    struct text text;
    int error = read_manifest(dirfd, name, file.text, findings, &text);
    if (error || text.bytes == NULL)
        return error;
    struct pst_damage damage;
    error = pst_cluster_manifest_decode(text.bytes, text.size, &backup->cluster, NULL, &damage);
    if (!error && backup->cluster.common.number != backup->number) {
        damage = (struct pst_damage){0, text.size, "of another backup number"};
        error = -PST_E_MISPLACED;
    }
    *files += 1;
    *manifest_bytes += text.size;
    free(text.bytes);
    if (error == -ENOMEM)
        return error;
    backup->has_cluster = error == 0;
    if (error)
        pst_findings_add_damage(findings, file.text, 0, &damage, error);
    return 0;
}

static bool same_backup(const struct pst_manifest_common *a, const struct pst_manifest_common *b)
{
    return memcmp(a->uid, b->uid, sizeof(a->uid)) == 0 && a->number == b->number &&
           a->cluster_id == b->cluster_id;
}

/* Decodes and compares with what the cluster manifest says of it. */
static int decode_node(const struct text *text, const struct pst_cluster_manifest *cluster,
                       const struct pst_manifest_node *known, struct pst_node_manifest *node,
                       struct pst_damage *damage)
{
    struct pst_digest digest;
    int error = pst_node_manifest_decode(text->bytes, text->size, node, &digest, damage);
    if (error)
        return error;
    *damage = (struct pst_damage){0, text->size, "not the one that the cluster manifest names"};
    if (!same_backup(&node->common, &cluster->common) || node->node != known->node)
        error = -PST_E_MISPLACED;
    else if (text->size != known->file_bytes || !pst_digest_equal(&digest, &known->digest))
        error = -PST_E_CORRUPT;
    if (error) {
        pst_node_manifest_release(node);
        memset(node, 0, sizeof(*node));
    }
    return error;
}

static int load_node(int dirfd, struct pst_backup *backup, uint32_t i,
                     struct pst_findings *findings, uint64_t *files, uint64_t *manifest_bytes)
{
    const struct pst_manifest_node *known = &backup->cluster.nodes[i];
    const struct pst_name name = pst_name_node_manifest(backup->number, known->node);
    const struct pst_file_name file = pst_backup_file_name(backup->number, name);
    struct text text;
    int error = read_manifest(dirfd, name, file.text, findings, &text);
    if (error || text.bytes == NULL)
        return error;
    struct pst_damage damage;
    error = decode_node(&text, &backup->cluster, known, &backup->nodes[i], &damage);
    *files += 1;
    *manifest_bytes += text.size;
    free(text.bytes);
    if (error == -ENOMEM)
        return error;
    if (error)
        pst_findings_add_damage(findings, file.text, 0, &damage, error);
    return 0;
}

int pst_backup_load(int from_fd, struct pst_backup *backup, struct pst_findings *findings,
                    uint64_t *files, uint64_t *manifest_bytes)
{
    backup->has_cluster = false;
    backup->nodes = NULL;
    const struct pst_name name = pst_name_backup(backup->number);
    const int dirfd = openat(from_fd, name.text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dirfd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -PST_E_NO_BACKUP : -errno;
    int error = load_cluster(dirfd, backup, findings, files, manifest_bytes);
    if (!error && backup->has_cluster) {
        backup->nodes = calloc(backup->cluster.nodes_count, sizeof(*backup->nodes));
        error = backup->nodes ? 0 : -ENOMEM;
        for (uint32_t i = 0; !error && i < backup->cluster.nodes_count; i++)
            error = load_node(dirfd, backup, i, findings, files, manifest_bytes);
    }
    close(dirfd);
    if (error)
        pst_backup_unload(backup);
    return error;
}

void pst_backup_unload(struct pst_backup *backup)
{
    for (uint32_t i = 0; backup->nodes && i < backup->cluster.nodes_count; i++) {
        if (backup->nodes[i].owner)
            pst_node_manifest_release(&backup->nodes[i]);
    }
    free(backup->nodes);
    backup->nodes = NULL;
}
