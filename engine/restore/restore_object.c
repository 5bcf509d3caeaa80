/*
 * One object of a restore in its target: which directory it lies below, opening its file, its
 * owner, mode and times. Any thread of the crew calls it.
 */
#include "engine/restore/restore_object.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/base/log.h"
#include "engine/format/file_attributes.h"
#include "engine/restore/lmdb_lock.h"
#include "engine/restore/restore_attributes.h"
#include "engine/restore/restore_placed.h"
#include "io/inode.h"

#define UNREADABLE_LOGGED_MAX 20u

int *restore_source_slot(const struct restore_run *run, uint32_t node, uint32_t instance)
{
    return &run->source_fds[(size_t)node * PST_SOURCES_MAX + instance];
}

int restore_source_fd(const struct restore_run *run, const struct object_record *record)
{
    return *restore_source_slot(run, record->node, pst_object_source(object_of(record).id));
}

void restore_begin(const struct restore_run *run, const struct object_record *record,
                   const char *what)
{
    char name[PST_ACTIVITY_NAME_BYTES];
    const struct pst_object object = object_of(record);
    snprintf(name, sizeof(name), "%s/%s", restore_source_name(run, record, object.id), object.path);
    pst_activity_begin(what, name);
}

bool restore_is_file(const struct pst_object *object)
{
    return (RESTORE_FILE_TYPES >> object->type & 1) != 0;
}

bool restore_is_environment(const struct pst_object *object)
{
    return object->type == PST_OBJECT_ENVIRONMENT || object->type == PST_OBJECT_DATABASE;
}

bool restore_is_left_out(const struct restore_run *run, const struct pst_object *object)
{
    return run->options->no_devices &&
           (object->type == PST_OBJECT_BLOCK_DEVICE || object->type == PST_OBJECT_CHARACTER_DEVICE);
}

bool restore_waits_for_contents(const struct pst_object *object)
{
    return restore_is_file(object) && (object->flags & PST_OBJECT_UNREADABLE);
}

bool restore_has_nothing_of(const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    return restore_waits_for_contents(&object) && atomic_load(&record->received) == 0;
}

int restore_note_placed(const struct restore_run *run, int parent_fd, const char *name)
{
    struct stat status;
    if (!run->placed)
        return 0;
    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    int result = restore_placed_add(run->placed, &status);
    return result < 0 ? result : 0; /* a hard link is there already */
}

int restore_clear_way(const struct restore_run *run, int parent_fd, const char *name,
                      const struct pst_object *object)
{
    char why[PST_MESSAGE_BYTES];
    struct stat status;
    bool is_there = fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_there && errno != ENOENT)
        return -errno;
    if (is_there && restore_placed_has(run->placed, &status)) {
        pst_log(PST_LOG_ERROR,
                "%s: another object of the backup has this name in the target already, which takes "
                "their names for one: does its file system ignore case?",
                object->path);
        return -EEXIST;
    }
    if (is_there ? !S_ISREG(status.st_mode) : !restore_is_environment(object))
        return is_there ? pst_beneath_remove(parent_fd, name, PST_BENEATH_SAME_OWNER) : 0;
    int error = lmdb_lock_check(parent_fd, name, why); /* once more: it has been a while */
    if (!error)
        error = lmdb_lock_remove(parent_fd, name, restore_is_environment(object));
    if (!error && unlinkat(parent_fd, name, 0) < 0 && errno != ENOENT)
        error = -errno;
    return error;
}

const char *restore_working_name(const struct restore_run *run, const struct object_record *record,
                                 const char *name, char text[RESTORE_WORKING_NAME_BYTES])
{
    if (!run->swaps)
        return name;
    snprintf(text, RESTORE_WORKING_NAME_BYTES, ".penstock-%.16s-%" PRIx32 "-%" PRIx64,
             run->target.marker, record->node, object_id(record));
    return text;
}

/* A file that failed before gets no room. An earlier restore that was stopped may have left one of
 * the working name. */
