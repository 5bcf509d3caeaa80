/* The model disk: an array of inodes, and for each directory a log of what was not synced. */
#include "tests/support/model_disk.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 128u

struct entry {
    char name[NAME_BYTES];
    size_t inode;
};

struct entries {
    struct entry *all;
    size_t count;
};

enum change_kind { CHANGE_ADD, CHANGE_REMOVE, CHANGE_RENAME };

/* Of a directory, since it was synced. */
struct change {
    enum change_kind kind;
    char name[NAME_BYTES];
    char to[NAME_BYTES];
    size_t inode; /* ADD */
};

struct contents {
    char *bytes;
    size_t size;
};

struct model_inode {
    enum pst_repository_kind kind;
    size_t parent; /* of the name that it has or had last */
    bool is_removed;
    struct contents seen, synced; /* of a file; until it was synced first, synced is empty */
    bool is_synced;
    struct entries names, synced_names; /* of a directory */
    struct change *changes;
    size_t changes_count;
};

struct model_handle {
    const struct model_process *process; /* NULL: closed */
    size_t inode;
    enum pst_repository_lock lock;
};

struct model_process {
    struct model_disk *disk;
    struct model_process *next;
};

static void *grow(void *all, size_t count, size_t bytes)
{
    void *larger = realloc(all, (count + 1) * bytes);
    assert(larger);
    memset((char *)larger + count * bytes, 0, bytes);
    return larger;
}

/* grow for what is long and only grows: its room doubles when the count reaches a power of two. */
static void *grow_long(void *all, size_t count, size_t bytes)
{
    if ((count & (count - 1)) == 0)
        all = realloc(all, (count ? 2 * count : 1) * bytes);
    assert(all);
    memset((char *)all + count * bytes, 0, bytes);
    return all;
}

/* ---- names of a directory ---- */

static struct entry *find(const struct entries *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->all[i].name, name) == 0)
            return &names->all[i];
    }
    return NULL;
}

static void add(struct entries *names, const char *name, size_t inode)
{
    assert(!find(names, name) && strlen(name) < NAME_BYTES);
    names->all = grow(names->all, names->count, sizeof(*names->all));
    struct entry *entry = &names->all[names->count++];
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    entry->inode = inode;
}

static void drop(struct entries *names, struct entry *entry)
{
    *entry = names->all[--names->count];
}

static void copy(struct entries *to, const struct entries *from)
{
    free(to->all);
    *to = (struct entries){.count = from->count};
    if (!from->count)
        return;
    to->all = calloc(from->count, sizeof(*to->all));
    assert(to->all);
    memcpy(to->all, from->all, from->count * sizeof(*to->all));
}

/* One that cannot be, because what it follows was lost, is lost too. */
static void apply(struct entries *names, const struct change *change)
{
    struct entry *entry = find(names, change->name);
    if (change->kind == CHANGE_ADD && !entry)
        add(names, change->name, change->inode);
    if (change->kind == CHANGE_REMOVE && entry)
        drop(names, entry);
    if (change->kind != CHANGE_RENAME || !entry)
        return;
    size_t inode = entry->inode;
    drop(names, entry);
    struct entry *replaced = find(names, change->to);
    if (replaced)
        drop(names, replaced);
    add(names, change->to, inode);
}

static void change_names(struct model_inode *directory, enum change_kind kind, const char *name,
                         const char *to, size_t inode)
{
    struct change *changes =
        grow(directory->changes, directory->changes_count, sizeof(*directory->changes));
    directory->changes = changes;
    struct change *change = &changes[directory->changes_count++];
    change->kind = kind;
    snprintf(change->name, sizeof(change->name), "%s", name);
    snprintf(change->to, sizeof(change->to), "%s", to);
    change->inode = inode;
    apply(&directory->names, change);
}

static void sync_names(struct model_inode *directory)
{
    copy(&directory->synced_names, &directory->names);
    directory->changes_count = 0;
}

