/*
 * The listing of a dir: source. Called through pst_source.list on the source's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/base/clock.h"
#include "engine/base/own_error.h"
#include "engine/source/dir/attributes.h"
#include "engine/source/dir/block_device.h"
#include "engine/source/dir/databases.h"
#include "engine/source/dir/dir.h"
#include "engine/source/dir/exclude.h"
#include "engine/source/dir/extents.h"
#include "engine/source/dir/identity.h"
#include "engine/source/dir/inode_flags.h"
#include "engine/source/dir/links.h"
#include "engine/source/dir/notes.h"
#include "engine/source/dir/subvolume.h"
#include "engine/source/dir/tree.h"
#include "penstock/packer.h"

_Static_assert(PST_PATH_BYTES_MAX == 4096, "a message below says 4095");

/* Of names that wait for further ones of their files. */
#define NAMES_BYTES_MAX (16u << 20)
#define NAMES_WAIT_NS UINT64_C(10000000000) /* since the last fragment */

/* One listing. Too large for a stack; lives as long as dir_list runs. */
struct listing_job {
    struct dir_source *dir;
    struct pst_source_listing *listing;
    uint64_t counter; /* of the last object */
    struct notes notes;
    struct databases databases;
    struct links links;
    uint64_t fragments; /* that were emitted at emitted_ns */
    uint64_t emitted_ns;
    struct pst_packer packer;
    struct tree tree;
    dev_t device;    /* of the root */
    bool is_counted; /* inode_flags_are_counted() of it */
    struct identity_system system;
    struct excludes excludes;
    char tag_path[PST_PATH_BYTES_MAX];
    char link[PST_PATH_BYTES_MAX]; /* target of the current symlink */
    struct extents extents;        /* the first of the current file */
    struct attributes attributes;  /* of the current object */
    int untold;                    /* why some are lost, which the reader of its contents reports */
};

/* One file of any kind, about to be listed. */
struct found {
    int directory; /* fd of the directory that name is in */
    const char *name;
    const char *path; /* relative to the root */
    struct stat status;
    uint8_t hints; /* enum attributes_hints */
};

/* Trouble with one path: 0 if the listing goes on without it, else error, which ends it. */
static int trouble(struct listing_job *job, const char *path, const char *what, int error)
{
    return notes_trouble(&job->notes, path, what, error);
}

static struct pst_object describe(const struct listing_job *job, const struct found *found,
                                  enum pst_object_type type)
{
    const struct stat *status = &found->status;
    return (struct pst_object){
        .id = pst_source_object_id(&job->dir->source, job->counter + 1),
        .type = type,
        .path = found->path,
        .mtime_sec = status->st_mtim.tv_sec,
        .mtime_nsec = (uint32_t)status->st_mtim.tv_nsec,
        .mode = status->st_mode & 07777,
        .uid = status->st_uid,
        .gid = status->st_gid,
    };
}

/* What cannot be kept is reported, once for a file: where its contents cannot be read either, that
 * is said of these. 0, or what ends the listing. */
static int read_attributes(struct listing_job *job, const struct found *found,
                           const struct pst_object *object, bool is_entered)
{
    const struct inode_flags_of of = {found->directory, found->name, &found->status,
                                      found->hints,     is_entered,  job->is_counted};
    pst_activity_begin("read the attributes of", found->path);
    inode_flags_find(&job->tree, &of, &job->attributes.flags);
    int error = attributes_read(&job->attributes, found->directory, found->name, &found->status,
                                found->hints);
    pst_activity_end();
    bool is_told = object->size > 0 || object->flags;
    job->untold = is_told && (error == -EACCES || error == -PST_E_CHANGED) ? error : 0;
    if (!error || notes_is_gone(&job->notes, error) || job->untold)
        return 0;
    return notes_lost(&job->notes, found->path, job->attributes.lost, error);
}

/* Adds an object with the attributes that were read for it: 1 if it was added, 0 if it was left
 * out, or what ends the listing. */
static int add(struct listing_job *job, const struct found *found, struct pst_object *object,
               const struct pst_fragment_file *file)
{
    object->attributes = job->attributes.bytes ? job->attributes.encoded : NULL;
    object->attributes_bytes = job->attributes.bytes;
    int error = pst_packer_object(&job->packer, object, file);
    if (error == -EINVAL)
        return trouble(job, object->path, "a file that no catalogue entry can describe", error);
    if (error)
        return error;
    job->counter++;
    tree_keep(&job->tree, object->path, &found->status);
    return 1;
}