static int make_late_room(const struct restore_run *run, int parent_fd, const char *name,
                          const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    if (run->swaps)
        return unlinkat(parent_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
    if (!run->target.in_place || !restore_waits_for_contents(&object) ||
        atomic_load(&record->failed))
        return 0;
    return restore_clear_way(run, parent_fd, name, &object);
}

/* Without which its contents would lie otherwise. restore_set_flags() reports those that are not
 * there in the end. */
static void set_first_flags(const struct restore_run *run, int fd,
                            const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    uint32_t missed, flags = pst_object_inode_flags(&object) & PST_OBJECT_FLAGS_AT_FIRST;
    if (flags && !run->options->no_owner)
        (void)!pst_inode_add_flags(fd, pst_object_flags_to_inode(flags), &missed);
}

int restore_open(const struct restore_run *run, struct pst_parent *parent,
                 struct object_record *record, const char *path, mode_t mode)
{
    char text[RESTORE_WORKING_NAME_BYTES];
    const char *name;
    int source_fd = restore_source_fd(run, record);
    if (source_fd < 0)
        return -PST_E_CORRUPT;
    int parent_fd = pst_parent_of(parent, source_fd, path, &name);
    if (parent_fd < 0)
        return parent_fd;
    name = restore_working_name(run, record, name, text);
    int error = atomic_load(&record->made) ? 0 : make_late_room(run, parent_fd, name, record);
    if (error)
        return error;
    /* a file that is there by now is somebody else's, and is not written into */
    int create = atomic_load(&record->made) ? 0 : O_CREAT | O_EXCL;
    int fd = pst_beneath_open(parent_fd, name, O_WRONLY | create | O_NOFOLLOW | O_NONBLOCK,
                              create ? mode : 0);
    if (fd >= 0 && create)
        set_first_flags(run, fd, record);
    if (fd >= 0)
        atomic_store(&record->made, true);
    return fd;
}

/* The mode with a set-ID bit only where the file belongs to whom the bit was given by: else a
 * program of somebody else's would run with the rights of the user who restores. */
static mode_t safe_mode(const struct restore_run *run, const struct pst_object *object,
                        const struct stat *status)
{
    mode_t mode = object->mode;
    bool none = run->options->no_set_id || run->options->no_owner;
    if (none || status->st_uid != object->uid)
        mode &= ~(mode_t)S_ISUID;
    if (none || status->st_gid != object->gid)
        mode &= ~(mode_t)S_ISGID;
    return mode;
}

/* Some file systems, such as those of SMB, take what they do not keep for done. */
#define IGNORED (-EOPNOTSUPP)

/* What is right already is not set: for a file system each is a change of the inode. *status: as it
 * is then. */
static int set_owner(struct restore_run *run, int fd, const struct object_record *record,
                     const struct pst_object *object, struct stat *status)
{
    if (fstat(fd, status) < 0)
        return -errno;
    if (!run->set_owners || (status->st_uid == object->uid && status->st_gid == object->gid))
        return 0;
    int error = pst_inode_set_owner(fd, object->uid, object->gid);
    if (fstat(fd, status) < 0)
        return -errno;
    if (!error && (status->st_uid != object->uid || status->st_gid != object->gid))
        error = IGNORED;
    return error ? restore_miss_part(run, error, record, "could not set the owner of") : 0;
}

static int set_mode(int fd, mode_t mode)
{
    struct stat status;
    int error = pst_inode_set_mode(fd, mode);
    if (!error && fstat(fd, &status) < 0)
        error = -errno;
    return !error && (status.st_mode & 07777) != mode ? IGNORED : error;
}

/* A target may keep it in whole seconds, or two, and within some years. Of less than a second
 * nothing is said. */
static int set_time(int fd, const struct pst_object *object)
{
    const struct timespec mtime = {.tv_sec = object->mtime_sec, .tv_nsec = object->mtime_nsec};
    struct stat status;
    int error = pst_inode_set_mtime(fd, &mtime);
    if (!error && fstat(fd, &status) < 0)
        error = -errno;
    return !error && status.st_mtim.tv_sec != mtime.tv_sec ? IGNORED : error;
}

/* Which inode it is that restore_set_flags() gives the object's flags to. */
static int note_flags(struct restore_run *run, const struct object_record *record,
                      const struct stat *status)
{
    const struct pst_object object = object_of(record);
    bool takes_them = S_ISREG(status->st_mode) || S_ISDIR(status->st_mode);
    bool has_some = (takes_them && pst_object_inode_flags(&object)) || pst_object_project(&object);
    if (!has_some || run->options->no_owner)
        return 0;
    pthread_mutex_lock(&run->objects.mutex);
    struct restore_flagged *flagged = objects_take_memory(&run->objects, sizeof(*flagged));
    if (flagged) {
        *flagged = (struct restore_flagged){run->flagged, record, status->st_dev, status->st_ino};
        run->flagged = flagged;
    }
    pthread_mutex_unlock(&run->objects.mutex);
    return flagged ? 0 : -ENOMEM;
}

/* Owner before what chown(2) clears: file capabilities and the set-user-ID bits; and mode after the
 * ACL, which changes it. fd may be an O_PATH. */
static int set_metadata(struct restore_run *run, int fd, const struct object_record *record,
                        const struct pst_object *object)
{
    struct stat status;
    mode_t withheld;
    int error = set_owner(run, fd, record, object, &status);
    if (!error)
        error = note_flags(run, record, &status);
    if (error)
        return error;
    error = restore_set_xattrs(run, fd, record, object, &status, &withheld);
    if (error)
        return error;
    mode_t mode = safe_mode(run, object, &status) & ~withheld;
    if (object->type != PST_OBJECT_SYMLINK && mode != (status.st_mode & 07777))
        error = set_mode(fd, mode);
    if (error)
        error = restore_miss_part(run, error, record, "could not set the mode of");
    if (error)
        return error;
    error = set_time(fd, object);
    return error ? restore_miss_part(run, error, record, "could not set the time of") : 0;
}

/* Whether what was opened by a name is what was made there: a file of another sort, or one that has
 * further names, was put there by somebody else. */
static bool is_own_node(const struct pst_object *object, const struct stat *status)
{
    mode_t format = restore_format(object->type);
    bool is_device = S_ISBLK(format) || S_ISCHR(format);
    return (status->st_mode & S_IFMT) == format && status->st_nlink == 1 &&
           (!is_device || status->st_rdev == restore_device(object));
}

int restore_finish_node(struct restore_run *run, int parent_fd, const char *name,
                        const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    struct stat status;
    int fd = pst_beneath_open(parent_fd, name, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    if (!error && !is_own_node(&object, &status))
        error = -EEXIST;
    if (!error)
        error = set_metadata(run, fd, record, &object);
    close(fd);
    if (!error)
        atomic_fetch_add(&run->made, 1);
    return error;
}

mode_t restore_format(enum pst_object_type type)
{
    static const mode_t formats[] = {
        [PST_OBJECT_SYMLINK] = S_IFLNK,          [PST_OBJECT_BLOCK_DEVICE] = S_IFBLK,
        [PST_OBJECT_CHARACTER_DEVICE] = S_IFCHR, [PST_OBJECT_FIFO] = S_IFIFO,
        [PST_OBJECT_SOCKET] = S_IFSOCK,
    };
    assert((size_t)type < sizeof(formats) / sizeof(formats[0]) && formats[type]);
    return formats[type];
}

dev_t restore_device(const struct pst_object *object)
{
    return makedev((unsigned)(object->rdev >> 32), (unsigned)(object->rdev & UINT32_MAX));
}

/* How many there were before. */
static uint64_t count_unreadable(struct restore_run *run)
{
    pthread_mutex_lock(&run->mutex);
    uint64_t known = run->result->unreadable++;
    pthread_mutex_unlock(&run->mutex);
    return known;
}

int restore_miss_contents(struct restore_run *run, struct object_record *record)
{
    count_unreadable(run);
    return restore_miss(run, -ENODATA, record,
                        run->target.in_place
                            ? "left as it is in the target, for the backup has nothing of it:"
                            : "not made, for the backup has nothing of it:");
}

static void note_unreadable(struct restore_run *run, const struct pst_object *object)
{
    if (object->flags == 0 || count_unreadable(run) >= UNREADABLE_LOGGED_MAX)
        return;
    pst_log(PST_LOG_WARNING, "%s: the backup does not have all of it: it %s", object->path,
            object->flags & PST_OBJECT_UNREADABLE ? "could not be read"
                                                  : "changed while it was read");
}

int restore_finish_open(struct restore_run *run, int fd, const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    int error = set_metadata(run, fd, record, &object);
    if (error)
        return error;
    note_unreadable(run, &object);
    atomic_fetch_add(&run->made, 1);
    return 0;
}

int restore_take_name(struct restore_run *run, struct pst_parent *parent,
                      struct object_record *record)
{
    const struct pst_object object = object_of(record);
    char text[RESTORE_WORKING_NAME_BYTES];
    const char *name;
    if (!run->swaps || !atomic_load(&record->made) || atomic_load(&record->failed))
        return 0;
    int parent_fd = pst_parent_of(parent, restore_source_fd(run, record), object.path, &name);
    int error = parent_fd < 0 ? parent_fd : restore_clear_way(run, parent_fd, name, &object);
    if (!error && renameat2(parent_fd, restore_working_name(run, record, name, text), parent_fd,
                            name, RENAME_NOREPLACE) < 0)
        error = -errno;
    if (!error)
        return restore_note_placed(run, parent_fd, name);
    atomic_fetch_sub(&run->made, 1);
    return restore_miss(run, error, record, "could not make room for");
}

/* Where what it is to be called is taken or too long. */
static int leave_there(struct restore_run *run, int error, const struct object_record *record,
                       const char *name)
{
    char what[RESTORE_WORKING_NAME_BYTES + 64];
    snprintf(what, sizeof(what), "not whole, and left there as %s:", name);
    return restore_miss_part(run, error, record,
                             run->swaps ? what : "not whole, and under its own name:");
}

/* Out of the way of who would take it for whole: under another name, or, where nothing is in it,
 * away. */
int restore_set_aside(struct restore_run *run, struct pst_parent *parent,
                      const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    char aside[NAME_MAX + 1], text[RESTORE_WORKING_NAME_BYTES];
    const char *name;
    if (!atomic_load(&record->made))
        return 0;
    int parent_fd = pst_parent_of(parent, restore_source_fd(run, record), object.path, &name);
    if (parent_fd < 0)
        return restore_miss_part(run, parent_fd, record, "could not set aside");
    const char *now = restore_working_name(run, record, name, text);
    if (object.type != PST_OBJECT_DATABASE && atomic_load(&record->received) == 0)
        return unlinkat(parent_fd, now, 0) < 0
                   ? restore_miss_part(run, -errno, record, "could not remove the empty")
                   : 0;
    int length = snprintf(aside, sizeof(aside), "%s.damaged", name);
    if (length < 0 || (size_t)length >= sizeof(aside))
        return leave_there(run, -ENAMETOOLONG, record, now);
    if (renameat2(parent_fd, now, parent_fd, aside, RENAME_NOREPLACE) < 0)
        return leave_there(run, -errno, record, now);
    return 0;
}