/* ---- inodes and contents ---- */

static size_t make_inode(struct model_disk *disk, enum pst_repository_kind kind, size_t parent)
{
    disk->inodes = grow_long(disk->inodes, disk->inodes_count, sizeof(*disk->inodes));
    disk->inodes[disk->inodes_count].kind = kind;
    disk->inodes[disk->inodes_count].parent = parent;
    return disk->inodes_count++;
}

static void set_contents(struct contents *contents, const void *bytes, size_t size)
{
    char *copied = malloc(size + 1);
    assert(copied);
    if (size)
        memcpy(copied, bytes, size);
    free(contents->bytes);
    *contents = (struct contents){.bytes = copied, .size = size};
}

static void sync_contents(struct model_inode *file)
{
    set_contents(&file->synced, file->seen.bytes, file->seen.size);
    file->is_synced = true;
}

/* ---- records and faults ---- */

static struct model_disk *disk_of(const struct pst_repository *repository)
{
    return ((const struct model_process *)repository->context)->disk;
}

static void write_path(const struct model_disk *disk, size_t inode, char *path, size_t bytes)
{
    char parent[256];
    if (inode == 0)
        return;
    const struct model_inode *above = &disk->inodes[disk->inodes[inode].parent];
    const char *name = "?";
    for (size_t i = 0; i < above->names.count; i++) {
        if (above->names.all[i].inode == inode)
            name = above->names.all[i].name;
    }
    parent[0] = '\0';
    write_path(disk, disk->inodes[inode].parent, parent, sizeof(parent));
    int length = snprintf(path, bytes, "%s%s%s", parent, parent[0] ? "/" : "", name);
    assert(length > 0 && (size_t)length < bytes);
}

static void record(struct model_disk *disk, enum model_op op, size_t directory, const char *name,
                   int error)
{
    char above[200] = "";
    if (disk->is_quiet || disk->keeps_no_records)
        return;
    disk->records = grow_long(disk->records, disk->records_count, sizeof(*disk->records));
    struct model_record *line = &disk->records[disk->records_count++];
    line->op = op;
    line->error = error;
    write_path(disk, directory, above, sizeof(above));
    snprintf(line->path, sizeof(line->path), "%s%s%.*s", above, above[0] && name ? "/" : "", 127,
             name ? name : "");
}

static int injected(struct model_disk *disk, enum model_op op)
{
    if (disk->is_quiet)
        return 0;
    if (disk->is_dead)
        return -EIO;
    if (disk->fail_at == 0 || (disk->fail_op != MODEL_ANY && disk->fail_op != op))
        return 0;
    if (--disk->fail_at > 0)
        return 0;
    disk->is_dead = disk->is_kill;
    return disk->fail_error;
}

/* Records an operation, which fails with error, if that is not 0, or with the fault that is due. */
static int step(struct pst_repository *repository, enum model_op op, size_t directory,
                const char *name, int error)
{
    static const char *const steps[] = {
        [MODEL_OPEN] = "open",
        [MODEL_LIST] = "read the directory",
        [MODEL_STATUS] = "stat",
        [MODEL_READ] = "read",
        [MODEL_CREATE] = "create",
        [MODEL_WRITE] = "write",
        [MODEL_SYNC_FILE] = "fsync",
        [MODEL_MAKE_DIRECTORY] = "mkdir",
        [MODEL_RENAME] = "rename",
        [MODEL_REMOVE] = "unlink",
        [MODEL_REMOVE_DIRECTORY] = "rmdir",
        [MODEL_SYNC_DIRECTORY] = "fsync of the directory",
        [MODEL_LOCK] = "lock",
    };
    struct model_disk *disk = disk_of(repository);
    int fault = injected(disk, op);
    error = fault ? fault : error;
    record(disk, op, directory, name, error);
    if (error)
        repository->failed_step = steps[op];
    return error;
}

