/* The last pass, when the target has its name: flags, by some of which files and directories cannot
 * be changed any more, and project ids, by which nothing is linked or renamed between some. Called
 * by restore.c on its thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
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
    bool is_openable = object->type == PST_OBJECT_FILE || object->type == PST_OBJECT_DIRECTORY;
    int fd = pst_beneath_open(
        restore_source_fd(run, flagged->record), *object->path ? object->path : ".",
        (is_openable ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH) | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    if (!error && (status.st_dev != flagged->device || status.st_ino != flagged->inode))
        error = -EEXIST;
    if (error)
        close(fd);
    return error ? error : fd;
}

/* Which flags forbid what its file system never does. Btrfs gives a file the one by itself, and
 * systemd the other to the files of its journal. */
static uint32_t needless_flags(int fd)
{
    struct statfs system;
    uint32_t type = fstatfs(fd, &system) < 0 ? 0 : (uint32_t)system.f_type;
    bool writes_in_place =
        type == EXT4_SUPER_MAGIC || type == XFS_SUPER_MAGIC || type == TMPFS_MAGIC;
    return writes_in_place ? FS_NOCOMP_FL | FS_NOCOW_FL : 0;
}

static void add_flags(struct restore_run *run, int fd, const struct object_record *record,
                      uint32_t flags)
{
    char letters[PST_OBJECT_FLAGS_TEXT_BYTES], what[64];
    uint32_t missed;
    int error = pst_inode_add_flags(fd, pst_object_flags_to_inode(flags), &missed);
    if (missed)
        missed &= ~needless_flags(fd);
    if (!missed)
        return;
    snprintf(what, sizeof(what), "could not set the flags %s of",
             pst_object_flags_text(pst_object_flags_from_inode(missed), letters));
    restore_report_part(run, error ? error : -EOPNOTSUPP, record, what);
}

/* Flags last: an immutable file takes nothing more. */
static int set_all(struct restore_run *run, const struct restore_flagged *flagged)
{
    const struct pst_object object = object_of(flagged->record);
    uint32_t flags = pst_object_inode_flags(&object), project = pst_object_project(&object);
    int fd = open_restored(run, flagged, &object);
    if (fd < 0)
        return fd;
    int error = project ? pst_inode_set_project(fd, project) : 0;
    if (error)
        restore_report_part(run, error, flagged->record, "could not set the project id of");
    if (flags)
        add_flags(run, fd, flagged->record, flags);
    close(fd);
    return 0;
}

void restore_set_flags(struct restore_run *run)
{
    for (struct restore_flagged *flagged = run->flagged; flagged; flagged = flagged->next) {
        if (atomic_load(&flagged->record->failed))
            continue;
        restore_begin(run, flagged->record, "set the flags of");
        int error = set_all(run, flagged);
        pst_activity_end();
        if (error && !(error == -EEXIST && is_copy(flagged)))
            restore_report_part(run, error, flagged->record,
                                error == -EEXIST ? "no flags and project id are set, for another "
                                                   "file has taken the name of"
                                                 : "could not set the flags and project id of");
    }
}