/* ---- kinds of files ---- */

/* Finds where the data of a file are, and enters how many they are in its object, so that its holes
 * are known to be holes. Where they are too many to be kept, that is not known beforehand. */
static int find_data(struct listing_job *job, const struct extents_of *of)
{
    struct attributes *attributes = &job->attributes;
    tick_await(&job->tree.ticks, of->status);
    int error = extents_find(&job->extents, &job->tree, of);
    if (!error && job->extents.is_all)
        attributes->bytes += pst_object_data_encode(extents_bytes(&job->extents),
                                                    attributes->encoded + attributes->bytes);
    return error;
}

/* Adds the file with its data. names: further ones of the same, behind path. *id: of its object; 0:
 * it was left out. */
static int add_file(struct listing_job *job, const struct found *found, uint32_t names,
                    uint64_t *id)
{
    const struct stat *status = &found->status;
    struct pst_object object = describe(job, found, PST_OBJECT_FILE);
    *id = 0;
    if (status->st_size < 0)
        return trouble(job, found->path, "a file of negative size", -EINVAL);
    object.size = (uint64_t)status->st_size;
    struct pst_fragment_file file = {
        .path = found->path,
        .device = status->st_dev,
        .inode = status->st_ino,
        .size_bytes = object.size,
        .mtime_ns = (int64_t)((uint64_t)status->st_mtim.tv_sec * UINT64_C(1000000000) +
                              (uint64_t)status->st_mtim.tv_nsec),
        .names = names,
    };
    int error = read_attributes(job, found, &object, false);
    /* What is in a snapshot is known again as what it is a snapshot of. */
    dev_t device = status->st_dev == job->device ? job->dir->place.device : status->st_dev;
    const struct identity_of of = {found->directory, found->name, status, device};
    const struct extents_of data_of = {found->directory, found->name, found->path, status};
    bool is_known =
        !error && object.size &&
        identity_find(&job->system, job->packer.sink, &of, &object, &job->attributes, &file);
    if (is_known && job->untold)
        error = notes_lost(&job->notes, found->path, job->attributes.lost, job->untold);
    if (!error && object.size && !is_known)
        error = find_data(job, &data_of);
    if (error)
        return error;
    int added = add(job, found, &object, object.size ? &file : NULL);
    if (added <= 0)
        return added;
    *id = object.id;
    if (is_known)
        return pst_packer_look(&job->packer);
    return object.size ? extents_add(&job->extents, &job->tree, &job->packer, &data_of) : 0;
}

/* ---- files with several names ---- */

static int add_link(struct listing_job *job, const struct found *found, uint64_t file)
{
    struct pst_object object = describe(job, found, PST_OBJECT_HARD_LINK);
    object.linked_object = file;
    int error = pst_packer_link(&job->packer, &object);
    if (error == -EINVAL)
        return trouble(job, found->path, "a name that no catalogue entry can describe", error);
    if (error)
        return error;
    job->counter++;
    tree_keep(&job->tree, object.path, &found->status);
    return 0;
}

/* Adds one file with all its names; what the first is to be is read through any of them. */
static int add_names(struct listing_job *job, struct found *found, const char *names,
                     uint32_t count, uint64_t *id)
{
    found->name = found->path = names;
    int error = add_file(job, found, links_further_names(names, count), id);
    for (uint32_t i = 1; !error && i < count; i++) {
        names += strlen(names) + 1;
        found->name = found->path = names;
        error = *id ? add_link(job, found, *id)
                    : trouble(job, names, "another name of a file that was left out", -EINVAL);
    }
    return error;
}

/* Whether the name still is one of the file's. If not, it is dealt with alone. 1, 0, or what ends
 * the listing. */
