/* Which backup a directory BACKUP-<number> holds, by whatever of it is whole. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/repository/backup.h"
#include "io/durable.h"

static bool by_cluster_manifest(int fd, uint32_t number, uint8_t uid[PST_UID_BYTES])
{
    struct pst_cluster_manifest manifest;
    struct pst_damage damage;
    char *bytes;
    size_t size;
    if (pst_small_file_read(fd, pst_name_cluster_manifest(number).text, PST_MANIFEST_BYTES_MAX,
                            &bytes, &size) != 0)
        return false;
    bool whole = pst_cluster_manifest_decode(bytes, size, &manifest, NULL, &damage) == 0;
    free(bytes);
    if (whole)
        memcpy(uid, manifest.common.uid, PST_UID_BYTES);
    return whole;
}

static bool by_node_manifest(int fd, uint32_t number, uint32_t node, uint8_t uid[PST_UID_BYTES],
                             bool *is_of_several)
{
    struct pst_node_manifest manifest;
    struct pst_damage damage;
    char *bytes;
    size_t size;
    if (pst_small_file_read(fd, pst_name_node_manifest(number, node).text, PST_MANIFEST_BYTES_MAX,
                            &bytes, &size) != 0)
        return false;
    bool whole = pst_node_manifest_decode(bytes, size, &manifest, NULL, &damage) == 0;
    free(bytes);
    if (!whole)
        return false;
    memcpy(uid, manifest.common.uid, PST_UID_BYTES);
    *is_of_several = *is_of_several || manifest.participants_count > 1;
    pst_node_manifest_release(&manifest);
    return true;
}

static bool by_header(int dirfd, const char *name, uint32_t number, uint8_t uid[PST_UID_BYTES])
{
    char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_damage damage;
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t bytes = pread(fd, block, sizeof(block), 0);
    close(fd);
    if (bytes < 0 || pst_part_header_check(block, (uint64_t)bytes, NULL, &damage) != 0)
        return false;
    const struct pst_part_header *header = (const struct pst_part_header *)block;
    if (header->head.identity.number != number)
        return false;
    memcpy(uid, header->head.identity.uid, PST_UID_BYTES);
    return true;
}

/* By the header of any part, in this directory or, with deeper, in those directly below it. */
static bool by_part(int backup_fd, const char *name, uint32_t number, bool deeper,
                    uint8_t uid[PST_UID_BYTES])
{
    int fd = openat(backup_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool found = false;
    if (!dir && fd >= 0)
        close(fd);
    while (dir && !found && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, "BACKUP-", strlen("BACKUP-")) == 0)
            found = deeper ? by_part(dirfd(dir), entry->d_name, number, false, uid)
                           : by_header(dirfd(dir), entry->d_name, number, uid);
    }
    if (dir)
        closedir(dir);
    return found;
}

bool pst_backup_identify(int backup_fd, uint32_t number, uint8_t uid[PST_UID_BYTES],
                         bool *is_prepared)
{
    bool found = false;
    *is_prepared = false;
    if (by_cluster_manifest(backup_fd, number, uid))
        return true;
    for (uint32_t node = 1; node <= PST_NODES_MAX && !*is_prepared; node++)
        found = by_node_manifest(backup_fd, number, node, uid, is_prepared) || found;
    return found || by_part(backup_fd, ".", number, true, uid);
}