static bool is_ignored(const struct model_disk *disk, enum model_op op)
{
    return disk->ignored == op && !disk->is_quiet;
}

/* ---- handles ---- */

static size_t inode_of(const struct pst_repository *repository, int handle)
{
    const struct model_disk *disk = disk_of(repository);
    if (handle < 0 || (size_t)handle >= disk->handles_count)
        return SIZE_MAX;
    const struct model_handle *found = &disk->handles[handle];
    return found->process == repository->context ? found->inode : SIZE_MAX;
}

static int make_handle(struct pst_repository *repository, size_t inode)
{
    struct model_disk *disk = disk_of(repository);
    disk->handles = grow_long(disk->handles, disk->handles_count, sizeof(*disk->handles));
    disk->handles[disk->handles_count] =
        (struct model_handle){.process = repository->context, .inode = inode};
    return (int)disk->handles_count++;
}

/* Sets *inode to what a path leads to. */
static int resolve(const struct model_disk *disk, size_t directory, const char *path, size_t *inode)
{
    char rest[256];
    if (directory == SIZE_MAX)
        return -EBADF;
    snprintf(rest, sizeof(rest), "%s", path);
    char *save = NULL;
    *inode = directory;
    for (char *name = strtok_r(rest, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
        if (strcmp(name, ".") == 0)
            continue;
        const struct model_inode *above = &disk->inodes[*inode];
        if (above->kind != PST_REPOSITORY_DIRECTORY)
            return above->kind == PST_REPOSITORY_OTHER ? -ELOOP : -ENOTDIR;
        const struct entry *entry = find(&above->names, name);
        if (!entry)
            return -ENOENT;
        *inode = entry->inode;
    }
    return 0;
}

/* ---- the operations ---- */

static int model_open(struct pst_repository *repository, int directory, const char *path)
{
    struct model_disk *disk = disk_of(repository);
    size_t inode, above = inode_of(repository, directory);
    int error = resolve(disk, above, path, &inode);
    if (!error && disk->inodes[inode].kind != PST_REPOSITORY_DIRECTORY)
        error = disk->inodes[inode].kind == PST_REPOSITORY_OTHER ? -ELOOP : -ENOTDIR;
    error = step(repository, MODEL_OPEN, above == SIZE_MAX ? 0 : above, path, error);
    return error ? error : make_handle(repository, inode);
}

static void model_close(struct pst_repository *repository, int directory)
{
    struct model_disk *disk = disk_of(repository);
    assert(inode_of(repository, directory) != SIZE_MAX);
    disk->handles[directory] = (struct model_handle){0};
    while (disk->handles_count > 0 && !disk->handles[disk->handles_count - 1].process)
        disk->handles_count--;
}

/* The directory that a handle is of, for an operation on a name in it; -EBADF. */
static int use(struct pst_repository *repository, int handle, size_t *directory)
{
    *directory = inode_of(repository, handle);
    if (*directory != SIZE_MAX)
        return 0;
    *directory = 0;
    return -EBADF;
}

static int model_list(struct pst_repository *repository, int handle,
                      struct pst_repository_names *names)
{
    struct model_disk *disk = disk_of(repository);
    size_t directory;
    *names = (struct pst_repository_names){0};
    int error = use(repository, handle, &directory);
    error = step(repository, MODEL_LIST, directory, NULL, error);
    const struct entries *entries = &disk->inodes[directory].names;
    for (size_t i = 0; !error && i < entries->count; i++)
        error = repository_names_add(names, entries->all[i].name);
    return error;
}

static int model_status(struct pst_repository *repository, int handle, const char *path,
                        struct pst_repository_status *status)
{
    struct model_disk *disk = disk_of(repository);
    size_t directory, inode = 0;
    int error = use(repository, handle, &directory);
    if (!error)
        error = resolve(disk, directory, path ? path : "", &inode);
    error = step(repository, MODEL_STATUS, directory, path, error);
    if (error)
        return error;
    *status = (struct pst_repository_status){.kind = disk->inodes[inode].kind,
                                             .bytes = disk->inodes[inode].seen.size,
                                             .device = 1,
                                             .inode = inode + 1,
                                             .made_ns = disk->made_ns};
    return 0;
}

static int find_file(struct pst_repository *repository, int handle, const char *name, size_t *inode)
{
    struct model_disk *disk = disk_of(repository);
    size_t directory;
    int error = use(repository, handle, &directory);
    if (!error)
        error = resolve(disk, directory, name, inode);
    if (!error && disk->inodes[*inode].kind != PST_REPOSITORY_FILE)
        error = disk->inodes[*inode].kind == PST_REPOSITORY_OTHER ? -ELOOP : -EINVAL;
    return step(repository, MODEL_READ, directory, name, error);
}

static int model_read_head(struct pst_repository *repository, int handle, const char *name,
                           void *bytes, size_t bytes_max)
{
    size_t inode;
    int error = find_file(repository, handle, name, &inode);
    if (error)
        return error;
    const struct contents *seen = &disk_of(repository)->inodes[inode].seen;
    size_t size = seen->size < bytes_max ? seen->size : bytes_max;
    if (size)
        memcpy(bytes, seen->bytes, size);
    return (int)size;
}

static int hand_out(const struct contents *contents, size_t bytes_max, char **bytes, size_t *size)
{
    if (contents->size > bytes_max)
        return -EFBIG;
    struct contents copied = {0};
    set_contents(&copied, contents->bytes, contents->size);
    *bytes = copied.bytes;
    *size = copied.size;
    return 0;
}

static int model_read(struct pst_repository *repository, int handle, const char *name,
                      size_t bytes_max, char **bytes, size_t *size)
{
    size_t inode;
    int error = find_file(repository, handle, name, &inode);
    if (error)
        return error;
    return hand_out(&disk_of(repository)->inodes[inode].seen, bytes_max, bytes, size);
}

static int model_read_stored(struct pst_repository *repository, int handle, const char *name,
                             size_t bytes_max, char **bytes, size_t *size)
{
    size_t inode;
    int error = find_file(repository, handle, name, &inode);
    if (error)
        return error;
    return hand_out(&disk_of(repository)->inodes[inode].synced, bytes_max, bytes, size);
}

/* A new name in a directory. */
static int make(struct pst_repository *repository, enum model_op op, int handle, const char *name,
                enum pst_repository_kind kind)
{
    struct model_disk *disk = disk_of(repository);
    size_t directory;
    int error = use(repository, handle, &directory);
    if (!error && disk->inodes[directory].is_removed)
        error = -ENOENT;
    if (!error && find(&disk->inodes[directory].names, name))
        error = -EEXIST;
    error = step(repository, op, directory, name, error);
    if (error)
        return error;
    size_t inode = make_inode(disk, kind, directory);
    change_names(&disk->inodes[directory], CHANGE_ADD, name, "", inode);
    return 0;
}

/* It has no parts to end. */
static int model_end_file(struct pst_repository *repository, int handle, const char *path,
                          uint64_t offset, const void *data, size_t bytes)
{
    (void)repository, (void)handle, (void)path, (void)offset, (void)data, (void)bytes;
    return -ENOTSUP;
}

static int model_make_directory(struct pst_repository *repository, int handle, const char *name)
{
    return make(repository, MODEL_MAKE_DIRECTORY, handle, name, PST_REPOSITORY_DIRECTORY);
}

static int fill(struct pst_repository *repository, int handle, const char *name, const void *data,
                size_t bytes)
{
    struct model_disk *disk = disk_of(repository);
    size_t directory = inode_of(repository, handle), inode = 0;
    int error = resolve(disk, directory, name, &inode);
    if (!error && disk->inodes[inode].kind != PST_REPOSITORY_FILE)
        error = disk->inodes[inode].kind == PST_REPOSITORY_OTHER ? -ELOOP : -EISDIR;
    error = step(repository, MODEL_WRITE, directory, name, error);
    if (error)
        return error;
    set_contents(&disk->inodes[inode].seen, data, bytes);
    if (is_ignored(disk, MODEL_WRITE) && bytes > 0)
        memset(disk->inodes[inode].seen.bytes, 0, bytes);
    disk->inodes[inode].is_synced = false;
    return 0;
}

static int model_remove(struct pst_repository *repository, int handle, const char *name);

static int model_create(struct pst_repository *repository, int handle, const char *name,
                        const void *data, size_t bytes)
{
    struct model_disk *disk = disk_of(repository);
    size_t inode;
    int error = make(repository, MODEL_CREATE, handle, name, PST_REPOSITORY_FILE);
    if (error)
        return error;
    error = fill(repository, handle, name, data, bytes);
    if (!error)
        error = step(repository, MODEL_SYNC_FILE, inode_of(repository, handle), name, 0);
    if (error) {
        (void)model_remove(repository, handle, name);
        return error;
    }
    error = resolve(disk, inode_of(repository, handle), name, &inode);
    assert(!error);
    if (!is_ignored(disk, MODEL_SYNC_FILE))
        sync_contents(&disk->inodes[inode]);
    return 0;
}

static int model_overwrite(struct pst_repository *repository, int handle, const char *name,
                           const void *data, size_t bytes)
{
    size_t inode, directory = inode_of(repository, handle);
    if (resolve(disk_of(repository), directory, name, &inode)) {
        int error = make(repository, MODEL_CREATE, handle, name, PST_REPOSITORY_FILE);
        if (error)
            return error;
    }
    return fill(repository, handle, name, data, bytes);
}

/* Whether `to` may be replaced by inode. */
static int check_replace(const struct model_disk *disk, size_t inode, const struct entry *to,
                         bool replace)
{
    if (!to)
        return 0;
    if (!replace)
        return -EEXIST;
    const struct model_inode *old = &disk->inodes[to->inode];
    bool is_directory = disk->inodes[inode].kind == PST_REPOSITORY_DIRECTORY;
    if (is_directory != (old->kind == PST_REPOSITORY_DIRECTORY))
        return is_directory ? -ENOTDIR : -EISDIR;
    return old->names.count ? -ENOTEMPTY : 0;
}

static int model_rename(struct pst_repository *repository, int handle, const char *from,
                        const char *to, bool replace)
{
    struct model_disk *disk = disk_of(repository);
    size_t directory, inode = 0;
    int error = use(repository, handle, &directory);
    if (!error)
        error = resolve(disk, directory, from, &inode);
    const struct entry *old = error ? NULL : find(&disk->inodes[directory].names, to);
    if (!error)
        error = check_replace(disk, inode, old, replace);
    error = step(repository, MODEL_RENAME, directory, from, error);
    if (!disk->is_quiet && !disk->keeps_no_records)
        snprintf(disk->records[disk->records_count - 1].to, NAME_BYTES, "%s", to);
    if (error || is_ignored(disk, MODEL_RENAME))
        return error;
    if (old)
        disk->inodes[old->inode].is_removed = true;
    change_names(&disk->inodes[directory], CHANGE_RENAME, from, to, 0);
    return 0;
}

static int unlink_entry(struct pst_repository *repository, enum model_op op, int handle,
                        const char *name)
{
    struct model_disk *disk = disk_of(repository);
    size_t directory, inode = 0;
    int error = use(repository, handle, &directory);
    if (!error)
        error = resolve(disk, directory, name, &inode);
    bool is_directory = disk->inodes[inode].kind == PST_REPOSITORY_DIRECTORY;
    if (!error && is_directory != (op == MODEL_REMOVE_DIRECTORY))
        error = is_directory ? -EISDIR : -ENOTDIR;
    if (!error && is_directory && disk->inodes[inode].names.count)
        error = -ENOTEMPTY;
    error = step(repository, op, directory, name, error);
    if (error || is_ignored(disk, op))
        return error;
    disk->inodes[inode].is_removed = true;
    change_names(&disk->inodes[directory], CHANGE_REMOVE, name, "", 0);
    return 0;
}

static int model_remove(struct pst_repository *repository, int handle, const char *name)
{
    return unlink_entry(repository, MODEL_REMOVE, handle, name);
}

static int model_remove_directory(struct pst_repository *repository, int handle, const char *name)
{
    return unlink_entry(repository, MODEL_REMOVE_DIRECTORY, handle, name);
}

static int model_remove_tree(struct pst_repository *repository, int handle, const char *name)
{
    struct pst_repository_names names;
    int error = model_remove(repository, handle, name);
    if (error != -EISDIR)
        return error == -ENOENT ? 0 : error;
    int below = model_open(repository, handle, name);
    if (below < 0)
        return below;
    error = model_list(repository, below, &names);
    for (const char *one = error ? NULL : repository_names_next(&names, NULL); one && !error;
         one = repository_names_next(&names, one))
        error = model_remove_tree(repository, below, one);
    repository_names_free(&names);
    model_close(repository, below);
    return error ? error : model_remove_directory(repository, handle, name);
}

static int model_sync(struct pst_repository *repository, int handle)
{
    size_t directory;
    int error = use(repository, handle, &directory);
    error = step(repository, MODEL_SYNC_DIRECTORY, directory, NULL, error);
    if (!error && !is_ignored(disk_of(repository), MODEL_SYNC_DIRECTORY))
        sync_names(&disk_of(repository)->inodes[directory]);
    return error;
}

static bool conflicts(const struct model_disk *disk, int handle, enum pst_repository_lock how)
{
    for (size_t i = 0; i < disk->handles_count; i++) {
        const struct model_handle *other = &disk->handles[i];
        if (i == (size_t)handle || !other->process || other->inode != disk->handles[handle].inode)
            continue;
        if (other->lock == PST_REPOSITORY_EXCLUSIVE ||
            (other->lock == PST_REPOSITORY_SHARED && how == PST_REPOSITORY_EXCLUSIVE))
            return true;
    }
    return false;
}

static int model_lock(struct pst_repository *repository, int handle, enum pst_repository_lock how)
{
    struct model_disk *disk = disk_of(repository);
    size_t inode;
    int error = use(repository, handle, &inode);
    if (!error && how != PST_REPOSITORY_UNLOCKED && conflicts(disk, handle, how))
        error = -PST_E_BUSY;
    error = step(repository, MODEL_LOCK, inode, NULL, error);
    if (!error)
        disk->handles[handle].lock = how;
    return error;
}

static int model_lock_file(struct pst_repository *repository, int handle, const char *name)
{
    struct model_disk *disk = disk_of(repository);
    size_t inode = 0, directory = inode_of(repository, handle);
    int error = resolve(disk, directory, name, &inode);
    if (error == -ENOENT)
        error = make(repository, MODEL_CREATE, handle, name, PST_REPOSITORY_FILE);
    if (!error)
        error = resolve(disk, directory, name, &inode);
    if (!error && disk->inodes[inode].kind != PST_REPOSITORY_FILE)
        error = -ELOOP;
    if (error)
        return error;
    int locked = make_handle(repository, inode);
    error = model_lock(repository, locked, PST_REPOSITORY_EXCLUSIVE);
    if (!error)
        return locked;
    model_close(repository, locked);
    return error;
}

static const struct pst_repository_ops model_ops = {
    .open = model_open,
    .close = model_close,
    .list = model_list,
    .status = model_status,
    .read_head = model_read_head,
    .read = model_read,
    .read_stored = model_read_stored,
    .create = model_create,
    .overwrite = model_overwrite,
    .end_file = model_end_file,
    .make_directory = model_make_directory,
    .rename = model_rename,
    .remove = model_remove,
    .remove_directory = model_remove_directory,
    .remove_tree = model_remove_tree,
    .sync = model_sync,
    .lock = model_lock,
    .lock_file = model_lock_file,
};

/* ---- the disk ---- */

struct model_disk *model_disk_make(void)
{
    struct model_disk *disk = calloc(1, sizeof(*disk));
    assert(disk);
    (void)make_inode(disk, PST_REPOSITORY_DIRECTORY, 0);
    return disk;
}

void model_disk_free(struct model_disk *disk)
{
    for (size_t i = 0; i < disk->inodes_count; i++) {
        struct model_inode *inode = &disk->inodes[i];
        free(inode->seen.bytes);
        free(inode->synced.bytes);
        free(inode->names.all);
        free(inode->synced_names.all);
        free(inode->changes);
    }
    while (disk->processes) {
        struct model_process *process = disk->processes;
        disk->processes = process->next;
        free(process);
    }
    free(disk->inodes);
    free(disk->handles);
    free(disk->records);
    free(disk);
}

void model_disk_attach(struct model_disk *disk, struct pst_repository *repository)
{
    struct model_process *process = calloc(1, sizeof(*process));
    assert(process);
    process->disk = disk;
    process->next = disk->processes;
    disk->processes = process;
    *repository = (struct pst_repository){
        .ops = &model_ops,
        .features = PST_REPOSITORY_CAN_LOCK | PST_REPOSITORY_CAN_SYNC | PST_REPOSITORY_CAN_APPEND |
                    PST_REPOSITORY_HAS_DIRECTORIES,
        .path = "model",
        .context = process,
    };
    repository->root = make_handle(repository, 0);
}

void model_disk_fail(struct model_disk *disk, enum model_op op, uint64_t n, int error)
{
    assert(error < 0 || n == 0);
    disk->fail_op = op;
    disk->fail_at = n;
    disk->fail_error = error;
    disk->is_kill = false;
}

void model_disk_kill(struct model_disk *disk, uint64_t n)
{
    model_disk_fail(disk, MODEL_ANY, n, -EIO);
    disk->is_kill = true;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

/* What becomes of one thing that was not synced. */
struct fate {
    uint64_t state;   /* of the random numbers, or of a choice what is left of it */
    uint64_t choices; /* how many there are; 0: by chance */
};

static uint64_t choose(struct fate *fate, uint64_t count)
{
    if (!fate->choices)
        return next_random(&fate->state) % count;
    uint64_t chosen = fate->state % count;
    fate->state /= count;
    if (__builtin_mul_overflow(fate->choices, count, &fate->choices))
        fate->choices = UINT64_MAX;
    return chosen;
}

static void lose_names(struct model_inode *directory, struct fate *fate)
{
    copy(&directory->names, &directory->synced_names);
    for (size_t i = 0; i < directory->changes_count; i++) {
        if (choose(fate, 2))
            apply(&directory->names, &directory->changes[i]);
    }
    sync_names(directory);
}

/* Whole, old, or torn: the first bytes, then zeros, in a file of the new size. */
static void lose_contents(struct model_inode *file, struct fate *fate)
{
    if (file->is_synced)
        return;
    uint64_t chosen = choose(fate, 3);
    if (chosen == 1)
        set_contents(&file->seen, file->synced.bytes, file->synced.size);
    if (chosen == 2 && file->seen.size) {
        size_t kept = fate->choices ? file->seen.size / 2 : choose(fate, file->seen.size);
        memset(file->seen.bytes + kept, 0, file->seen.size - kept);
    }
    sync_contents(file);
}

static void lose(struct model_disk *disk, struct fate *fate)
{
    for (size_t i = 0; i < disk->handles_count; i++)
        disk->handles[i] = (struct model_handle){0};
    for (size_t i = 0; i < disk->inodes_count; i++) {
        struct model_inode *inode = &disk->inodes[i];
        if (inode->kind == PST_REPOSITORY_DIRECTORY)
            lose_names(inode, fate);
        if (inode->kind == PST_REPOSITORY_FILE)
            lose_contents(inode, fate);
        inode->is_removed = false; /* a removal may be undone; without one there is no handle */
    }
    disk->is_dead = false;
    disk->fail_at = 0;
}

void model_disk_lose_power(struct model_disk *disk, uint64_t seed)
{
    lose(disk, &(struct fate){.state = seed});
}

uint64_t model_disk_lose_power_by(struct model_disk *disk, uint64_t choice)
{
    struct fate fate = {.state = choice, .choices = 1};
    lose(disk, &fate);
    return fate.choices;
}

void model_disk_end_process(struct pst_repository *repository)
{
    struct model_disk *disk = disk_of(repository);
    for (size_t i = 0; i < disk->handles_count; i++) {
        if (disk->handles[i].process == repository->context)
            disk->handles[i] = (struct model_handle){0};
    }
    disk->is_dead = false;
    disk->fail_at = 0;
}

int model_disk_sync_file(struct pst_repository *repository, int handle, const char *name)
{
    struct model_disk *disk = disk_of(repository);
    size_t inode, directory = inode_of(repository, handle);
    int error = resolve(disk, directory, name, &inode);
    error = step(repository, MODEL_SYNC_FILE, directory == SIZE_MAX ? 0 : directory, name, error);
    if (!error && !is_ignored(disk, MODEL_SYNC_FILE))
        sync_contents(&disk->inodes[inode]);
    return error;
}

static bool is_changing(const struct model_inode *directory, const char *name)
{
    for (size_t i = 0; i < directory->changes_count; i++) {
        const struct change *change = &directory->changes[i];
        if (strcmp(change->name, name) == 0 || strcmp(change->to, name) == 0)
            return true;
    }
    return false;
}

bool model_disk_is_durable(const struct model_disk *disk, const char *path)
{
    char rest[256];
    snprintf(rest, sizeof(rest), "%s", path);
    char *save = NULL;
    size_t inode = 0;
    for (char *name = strtok_r(rest, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
        const struct entry *seen = find(&disk->inodes[inode].names, name);
        const struct entry *synced = find(&disk->inodes[inode].synced_names, name);
        if (!seen || !synced || seen->inode != synced->inode ||
            is_changing(&disk->inodes[inode], name))
            return false;
        inode = seen->inode;
    }
    return disk->inodes[inode].kind != PST_REPOSITORY_FILE || disk->inodes[inode].is_synced;
}

void model_disk_sync_all(struct model_disk *disk)
{
    for (size_t i = 0; i < disk->inodes_count; i++) {
        if (disk->inodes[i].kind == PST_REPOSITORY_DIRECTORY)
            sync_names(&disk->inodes[i]);
        if (disk->inodes[i].kind == PST_REPOSITORY_FILE)
            sync_contents(&disk->inodes[i]);
    }
}

void model_disk_forget(struct model_disk *disk)
{
    disk->records_count = 0;
}

size_t model_disk_find(const struct model_disk *disk, size_t from, enum model_op op,
                       const char *path)
{
    for (size_t i = from; i < disk->records_count; i++) {
        if (disk->records[i].op == op && strcmp(disk->records[i].path, path) == 0)
            return i;
    }
    return SIZE_MAX;
}

void model_disk_put_other(struct model_disk *disk, const char *name)
{
    size_t inode = make_inode(disk, PST_REPOSITORY_OTHER, 0);
    change_names(&disk->inodes[0], CHANGE_ADD, name, "", inode);
}
