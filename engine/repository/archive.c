#include "engine/repository/archive.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/fault_point.h"
#include "engine/base/log.h"
#include "engine/repository/layout.h"
#include "io/durable.h"

static int failed(const struct pst_archive *archive, const char *name, const char *step, int error)
{
    pst_log(PST_LOG_ERROR, "%s/%s: %s: %s", archive->config->directory, name, step ? step : "write",
            pst_error_text(error));
    return error;
}

/* The same for a name in the directory of the backup in work. */
static int failed_inside(const struct pst_archive *archive, const char *name, const char *step,
                         int error)
{
    char path[2 * PST_NAME_BYTES];
    snprintf(path, sizeof(path), "%s/%s", pst_name_backup(archive->node.common.number).text, name);
    return failed(archive, path, step, error);
}

static int highest_number(int directory_fd, uint32_t *highest)
{
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        int error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    errno = 0;
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        uint32_t number;
        if (pst_name_parse_backup(entry->d_name, &number) && number > *highest)
            *highest = number;
    }
    int error = -errno;
    closedir(directory);
    return error;
}

int pst_archive_number(struct pst_archive *archive, uint32_t wanted, uint32_t *number)
{
    if (wanted != 0) {
        struct pst_name name = pst_name_backup(wanted);
        if (faccessat(archive->directory_fd, name.text, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return failed(archive, name.text, "choose another --number", -PST_E_NUMBER_EXISTS);
        *number = wanted;
        return 0;
    }
    uint32_t highest = 0;
    int error = highest_number(archive->directory_fd, &highest);
    if (error)
        return failed(archive, ".", "read the directory", error);
    if (highest == PST_BACKUP_NUMBER_MAX)
        return failed(archive, ".", "number the backup", -PST_E_NUMBER);
    *number = highest + 1;
    return 0;
}

static int open_backup(const struct pst_archive *archive)
{
    struct pst_name name = pst_name_backup(archive->node.common.number);
    int fd = openat(archive->directory_fd, name.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int make_part_directories(struct pst_archive *archive)
{
    uint32_t number = archive->node.common.number;
    int fd = open_backup(archive);
    if (fd < 0)
        return failed(archive, pst_name_backup(number).text, "open", fd);
    int error = 0;
    for (uint32_t part = 1; part <= archive->parts && !error; part++) {
        struct pst_name name = pst_name_part_dir(number, part, archive->parts);
        if (mkdirat(fd, name.text, 0700) < 0 && !(archive->is_shared && errno == EEXIST))
            error = failed_inside(archive, name.text, "make the directory", -errno);
    }
    close(fd);
    return error;
}

static void begin_manifests(struct pst_archive *archive, const struct pst_define_backup_req *define)
{
    const struct pst_archive_config *config = archive->config;
    memset(&archive->node, 0, sizeof(archive->node));
    memset(&archive->cluster, 0, sizeof(archive->cluster));
    pst_unreadable_clear(archive->unreadable);
    struct pst_manifest_common *common = &archive->node.common;
    memcpy(common->uid, define->uid, sizeof(common->uid));
    common->number = define->number;
    common->cluster_id = config->cluster_id;
    common->started_unix_ns = pst_unix_ns();
    archive->cluster.common = *common;
    archive->cluster.master_node = pst_ref_node(define->master_ref);
    archive->node.master_node = pst_ref_node(define->master_ref);
    for (uint32_t i = 0; i < PST_NODES_MAX; i++) {
        if (pst_set_has(&define->nodes, i))
            archive->node.participants[archive->node.participants_count++] = i + 1;
    }
    archive->node.node = config->node;
    archive->node.chunk_bytes = config->chunk_bytes;
    archive->node.single_threaded = archive->parts == 1; /* one LDM has no proxy either */
    archive->node.sources_count = config->sources_count;
    for (uint32_t i = 0; i < config->sources_count; i++) {
        archive->node.sources[i].name = config->sources[i]->name;
        archive->node.sources[i].spec = config->specs[i];
        archive->node.sources[i].instance = i;
    }
}

int pst_archive_define(struct pst_archive *archive, const struct pst_define_backup_req *define,
                       uint32_t *highest)
{
    if (archive->backup != 0)
        return -PST_E_BUSY;
    /* The master's archive has swept to find the number. */
    if (pst_ref_node(define->master_ref) != archive->config->node) {
        int error = pst_archive_sweep(archive);
        if (error)
            return error;
    }
    archive->backup = pst_uid_low(define->uid);
    archive->directory_made = false;
    archive->is_shared = pst_set_count(&define->nodes) > 1;
    archive->parts = define->flags & PST_BACKUP_SINGLE_THREADED ? 1 : archive->config->ldms;
    begin_manifests(archive, define);
    struct pst_name name = pst_name_backup(define->number);
    struct pst_durable_context context = {.fault = archive->config->fault};
    int error = archive->is_shared
                    ? pst_archive_make_shared(archive, define, &context)
                    : pst_durable_mkdir(archive->directory_fd, name.text, 0700, &context);
    if (error == -EEXIST) {
        error = highest_number(archive->directory_fd, highest);
        error = error ? error : -PST_E_NUMBER_EXISTS;
    }
    if (error)
        return failed(archive, name.text, context.failed_step, error);
    archive->directory_made = true;
    return make_part_directories(archive);
}

static struct pst_part_sums part_sums(const struct pst_sums *sums)
{
    return (struct pst_part_sums){.source_bytes = sums->source_bytes,
                                  .stored_bytes = sums->stored_bytes,
                                  .objects = sums->objects,
                                  .chunks = sums->chunks,
                                  .unreadable = sums->unreadable};
}

static void add_sums(struct pst_part_sums *sums, const struct pst_part_sums *more)
{
    sums->source_bytes += more->source_bytes;
    sums->stored_bytes += more->stored_bytes;
    sums->objects += more->objects;
    sums->chunks += more->chunks;
    sums->unreadable += more->unreadable;
}

void pst_archive_add_part(struct pst_archive *archive, const struct pst_archive_item *part)
{
    if (part->item < 1 || part->item > archive->parts)
        return;
    struct pst_manifest_part *line = &archive->node.parts[part->item - 1];
    archive->node.parts_count += line->part == 0;
    line->part = part->item;
    line->ldm = part->item;
    line->file_bytes = part->file_bytes;
    line->sums = part_sums(&part->sums);
    memcpy(line->digest.bytes, part->digest, sizeof(line->digest.bytes));
}

void pst_archive_add_node(struct pst_archive *archive, const struct pst_archive_item *node)
{
    assert(archive->cluster.nodes_count < PST_NODES_MAX);
    struct pst_manifest_node *line = &archive->cluster.nodes[archive->cluster.nodes_count];
    struct pst_manifest_node added = {
        .node = node->item, .file_bytes = node->file_bytes, .sums = part_sums(&node->sums)};
    memcpy(added.digest.bytes, node->digest, sizeof(added.digest.bytes));
    /* They answer in any order; the manifest has them by number. */
    for (; line > archive->cluster.nodes && line[-1].node > added.node; line--)
        *line = line[-1];
    *line = added;
    archive->cluster.nodes_count++;
    add_sums(&archive->cluster.common.sums, &added.sums);
}

/* The names of the part files: LDMs made their contents durable. */
static int sync_part_directories(const struct pst_archive *archive, int backup_fd)
{
    for (uint32_t part = 1; part <= archive->parts; part++) {
        struct pst_name name = pst_name_part_dir(archive->node.common.number, part, archive->parts);
        int fd = openat(backup_fd, name.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct pst_durable_context context = {.failed_step = "open",
                                              .fault = archive->config->fault};
        int error = fd < 0 ? -errno : pst_durable_sync_dir(fd, &context);
        if (fd >= 0)
            close(fd);
        if (error)
            return failed_inside(archive, name.text, context.failed_step, error);
    }
    return 0;
}

static int write_manifest(const struct pst_archive *archive, int backup_fd, struct pst_name name,
                          const char *temporary, struct pst_manifest_text *text,
                          struct pst_commit *written)
{
    struct pst_durable_context context = {.temporary = temporary, .fault = archive->config->fault};
    int error = pst_durable_write(backup_fd, name.text, text->text, text->bytes, false, &context);
    if (error)
        return failed_inside(archive, name.text, context.failed_step, error);
    written->file_bytes = text->bytes;
    memcpy(written->digest, text->digest.bytes, sizeof(written->digest));
    return 0;
}

static void end_common(struct pst_manifest_common *common, const struct pst_gci *gci)
{
    common->start_gci = gci->start_gci;
    common->stop_gci = gci->stop_gci;
    common->finished_unix_ns = pst_unix_ns();
}

static void name_unreadable(struct pst_archive *archive)
{
    pthread_mutex_lock(&archive->unreadable->lock);
    archive->node.common.sums.unreadable += archive->unreadable->listed;
    archive->node.unreadable_names_count = archive->unreadable->count;
    for (uint32_t i = 0; i < archive->unreadable->count; i++)
        archive->node.unreadable_names[i] = archive->unreadable->names[i];
    pthread_mutex_unlock(&archive->unreadable->lock);
}

int pst_archive_write_node(struct pst_archive *archive, const struct pst_gci *gci,
                           struct pst_commit *written)
{
    struct pst_name name =
        pst_name_node_manifest(archive->node.common.number, archive->config->node);
    end_common(&archive->node.common, gci);
    name_unreadable(archive);
    for (uint32_t i = 0; i < archive->node.sources_count; i++)
        archive->node.sources[i].details = archive->config->sources[i]->details;
    for (uint32_t i = 0; i < archive->parts; i++)
        add_sums(&archive->node.common.sums, &archive->node.parts[i].sums);
    int fd = open_backup(archive);
    if (fd < 0)
        return failed_inside(archive, name.text, "open the directory", fd);
    struct pst_manifest_text text = {0};
    int error = sync_part_directories(archive, fd);
    if (error)
        goto out;
    error = pst_node_manifest_encode(&archive->node, &text);
    if (error)
        failed_inside(archive, name.text, "encode", error);
    else
        error = write_manifest(archive, fd, name, NULL, &text, written);
out:
    free(text.text);
    close(fd);
    return error;
}

int pst_archive_write_cluster(struct pst_archive *archive, const struct pst_gci *gci,
                              struct pst_commit *written)
{
    struct pst_name name = pst_name_cluster_manifest(archive->node.common.number);
    struct pst_name temporary = pst_archive_cluster_temporary(archive, archive->node.common.number);
    end_common(&archive->cluster.common, gci);
    int fd = open_backup(archive);
    if (fd < 0)
        return failed_inside(archive, name.text, "open the directory", fd);
    struct pst_manifest_text text = {0};
    int error = pst_cluster_manifest_encode(&archive->cluster, &text);
    if (error)
        failed_inside(archive, name.text, "encode", error);
    else
        error = write_manifest(archive, fd, name, temporary.text, &text, written);
    free(text.text);
    close(fd);
    return error;
}

bool pst_archive_is_committed(const struct pst_archive *archive)
{
    struct pst_name name = pst_name_cluster_manifest(archive->node.common.number);
    int fd = open_backup(archive);
    if (fd < 0)
        return false;
    bool is = faccessat(fd, name.text, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    close(fd);
    return is;
}

int pst_archive_store_cluster(struct pst_archive *archive, uint32_t number, const char *bytes,
                              size_t size)
{
    struct pst_name backup = pst_name_backup(number);
    struct pst_name name = pst_name_cluster_manifest(number);
    struct pst_name temporary = pst_archive_cluster_temporary(archive, number);
    struct pst_durable_context context = {.temporary = temporary.text,
                                          .fault = archive->config->fault};
    int fd =
        openat(archive->directory_fd, backup.text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(archive, backup.text, "open", -errno);
    int error = pst_durable_write(fd, name.text, bytes, size, false, &context);
    if (error == -EEXIST) /* a node with the same directory was first */
        error = pst_durable_sync_dir(fd, &context);
    close(fd);
    return error ? failed(archive, name.text, context.failed_step, error) : 0;
}

void pst_archive_leave(struct pst_archive *archive)
{
    archive->backup = 0;
    pst_archive_sweep_one(archive, archive->node.common.number);
}

int pst_archive_commit(struct pst_archive *archive)
{
    struct pst_name name = pst_name_cluster_manifest(archive->node.common.number);
    int fd = open_backup(archive);
    if (fd < 0) {
        failed_inside(archive, name.text, "open the directory", fd);
        pst_archive_leave(archive);
        return fd;
    }
    int error = faccessat(fd, name.text, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    if (!error)
        unlinkat(fd, pst_name_mark(archive->node.common.number, archive->config->node).text, 0);
    close(fd);
    archive->backup = 0;
    if (!error)
        return 0;
    failed_inside(archive, name.text, "find", error);
    pst_archive_leave(archive);
    return error;
}

/* In a shared directory another node may still have something. */
static bool is_left_to_others(const struct pst_archive *archive)
{
    return archive->is_shared && (errno == ENOTEMPTY || errno == EEXIST);
}

static int remove_name(const struct pst_archive *archive, int fd, const char *name, int flags)
{
    int error = PST_FAULT_ERROR("NAME_REMOVED");
    if (!error && unlinkat(fd, name, flags) < 0 && errno != ENOENT && !is_left_to_others(archive))
        error = -errno;
    PST_FAULT_POINT("after", "NAME_REMOVED");
    return error ? failed_inside(archive, name, "remove it by hand", error) : 0;
}

static int remove_files(const struct pst_archive *archive, int fd)
{
    uint32_t number = archive->node.common.number;
    int error =
        remove_name(archive, fd, pst_name_node_manifest(number, archive->config->node).text, 0);
    for (uint32_t part = 1; part <= archive->parts; part++) {
        struct pst_name name = pst_name_part_dir(number, part, archive->parts);
        int part_error = remove_name(archive, fd, name.text, AT_REMOVEDIR);
        error = error ? error : part_error;
    }
    if (!error && archive->is_shared) /* last: what has it is this node's still */
        error = remove_name(archive, fd, pst_name_mark(number, archive->config->node).text, 0);
    return error;
}

static int remove_backup(struct pst_archive *archive)
{
    struct pst_name backup = pst_name_backup(archive->node.common.number);
    struct pst_durable_context context = {.fault = archive->config->fault};
    int fd = open_backup(archive);
    if (fd < 0)
        return fd == -ENOENT ? 0 : failed(archive, backup.text, "open", fd);
    int error = remove_files(archive, fd);
    if (error)
        goto out;
    if (unlinkat(archive->directory_fd, backup.text, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        error = pst_durable_sync_dir(archive->directory_fd, &context);
    } else if (is_left_to_others(archive)) {
        error = pst_durable_sync_dir(fd, &context);
    } else {
        error = -errno;
        context.failed_step = "remove it by hand";
    }
    if (error)
        failed(archive, backup.text, context.failed_step, error);
out:
    close(fd);
    return error;
}

int pst_archive_clean_up(struct pst_archive *archive)
{
    int error = archive->directory_made ? remove_backup(archive) : 0;
    archive->backup = 0;
    if (error)
        pst_archive_leave(archive);
    else
        archive->directory_made = false;
    return error;
}