static int look_again(struct listing_job *job, const char *name, struct found *found)
{
    struct found now = {.directory = job->dir->source.root_fd, .name = name, .path = name};
    uint64_t id;
    int fd = tree_open_file(&job->tree, now.directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int error = fd < 0 ? fd : fstat(fd, &now.status) ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (error)
        return trouble(job, name, "cannot stat a file", error);
    if (!S_ISREG(now.status.st_mode))
        return trouble(job, name, "it is no file any more", -PST_E_CHANGED);
    bool is_inode =
        now.status.st_dev == found->status.st_dev && now.status.st_ino == found->status.st_ino;
    if (!found->path && is_inode)
        *found = now;
    if (found->path && links_are_one_file(&now.status, &found->status))
        return 1;
    if (is_inode)
        notes_apart(&job->notes, name);
    return add_file(job, &now, 0, &id);
}

/* Keeps those names that are still the file's, one behind the other. */
static int look_at_all_again(struct listing_job *job, struct link_names *names, struct found *found)
{
    char *name = names->text, *end = names->text;
    uint32_t count = names->count;
    names->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = strlen(name) + 1;
        int is_one = look_again(job, name, found);
        if (is_one < 0)
            return is_one;
        if (is_one) {
            memmove(end, name, bytes);
            end += bytes;
            names->count++;
        }
        name += bytes;
    }
    return 0;
}

/* The file becomes an object: all its names are known, or have waited long enough. Where they did
 * not agree, it changed meanwhile, or is not one file. */
static int settle(struct listing_job *job, struct link *link)
{
    struct link_names *names = links_take_names(&job->links, link);
    struct found found = {.directory = job->dir->source.root_fd, .status = names->status};
    uint64_t id = 0;
    int error = names->differ ? look_at_all_again(job, names, &found) : 0;
    if (!error && names->count > 0)
        error = add_names(job, &found, names->text, names->count, &id);
    links_set_object(link, &found.status, id);
    free(names);
    return error;
}

static int settle_all(struct listing_job *job)
{
    int error = 0;
    for (size_t i = 0; !error && i < job->links.size; i++) {
        struct link *link = &job->links.table[i];
        if (link->waiting)
            error = settle(job, link);
    }
    return error;
}

/* A tree of nothing but files with further names elsewhere must not look like a listing that hangs.
 */
static bool have_waited_enough(struct listing_job *job)
{
    uint64_t now_ns = pst_monotonic_ns();
    if (job->listing->fragments != job->fragments) {
        job->fragments = job->listing->fragments;
        job->emitted_ns = now_ns;
    }
    return job->links.names_bytes > NAMES_BYTES_MAX || now_ns - job->emitted_ns > NAMES_WAIT_NS;
}

/* Names are collected until the file has as many as it says, so that its data can be read through
 * any of them. Only where size and times agree is an inode number met again the same file. */
static int add_regular(struct listing_job *job, const struct found *found)
{
    const struct stat *status = &found->status;
    uint64_t id;
    if (status->st_nlink <= 1)
        return add_file(job, found, 0, &id);
    struct link *link = links_find(&job->links, status);
    if (!link)
        return -ENOMEM;
    if (links_is_object_of(link, status))
        return add_link(job, found, link->object);
    if (!link->waiting && link->object)
        notes_apart(&job->notes, found->path);
    if (!link->waiting)
        links_set_object(link, status, 0);
    int error = links_add_name(&job->links, link, status, found->path);
    if (error)
        return error;
    if (link->waiting->count == status->st_nlink)
        return settle(job, link);
    return have_waited_enough(job) ? settle_all(job) : 0;
}

/* What is no file and no directory. Of several names the first one met is the object. */
static int add_node(struct listing_job *job, const struct found *found, struct pst_object *object)
{
    const struct stat *status = &found->status;
    struct link *link = NULL;
    if (status->st_nlink > 1) {
        link = links_find(&job->links, status);
        if (!link)
            return -ENOMEM;
        if (links_is_object_of(link, status))
            return add_link(job, found, link->object);
        if (link->object || link->waiting)
            notes_apart(&job->notes, found->path);
    }
    int error = read_attributes(job, found, object, false);
    int added = error ? error : add(job, found, object, NULL);
    if (added > 0 && link && !link->waiting)
        links_set_object(link, status, object->id);
    return added < 0 ? added : 0;
}

static int add_symlink(struct listing_job *job, const struct found *found)
{
    pst_activity_begin("read the symlink", found->path);
    ssize_t bytes = readlinkat(found->directory, found->name, job->link, sizeof(job->link));
    pst_activity_end();
    if (bytes < 0 && errno == ENOENT && found->path == job->tree.path)
        tree_forget(&job->tree);
    if (bytes < 0) /* EINVAL: it is no symlink any more */
        return trouble(job, found->path, "cannot read the symlink",
                       errno == EINVAL ? -PST_E_CHANGED : -errno);
    if ((size_t)bytes == sizeof(job->link))
        return trouble(job, found->path, "cannot read the symlink", -ENAMETOOLONG);
    job->link[bytes] = '\0';
    struct pst_object object = describe(job, found, PST_OBJECT_SYMLINK);
    object.link = job->link;
    return add_node(job, found, &object);
}

