/*
 * The passes over everything but data: directories, links, nodes, owners, modes and times. Called
 * by restore.c on its thread; files are finished on the crew's threads.
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

#define OBJECTS_PER_CLAIM 256u

/* A directory of ours that may be there from before: nothing but a directory is kept. */
static int make_directory(int parent_fd, const char *name, bool in_place, mode_t mode)
{
    if (mkdirat(parent_fd, name, mode) == 0)
        return 0;
    if (errno != EEXIST || !in_place)
        return -errno;
    struct stat status;
    int fd = pst_beneath_open(parent_fd, name, O_PATH | O_DIRECTORY, 0);
    if (fd >= 0) {
        int error = fstat(fd, &status) < 0 ? -errno : 0;
        if (!error)
            error = pst_inode_set_mode(fd, (status.st_mode & mode) | 0700);
        close(fd);
        return error;
    }
    if (unlinkat(parent_fd, name, 0) != 0 || mkdirat(parent_fd, name, mode) != 0)
        return -errno;
    return 0;
}

/* Makes and opens a directory directly below fd. */
static int enter(const struct restore_run *run, int fd, const char *name)
{
    int error = make_directory(fd, name, run->target.in_place, 0777 & ~run->mode_mask);
    return error ? error : pst_beneath_open(fd, name, O_RDONLY | O_DIRECTORY, 0);
}

