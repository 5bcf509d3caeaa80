/*
 * Room for what is restored: directories, and what stands in their way or that of files. In place
 * it looks before it touches anything. Called by restore.c on its thread; directories are made on
 * the crew's threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/restore/lmdb_lock.h"
#include "engine/restore/object_paths.h"
#include "engine/restore/restore_object.h"
#include "engine/restore/restore_passes.h"
#include "engine/restore/restore_placed.h"
#include "io/inode.h"

/* ---- the directories of sources ---- */

/* Until all is restored, no more users get into a directory than both the mode allows that it had
 * and the one that it gets. Who may not change it is told so in the end. */
static int narrow(int fd, mode_t mode)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    mode_t now = status.st_mode & 07777, wanted = (now & mode) | 0700;
    int error = wanted != now ? pst_inode_set_mode(fd, wanted) : 0;
    return error == -EPERM ? 0 : error;
}

/* A directory that was there may be of a file system of its own. */
static int note_mount(struct restore_run *run, int fd)
{
    pthread_mutex_lock(&run->mutex);
    int error = target_note_mount(&run->target, fd);
    pthread_mutex_unlock(&run->mutex);
    return error;
}

/* A directory of ours that may be there from before: nothing but a directory is kept. Sets *made if
 * it was not there. */
static int make_directory(struct restore_run *run, int parent_fd, const char *name, mode_t mode,
                          bool *made)
{
    *made = mkdirat(parent_fd, name, 0700) == 0;
    if (*made)
        return 0;
    if (errno != EEXIST || !run->target.in_place)
        return -errno;
    int fd = pst_beneath_open(parent_fd, name, O_PATH | O_DIRECTORY, 0);
    if (fd >= 0) {
        int error = narrow(fd, mode);
        error = error ? error : note_mount(run, fd);
        close(fd);
        return error;
    }
    if (unlinkat(parent_fd, name, 0) < 0 || mkdirat(parent_fd, name, 0700) < 0)
        return -errno;
    *made = true;
    return 0;
}

/* Makes and opens a directory directly below fd. */
static int enter(struct restore_run *run, int fd, const char *name, mode_t mode, bool *made)
{
    int error = make_directory(run, fd, name, mode, made);
    return error ? error : pst_beneath_open(fd, name, O_RDONLY | O_DIRECTORY, 0);
}

