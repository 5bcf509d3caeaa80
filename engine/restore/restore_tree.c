/*
 * The passes after the data: links, nodes, owners, modes and times; directories last. Called
 * by restore.c on its thread; what is done for each object runs on the crew's threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/restore/restore_object.h"
#include "engine/restore/restore_passes.h"
#include "io/inode.h"

/* Blocks that were allocated in advance and not written are given back. */
static void give_back(const struct object_record *record, int fd, const struct pst_object *object)
{
    if (!record->allocated || atomic_load(&record->received) >= object->size)
        return;
    for (off_t at = 0, end; at < (off_t)object->size; at = end) {
        at = lseek(fd, at, SEEK_HOLE);
        if (at < 0 || at >= (off_t)object->size)
            return;
        end = lseek(fd, at, SEEK_DATA);
        if (end < 0)
            end = (off_t)object->size;
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, end - at) < 0)
            return;
    }
}

/* A file that was cut before it was read, or replaced by a shorter one, does not end in zeros up to
 * the size that was listed. Where it lacks data it ends with the last byte that was read; if only
 * a hole was cut, where the file ended then. */
static int set_size(int fd, const struct object_record *record, const struct pst_object *object)
{
    struct stat status;
    uint64_t listed_bytes;
    off_t size = (off_t)object->size, end = size - (off_t)atomic_load(&record->cut);
    bool lacks_data =
        pst_object_data_bytes(object, &listed_bytes) && contents_bytes(record) < listed_bytes;
    if (object->flags == PST_OBJECT_CHANGED && (lacks_data || end < size)) {
        if (fstat(fd, &status) < 0)
            return -errno;
        size = lacks_data || end < status.st_size ? status.st_size : end;
    }
    return ftruncate(fd, size) < 0 ? -errno : 0;
}

static int finish_contents(struct restore_run *run, struct pst_parent *parent,
                           struct object_record *record, const struct pst_object *object)
{
    int fd = restore_open(run, parent, record, object->path, 0600);
    if (fd < 0)
        return restore_miss(run, fd, record, "could not create");
    int error = set_size(fd, record, object);
    if (error)
        error = restore_miss(run, error, record, "could not set the size of");
    give_back(record, fd, object);
    if (!error && !atomic_load(&record->failed))
        error = restore_finish_open(run, fd, record);
    if (close(fd) < 0 && errno != EINTR && !error)
        error = restore_miss(run, -errno, record, "could not write");
    return error;
}

/* Most are finished when they are written. */
static int finish_file(struct restore_run *run, struct pst_parent parents[2],
                       struct object_record *record)
{
    bool is_failed = atomic_load(&record->failed), is_finished = atomic_load(&record->finished);
    if (!is_failed && is_finished && !run->swaps)
        return 0;
    const struct pst_object object = object_of(record);
    int error = 0;
    if (!restore_is_file(&object))
        return 0;
    restore_begin(run, record, "finish");
    if (!is_failed && !is_finished)
        error = restore_has_nothing_of(record) ? restore_miss_contents(run, record)
                                               : finish_contents(run, &parents[0], record, &object);
    if (!error)
        error = restore_take_name(run, &parents[0], record);
    if (!error && atomic_load(&record->failed))
        error = restore_set_aside(run, &parents[0], record);
    pst_activity_end();
    return error;
}

int restore_finish_files(struct restore_run *run)
{
    return restore_each(run, run->objects.listed, run->objects.count, finish_file);
}

static int make_node(int parent_fd, const char *name, const struct pst_object *object)
{
    return mknodat(parent_fd, name, restore_format(object->type) | 0600, restore_device(object)) < 0
               ? -errno
               : 0;
}

static int make_symlink(int parent_fd, const char *name, const struct pst_object *object)
{
    return symlinkat(object->link, parent_fd, name) == 0 ? 0 : -errno;
}

/* What cannot be opened. */
static int make_other(struct restore_run *run, int parent_fd, const char *name,
                      const struct object_record *record, const struct pst_object *object)
{
    int error = object->type == PST_OBJECT_SYMLINK ? make_symlink(parent_fd, name, object)
                                                   : make_node(parent_fd, name, object);
    return error ? error : restore_finish_node(run, parent_fd, name, record);
}

