#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/format/chunk.h"
#include "engine/protocol/debris.h"
#include "engine/repository/archive.h"
#include "engine/repository/layout.h"
#include "io/durable.h"

/* A part that was never begun: created, perhaps preallocated, but without its header. */
static bool is_blank(const char *block, ssize_t bytes)
{
    for (ssize_t i = 0; i < bytes; i++) {
        if (block[i] != 0)
            return false;
    }
    return true;
}

/* Whether a file is the part that this node wrote under that name, of a uid unless it is NULL. Only
 * such files are removed. */
static bool is_own_part(const struct pst_archive *archive, int fd, const char *name,
                        const struct pst_part_identity *named, const uint8_t *uid)
{
    char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    int part_fd = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (part_fd < 0)
        return false;
    ssize_t bytes = pread(part_fd, block, sizeof(block), 0);
    close(part_fd);
    if (bytes < 0)
        return false;
    if (is_blank(block, bytes))
        return true;
    struct pst_damage damage;
    if (pst_part_header_check(block, (uint64_t)bytes, NULL, &damage) < 0)
        return false;
    const struct pst_part_identity *found = &((const struct pst_part_header *)block)->head.identity;
    return found->node == archive->config->node && found->number == named->number &&
           found->part == named->part && found->parts == named->parts &&
           (!uid || memcmp(found->uid, uid, sizeof(found->uid)) == 0);
}

/* "BACKUP-7-PART-1-OF-4" of backup 7. */
static bool parse_part_dir(const char *name, uint32_t number, uint32_t *part, uint32_t *parts)
{
    uint32_t found;
    if (sscanf(name, "BACKUP-%u-PART-%u-OF-%u", &found, part, parts) != 3 || found != number ||
        *part < 1 || *part > *parts || *parts > PST_LDMS_MAX)
        return false;
    return strcmp(pst_name_part_dir(number, *part, *parts).text, name) == 0;
}

