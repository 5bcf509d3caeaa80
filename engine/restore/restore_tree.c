/* Everything of a restore but the data: directories, links, nodes, owners, modes, times. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/restore/restore_internal.h"

#define OBJECTS_PER_CLAIM 256u
#define UNREADABLE_LOGGED_MAX 20u

static int *source_slot(const struct pst_restore_run *run, uint32_t node, uint32_t instance)
{
    return &run->source_fds[(size_t)node * PST_SOURCES_MAX + instance];
}

int pst_restore_source_fd(const struct pst_restore_run *run, const struct pst_object_record *record)
{
    return *source_slot(run, record->node, pst_object_source(pst_object_of(record).id));
}

/* A directory of ours that may be there from before: nothing but a directory is kept. */
static int make_directory(int parent_fd, const char *name, bool in_place, mode_t mode)
{
    if (mkdirat(parent_fd, name, mode) == 0)
        return 0;
    if (errno != EEXIST || !in_place)
        return -errno;
    struct stat status;
    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (S_ISDIR(status.st_mode)) {
        mode_t wanted = (status.st_mode & 07777) | 0700;
        return fchmodat(parent_fd, name, wanted, 0) == 0 ? 0 : -errno;
    }
    if (unlinkat(parent_fd, name, 0) != 0 || mkdirat(parent_fd, name, mode) != 0)
        return -errno;
    return 0;
}

/* Makes and opens a directory directly below fd. */
static int enter(const struct pst_restore_run *run, int fd, const char *name)
{
    int error = make_directory(fd, name, run->target.in_place, 0777 & ~run->mode_mask);
    return error ? error : pst_beneath_open(fd, name, O_RDONLY | O_DIRECTORY, 0);
}