/* Data where there is data. */
static int copy_contents(int from, int to, uint8_t *buffer, size_t bytes)
{
    struct stat status;
    for (off_t at = 0;;) {
        at = lseek(from, at, SEEK_DATA);
        ssize_t got = at < 0 ? 0 : pread(from, buffer, bytes, at);
        if (got < 0 || (at < 0 && errno != ENXIO))
            return -errno;
        if (got == 0)
            break;
        for (ssize_t done = 0, wrote; done < got; done += wrote) {
            wrote = pwrite(to, buffer + done, (size_t)(got - done), at + done);
            if (wrote < 0)
                return -errno;
        }
        at += got;
    }
    return fstat(from, &status) < 0 || ftruncate(to, status.st_size) < 0 ? -errno : 0;
}

/* Where the target takes no link, or no more of them. */
static int make_copy(struct restore_run *run, int first_fd, const char *first_name, int parent_fd,
                     const char *name, const struct object_record *first)
{
    size_t bytes = 1 << 18;
    uint8_t *buffer = malloc(bytes);
    if (!buffer)
        return -ENOMEM;
    int from = pst_beneath_open(first_fd, first_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    int to = from < 0 ? from : pst_beneath_open(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    int error = to < 0 ? to : copy_contents(from, to, buffer, bytes);
    if (!error)
        error = restore_finish_open(run, to, first);
    if (to >= 0 && close(to) < 0 && errno != EINTR && !error)
        error = -errno;
    if (to >= 0 && error)
        (void)!unlinkat(parent_fd, name, 0);
    if (from >= 0)
        close(from);
    free(buffer);
    return error;
}

static int make_hard_link(struct restore_run *run, struct pst_parent *other, int parent_fd,
                          const char *name, struct object_record *record,
                          const struct pst_object *object)
{
    const struct object_record *first =
        objects_find(&run->objects, record->node, object->linked_object);
    if (!first)
        return -PST_E_CORRUPT;
    const struct pst_object first_object = object_of(first);
    if (first_object.type == PST_OBJECT_DIRECTORY || first_object.type == PST_OBJECT_HARD_LINK ||
        first_object.type == PST_OBJECT_ROWS || first_object.type == PST_OBJECT_DATABASE)
        return -PST_E_CORRUPT;
    if (restore_is_left_out(run, &first_object)) {
        atomic_fetch_add(&run->left_out, 1);
        return 0;
    }
    if (atomic_load(&first->failed))
        return restore_miss(run, -ENOENT, record, "is another name of what is not restored whole:");
    const char *first_name;
    int first_fd =
        pst_parent_of(other, restore_source_fd(run, first), first_object.path, &first_name);
    if (first_fd < 0)
        return first_fd;
    if (run->swaps || (run->target.in_place && restore_waits_for_contents(&first_object))) {
        int cleared = restore_clear_way(run, parent_fd, name, object);
        if (cleared)
            return cleared;
    }
    if (linkat(first_fd, first_name, parent_fd, name, 0) == 0) {
        atomic_fetch_add(&run->made, 1);
        return 0;
    }
    int error = -errno;
    if (error == -EEXIST || error == -ENOENT)
        return error;
    int copied = restore_is_file(&first_object)
                     ? make_copy(run, first_fd, first_name, parent_fd, name, first)
                     : make_other(run, parent_fd, name, first, &first_object);
    return copied ? copied
                  : restore_miss_part(run, error, record, "could not be linked, and was copied:");
}

static int make_link(struct restore_run *run, struct pst_parent parents[2],
                     struct object_record *record, const struct pst_object *object)
{
    const char *name;
    int parent_fd = pst_parent_of(&parents[0], restore_source_fd(run, record), object->path, &name);
    if (parent_fd < 0)
        return parent_fd;
    if (object->type == PST_OBJECT_HARD_LINK)
        return make_hard_link(run, &parents[1], parent_fd, name, record, object);
    int error = run->swaps ? restore_clear_way(run, parent_fd, name, object) : 0;
    if (!error)
        error = make_other(run, parent_fd, name, record, object);
    return error ? error : restore_note_placed(run, parent_fd, name);
}

static int make_one_of(struct restore_run *run, struct pst_parent parents[2],
                       struct object_record *record, uint32_t types)
{
    if ((types >> object_type(record) & 1) == 0 || atomic_load(&record->failed))
        return 0;
    const struct pst_object object = object_of(record);
    if (restore_is_left_out(run, &object)) {
        atomic_fetch_add(&run->left_out, 1);
        return 0;
    }
    restore_begin(run, record, "make");
    int error = make_link(run, parents, record, &object);
    pst_activity_end();
    return error ? restore_miss(run, error, record, "could not make") : 0;
}

#define HARD_LINKS (1u << PST_OBJECT_HARD_LINK)
#define OTHERS                                                                                     \
    (1u << PST_OBJECT_SYMLINK | 1u << PST_OBJECT_BLOCK_DEVICE |                                    \
     1u << PST_OBJECT_CHARACTER_DEVICE | 1u << PST_OBJECT_FIFO | 1u << PST_OBJECT_SOCKET)

static int make_if_other(struct restore_run *run, struct pst_parent parents[2],
                         struct object_record *record)
{
    return make_one_of(run, parents, record, OTHERS);
}

static int make_if_hard_link(struct restore_run *run, struct pst_parent parents[2],
                             struct object_record *record)
{
    return make_one_of(run, parents, record, HARD_LINKS);
}

/* Hard links last: they may be other names of symlinks and nodes. */
int restore_make_links(struct restore_run *run)
{
    const struct objects *objects = &run->objects;
    int error = 0;
    if (objects->types & OTHERS)
        error = restore_each(run, objects->listed, objects->count, make_if_other);
    if (!error && (objects->types & HARD_LINKS))
        error = restore_each(run, objects->listed, objects->count, make_if_hard_link);
    run->result->left_out = atomic_load(&run->left_out);
    return error;
}

/* The target itself comes last. */
static bool is_root(const struct restore_run *run, const struct object_record *record,
                    const struct pst_object *object)
{
    return object->path[0] == '\0' && restore_nodes(run) == 1 &&
           restore_sources(run, record->node) == 1;
}

static int finish_directory(struct restore_run *run, struct pst_parent parents[2],
                            struct object_record *record)
{
    (void)parents;
    const struct pst_object object = object_of(record);
    if (atomic_load(&record->failed))
        return 0;
    if (object.path[0] == '\0')
        run->made_sources[record->node] &= ~(UINT64_C(1) << pst_object_source(object.id));
    if (is_root(run, record, &object)) {
        run->root = record;
        return 0;
    }
    restore_begin(run, record, "finish");
    int fd = pst_beneath_open(restore_source_fd(run, record), object.path[0] ? object.path : ".",
                              O_RDONLY | O_DIRECTORY, 0);
    int error = fd < 0 ? restore_miss(run, fd, record, "could not open")
                       : restore_finish_open(run, fd, record);
    if (fd >= 0)
        close(fd);
    pst_activity_end();
    return error;
}

/* Those that no object describes. */
static int finish_plain_directories(struct restore_run *run)
{
    mode_t mode = 0777 & ~run->mode_mask;
    int error = 0;
    for (uint32_t i = 0; !error && i < run->backup->cluster.nodes_count; i++) {
        for (uint32_t j = 0; !error && j < PST_SOURCES_MAX; j++)
            if (run->made_sources[i] >> j & 1)
                error = pst_inode_set_mode(*restore_source_slot(run, i, j), mode);
        if (error || !run->made_nodes[i])
            continue;
        char number[16];
        snprintf(number, sizeof(number), "%u", run->backup->nodes[i].node);
        int fd = pst_beneath_open(run->target.root_fd, number, O_RDONLY | O_DIRECTORY, 0);
        error = fd < 0 ? fd : pst_inode_set_mode(fd, mode);
        if (fd >= 0)
            close(fd);
    }
    return error ? restore_fail(run, error, "could not set the mode of a directory: %s",
                                pst_error_text(error))
                 : 0;
}

/* Deepest first: a directory may get a mode by which nothing below it can be opened. Those of
 * sources, which share what is noted of them, on this thread. */
int restore_finish_directories(struct restore_run *run)
{
    struct pst_parent none[2] = {PST_PARENT_NONE, PST_PARENT_NONE};
    int error = 0;
    for (size_t depth = RESTORE_DEPTHS - 1; !error && depth > 0; depth--)
        error = restore_each_of_depth(run, depth, finish_directory);
    for (size_t i = 0; !error && i < run->levels[1]; i++)
        error = finish_directory(run, none, run->directories[i]);
    return error ? error : finish_plain_directories(run);
}

int restore_finish_root(struct restore_run *run)
{
    if (run->root)
        return restore_finish_open(run, run->target.root_fd, run->root);
    if (run->target.in_place)
        return 0;
    int error = pst_inode_set_mode(run->target.root_fd, 0777 & ~run->mode_mask);
    return error ? restore_fail(run, error, "could not set the mode of the target: %s",
                                pst_error_text(error))
                 : 0;
}