static int remove_name(int fd, const char *name)
{
    return unlinkat(fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_part(const struct pst_archive *archive, int backup_fd,
                       const struct pst_part_identity *named, const uint8_t *uid)
{
    struct pst_name path =
        pst_name_part(named->number, archive->config->node, named->part, named->parts);
    struct pst_name directory = pst_name_part_dir(named->number, named->part, named->parts);
    const char *file = strrchr(path.text, '/') + 1;
    int fd = openat(backup_fd, directory.text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int error = 0;
    if (is_own_part(archive, fd, file, named, uid))
        error = remove_name(fd, file);
    close(fd);
    unlinkat(backup_fd, directory.text, AT_REMOVEDIR); /* unless there are others' in it */
    return error;
}

static int remove_parts(const struct pst_archive *archive, int backup_fd, uint32_t number,
                        const uint8_t *uid)
{
    int error = 0;
    int fd = openat(backup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        uint32_t part, parts;
        if (!parse_part_dir(entry->d_name, number, &part, &parts))
            continue;
        struct pst_part_identity named = {
            .number = number, .part = (uint16_t)part, .parts = (uint16_t)parts};
        int part_error = remove_part(archive, backup_fd, &named, uid);
        error = error ? error : part_error;
    }
    closedir(directory);
    return error;
}

/* The manifest first: without it the backup is not prepared any more. The mark last: while it is
 * there, so is something of this node's. */
static int remove_all(const struct pst_archive *archive, int backup_fd, uint32_t number,
                      const uint8_t *uid)
{
    char temporary[PST_NAME_BYTES + 8];
    struct pst_name name = pst_name_node_manifest(number, archive->config->node);
    int error = remove_name(backup_fd, name.text);
    if (!error)
        error = pst_durable_sync_dir(backup_fd, NULL);
    if (!error)
        error = remove_parts(archive, backup_fd, number, uid);
    snprintf(temporary, sizeof(temporary), ".%s.tmp", name.text);
    if (!error)
        error = remove_name(backup_fd, temporary);
    if (!error)
        error = remove_name(backup_fd, pst_archive_cluster_temporary(archive, number).text);
    if (!error)
        error = remove_name(backup_fd, pst_name_mark(number, archive->config->node).text);
    return error;
}

static int open_backup(const struct pst_archive *archive, uint32_t number)
{
    int fd = openat(archive->directory_fd, pst_name_backup(number).text,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int pst_archive_remove(const struct pst_archive *archive, uint32_t number, const uint8_t *uid)
{
    struct pst_name name = pst_name_backup(number);
    int fd = open_backup(archive, number);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    int error = remove_all(archive, fd, number, uid);
    bool is_left = false;
    if (!error) {
        is_left = unlinkat(archive->directory_fd, name.text, AT_REMOVEDIR) < 0 && errno != ENOENT;
        error = pst_durable_sync_dir(is_left ? fd : archive->directory_fd, NULL);
    }
    close(fd);
    if (error)
        pst_log(PST_LOG_ERROR, "%s/%s: cannot be removed: %s", archive->config->directory,
                name.text, pst_error_text(error));
    else
        pst_log(PST_LOG_INFO, "%s/%s: removed: it was never completed%s",
                archive->config->directory, name.text,
                is_left ? "; what is not this node's is left alone" : "");
    return error;
}

static bool has(int backup_fd, const char *name)
{
    return faccessat(backup_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* A process that was killed may have left a decision that is in the cache only, and is believed
 * from here on; and, where another node was first in one directory, a copy half-written. Nothing of
 * a committed backup says any more that a node is at work on it. */
static int believe(const struct pst_archive *archive, int backup_fd, uint32_t number)
{
    unlinkat(backup_fd, pst_name_mark(number, archive->config->node).text, 0);
    if (archive->has_swept)
        return 0;
    unlinkat(backup_fd, pst_archive_cluster_temporary(archive, number).text, 0);
    int error = pst_durable_sync_dir(backup_fd, NULL);
    if (error)
        pst_log(PST_LOG_ERROR, "%s/%s: fsync: %s", archive->config->directory,
                pst_name_backup(number).text, pst_error_text(error));
    return error;
}

static void tell_doubt(const struct pst_archive *archive, uint32_t number,
                       const struct pst_archive_file *node, bool aloud)
{
    struct pst_name name = pst_name_backup(number);
    struct pst_doubt_rep doubt = {.number = number, .nodes = node->nodes};
    if (node->error < 0) {
        pst_log(PST_LOG_WARNING, "%s/%s: left alone: %s: %s", archive->config->directory, name.text,
                pst_name_node_manifest(number, archive->config->node).text,
                pst_error_text(node->error));
        return;
    }
    if (archive->on_doubt && node->cluster_id != archive->config->cluster_id) {
        /* Its nodes are others, who would say that they know nothing of it: so it would go. */
        if (aloud)
            pst_log(
                PST_LOG_WARNING,
                "%s/%s: left alone: in doubt, and of the cluster with the id %08x; a node of that "
                "cluster with this directory can settle it",
                archive->config->directory, name.text, node->cluster_id);
        return;
    }
    if (aloud && node->master_node != archive->config->node)
        pst_log(
            PST_LOG_WARNING,
            "%s/%s: in doubt: node %u, its master, or another that took part has to say whether "
            "it is complete",
            archive->config->directory, name.text, node->master_node);
    if (!archive->on_doubt)
        return;
    doubt.master_ref = pst_ref_make(node->master_node, PST_BLOCK_BACKUP, 1);
    memcpy(doubt.uid, node->uid, sizeof(doubt.uid));
    archive->on_doubt(archive->context, &doubt);
}

/* aloud: a doubt is news. */
static int sweep_backup(struct pst_archive *archive, uint32_t number, bool aloud)
{
    int fd = open_backup(archive, number);
    if (fd < 0)
        return 0;
    struct pst_archive_file node = {.error = -ENOENT};
    /* Nearly all are committed, and all are swept at every backup: no more is read of them. */
    struct pst_debris debris = {
        .is_at_work = archive->backup != 0 && archive->node.common.number == number,
        .is_committed = has(fd, pst_name_cluster_manifest(number).text),
    };
    if (!debris.is_committed)
        pst_archive_read_node(archive, fd, number, &node);
    /* A manifest that nobody can read, or only a newer Penstock, may name others. */
    debris.is_prepared = node.error != -ENOENT;
    debris.is_alone = node.error == 0 && pst_set_count(&node.nodes) == 1;
    enum pst_debris_verdict verdict = pst_debris_judge(&debris);
    if (verdict == PST_DEBRIS_REMOVE && pst_archive_is_others(archive, fd, number))
        verdict = PST_DEBRIS_KEEP;
    int error = 0;
    if (debris.is_committed && !debris.is_at_work)
        error = believe(archive, fd, number);
    close(fd);
    if (verdict == PST_DEBRIS_DOUBT)
        tell_doubt(archive, number, &node, aloud);
    if (verdict == PST_DEBRIS_REMOVE)
        pst_archive_remove(archive, number, NULL);
    return error;
}

int pst_archive_sweep_one(struct pst_archive *archive, uint32_t number)
{
    return sweep_backup(archive, number, true);
}

int pst_archive_sweep(struct pst_archive *archive)
{
    int error = 0;
    int fd = openat(archive->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        error = -errno;
        if (fd >= 0)
            close(fd);
        pst_log(PST_LOG_ERROR, "%s: read the directory: %s", archive->config->directory,
                pst_error_text(error));
        return error;
    }
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        uint32_t number;
        int one = 0;
        if (pst_name_parse_backup(entry->d_name, &number))
            one = sweep_backup(archive, number, !archive->has_swept);
        else
            pst_archive_sweep_temporary(archive, entry->d_name);
        error = error ? error : one;
    }
    closedir(directory);
    archive->has_swept |= !error;
    return error;
}