/* DIR, DIR/NAME or DIR/NODE/NAME. */
static int open_source(const struct pst_restore_run *run, uint32_t node_index,
                       const struct pst_manifest_source *source)
{
    int root_fd = run->target.root_fd;
    bool is_alone = pst_restore_nodes(run) == 1;
    char number[16];
    if (is_alone && pst_restore_sources(run, node_index) == 1)
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
static int make_node_directory(const struct pst_restore_run *run,
                               const struct pst_node_manifest *node)
{
    char number[16];
    if (pst_restore_nodes(run) == 1)
        return 0;
    snprintf(number, sizeof(number), "%u", node->node);
    int fd = enter(run, run->target.root_fd, number);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static int open_node(struct pst_restore_run *run, uint32_t node_index)
{
    const struct pst_node_manifest *node = &run->backup->nodes[node_index];
    int made = make_node_directory(run, node);
    if (made < 0)
        return pst_restore_fail(run, made, "could not make the directory of node %u: %s",
                                node->node, pst_error_text(made));
    for (uint32_t i = 0; i < node->sources_count; i++) {
        const struct pst_manifest_source *source = &node->sources[i];
        if ((run->only[node_index] >> source->instance & 1) == 0)
            continue;
        int fd = open_source(run, node_index, source);
        if (fd < 0)
            return pst_restore_fail(run, fd, "could not make the directory of source %s: %s",
                                    source->name, pst_error_text(fd));
        *source_slot(run, node_index, source->instance) = fd;
    }
    return 0;
}

static int open_sources(struct pst_restore_run *run)
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

void pst_restore_close_sources(struct pst_restore_run *run)
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
static bool is_marker(const struct pst_restore_run *run, const struct pst_object *object)
{
    return run->target.in_place && strcmp(object->path, PST_RESTORE_MARKER) == 0;
}

static int make_room(struct pst_restore_run *run, struct pst_parent *parent,
                     const struct pst_object_record *record)
{
    const struct pst_object object = pst_object_of(record);
    int source_fd = pst_restore_source_fd(run, record);
    if (source_fd < 0)
        return pst_restore_fail_object(run, -PST_E_CORRUPT, record,
                                       "the manifest does not name the source of");
    if (is_marker(run, &object))
        return pst_restore_fail_object(run, -EEXIST, record,
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
    return error ? pst_restore_fail_object(run, error, record, "could not make room for") : 0;
}

int pst_restore_make_directories(struct pst_restore_run *run)
{
    int error = open_sources(run);
    struct pst_parent parent = PST_PARENT_NONE;
    for (size_t i = 0; !error && i < run->objects.count; i++)
        error = make_room(run, &parent, run->objects.sorted[i]);
    pst_parent_close(&parent);
    return error;
}

static void times_of(const struct pst_object *object, struct timespec times[2])
{
    times[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    times[1] = (struct timespec){.tv_sec = object->mtime_sec, .tv_nsec = object->mtime_nsec};
}

/* Owner before mode: chown(2) clears the set-user-ID bits. */
static int set_metadata(const struct pst_restore_run *run, int fd, const struct pst_object *object)
{
    struct timespec times[2];
    times_of(object, times);
    if (run->is_root && fchown(fd, object->uid, object->gid) != 0)
        return -errno;
    if (fchmod(fd, object->mode) != 0 || futimens(fd, times) != 0)
        return -errno;
    return 0;
}

/* The same for what cannot be opened. */
static int set_metadata_at(const struct pst_restore_run *run, int parent_fd, const char *name,
                           const struct pst_object *object)
{
    struct timespec times[2];
    times_of(object, times);
    if (run->is_root &&
        fchownat(parent_fd, name, object->uid, object->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (object->type != PST_OBJECT_SYMLINK && fchmodat(parent_fd, name, object->mode, 0) != 0)
        return -errno;
    return utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

static void note_unreadable(struct pst_restore_run *run, const struct pst_object *object)
{
    if (object->flags == 0)
        return;
    pthread_mutex_lock(&run->mutex);
    uint64_t known = run->result->unreadable++;
    pthread_mutex_unlock(&run->mutex);
    if (known >= UNREADABLE_LOGGED_MAX)
        return;
    char path[PST_PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s", object->path);
    pst_restore_make_printable(path);
    pst_log(PST_LOG_WARNING, "%s: the backup does not have all of it: it %s", path,
            object->flags & PST_OBJECT_UNREADABLE ? "could not be read"
                                                  : "changed while it was read");
}

int pst_restore_finish_open(struct pst_restore_run *run, int fd, const struct pst_object *object)
{
    int error = set_metadata(run, fd, object);
    if (error)
        return error;
    note_unreadable(run, object);
    atomic_fetch_add(&run->made, 1);
    return 0;
}

static int finish_file(struct pst_restore_run *run, struct pst_parent *parent,
                       const struct pst_object_record *record)
{
    const struct pst_object object = pst_object_of(record);
    if (!pst_restore_is_file(&object) || atomic_load(&record->finished))
        return 0;
    int fd = pst_restore_open(run, parent, record, object.path);
    int error = fd < 0 ? fd : 0;
    if (!error && ftruncate(fd, (off_t)object.size) != 0)
        error = -errno;
    if (!error)
        error = pst_restore_finish_open(run, fd, &object);
    if (fd >= 0 && close(fd) != 0 && errno != EINTR && !error)
        error = -errno;
    return error ? pst_restore_fail_object(run, error, record, "could not finish") : 0;
}

static int finish_files(void *context, uint32_t worker)
{
    (void)worker;
    struct pst_restore_run *run = context;
    struct pst_parent parent = PST_PARENT_NONE;
    int error = 0;
    while (!error) {
        size_t from = atomic_fetch_add(&run->next_object, OBJECTS_PER_CLAIM);
        if (from >= run->objects.count)
            break;
        for (size_t i = from; !error && i < from + OBJECTS_PER_CLAIM && i < run->objects.count; i++)
            error = finish_file(run, &parent, run->objects.sorted[i]);
        if (!error && pst_crew_is_cancelled(&run->options->crew))
            error = -ECANCELED;
    }
    if (error)
        atomic_store(&run->next_object, run->objects.count);
    pst_parent_close(&parent);
    return error;
}

int pst_restore_finish_files(struct pst_restore_run *run)
{
    atomic_store(&run->next_object, 0);
    return pst_crew_run(&run->options->crew, finish_files, pst_restore_tell_progress, run);
}

static int make_hard_link(struct pst_restore_run *run, struct pst_parent *other, int parent_fd,
                          const char *name, const struct pst_object_record *record,
                          const struct pst_object *object)
{
    const struct pst_object_record *first =
        pst_objects_find(&run->objects, record->node, object->linked_object);
    if (!first)
        return -PST_E_CORRUPT;
    const struct pst_object first_object = pst_object_of(first);
    if (first_object.type == PST_OBJECT_DIRECTORY || first_object.type == PST_OBJECT_HARD_LINK)
        return -PST_E_CORRUPT;
    const char *first_name;
    int first_fd =
        pst_parent_of(other, pst_restore_source_fd(run, first), first_object.path, &first_name);
    if (first_fd < 0)
        return first_fd;
    return linkat(first_fd, first_name, parent_fd, name, 0) == 0 ? 0 : -errno;
}

static int make_node(int parent_fd, const char *name, const struct pst_object *object)
{
    static const mode_t formats[] = {
        [PST_OBJECT_BLOCK_DEVICE] = S_IFBLK,
        [PST_OBJECT_CHARACTER_DEVICE] = S_IFCHR,
        [PST_OBJECT_FIFO] = S_IFIFO,
        [PST_OBJECT_SOCKET] = S_IFSOCK,
    };
    dev_t device = makedev((unsigned)(object->rdev >> 32), (unsigned)(object->rdev & UINT32_MAX));
    return mknodat(parent_fd, name, formats[object->type] | 0600, device) == 0 ? 0 : -errno;
}

static int make_symlink(int parent_fd, const char *name, const struct pst_object *object)
{
    return symlinkat(object->link, parent_fd, name) == 0 ? 0 : -errno;
}

static int make_link(struct pst_restore_run *run, struct pst_parent *parent,
                     struct pst_parent *other, const struct pst_object_record *record, bool hard)
{
    const struct pst_object object = pst_object_of(record);
    if (object.type == PST_OBJECT_DIRECTORY || pst_restore_is_file(&object) ||
        object.type == PST_OBJECT_ROWS || object.type == PST_OBJECT_DATABASE ||
        hard != (object.type == PST_OBJECT_HARD_LINK))
        return 0;
    const char *name;
    int parent_fd = pst_parent_of(parent, pst_restore_source_fd(run, record), object.path, &name);
    int error = parent_fd < 0 ? parent_fd : 0;
    if (!error && hard)
        error = make_hard_link(run, other, parent_fd, name, record, &object);
    else if (!error && object.type == PST_OBJECT_SYMLINK)
        error = make_symlink(parent_fd, name, &object);
    else if (!error)
        error = make_node(parent_fd, name, &object);
    if (!error && !hard)
        error = set_metadata_at(run, parent_fd, name, &object);
    if (error)
        return pst_restore_fail_object(run, error, record, "could not make");
    atomic_fetch_add(&run->made, 1);
    return 0;
}

/* Hard links last: they may be other names of symlinks and nodes. */
int pst_restore_make_links(struct pst_restore_run *run)
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

static int finish_directory(struct pst_restore_run *run, const struct pst_object_record *record)
{
    const struct pst_object object = pst_object_of(record);
    if (object.type != PST_OBJECT_DIRECTORY)
        return 0;
    int fd = pst_beneath_open(pst_restore_source_fd(run, record),
                              object.path[0] ? object.path : ".", O_RDONLY | O_DIRECTORY, 0);
    int error = fd < 0 ? fd : set_metadata(run, fd, &object);
    if (fd >= 0)
        close(fd);
    if (error)
        return pst_restore_fail_object(run, error, record, "could not finish");
    note_unreadable(run, &object);
    atomic_fetch_add(&run->made, 1);
    return 0;
}

/* Deepest first, as every entry that is made or removed touches the directory that holds it. */
int pst_restore_finish_directories(struct pst_restore_run *run)
{
    /* a root of its own that no object describes */
    if (!run->target.in_place && fchmod(run->target.root_fd, 0777 & ~run->mode_mask) != 0)
        return pst_restore_fail(run, -errno, "could not set the mode of the target: %s",
                                pst_error_text(-errno));
    int error = 0;
    for (size_t i = run->objects.count; !error && i > 0; i--)
        error = finish_directory(run, run->objects.sorted[i - 1]);
    return error;
}