static int open_source(struct restore_run *run, uint32_t node_index,
                       const struct pst_manifest_source *source)
{
    char place[RESTORE_PLACE_BYTES];
    int root_fd = run->target.root_fd;
    const char *name = restore_place(run, node_index, source->name, place);
    const char *slash = strchr(name, '/');
    if (*name == '\0')
        return pst_beneath_open(root_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    int node_fd = root_fd;
    if (slash) {
        place[slash - place] = '\0';
        node_fd = pst_beneath_open(root_fd, place, O_RDONLY | O_DIRECTORY, 0);
        name = slash + 1;
    }
    if (node_fd < 0)
        return node_fd;
    bool made = false;
    int fd = enter(run, node_fd, name, 07777, &made);
    if (made)
        run->made_sources[node_index] |= UINT64_C(1) << source->instance;
    if (node_fd != root_fd)
        close(node_fd);
    return fd;
}

/* DIR/NODE, where there are several. */
static int make_node_directory(struct restore_run *run, uint32_t node_index)
{
    char number[16];
    if (restore_nodes(run) == 1)
        return 0;
    snprintf(number, sizeof(number), "%u", run->backup->nodes[node_index].node);
    int fd = enter(run, run->target.root_fd, number, 07777, &run->made_nodes[node_index]);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static int open_node(struct restore_run *run, uint32_t node_index)
{
    const struct pst_node_manifest *node = &run->backup->nodes[node_index];
    int made = node->parts_count ? make_node_directory(run, node_index) : 0;
    if (made < 0)
        return restore_fail(run, made, "could not make the directory of node %u: %s", node->node,
                            pst_error_text(made));
    for (uint32_t i = 0; i < node->sources_count; i++) {
        const struct pst_manifest_source *source = &node->sources[i];
        uint64_t chosen = run->only[node_index] & run->filled[node_index];
        if ((chosen >> source->instance & 1) == 0)
            continue;
        int fd = open_source(run, node_index, source);
        if (fd < 0)
            return restore_fail(run, fd, "could not make the directory of source %s: %s",
                                source->name, pst_error_text(fd));
        *restore_source_slot(run, node_index, source->instance) = fd;
    }
    return 0;
}

static int make_slots(struct restore_run *run)
{
    size_t slots = (size_t)run->backup->cluster.nodes_count * PST_SOURCES_MAX;
    run->source_fds = malloc(slots * sizeof(*run->source_fds));
    if (!run->source_fds)
        return -ENOMEM;
    for (size_t i = 0; i < slots; i++)
        run->source_fds[i] = -1;
    return 0;
}

static int open_sources(struct restore_run *run)
{
    int error = make_slots(run);
    for (uint32_t i = 0; !error && i < run->backup->cluster.nodes_count; i++)
        error = (run->only[i] & run->filled[i]) ? open_node(run, i) : 0;
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

/* ---- before anything is touched ---- */

static int refuse(struct restore_run *run, int error, const struct object_record *record,
                  const char *why)
{
    const struct pst_object object = object_of(record);
    return restore_fail(run, error, "%s; it is in the way of %s/%s, and nothing was restored", why,
                        restore_source_name(run, record, object.id), object.path);
}

static int check_locks(struct restore_run *run, int parent_fd, const char *name,
                       const struct object_record *record)
{
    char why[PST_MESSAGE_BYTES];
    int error = lmdb_lock_check(parent_fd, name, why);
    return error ? refuse(run, error, record, why) : 0;
}

/* The directories with the backups, which hold more than the one that is restored. */
struct kept_directories {
    struct stat apart; /* a directory that lies in none of them */
    uint32_t count;
    struct pst_beneath_kept list[PST_DIRECTORIES_MAX];
};

static int find_kept(const struct restore_run *run, struct kept_directories *kept)
{
    struct pst_directories *directories = run->backup->directories;
    *kept = (struct kept_directories){.count = 0};
    for (uint32_t i = 0; i < directories->count; i++) {
        struct pst_repository *repository = &directories->repositories[i];
        struct pst_repository_status status;
        int error = repository->ops->status(repository, repository->root, NULL, &status);
        if (error)
            return error;
        kept->list[kept->count++] = (struct pst_beneath_kept){
            status.device, status.inode, "the backup that is restored is read from there"};
    }
    return 0;
}

/* Nor is what lies in them replaced, though nothing but files be in the way. */
static int check_place(struct restore_run *run, int parent_fd, struct kept_directories *kept,
                       const struct object_record *record)
{
    char why[PST_MESSAGE_BYTES];
    struct stat status;
    if (fstat(parent_fd, &status) < 0)
        return -errno;
    if (status.st_dev == kept->apart.st_dev && status.st_ino == kept->apart.st_ino)
        return 0;
    int error =
        pst_beneath_check_place(run->target.root_fd, parent_fd, kept->list, kept->count, why);
    if (error)
        return refuse(run, error, record, why[0] ? why : pst_error_text(error));
    kept->apart = status;
    return 0;
}

/* Sources that are not there yet, or a directory that is not, leave nothing in the way. */
static int check_object(struct restore_run *run, struct pst_parent *parent,
                        struct kept_directories *kept, const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    char why[PST_MESSAGE_BYTES];
    struct stat status;
    const char *name;
    int source_fd = restore_source_fd(run, record);
    if (source_fd < 0 || object.path[0] == '\0' || object.type == PST_OBJECT_ROWS ||
        restore_is_left_out(run, &object))
        return 0;
    int parent_fd = pst_parent_of(parent, source_fd, object.path, &name);
    if (parent_fd < 0)
        return 0;
    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return restore_is_environment(&object) ? check_locks(run, parent_fd, name, record) : 0;
    if (object.type == PST_OBJECT_DIRECTORY && S_ISDIR(status.st_mode))
        return 0;
    int error = check_place(run, parent_fd, kept, record);
    if (error)
        return error;
    error = pst_beneath_check_remove(parent_fd, name, PST_BENEATH_SAME_OWNER, kept->list,
                                     kept->count, why);
    if (error)
        return refuse(run, error, record, why[0] ? why : pst_error_text(error));
    return S_ISREG(status.st_mode) ? check_locks(run, parent_fd, name, record) : 0;
}

/* Negative: nothing is there yet. */
static int open_place(const struct restore_run *run, uint32_t node_index,
                      const struct pst_manifest_source *source)
{
    char place[RESTORE_PLACE_BYTES];
    const char *name = restore_place(run, node_index, source->name, place);
    return pst_beneath_open(run->target.root_fd, *name ? name : ".", O_PATH | O_DIRECTORY, 0);
}

int restore_check_room(struct restore_run *run)
{
    struct pst_parent parent = PST_PARENT_NONE;
    struct kept_directories kept;
    int error = find_kept(run, &kept);
    error = error ? error : make_slots(run);
    for (uint32_t i = 0; !error && i < run->backup->cluster.nodes_count; i++) {
        const struct pst_node_manifest *node = &run->backup->nodes[i];
        for (uint32_t j = 0; j < node->sources_count; j++)
            if (run->only[i] >> node->sources[j].instance & 1)
                *restore_source_slot(run, i, node->sources[j].instance) =
                    open_place(run, i, &node->sources[j]);
    }
    for (size_t i = 0; !error && i < run->objects.count; i++) {
        restore_begin(run, run->objects.listed[i], "look at what is in the way of");
        error = check_object(run, &parent, &kept, run->objects.listed[i]);
        pst_activity_end();
    }
    pst_parent_close(&parent);
    restore_close_sources(run);
    return error;
}

/* ---- room for the objects ---- */

/* In place, the marker's name is taken. */
static bool is_marker(const struct restore_run *run, const struct pst_object *object)
{
    return run->target.in_place && strcmp(object->path, PST_RESTORE_MARKER) == 0;
}

/* A directory that the backup has lost the entry of. */
static int make_lost_parent(struct restore_run *run, int parent_fd, const char *name)
{
    if (mkdirat(parent_fd, name, 0700) == 0)
        return 0;
    int fd = errno == EEXIST ? pst_beneath_open(parent_fd, name, O_PATH | O_DIRECTORY, 0) : -errno;
    if (fd < 0)
        return fd;
    int error = note_mount(run, fd);
    close(fd);
    return error;
}

static int make_lost_parents(struct restore_run *run, int source_fd, const char *path)
{
    char part[PST_PATH_BYTES_MAX];
    struct pst_parent parent = PST_PARENT_NONE;
    int error = 0;
    for (const char *slash = strchr(path, '/'); !error && slash; slash = strchr(slash + 1, '/')) {
        const char *name;
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        int parent_fd = pst_parent_of(&parent, source_fd, part, &name);
        error = parent_fd < 0 ? parent_fd : make_lost_parent(run, parent_fd, name);
    }
    pst_parent_close(&parent);
    return error;
}

/* Whether the backup has the directory that an object is in. */
static int check_parent(struct restore_run *run, const struct object_record *record,
                        const struct pst_object *object)
{
    const char *slash = run->has_all_parents ? NULL : strrchr(object->path, '/');
    if (!slash)
        return 0;
    const struct object_record *parent =
        objects_at(&run->objects, record, object->path, (size_t)(slash - object->path));
    if (parent)
        return object_of(parent).type == PST_OBJECT_DIRECTORY ? 0 : -PST_E_CORRUPT;
    return run->lost_catalogue
               ? make_lost_parents(run, restore_source_fd(run, record), object->path)
               : -PST_E_CORRUPT;
}

/* Whether it is made later, if at all: as a file (restore_waits_for_contents), or another name of
 * it; or, where what is there stays until then, whatever it is. */
static bool takes_room_later(const struct restore_run *run, const struct object_record *record,
                             const struct pst_object *object)
{
    if (run->swaps)
        return true;
    if (object->type != PST_OBJECT_HARD_LINK)
        return restore_waits_for_contents(object);
    const struct object_record *first =
        objects_find(&run->objects, record->node, object->linked_object);
    if (!first)
        return false;
    const struct pst_object first_object = object_of(first);
    return restore_waits_for_contents(&first_object);
}

static int place_directory(struct restore_run *run, int parent_fd, const char *name,
                           const struct object_record *record)
{
    struct stat status;
    if (!run->placed || fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    int result = restore_placed_add(run->placed, &status);
    return result <= 0 ? result
                       : restore_miss_part(run, -EEXIST, record,
                                           "is one directory with another of the backup, whose "
                                           "name the target takes for the same:");
}

static int place_object(struct restore_run *run, struct pst_parent *parent,
                        const struct object_record *record, const struct pst_object *object)
{
    const char *name;
    bool made;
    int error = check_parent(run, record, object);
    if (!error && object->path[0] == '\0')
        return narrow(restore_source_fd(run, record), object->mode);
    if (error || (object->type != PST_OBJECT_DIRECTORY &&
                  (!run->target.in_place || takes_room_later(run, record, object))))
        return error;
    int parent_fd = pst_parent_of(parent, restore_source_fd(run, record), object->path, &name);
    if (parent_fd < 0)
        return parent_fd;
    if (object->type != PST_OBJECT_DIRECTORY)
        return restore_clear_way(run, parent_fd, name, object);
    error = make_directory(run, parent_fd, name, object->mode, &made);
    return error ? error : place_directory(run, parent_fd, name, record);
}

static int make_room(struct restore_run *run, struct pst_parent *parent,
                     struct object_record *record)
{
    const struct pst_object object = object_of(record);
    if (object.type == PST_OBJECT_ROWS || restore_is_left_out(run, &object))
        return 0;
    if (restore_source_fd(run, record) < 0)
        return restore_miss(run, -PST_E_CORRUPT, record,
                            "the manifest does not name the source of");
    if (is_marker(run, &object))
        return restore_miss(run, -EEXIST, record, "cannot be restored into a marked directory:");
    restore_begin(run, record, "make room for");
    int error = place_object(run, parent, record, &object);
    pst_activity_end();
    return error ? restore_miss(run, error, record, "could not make room for") : 0;
}

/* ---- directories by depth ---- */

/* That of a source has none. */
static size_t depth_of(const struct object_record *record)
{
    const char *path = object_path(record);
    size_t depth = path[0] != '\0';
    for (; (path = strchr(path, '/')) != NULL; path++)
        depth++;
    return depth;
}

/* Two ahead at first: while they are listed, the end of each depth moves to where the next begins.
 */
static int list_directories(struct restore_run *run)
{
    const struct objects *objects = &run->objects;
    size_t *levels = calloc(RESTORE_DEPTHS + 2, sizeof(*levels));
    run->levels = levels;
    if (!levels)
        return -ENOMEM;
    for (size_t i = 0; i < objects->count; i++) {
        if (object_type(objects->listed[i]) == PST_OBJECT_DIRECTORY)
            levels[depth_of(objects->listed[i]) + 2]++;
    }
    for (size_t i = 2; i < RESTORE_DEPTHS + 2; i++)
        levels[i] += levels[i - 1];
    run->directories = malloc((levels[RESTORE_DEPTHS + 1] + 1) * sizeof(*run->directories));
    if (!run->directories)
        return -ENOMEM;
    for (size_t i = 0; i < objects->count; i++) {
        if (object_type(objects->listed[i]) == PST_OBJECT_DIRECTORY)
            run->directories[levels[depth_of(objects->listed[i]) + 1]++] = objects->listed[i];
    }
    return 0;
}

void restore_forget_directories(struct restore_run *run)
{
    free(run->directories);
    free(run->levels);
    run->directories = NULL;
    run->levels = NULL;
}

int restore_each_of_depth(struct restore_run *run, size_t depth, restore_step *step)
{
    size_t first = run->levels[depth], end = run->levels[depth + 1];
    return first < end ? restore_each(run, run->directories + first, end - first, step) : 0;
}

/* What else there is takes its room when it is made, unless something may be in its way, or the
 * directory missing that it lies in. */
static int make_room_for_others(struct restore_run *run)
{
    struct pst_parent parent = PST_PARENT_NONE;
    int error = 0;
    if (!run->target.in_place && run->has_all_parents)
        return 0;
    for (size_t i = 0; !error && i < run->objects.count; i++) {
        if (object_type(run->objects.listed[i]) != PST_OBJECT_DIRECTORY)
            error = make_room(run, &parent, run->objects.listed[i]);
    }
    pst_parent_close(&parent);
    return error;
}

static int make_room_for_directory(struct restore_run *run, struct pst_parent parents[2],
                                   struct object_record *record)
{
    return make_room(run, &parents[0], record);
}

int restore_make_directories(struct restore_run *run)
{
    int error = PST_ACTIVITY_STEP("make the directories of sources in", run->target.name,
                                  open_sources(run));
    if (!error)
        error = list_directories(run);
    for (size_t depth = 0; !error && depth < RESTORE_DEPTHS; depth++)
        error = restore_each_of_depth(run, depth, make_room_for_directory);
    return error ? error : make_room_for_others(run);
}
