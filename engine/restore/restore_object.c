/*
 * One object of a restore in its target: which directory it lies below, opening its file, its
 * owner, mode and times. Any thread of the crew calls it.
 */
#include "engine/restore/restore_object.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"

#define UNREADABLE_LOGGED_MAX 20u

int *restore_source_slot(const struct restore_run *run, uint32_t node, uint32_t instance)
{
    return &run->source_fds[(size_t)node * PST_SOURCES_MAX + instance];
}

int restore_source_fd(const struct restore_run *run, const struct object_record *record)
{
    return *restore_source_slot(run, record->node, pst_object_source(object_of(record).id));
}

bool restore_is_file(const struct pst_object *object)
{
    return object->type == PST_OBJECT_FILE || object->type == PST_OBJECT_TABLE ||
           object->type == PST_OBJECT_ENVIRONMENT || object->type == PST_OBJECT_BLOCK_IMAGE;
}

int restore_open(struct restore_run *run, struct pst_parent *parent,
                 const struct object_record *record, const char *path)
{
    const char *name;
    int source_fd = restore_source_fd(run, record);
    if (source_fd < 0)
        return -PST_E_CORRUPT;
    int parent_fd = pst_parent_of(parent, source_fd, path, &name);
    if (parent_fd < 0)
        return parent_fd;
    return pst_beneath_open(parent_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
}

static void times_of(const struct pst_object *object, struct timespec times[2])
{
    times[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    times[1] = (struct timespec){.tv_sec = object->mtime_sec, .tv_nsec = object->mtime_nsec};
}

/* The mode with a set-ID bit only where the file belongs to whom the bit was given by: else a
 * program of somebody else's would run with the rights of the user who restores. */
static mode_t safe_mode(const struct pst_object *object, const struct stat *status)
{
    mode_t mode = object->mode;
    if (status->st_uid != object->uid)
        mode &= ~(mode_t)S_ISUID;
    if (status->st_gid != object->gid)
        mode &= ~(mode_t)S_ISGID;
    return mode;
}

/* Owner before mode: chown(2) clears the set-user-ID bits. */
static int set_metadata(const struct restore_run *run, int fd, const struct pst_object *object)
{
    struct timespec times[2];
    struct stat status;
    mode_t mode = object->mode;
    times_of(object, times);
    if (run->is_root && fchown(fd, object->uid, object->gid) != 0)
        return -errno;
    if (mode & (S_ISUID | S_ISGID)) {
        if (fstat(fd, &status) != 0)
            return -errno;
        mode = safe_mode(object, &status);
    }
    if (fchmod(fd, mode) != 0 || futimens(fd, times) != 0)
        return -errno;
    return 0;
}

/* The same for what cannot be opened. */
int restore_set_metadata_at(const struct restore_run *run, int parent_fd, const char *name,
                            const struct pst_object *object)
{
    struct timespec times[2];
    times_of(object, times);
    if (run->is_root &&
        fchownat(parent_fd, name, object->uid, object->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    struct stat status;
    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (object->type != PST_OBJECT_SYMLINK &&
        fchmodat(parent_fd, name, safe_mode(object, &status), 0) != 0)
        return -errno;
    return utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

static void note_unreadable(struct restore_run *run, const struct pst_object *object)
{
    if (object->flags == 0)
        return;
    pthread_mutex_lock(&run->mutex);
    uint64_t known = run->result->unreadable++;
    pthread_mutex_unlock(&run->mutex);
    if (known >= UNREADABLE_LOGGED_MAX)
        return;
    pst_log(PST_LOG_WARNING, "%s: the backup does not have all of it: it %s", object->path,
            object->flags & PST_OBJECT_UNREADABLE ? "could not be read"
                                                  : "changed while it was read");
}

int restore_finish_open(struct restore_run *run, int fd, const struct pst_object *object)
{
    int error = set_metadata(run, fd, object);
    if (error)
        return error;
    note_unreadable(run, object);
    atomic_fetch_add(&run->made, 1);
    return 0;
}
