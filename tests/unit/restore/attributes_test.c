/* Extended attributes and flags: what comes back, and what is left out, or reported. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/format/file_attributes.h"
#include "engine/restore/restore.h"
#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/support/make_backup.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* linux/posix_acl_xattr.h: owner, user 65534, group, mask, others. */
static const struct {
    uint32_t version;
    struct {
        uint16_t tag, mode;
        uint32_t id;
    } entries[5];
} acl = {2,
         {{1, 7, UINT32_MAX},
          {2, 7, 65534},
          {4, 5, UINT32_MAX},
          {16, 5, UINT32_MAX},
          {32, 0, UINT32_MAX}}};

/* linux/capability.h: VFS_CAP_REVISION_2, effective, CAP_NET_BIND_SERVICE. */
static const uint32_t capability[5] = {0x02000001, 1u << 10, 0, 0, 0};

enum { ROOT, PROGRAM, SYMLINK, FIFO, LOCKED, DIR, INSIDE, OBJECTS };

static struct pst_object objects[OBJECTS] = {
    {.type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755},
    {.type = PST_OBJECT_FILE, .path = "program", .mode = 04750, .uid = 1234, .gid = 1234},
    {.type = PST_OBJECT_SYMLINK, .path = "symlink", .link = "nowhere", .mode = 0777},
    {.type = PST_OBJECT_FIFO, .path = "fifo", .mode = 0750},
    {.type = PST_OBJECT_FILE, .path = "locked", .mode = 0600, .mtime_sec = 77},
    {.type = PST_OBJECT_DIRECTORY, .path = "dir", .mode = 0755},
    {.type = PST_OBJECT_FILE, .path = "dir/inside", .mode = 0644},
};
static uint8_t attributes[OBJECTS][PST_OBJECT_ATTRIBUTES_BYTES_MAX];
static struct made_place place, target;
static struct pst_restore_result result;
static char troubles[4096];

static void give(int object, const char *name, const void *value, uint32_t bytes)
{
    const struct pst_xattr xattr = {.name = name, .value = value, .value_bytes = bytes};
    objects[object].attributes = attributes[object];
    CU_ASSERT_EQUAL_FATAL(pst_xattr_append(&xattr, attributes[object], sizeof(attributes[object]),
                                           &objects[object].attributes_bytes),
                          0);
}

static void give_flags(int object, uint32_t flags)
{
    objects[object].attributes = attributes[object];
    CU_ASSERT_EQUAL_FATAL(pst_object_append_inode_flags(flags, attributes[object],
                                                        sizeof(attributes[object]),
                                                        &objects[object].attributes_bytes),
                          0);
}

static void take_all_away(void)
{
    for (int i = 0; i < OBJECTS; i++) {
        objects[i].id = (uint64_t)i + 1;
        objects[i].attributes = NULL;
        objects[i].attributes_bytes = 0;
    }
}

static void give_all(void)
{
    take_all_away();
    give(ROOT, ACL_DEFAULT, &acl, sizeof(acl));
    give(ROOT, "user.root", "r", 1);
    give(PROGRAM, "security.capability", capability, sizeof(capability));
    give(PROGRAM, "trusted.t", "2", 1);
    give(PROGRAM, "user.u", "", 0);
    give(SYMLINK, "trusted.s", "1", 1);
    give(FIFO, ACL_ACCESS, &acl, sizeof(acl));
    give_flags(LOCKED, PST_OBJECT_IMMUTABLE);
    give_flags(DIR, PST_OBJECT_APPEND_ONLY);
}

static void begin(void)
{
    const struct made_backup made = {
        .number = 1, .parts = 1, .sources = 1, .objects = objects, .objects_count = OBJECTS};
    place = make_place();
    target = place_below(&place, "target");
    make_backup(place.path, &made);
}

static void note(void *context, const struct pst_restore_trouble *trouble)
{
    size_t used = strlen(troubles);
    (void)context;
    snprintf(troubles + used, sizeof(troubles) - used, "%s %s\n", trouble->what, trouble->path);
    CU_ASSERT_TRUE(trouble->is_whole);
}

static int restore_with(struct pst_restore_options options)
{
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    troubles[0] = '\0';
    options.crew.workers = 2;
    options.trouble = note;
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    int error = pst_restore(backup, target.path, &options, &result);
    pst_backup_list_release(&list);
    return error;
}

