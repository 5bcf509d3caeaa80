/* The last pass, when the target has its name: the flags by which files and directories cannot be
 * changed any more. Called by restore.c on its thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/format/file_attributes.h"
#include "engine/restore/restore_object.h"
#include "engine/restore/restore_passes.h"
#include "io/inode.h"

/* Others may be in the target by now: whether it still is what was restored. */
static bool is_restored(const struct restore_run *run, int fd, const struct pst_object *object)
{
    struct stat status;
    return fstat(fd, &status) == 0 &&
           S_ISDIR(status.st_mode) == (object->type == PST_OBJECT_DIRECTORY) &&
           (S_ISDIR(status.st_mode) || S_ISREG(status.st_mode)) &&
           (!run->set_owners || status.st_uid == object->uid) &&
           status.st_mtim.tv_sec == object->mtime_sec &&
           status.st_mtim.tv_nsec == (long)object->mtime_nsec;
}

static int open_restored(const struct restore_run *run, const struct object_record *record,
                         const struct pst_object *object)
{
    int fd = pst_beneath_open(restore_source_fd(run, record), *object->path ? object->path : ".",
                              O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
    if (fd >= 0 && !is_restored(run, fd, object)) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

static int add_flags(const struct restore_run *run, const struct object_record *record,
                     const struct pst_object *object, uint32_t flags)
{
    int fd = open_restored(run, record, object);
    if (fd < 0)
        return fd;
    int error = pst_inode_add_flags(fd, (flags & PST_OBJECT_IMMUTABLE ? FS_IMMUTABLE_FL : 0) |
                                            (flags & PST_OBJECT_APPEND_ONLY ? FS_APPEND_FL : 0));
    close(fd);
    return error;
}

int restore_set_flags(struct restore_run *run)
{
    int error = 0;
    for (size_t i = 0; !error && i < run->objects.count; i++) {
        const struct object_record *record = run->objects.listed[i];
        const struct pst_object object = object_of(record);
        uint32_t flags = pst_object_inode_flags(&object);
        if (!flags || run->options->no_owner || atomic_load(&record->failed))
            continue;
        restore_begin(run, record, "set the flags of");
        error = add_flags(run, record, &object, flags);
        pst_activity_end();
        if (error)
            error = restore_miss_part(run, error == -ESTALE ? -PST_E_CHANGED : error, record,
                                      "could not make immutable or append-only:");
    }
    return error;
}
