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

/* Of an object there may be copies, made after it for want of links, which have other names. */
static bool is_copy(const struct restore_flagged *flagged)
{
    const struct object_record *record = flagged->record;
    while ((flagged = flagged->next) && flagged->record != record)
        ;
    return flagged;
}

/* Others may be in the target by now: -EEXIST: it is not what was restored. */
static int open_restored(const struct restore_run *run, const struct restore_flagged *flagged,
                         const struct pst_object *object)
{
    struct stat status;
    int fd = pst_beneath_open(restore_source_fd(run, flagged->record),
                              *object->path ? object->path : ".",
                              O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return fd;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    if (!error && (status.st_dev != flagged->device || status.st_ino != flagged->inode))
        error = -EEXIST;
    if (error)
        close(fd);
    return error ? error : fd;
}

static int add_flags(const struct restore_run *run, const struct restore_flagged *flagged)
{
    const struct pst_object object = object_of(flagged->record);
    uint32_t flags = pst_object_inode_flags(&object);
    int fd = open_restored(run, flagged, &object);
    if (fd < 0)
        return fd;
    int error = pst_inode_add_flags(fd, (flags & PST_OBJECT_IMMUTABLE ? FS_IMMUTABLE_FL : 0) |
                                            (flags & PST_OBJECT_APPEND_ONLY ? FS_APPEND_FL : 0));
    close(fd);
    return error;
}

void restore_set_flags(struct restore_run *run)
{
    for (struct restore_flagged *flagged = run->flagged; flagged; flagged = flagged->next) {
        if (atomic_load(&flagged->record->failed))
            continue;
        restore_begin(run, flagged->record, "set the flags of");
        int error = add_flags(run, flagged);
        pst_activity_end();
        if (error && !(error == -EEXIST && is_copy(flagged)))
            restore_report_part(run, error, flagged->record,
                                error == -EEXIST ? "not made immutable or append-only, for another "
                                                   "file has taken the name of"
                                                 : "could not make immutable or append-only:");
    }
}