static int add_special(struct listing_job *job, const struct found *found,
                       enum pst_object_type type)
{
    struct pst_object object = describe(job, found, type);
    dev_t device = found->status.st_rdev;
    if (type == PST_OBJECT_BLOCK_DEVICE || type == PST_OBJECT_CHARACTER_DEVICE)
        object.rdev = (uint64_t)major(device) << 32 | minor(device);
    return add_node(job, found, &object);
}

/* Whether it is only named, and not entered. */
static bool is_left_empty(struct listing_job *job, const struct found *found)
{
    const struct dir_own *own = &job->dir->own;
    const struct stat *status = &found->status;
    if (own->is_below && status->st_dev == own->device && status->st_ino == own->inode) {
        notes_own(&job->notes, found->path);
        return true;
    }
    bool crosses = job->excludes.filter->crosses_file_systems;
    if (status->st_dev == job->device ||
        (crosses && !subvolume_is_missing(found->directory, found->name, status)))
        return false;
    (crosses ? notes_missing_subvolume : notes_other_system)(&job->notes, found->path);
    return true;
}

static int add_found(struct listing_job *job, const struct found *found);

/* Leaves the directory that was just entered, if it has a tag, of which only this is kept. */
static int heed_tag(struct listing_job *job, const struct found *found)
{
    struct found tag = {.directory = tree_fd(&job->tree), .path = job->tag_path};
    tag.name = excludes_tag(&job->excludes, tag.directory);
    if (!tag.name)
        return 0;
    job->notes.excluded++;
    int length = snprintf(job->tag_path, sizeof(job->tag_path), "%s%s%s", found->path,
                          *found->path ? "/" : "", tag.name);
    bool is_there =
        length < (int)sizeof(job->tag_path) &&
        fstatat(tag.directory, tag.name, &tag.status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0;
    int error = is_there && !S_ISDIR(tag.status.st_mode) ? add_found(job, &tag) : 0;
    tree_leave(&job->tree);
    return error;
}

/* Entered first, so that its entry can tell whether its contents could be read. */
static int add_directory(struct listing_job *job, const struct found *found)
{
    struct pst_object object = describe(job, found, PST_OBJECT_DIRECTORY);
    bool is_entered = !is_left_empty(job, found);
    int error = is_entered && *found->path ? tree_enter(&job->tree) : 0;
    if (error == -EXDEV) {
        notes_kernel_system(&job->notes, found->path);
    } else if (error) {
        int end = trouble(job, found->path, "cannot open what is in the directory", error);
        if (end || notes_is_gone(&job->notes, error))
            return end;
        object.flags = PST_OBJECT_UNREADABLE;
    }
    int failed = read_attributes(job, found, &object, is_entered && !error);
    int added = failed ? failed : add(job, found, &object, NULL);
    if (added > 0 && is_entered && !error)
        return heed_tag(job, found);
    return added < 0 ? added : 0;
}

static int add_found(struct listing_job *job, const struct found *found)
{
    switch (found->status.st_mode & S_IFMT) {
    case S_IFREG:
        return add_regular(job, found);
    case S_IFDIR:
        return add_directory(job, found);
    case S_IFLNK:
        return add_symlink(job, found);
    case S_IFBLK:
        return add_special(job, found, PST_OBJECT_BLOCK_DEVICE);
    case S_IFCHR:
        return add_special(job, found, PST_OBJECT_CHARACTER_DEVICE);
    case S_IFIFO:
        return add_special(job, found, PST_OBJECT_FIFO);
    case S_IFSOCK:
        return add_special(job, found, PST_OBJECT_SOCKET);
    default:
        notes_skip(&job->notes, found->path);
        return 0;
    }
}

/* ---- the walk ---- */

/* error: of the look at it. */
static int add_entry(struct listing_job *job, struct found *found, int error)
{
    if (job->tree.path_bytes >= PST_PATH_BYTES_MAX)
        return trouble(job, found->path, "path of more than 4095 bytes", -ENAMETOOLONG);
    if (!error && !job->dir->is_still && S_ISREG(found->status.st_mode))
        databases_look(&job->databases, found->directory, found->name, found->path, &found->status);
    if (excludes_match(&job->excludes, found->path, S_ISDIR(found->status.st_mode))) {
        job->notes.excluded++;
        return 0;
    }
    if (error == -PST_E_CHANGED)
        return trouble(job, found->path, "another file has got this name", error);
    if (error)
        return trouble(job, found->path, "cannot stat a file", error);
    if (!job->dir->shown.path)
        tick_await_contents(&job->tree.ticks, found->directory, found->name, &job->tree.again.began,
                            &found->status);
    found->hints = tree_hints(&job->tree);
    return add_found(job, found);
}

static uint64_t left_out(const struct listing_job *job)
{
    return job->listing->unreadable + job->notes.excluded;
}

/* What is named, or left out as asked for, is not sought any more; nor a directory at this path. */
static int visit(struct listing_job *job)
{
    struct found found = {
        .directory = tree_fd(&job->tree),
        .name = tree_name(&job->tree),
        .path = job->tree.path,
    };
    uint64_t before = left_out(job);
    int error = tree_look(&job->tree, &found.status);
    if (error == TREE_MET)
        return 0;
    error = add_entry(job, &found, error);
    if (left_out(job) != before)
        tree_keep(&job->tree, S_ISDIR(found.status.st_mode) ? found.path : NULL, &found.status);
    return error;
}

static int add_root(struct listing_job *job)
{
    struct found root = {.directory = job->dir->source.root_fd, .name = "", .path = ""};
    if (fstatat(root.directory, "", &root.status, AT_EMPTY_PATH))
        return -errno;
    job->device = root.status.st_dev;
    job->is_counted = inode_flags_are_counted(root.directory);
    return add_directory(job, &root);
}

static int walk_on(struct listing_job *job)
{
    int more, error = 0;
    while (!error && (more = tree_next(&job->tree)) != 0) {
        if (more > 0)
            error = visit(job);
        else if (*job->tree.path == '\0' && more != -PST_E_CHANGED)
            error = more; /* without its root there is no source */
        else
            error = trouble(job, job->tree.path, "cannot read the directory to its end", more);
    }
    return error;
}

/* LDMs have all that was found when the second look begins. */
static int end_walk(struct listing_job *job)
{
    int error = settle_all(job);
    return error ? error : pst_packer_finish(&job->packer);
}

static int walk(struct listing_job *job)
{
    int error = add_root(job);
    if (!error)
        error = walk_on(job);
    if (!error)
        error = end_walk(job);
    if (error)
        return error;
    tree_look_again(&job->tree);
    error = walk_on(job);
    job->notes.unlooked = tree_unlooked(&job->tree);
    return error;
}

static int list_tree(struct listing_job *job)
{
    int error = tree_open(&job->tree, job->dir->source.root_fd, job->dir->source.policy.ldms,
                          !job->dir->shown.path); /* a command may hold up fewer than all */
    if (error)
        return error;
    error = walk(job);
    tree_close(&job->tree);
    return error;
}

static int list_file(struct listing_job *job)
{
    const char *name = dir_scanned(job->dir)->file;
    struct found found = {.directory = job->dir->source.root_fd, .name = name, .path = name};
    if (fstatat(found.directory, name, &found.status, AT_SYMLINK_NOFOLLOW))
        return -errno;
    job->device = found.status.st_dev;
    if (S_ISBLK(found.status.st_mode))
        return block_device_add(&job->dir->source, &job->packer, name, job->dir->place.file,
                                &found.status);
    if (!S_ISREG(found.status.st_mode))
        return -PST_E_CHANGED;
    if (!job->dir->is_still)
        databases_look_alone(&job->databases, name, &found.status);
    return add_regular(job, &found);
}

int dir_list(struct pst_source *source, struct pst_fragment_sink *sink,
             struct pst_source_listing *listing)
{
    struct listing_job *job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    job->dir = (struct dir_source *)source;
    job->listing = listing;
    job->emitted_ns = pst_monotonic_ns();
    job->notes = (struct notes){source, sink, listing, .is_still = job->dir->is_still};
    job->databases = (struct databases){.notes = &job->notes, .excludes = &job->excludes};
    pst_packer_init(&job->packer, sink, listing);
    int error = excludes_open(&job->excludes, job->dir->filter);
    if (!error)
        error = job->dir->place.file ? list_file(job) : list_tree(job);
    if (!error)
        error = end_walk(job);
    if (!error)
        notes_end(&job->notes);
    job->dir->databases = job->notes.databases;
    databases_free(&job->databases);
    excludes_close(&job->excludes);
    links_free(&job->links);
    free(job);
    return error;
}
