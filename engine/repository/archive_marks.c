#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/fault_point.h"
#include "engine/format/digest.h"
#include "engine/repository/archive.h"
#include "engine/repository/layout.h"
#include "io/durable.h"

#define UID_TEXT_BYTES (2 * PST_UID_BYTES + 1)

/* ".BACKUP-7.2.tmp": the directory before it has its name. */
static struct pst_name temporary_name(uint32_t number, uint32_t node)
{
    struct pst_name name;
    snprintf(name.text, sizeof(name.text), ".BACKUP-%u.%u.tmp", number, node);
    return name;
}

struct pst_name pst_archive_cluster_temporary(const struct pst_archive *archive, uint32_t number)
{
    struct pst_name name;
    snprintf(name.text, sizeof(name.text), ".BACKUP-%u.cluster.manifest.%u.tmp", number,
             archive->config->node);
    return name;
}

static int write_mark(int fd, uint32_t number, uint32_t node, const uint8_t *uid)
{
    char text[UID_TEXT_BYTES];
    pst_hex_encode(uid, PST_UID_BYTES, text);
    int mark_fd = openat(fd, pst_name_mark(number, node).text,
                         O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (mark_fd < 0)
        return -errno;
    ssize_t written = write(mark_fd, text, UID_TEXT_BYTES - 1);
    int error = written < 0 ? -errno : 0;
    if (close(mark_fd) < 0 && !error)
        error = -errno;
    return !error && written != UID_TEXT_BYTES - 1 ? -ENOSPC : error;
}

static bool has_mark_of(int fd, const char *name, const uint8_t *uid)
{
    char text[UID_TEXT_BYTES], found[UID_TEXT_BYTES];
    pst_hex_encode(uid, PST_UID_BYTES, text);
    int mark_fd = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (mark_fd < 0)
        return false;
    ssize_t bytes = read(mark_fd, found, sizeof(found));
    close(mark_fd);
    return bytes == UID_TEXT_BYTES - 1 && memcmp(found, text, (size_t)bytes) == 0;
}

/* Of any node, if uid is NULL. */
static bool is_marked(int backup_fd, uint32_t number, const uint8_t *uid)
{
    int fd = openat(backup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    bool found = false;
    if (!directory) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (struct dirent *entry = readdir(directory); entry && !found; entry = readdir(directory)) {
        unsigned marked, node;
        if (sscanf(entry->d_name, "BACKUP-%u.%u.mark", &marked, &node) != 2 || marked != number ||
            strcmp(entry->d_name, pst_name_mark(number, node).text) != 0)
            continue;
        found = !uid || has_mark_of(backup_fd, entry->d_name, uid);
    }
    closedir(directory);
    return found;
}

bool pst_archive_is_others(const struct pst_archive *archive, int backup_fd, uint32_t number)
{
    struct pst_name own = pst_name_mark(number, archive->config->node);
    return faccessat(backup_fd, own.text, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
           is_marked(backup_fd, number, NULL);
}

/* Another node was first: of the same backup? */
static int join(const struct pst_archive *archive, const struct pst_define_backup_req *define)
{
    int fd = openat(archive->directory_fd, pst_name_backup(define->number).text,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = -EEXIST;
    if (is_marked(fd, define->number, define->uid))
        error = write_mark(fd, define->number, archive->config->node, define->uid);
    close(fd);
    return error;
}

static void remove_temporary(const struct pst_archive *archive, const char *name, uint32_t number)
{
    int fd = openat(archive->directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        unlinkat(fd, pst_name_mark(number, archive->config->node).text, 0);
        close(fd);
    }
    unlinkat(archive->directory_fd, name, AT_REMOVEDIR);
}

void pst_archive_sweep_temporary(const struct pst_archive *archive, const char *name)
{
    unsigned number, node;
    if (sscanf(name, ".BACKUP-%u.%u.tmp", &number, &node) == 2 && node == archive->config->node &&
        strcmp(name, temporary_name(number, node).text) == 0)
        remove_temporary(archive, name, number);
}

/* It comes to be with its mark inside: whoever finds it sees whose it is. */
int pst_archive_make_shared(const struct pst_archive *archive,
                            const struct pst_define_backup_req *define,
                            struct pst_durable_context *context)
{
    uint32_t number = define->number, node = archive->config->node;
    struct pst_name name = temporary_name(number, node);
    context->failed_step = "make the directory";
    remove_temporary(archive, name.text, number); /* of a killed process */
    if (mkdirat(archive->directory_fd, name.text, 0700) < 0)
        return -errno;
    PST_FAULT_POINT("after", "DIRECTORY_MADE");
    int fd =
        openat(archive->directory_fd, name.text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error = fd < 0 ? -errno : write_mark(fd, number, node, define->uid);
    if (fd >= 0)
        close(fd);
    PST_FAULT_POINT("after", "DIRECTORY_MARKED");
    if (!error)
        error = pst_durable_rename(archive->directory_fd, name.text, archive->directory_fd,
                                   pst_name_backup(number).text, 0, context);
    PST_FAULT_POINT("after", "DIRECTORY_NAMED");
    if (error)
        remove_temporary(archive, name.text, number);
    return error == -EEXIST || error == -ENOTEMPTY ? join(archive, define) : error;
}
