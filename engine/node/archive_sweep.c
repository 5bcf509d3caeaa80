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
#include "engine/format/names.h"
#include "engine/node/archive.h"
#include "engine/protocol/debris.h"
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

/* Whether a file is the part that this node wrote under that name. Only such files are removed. */
static bool is_own_part(const struct pst_archive *archive, int fd, const char *name,
                        const struct pst_part_identity *named)
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
           found->part == named->part && found->parts == named->parts;
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

static void sweep_part(struct pst_archive *archive, int backup_fd, uint32_t number, uint32_t part,
                       uint32_t parts)
{
    struct pst_name path = pst_name_part(number, archive->config->node, part, parts);
    struct pst_name directory = pst_name_part_dir(number, part, parts);
    const char *file = strrchr(path.text, '/') + 1;
    struct pst_part_identity named = {
        .number = number, .part = (uint16_t)part, .parts = (uint16_t)parts};
    int fd = openat(backup_fd, directory.text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (is_own_part(archive, fd, file, &named))
        unlinkat(fd, file, 0);
    close(fd);
    unlinkat(backup_fd, directory.text, AT_REMOVEDIR);
}

static void sweep_parts(struct pst_archive *archive, int backup_fd, uint32_t number)
{
    int fd = openat(backup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        uint32_t part, parts;
        if (parse_part_dir(entry->d_name, number, &part, &parts))
            sweep_part(archive, backup_fd, number, part, parts);
    }
    closedir(directory);
}

static void remove_manifests(struct pst_archive *archive, int backup_fd, uint32_t number)
{
    struct pst_name node = pst_name_node_manifest(number, archive->config->node);
    struct pst_name cluster = pst_name_cluster_manifest(number);
    char temporary[PST_NAME_BYTES + 8];
    unlinkat(backup_fd, node.text, 0);
    snprintf(temporary, sizeof(temporary), ".%s.tmp", node.text);
    unlinkat(backup_fd, temporary, 0);
    snprintf(temporary, sizeof(temporary), ".%s.tmp", cluster.text);
    unlinkat(backup_fd, temporary, 0);
    unlinkat(backup_fd, pst_name_mark(number, archive->config->node).text, 0);
}

static bool has(int backup_fd, const char *name)
{
    return faccessat(backup_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* Whether this node is prepared, and nobody else. A node manifest that nobody can read, or only a
 * newer Penstock, may name others. */
static void read_node_manifest(struct pst_archive *archive, int backup_fd, uint32_t number,
                               struct pst_debris *debris)
{
    struct pst_name name = pst_name_node_manifest(number, archive->config->node);
    struct pst_node_manifest manifest;
    struct pst_damage damage;
    char *bytes;
    size_t size;
    int error = pst_small_file_read(backup_fd, name.text, PST_MANIFEST_BYTES_MAX, &bytes, &size);
    debris->is_prepared = error != -ENOENT;
    if (error < 0)
        return;
    if (pst_node_manifest_decode(bytes, size, &manifest, NULL, &damage) == 0) {
        debris->is_alone = manifest.participants_count == 1;
        pst_node_manifest_release(&manifest);
    }
    free(bytes);
}

/* A process that was killed may have left a decision that is in the cache only, and is believed
 * from here on. */
static void sync_name(const struct pst_archive *archive, int backup_fd, const struct pst_name *name)
{
    int error = pst_durable_sync_dir(backup_fd, NULL);
    if (error < 0)
        pst_log(PST_LOG_WARNING, "%s/%s: fsync: %s", archive->config->directory, name->text,
                pst_error_text(error));
}

static void sweep_backup(struct pst_archive *archive, uint32_t number)
{
    struct pst_name name = pst_name_backup(number);
    int fd =
        openat(archive->directory_fd, name.text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Nearly all are, and all of them are swept at every backup: nothing more is read of them. */
    struct pst_debris debris = {
        .is_at_work = archive->backup != 0 && archive->node.common.number == number,
        .is_committed = has(fd, pst_name_cluster_manifest(number).text),
    };
    if (!debris.is_committed && pst_archive_is_others(archive, fd, number)) {
        close(fd);
        return;
    }
    if (!debris.is_committed)
        read_node_manifest(archive, fd, number, &debris);
    enum pst_debris_verdict verdict = pst_debris_judge(&debris);
    if (verdict == PST_DEBRIS_DOUBT)
        pst_log(PST_LOG_WARNING, "%s/%s: left alone: in doubt until the other nodes are asked",
                archive->config->directory, name.text);
    if (debris.is_committed && !archive->has_swept)
        sync_name(archive, fd, &name);
    if (debris.is_committed && !debris.is_at_work)
        unlinkat(fd, pst_name_mark(number, archive->config->node).text, 0);
    if (verdict != PST_DEBRIS_REMOVE) {
        close(fd);
        return;
    }
    sweep_parts(archive, fd, number);
    remove_manifests(archive, fd, number);
    close(fd);
    if (unlinkat(archive->directory_fd, name.text, AT_REMOVEDIR) == 0)
        pst_log(PST_LOG_INFO, "%s/%s: removed: an earlier backup that was never completed",
                archive->config->directory, name.text);
    else
        pst_log(PST_LOG_WARNING,
                "%s/%s: never completed, but not all in it is this node's: left alone",
                archive->config->directory, name.text);
}

void pst_archive_sweep(struct pst_archive *archive)
{
    int fd = openat(archive->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        uint32_t number;
        if (pst_name_parse_backup(entry->d_name, &number))
            sweep_backup(archive, number);
        else
            pst_archive_sweep_temporary(archive, entry->d_name);
    }
    archive->has_swept = true;
    closedir(directory);
}