/* DIR, DIR/NAME or DIR/NODE/NAME. */
static int open_source(const struct restore_run *run, uint32_t node_index,
                       const struct pst_manifest_source *source)
{
    int root_fd = run->target.root_fd;
    bool is_alone = restore_nodes(run) == 1;
    char number[16];
    if (is_alone && restore_sources(run, node_index) == 1)
        return pst_beneath_open(root_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    if (is_alone)
        return enter(run, root_fd, source->name);
    snprintf(number, sizeof(number), "%u", run->backup->nodes[node_index].node);
    int node_fd = pst_beneath_open(root_fd, number, O_RDONLY | O_DIRECTORY, 0);
    if (node_fd < 0)
        return node_fd;
    int fd = enter(run, node_fd, source->name);
    close(node_fd);
    return fd;
}

/* DIR/NODE, where there are several. */
static int make_node_directory(const struct restore_run *run, const struct pst_node_manifest *node)
{
    char number[16];
    if (restore_nodes(run) == 1)
        return 0;
    snprintf(number, sizeof(number), "%u", node->node);
    int fd = enter(run, run->target.root_fd, number);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static int open_node(struct restore_run *run, uint32_t node_index)
{
    const struct pst_node_manifest *node = &run->backup->nodes[node_index];
    int made = make_node_directory(run, node);
    if (made < 0)
        return restore_fail(run, made, "could not make the directory of node %u: %s", node->node,
                            pst_error_text(made));
    for (uint32_t i = 0; i < node->sources_count; i++) {
        const struct pst_manifest_source *source = &node->sources[i];
        if ((run->only[node_index] >> source->instance & 1) == 0)
            continue;
        int fd = open_source(run, node_index, source);
        if (fd < 0)
            return restore_fail(run, fd, "could not make the directory of source %s: %s",
                                source->name, pst_error_text(fd));
        *restore_source_slot(run, node_index, source->instance) = fd;
    }
    return 0;
}

static int open_sources(struct restore_run *run)
{
    size_t slots = (size_t)run->backup->cluster.nodes_count * PST_SOURCES_MAX;
    run->source_fds = malloc(slots * sizeof(*run->source_fds));
    if (!run->source_fds)
        return -ENOMEM;
    for (size_t i = 0; i < slots; i++)
        run->source_fds[i] = -1;
    int error = 0;
    for (uint32_t i = 0; !error && i < run->backup->cluster.nodes_count; i++)
        error = run->only[i] ? open_node(run, i) : 0;
    return error;
}

void restore_close_sources(struct restore_run *run)
{
    size_t slots = (size_t)run->backup->cluster.nodes_count * PST_SOURCES_MAX;
    for (size_t i = 0; run->source_fds && i < slots; i++) {
        if (run->source_fds[i] >= 0)
            close(run->source_fds[i]);
    }
    free(run->source_fds);
    run->source_fds = NULL;
}

/* In place, the marker's name is taken. */
static bool is_marker(const struct restore_run *run, const struct pst_object *object)
{
    return run->target.in_place && strcmp(object->path, PST_RESTORE_MARKER) == 0;
}

static int make_room(struct restore_run *run, struct pst_parent *parent,
                     const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    int source_fd = restore_source_fd(run, record);
    if (source_fd < 0)
        return restore_fail_object(run, -PST_E_CORRUPT, record,
                                   "the manifest does not name the source of");
    if (is_marker(run, &object))
        return restore_fail_object(run, -EEXIST, record,
                                   "cannot be restored into a marked directory:");
    bool is_directory = object.type == PST_OBJECT_DIRECTORY;
    if (object.type == PST_OBJECT_ROWS)
        return 0;
    if (object.path[0] == '\0' || (!is_directory && !run->target.in_place))
        return 0;
    const char *name;
    int parent_fd = pst_parent_of(parent, source_fd, object.path, &name);
    int error = parent_fd < 0 ? parent_fd : 0;
    if (!error && is_directory)
        error = make_directory(parent_fd, name, run->target.in_place, 0700);
    else if (!error && unlinkat(parent_fd, name, 0) != 0 && errno != ENOENT)
        error = -errno;
    return error ? restore_fail_object(run, error, record, "could not make room for") : 0;
}

int restore_make_directories(struct restore_run *run)
{
    int error = open_sources(run);
    struct pst_parent parent = PST_PARENT_NONE;
    for (size_t i = 0; !error && i < run->objects.count; i++)
        error = make_room(run, &parent, run->objects.sorted[i]);
    pst_parent_close(&parent);
    return error;
}

static int finish_file(struct restore_run *run, struct pst_parent *parent,
                       const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    if (!restore_is_file(&object) || atomic_load(&record->finished))
        return 0;
    int fd = restore_open(run, parent, record, object.path);
    int error = fd < 0 ? fd : 0;
    if (!error && ftruncate(fd, (off_t)object.size) != 0)
        error = -errno;
    if (!error)
        error = restore_finish_open(run, fd, &object);
    if (fd >= 0 && close(fd) != 0 && errno != EINTR && !error)
        error = -errno;
    return error ? restore_fail_object(run, error, record, "could not finish") : 0;
}

static int finish_files(void *context, uint32_t worker)
{
    (void)worker;
    struct restore_run *run = context;
    struct pst_parent parent = PST_PARENT_NONE;
    int error = 0;
    while (!error) {
        size_t from = atomic_fetch_add(&run->next_object, OBJECTS_PER_CLAIM);
        if (from >= run->objects.count)
            break;
        for (size_t i = from; !error && i < from + OBJECTS_PER_CLAIM && i < run->objects.count; i++)
            error = finish_file(run, &parent, run->objects.sorted[i]);
        if (!error && crew_is_cancelled(&run->options->crew))
            error = -ECANCELED;
    }
    if (error)
        atomic_store(&run->next_object, run->objects.count);
    pst_parent_close(&parent);
    return error;
}

int restore_finish_files(struct restore_run *run)
{
    atomic_store(&run->next_object, 0);
    return crew_run(&run->options->crew, finish_files, restore_report_progress, run);
}

static int make_hard_link(struct restore_run *run, struct pst_parent *other, int parent_fd,
                          const char *name, const struct object_record *record,
                          const struct pst_object *object)
{
    const struct object_record *first =
        objects_find(&run->objects, record->node, object->linked_object);
    if (!first)
        return -PST_E_CORRUPT;
    const struct pst_object first_object = object_of(first);
    if (first_object.type == PST_OBJECT_DIRECTORY || first_object.type == PST_OBJECT_HARD_LINK)
        return -PST_E_CORRUPT;
    const char *first_name;
    int first_fd =
        pst_parent_of(other, restore_source_fd(run, first), first_object.path, &first_name);
    if (first_fd < 0)
        return first_fd;
    return linkat(first_fd, first_name, parent_fd, name, 0) == 0 ? 0 : -errno;
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

static int make_link(struct restore_run *run, struct pst_parent *parent, struct pst_parent *other,
                     const struct object_record *record, bool hard)
{
    const struct pst_object object = object_of(record);
    if (object.type == PST_OBJECT_DIRECTORY || restore_is_file(&object) ||
        object.type == PST_OBJECT_ROWS || object.type == PST_OBJECT_DATABASE ||
        hard != (object.type == PST_OBJECT_HARD_LINK))
        return 0;
    const char *name;
    int parent_fd = pst_parent_of(parent, restore_source_fd(run, record), object.path, &name);
    int error = parent_fd < 0 ? parent_fd : 0;
    if (!error && hard)
        error = make_hard_link(run, other, parent_fd, name, record, &object);
    else if (!error && object.type == PST_OBJECT_SYMLINK)
        error = make_symlink(parent_fd, name, &object);
    else if (!error)
        error = make_node(parent_fd, name, &object);
    if (!error && hard)
        atomic_fetch_add(&run->made, 1);
    else if (!error)
        error = restore_finish_node(run, parent_fd, name, &object);
    return error ? restore_fail_object(run, error, record, "could not make") : 0;
}

/* Hard links last: they may be other names of symlinks and nodes. */
int restore_make_links(struct restore_run *run)
{
    struct pst_parent parent = PST_PARENT_NONE, other = PST_PARENT_NONE;
    int error = 0;
    for (size_t i = 0; !error && i < run->objects.count; i++)
        error = make_link(run, &parent, &other, run->objects.sorted[i], false);
    for (size_t i = 0; !error && i < run->objects.count; i++)
        error = make_link(run, &parent, &other, run->objects.sorted[i], true);
    pst_parent_close(&parent);
    pst_parent_close(&other);
    return error;
}

static int finish_directory(struct restore_run *run, const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    if (object.type != PST_OBJECT_DIRECTORY)
        return 0;
    int fd = pst_beneath_open(restore_source_fd(run, record), object.path[0] ? object.path : ".",
                              O_RDONLY | O_DIRECTORY, 0);
    int error = fd < 0 ? fd : restore_finish_open(run, fd, &object);
    if (fd >= 0)
        close(fd);
    return error ? restore_fail_object(run, error, record, "could not finish") : 0;
}

/* Deepest first, as every entry that is made or removed touches the directory that holds it. */
int restore_finish_directories(struct restore_run *run)
{
    /* a root of its own that no object describes */
    if (!run->target.in_place && fchmod(run->target.root_fd, 0777 & ~run->mode_mask) != 0)
        return restore_fail(run, -errno, "could not set the mode of the target: %s",
                            pst_error_text(-errno));
    int error = 0;
    for (size_t i = run->objects.count; !error && i > 0; i--)
        error = finish_directory(run, run->objects.sorted[i - 1]);
    return error;
}