static bool has(const char *name, const char *xattr, const void *value, size_t bytes)
{
    char found[256];
    const struct made_place path = *name ? place_below(&target, name) : target;
    ssize_t got = lgetxattr(path.path, xattr, found, sizeof(found));
    return got == (ssize_t)bytes && memcmp(found, value, bytes) == 0;
}

static bool has_none(const char *name, const char *xattr)
{
    const struct made_place path = *name ? place_below(&target, name) : target;
    return lgetxattr(path.path, xattr, NULL, 0) < 0 && errno == ENODATA;
}

static unsigned flags_of(const char *name)
{
    unsigned flags = 0;
    int fd = open(place_below(&target, name).path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
    close(fd);
    return flags & (FS_IMMUTABLE_FL | FS_APPEND_FL);
}

static void end(void)
{
    const char *const names[] = {"locked", "dir"};
    for (size_t i = 0; i < 2; i++) {
        unsigned flags = 0;
        int fd = open(place_below(&target, names[i]).path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
            printf("\n    (%s: %s) ", names[i], strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    remove_place(&place);
}

static bool is_privileged(void)
{
    if (geteuid() == 0)
        return true;
    printf("\n    (not run: not root) ");
    return false;
}

static void all_come_back(void)
{
    struct stat status;
    if (!is_privileged())
        return;
    give_all();
    begin();
    CU_ASSERT_EQUAL(restore_with((struct pst_restore_options){0}), 0);
    CU_ASSERT_STRING_EQUAL(troubles, "");
    CU_ASSERT_TRUE(has("", ACL_DEFAULT, &acl, sizeof(acl)));
    CU_ASSERT_TRUE(has("", "user.root", "r", 1));
    CU_ASSERT_TRUE(has("program", "security.capability", capability, sizeof(capability)));
    CU_ASSERT_TRUE(has("program", "trusted.t", "2", 1));
    CU_ASSERT_TRUE(has("program", "user.u", "", 0));
    CU_ASSERT_TRUE(has("symlink", "trusted.s", "1", 1));
    CU_ASSERT_TRUE(has("fifo", ACL_ACCESS, &acl, sizeof(acl)));
    CU_ASSERT_TRUE(has_none("dir", ACL_ACCESS) && has_none("dir/inside", ACL_ACCESS));
    CU_ASSERT_EQUAL(lstat(place_below(&target, "program").path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 04750);
    CU_ASSERT_EQUAL(flags_of("locked"), FS_IMMUTABLE_FL);
    CU_ASSERT_EQUAL(flags_of("dir"), FS_APPEND_FL);
    CU_ASSERT_EQUAL(flags_of("dir/inside"), 0);
    end();
}

static bool is_coarse, is_replaced;

int __real_utimensat(int fd, const char *path, const struct timespec times[2], int flags);
int __wrap_utimensat(int fd, const char *path, const struct timespec times[2], int flags);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

/* As on ext4 with small inodes, and beyond the time that the file system can tell. */
int __wrap_utimensat(int fd, const char *path, const struct timespec times[2], int flags)
{
    const struct timespec coarse[2] = {times[0], {.tv_sec = times[1].tv_sec & 0x7fffff00}};
    return __real_utimensat(fd, path, is_coarse ? coarse : times, flags);
}

/* When all is restored, somebody puts a file of his own in the place of one. */
int __wrap_fsync(int fd)
{
    struct stat status;
    if (is_replaced && fstatat(fd, "locked", &status, 0) == 0) {
        CU_ASSERT_EQUAL(renameat(fd, "locked", fd, "away"), 0);
        CU_ASSERT_EQUAL(close(openat(fd, "locked", O_WRONLY | O_CREAT | O_EXCL, 0600)), 0);
        const struct timespec times[2] = {{0}, {.tv_sec = objects[LOCKED].mtime_sec}};
        CU_ASSERT_EQUAL(utimensat(fd, "locked", times, 0), 0);
        is_replaced = false;
    }
    return __real_fsync(fd);
}

static void flags_come_back_whatever_became_of_the_time(void)
{
    if (!is_privileged())
        return;
    take_all_away();
    give_flags(LOCKED, PST_OBJECT_IMMUTABLE);
    give_flags(DIR, PST_OBJECT_APPEND_ONLY);
    begin();
    is_coarse = true;
    CU_ASSERT_EQUAL(restore_with((struct pst_restore_options){0}), 0);
    is_coarse = false;
    CU_ASSERT_STRING_EQUAL(troubles, "could not set the time of locked\n");
    CU_ASSERT_EQUAL(flags_of("locked"), FS_IMMUTABLE_FL);
    CU_ASSERT_EQUAL(flags_of("dir"), FS_APPEND_FL);
    end();
}

/* All is restored by then, so it is no failure. */
static void another_file_gets_no_flags(void)
{
    if (!is_privileged())
        return;
    take_all_away();
    give_flags(LOCKED, PST_OBJECT_IMMUTABLE);
    begin();
    is_replaced = true;
    CU_ASSERT_EQUAL(restore_with((struct pst_restore_options){0}), 0);
    CU_ASSERT_FALSE(is_replaced);
    CU_ASSERT_STRING_EQUAL(troubles, "no flags and project id are set, for another file has "
                                     "taken the name of locked\n");
    CU_ASSERT_EQUAL(result.unset, 1);
    CU_ASSERT_EQUAL(flags_of("locked"), 0);
    end();
}

static void capabilities_are_left_out_with_set_id_bits(void)
{
    if (!is_privileged())
        return;
    give_all();
    begin();
    CU_ASSERT_EQUAL(restore_with((struct pst_restore_options){.no_set_id = true}), 0);
    CU_ASSERT_STRING_EQUAL(troubles, "");
    CU_ASSERT_TRUE(has_none("program", "security.capability"));
    CU_ASSERT_TRUE(has("program", "trusted.t", "2", 1));
    end();
}

static void what_only_root_may_set_is_left_out_with_owners(void)
{
    if (!is_privileged())
        return;
    give_all();
    begin();
    CU_ASSERT_EQUAL(restore_with((struct pst_restore_options){.no_owner = true}), 0);
    CU_ASSERT_STRING_EQUAL(troubles, "");
    CU_ASSERT_EQUAL(result.unset, 0);
    CU_ASSERT_TRUE(has_none("program", "security.capability"));
    CU_ASSERT_TRUE(has_none("program", "trusted.t"));
    CU_ASSERT_TRUE(has_none("symlink", "trusted.s"));
    CU_ASSERT_TRUE(has("program", "user.u", "", 0));
    CU_ASSERT_TRUE(has("fifo", ACL_ACCESS, &acl, sizeof(acl)));
    CU_ASSERT_EQUAL(flags_of("locked"), 0);
    CU_ASSERT_EQUAL(flags_of("dir"), 0);
    end();
}

static int restore_as_user(void)
{
    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 2;
    int error = restore_with((struct pst_restore_options){0});
    bool all = strstr(troubles, "could not set the attribute security.capability of program\n") &&
               strstr(troubles, "could not set the attribute trusted.t of program\n") &&
               strstr(troubles, "could not set the attribute trusted.s of symlink\n") &&
               strstr(troubles, "could not set the flags i of locked\n") &&
               strstr(troubles, "could not set the flags a of dir\n");
    if (error || !all || result.unset != 5)
        fprintf(stderr, "%d, %llu: %s", error, (unsigned long long)result.unset, troubles);
    return error || !all || result.unset != 5;
}

static void what_a_user_may_not_set_is_named(void)
{
    give_all();
    begin();
    char command[PATH_MAX + 32];
    snprintf(command, sizeof(command), "chown -R 65534 '%s'", place.path);
    CU_ASSERT_TRUE(geteuid() != 0 || system(command) == 0);
    CU_ASSERT_EQUAL(child_run(restore_as_user), 0);
    CU_ASSERT_TRUE(has("program", "user.u", "", 0));
    CU_ASSERT_TRUE(has("fifo", ACL_ACCESS, &acl, sizeof(acl)));
    CU_ASSERT_TRUE(has("", ACL_DEFAULT, &acl, sizeof(acl)));
    end();
}

/* A directory that was there hands its ACL down to what is made in it. */
static void acls_that_were_there_go(void)
{
    take_all_away();
    give(FIFO, ACL_ACCESS, &acl, sizeof(acl));
    begin();
    CU_ASSERT_EQUAL(mkdir(target.path, 0755), 0);
    const struct made_place dir = place_below(&target, "dir"), mine = place_below(&target, "mine");
    if (setxattr(target.path, ACL_DEFAULT, &acl, sizeof(acl), 0) != 0) {
        printf("\n    (not run: no ACLs here) ");
        end();
        return;
    }
    CU_ASSERT_EQUAL(mkdir(dir.path, 0755), 0); /* it inherits both */
    CU_ASSERT_EQUAL(mkdir(mine.path, 0755), 0);
    CU_ASSERT_EQUAL(restore_with((struct pst_restore_options){.force = true}), 0);
    const char *const names[] = {"", "dir", "dir/inside", "program", "locked"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CU_ASSERT_TRUE(has_none(names[i], ACL_ACCESS));
    CU_ASSERT_TRUE(has_none("", ACL_DEFAULT) && has_none("dir", ACL_DEFAULT));
    CU_ASSERT_TRUE(has("fifo", ACL_ACCESS, &acl, sizeof(acl)));
    CU_ASSERT_TRUE(has("mine", ACL_DEFAULT, &acl, sizeof(acl)));
    struct stat status;
    CU_ASSERT_EQUAL(lstat(place_below(&target, "program").path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 0777, 0750);
    end();
}

/* The mode has the mask in the place of the owning group, which may do nothing by this ACL. Nobody
 * is named by its id, so that no kernel takes it. */
static void an_acl_that_is_refused_opens_nothing(void)
{
    static const struct {
        uint32_t version;
        struct {
            uint16_t tag, mode;
            uint32_t id;
        } entries[5];
    } refused = {2,
                 {{1, 6, UINT32_MAX},
                  {2, 6, UINT32_MAX},
                  {4, 0, UINT32_MAX},
                  {16, 6, UINT32_MAX},
                  {32, 0, UINT32_MAX}}};
    struct stat status;
    take_all_away();
    give(FIFO, ACL_ACCESS, &refused, sizeof(refused));
    objects[FIFO].mode = 0660;
    begin();
    CU_ASSERT_EQUAL(restore_with((struct pst_restore_options){0}), 0);
    CU_ASSERT_STRING_EQUAL(troubles, "could not set the attribute " ACL_ACCESS " of fifo\n");
    CU_ASSERT_EQUAL_FATAL(lstat(place_below(&target, "fifo").path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
    objects[FIFO].mode = 0750;
    end();
}

/* ext4 has a block for the attributes of a file, and calls more of them a lack of space. */
static void what_does_not_fit_is_named(void)
{
    static const char large[20000];
    take_all_away();
    give(PROGRAM, "user.large", large, sizeof(large));
    give(PROGRAM, "user.small", "s", 1);
    begin();
    if (setxattr(place.path, "user.large", large, sizeof(large), 0) == 0) {
        printf("\n    (not run: the file system takes it) ");
        end();
        return;
    }
    CU_ASSERT_EQUAL(restore_with((struct pst_restore_options){0}), 0);
    CU_ASSERT_STRING_EQUAL(troubles, "could not set the attribute user.large of program\n");
    CU_ASSERT_EQUAL(result.unset, 1);
    CU_ASSERT_TRUE(has("program", "user.small", "s", 1));
    end();
}

int main(void)
{
    pst_log_set_level(PST_LOG_ERROR);
    CU_TestInfo tests[] = {
        {"all come back", all_come_back},
        {"flags come back whatever became of the time",
         flags_come_back_whatever_became_of_the_time},
        {"another file gets no flags", another_file_gets_no_flags},
        {"capabilities are left out with set-ID bits", capabilities_are_left_out_with_set_id_bits},
        {"what only root may set is left out with owners",
         what_only_root_may_set_is_left_out_with_owners},
        {"what a user may not set is named", what_a_user_may_not_set_is_named},
        {"ACLs that were there go", acls_that_were_there_go},
        {"an ACL that is refused opens nothing", an_acl_that_is_refused_opens_nothing},
        {"what does not fit is named", what_does_not_fit_is_named},
        CU_TEST_INFO_NULL,
    };
    return suite_run("attributes", tests);
}
