/* Restore: what comes back is what went in, and never leaves its target. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/restore/restore.h"
#include "engine/restore/target.h"
#include "io/beneath.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"
#include "tests/unit/restore/made_tree.h"

static struct made_place place, target;

/* The linker's names for the calls of the program. */
static int link_error;           /* of every linkat(); 0: none */
static uint64_t allocated_bytes; /* that fallocate() was asked for */
static bool allocates_half;      /* fallocate() fails on its way */
static const char *swapped_for;  /* what replaces a node that was just made; NULL: nothing */
static mode_t parent_mode;       /* while a node is made: of its directory, */
static mode_t target_mode;       /* and of the target */

int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);

int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    errno = link_error;
    return link_error ? -1 : __real_linkat(from_fd, from, to_fd, to, flags);
}

int __real_fallocate(int fd, int mode, off_t offset, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes);

int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    if (mode == 0)
        allocated_bytes += (uint64_t)bytes;
    if (mode != 0 || !allocates_half)
        return __real_fallocate(fd, mode, offset, bytes);
    CU_ASSERT_EQUAL(__real_fallocate(fd, mode, offset, bytes / 2), 0);
    errno = ENOSPC;
    return -1;
}

int __real_mknodat(int dirfd, const char *name, mode_t mode, dev_t device);
int __wrap_mknodat(int dirfd, const char *name, mode_t mode, dev_t device);

int __wrap_mknodat(int dirfd, const char *name, mode_t mode, dev_t device)
{
    int made = __real_mknodat(dirfd, name, mode, device);
    struct stat status;
    if (fstat(dirfd, &status) == 0)
        parent_mode = status.st_mode & 07777;
    if (stat(target.path, &status) == 0)
        target_mode = status.st_mode & 07777;
    if (made == 0 && swapped_for && unlinkat(dirfd, name, 0) == 0 &&
        linkat(AT_FDCWD, swapped_for, dirfd, name, 0) < 0)
        made = -1;
    return made;
}

static struct pst_restore_result result;

static void begin(const struct made_backup *made)
{
    place = make_place();
    target = place_below(&place, "target");
    make_backup(place.path, made);
}

static int restore_with(const struct pst_restore_options *options)
{
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    int error = pst_restore(backup, target.path, options, &result);
    pst_backup_list_release(&list);
    return error;
}

static int restore_as(uint32_t workers, bool force, const atomic_bool *cancel)
{
    const struct pst_restore_options options = {
        .crew = {.workers = workers, .cancel = cancel},
        .force = force,
    };
    return restore_with(&options);
}

static uint32_t entries_of(const char *path)
{
    uint32_t count = 0;
    DIR *dir = opendir(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

static struct stat status_of(const char *name)
{
    struct stat status = {0};
    const struct made_place path = *name ? place_below(&target, name) : target;
    CU_ASSERT_EQUAL(lstat(path.path, &status), 0);
    return status;
}

/* By descriptor, what stands at the name of a node that was just made is looked at first. */
static void what_replaces_a_node_is_left_alone(void)
{
    static const char *const names[] = {"a link", "a file", "a fifo"};
    struct made_backup made = made_tree(1000);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct stat status;
        begin(&made);
        const struct made_place file = place_below(&place, "a file");
        const struct made_place fifo = place_below(&place, "a fifo");
        const struct made_place swap = place_below(&place, names[i]);
        write_file(file.path, "", 0);
        CU_ASSERT_EQUAL(chmod(file.path, 0604), 0);
        CU_ASSERT_EQUAL(mkfifo(fifo.path, 0604), 0);
        CU_ASSERT_EQUAL(chmod(fifo.path, 0604), 0);
        CU_ASSERT_EQUAL(symlink(file.path, place_below(&place, "a link").path), 0);
        swapped_for = swap.path;
        CU_ASSERT_EQUAL(restore_as(1, false, NULL), 0);
        swapped_for = NULL;
        CU_ASSERT_EQUAL(result.failed, 1);
        CU_ASSERT_EQUAL(stat(file.path, &status), 0);
        CU_ASSERT_EQUAL(status.st_mode & 07777, 0604);
        CU_ASSERT_EQUAL(stat(fifo.path, &status), 0);
        CU_ASSERT_EQUAL(status.st_mode & 07777, 0604);
        remove_place(&place);
    }
}

static void expect_contents(const struct made_backup *made, const char *name, uint64_t object)
{
    expect_made_contents(made, target.path, name, object);
}

static void expect_tree(const struct made_backup *made)
{
    expect_made_tree(made, target.path);
    CU_ASSERT_EQUAL(entries_of(target.path), 6);
}

static void a_tree_comes_back(void)
{
    struct made_backup made = made_tree(3000001);
    made.chunks_per_index = 7;
    for (uint32_t workers = 1; workers <= 5; workers += 2) {
        begin(&made);
        CU_ASSERT_EQUAL(restore_as(workers, false, NULL), 0);
        CU_ASSERT_STRING_EQUAL(result.message, "");
        CU_ASSERT_EQUAL(result.objects, made.objects_count);
        CU_ASSERT_EQUAL(result.bytes, 3000001 + 100 + 10 + 700 + 3000);
        CU_ASSERT_EQUAL(result.owners_skipped, geteuid() != 0);
        expect_tree(&made);
        CU_ASSERT_EQUAL(entries_of(place.path), 2); /* the backup, the target, nothing else */
        remove_place(&place);
    }
}

static void holes_stay_holes(void)
{
    struct made_backup made = made_tree(1);
    begin(&made);
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), 0);
    CU_ASSERT_TRUE(status_of("sparse").st_blocks * 512 < 100000);
    CU_ASSERT_TRUE(status_of("hole").st_blocks * 512 < 100000);
    remove_place(&place);
}

static void several_sources_get_directories(void)
{
    static const struct pst_object objects[] = {
        {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0711},
        {.id = 2, .type = PST_OBJECT_FILE, .path = "f", .size = 3, .mode = 0600},
        {.id = UINT64_C(1) << 48 | 1,
         .type = PST_OBJECT_FILE,
         .path = "f",
         .size = 5,
         .mode = 0600},
    };
    static const struct made_data data[] = {{0, 2, 0, 3}, {0, UINT64_C(1) << 48 | 1, 0, 5}};
    struct made_backup made = {.number = 1,
                               .parts = 1,
                               .sources = 2,
                               .objects = objects,
                               .objects_count = 3,
                               .data = data,
                               .data_count = 2};
    begin(&made);
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), 0);
    CU_ASSERT_EQUAL(status_of("one").st_mode & 07777, 0711);
    CU_ASSERT_EQUAL(status_of("one/f").st_size, 3);
    CU_ASSERT_EQUAL(status_of("two/f").st_size, 5);
    CU_ASSERT_EQUAL(entries_of(target.path), 2);
    remove_place(&place);
}

static void an_empty_target_is_taken(void)
{
    struct made_backup made = made_tree(1000);
    begin(&made);
    CU_ASSERT_EQUAL(mkdir(target.path, 0700), 0);
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), 0);
    expect_tree(&made);
    CU_ASSERT_EQUAL(entries_of(place.path), 2);
    remove_place(&place);
}

static void put_file(const char *name, const char *text)
{
    int fd = open(place_below(&target, name).path, O_WRONLY | O_CREAT | O_TRUNC, 0400);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void a_target_that_is_not_empty_is_refused(void)
{
    struct made_backup made = made_tree(1000);
    begin(&made);
    CU_ASSERT_EQUAL(mkdir(target.path, 0700), 0);
    put_file("mine", "x");
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), -ENOTEMPTY);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, "--force"));
    CU_ASSERT_EQUAL(entries_of(target.path), 1);
    CU_ASSERT_EQUAL(entries_of(place.path), 2);
    remove_place(&place);
}

static void force_writes_over_what_is_there(void)
{
    struct made_backup made = made_tree(1000);
    begin(&made);
    const struct made_place outside = place_below(&place, "outside");
    CU_ASSERT_EQUAL(mkdir(target.path, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(outside.path, 0700), 0);
    put_file("large", "longer than it will be, and read-only");
    /* where the backup has a directory, and a file: links that lead out */
    CU_ASSERT_EQUAL(symlink("../outside", place_below(&target, "d").path), 0);
    CU_ASSERT_EQUAL(symlink("../outside/rows", place_below(&target, "rows").path), 0);
    CU_ASSERT_EQUAL(restore_as(2, true, NULL), 0);
    expect_tree(&made);
    CU_ASSERT_EQUAL(entries_of(outside.path), 0);
    /* and once more over its own result */
    CU_ASSERT_EQUAL(restore_as(3, true, NULL), 0);
    expect_tree(&made);
    put_file("mine", "x");
    CU_ASSERT_EQUAL(restore_as(3, true, NULL), 0);
    CU_ASSERT_EQUAL(status_of("mine").st_size, 1);
    remove_place(&place);
}

static void a_marked_target_is_resumed(void)
{
    struct made_backup made = made_tree(100000);
    begin(&made);
    CU_ASSERT_EQUAL(mkdir(target.path, 0700), 0);
    put_file("mine", "x");
    const struct made_place part =
        place_below(&place, "BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data");
    int fd = open(part.path, O_RDWR);
    uint8_t byte, flipped;
    CU_ASSERT_EQUAL_FATAL(pread(fd, &byte, 1, 20000), 1);
    flipped = byte ^ 1;
    CU_ASSERT_EQUAL(pwrite(fd, &flipped, 1, 20000), 1);
    CU_ASSERT_EQUAL(restore_as(2, true, NULL), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(access(place_below(&target, PST_RESTORE_MARKER).path, F_OK), 0);
    CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, 20000), 1);
    close(fd);
    CU_ASSERT_EQUAL(unlink(place_below(&target, "mine").path), 0);
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), 0);
    CU_ASSERT_NOT_EQUAL(access(place_below(&target, PST_RESTORE_MARKER).path, F_OK), 0);
    expect_tree(&made);
    remove_place(&place);
}

static void a_mount_point_is_filled_in_place(void)
{
    struct made_backup made = made_tree(1000);
    begin(&made);
    CU_ASSERT_EQUAL(mkdir(target.path, 0700), 0);
    if (mount("tmpfs", target.path, "tmpfs", 0, "size=32m") != 0) {
        printf("\n    (not run: no right to mount here) ");
        remove_place(&place);
        return;
    }
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), 0);
    expect_tree(&made);
    CU_ASSERT_EQUAL(umount(target.path), 0);
    remove_place(&place);
}

/* Nothing but the backup is in the place: no target, no temporary name. */
static void expect_nothing_left(void)
{
    CU_ASSERT_EQUAL(entries_of(place.path), 1);
}

static void damage_is_named_and_leaves_nothing(void)
{
    static const struct {
        const char *name;
        off_t offset;
        const char *said;
    } cases[] = {
        {"BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data", 50, "offset 50:"},
        {"BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data", 4096 + 40, "offset 4136:"},
        {"BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data", 8192 + 5, "offset 8192:"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct made_backup made = made_tree(500000);
        begin(&made);
        int fd = open(place_below(&place, cases[i].name).path, O_RDWR);
        uint8_t byte;
        CU_ASSERT_EQUAL_FATAL(pread(fd, &byte, 1, cases[i].offset), 1);
        byte ^= 0x20;
        CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, cases[i].offset), 1);
        close(fd);
        CU_ASSERT_EQUAL(restore_as(2, false, NULL), -PST_E_CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(result.message, cases[i].name));
        CU_ASSERT_PTR_NOT_NULL(strstr(result.message, cases[i].said));
        expect_nothing_left();
        remove_place(&place);
    }
}

static void what_is_not_complete_is_refused(void)
{
    struct made_backup made = made_tree(1000);
    made.no_cluster_manifest = true;
    begin(&made);
    CU_ASSERT_EQUAL(restore_as(1, false, NULL), -PST_E_INCOMPLETE);
    CU_ASSERT_STRING_NOT_EQUAL(result.message, "");
    expect_nothing_left();
    remove_place(&place);
    made.no_cluster_manifest = false;
    begin(&made);
    const char *name = "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data";
    CU_ASSERT_EQUAL(truncate(place_below(&place, name).path, 8192), 0);
    CU_ASSERT_EQUAL(restore_as(1, false, NULL), -PST_E_TRUNCATED);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, name));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, "8192"));
    expect_nothing_left();
    remove_place(&place);
}

static void a_cancelled_restore_leaves_nothing(void)
{
    struct made_backup made = made_tree(1000);
    begin(&made);
    atomic_bool cancel;
    atomic_init(&cancel, true);
    CU_ASSERT_EQUAL(restore_as(2, false, &cancel), -ECANCELED);
    expect_nothing_left();
    remove_place(&place);
}

/* The target's file system is too small: at first for the files' contents. */
static void a_full_target_leaves_nothing(void)
{
    struct made_backup made = made_tree(3000000);
    begin(&made);
    const struct made_place small = place_below(&place, "small");
    CU_ASSERT_EQUAL(mkdir(small.path, 0700), 0);
    if (mount("tmpfs", small.path, "tmpfs", 0, "size=1m") != 0) {
        printf("\n    (not run: no right to mount here) ");
        remove_place(&place);
        return;
    }
    target = place_below(&small, "target");
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), -ENOSPC);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, "one/large"));
    CU_ASSERT_EQUAL(entries_of(small.path), 0);
    CU_ASSERT_EQUAL(umount(small.path), 0);
    remove_place(&place);
}

static void a_target_without_a_parent_is_refused(void)
{
    struct made_backup made = made_tree(10);
    begin(&made);
    target = place_below(&place, "not/there");
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), -ENOENT);
    target = place_below(&place, "BACKUP-1/BACKUP-1.1.manifest");
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), -ENOTDIR);
    CU_ASSERT_EQUAL(restore_as(2, true, NULL), -ENOTDIR);
    CU_ASSERT_STRING_NOT_EQUAL(result.message, "");
    expect_nothing_left();
    remove_place(&place);
}

/* Read-only; once it is writable, a bind mount is a mount point like any other. */
static void a_target_that_cannot_be_written_is_refused(void)
{
    struct made_backup made = made_tree(1000);
    begin(&made);
    const struct made_place parent = place_below(&place, "parent");
    target = place_below(&parent, "target");
    CU_ASSERT_EQUAL(mkdir(parent.path, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(target.path, 0700), 0);
    if (mount(target.path, target.path, NULL, MS_BIND, NULL) != 0 ||
        mount(parent.path, parent.path, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, parent.path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0) {
        printf("\n    (not run: no right to mount here) ");
        remove_place(&place);
        return;
    }
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), -EROFS);
    CU_ASSERT_EQUAL(umount(parent.path), 0);
    CU_ASSERT_EQUAL(restore_as(2, false, NULL), 0);
    expect_tree(&made);
    CU_ASSERT_EQUAL(umount(target.path), 0);
    remove_place(&place);
}

/* Objects as no honest writer encodes them; the last one's path is replaced on disk. */
static void expect_hostile(const struct pst_object *objects, uint32_t count, const char *path,
                           const struct made_data *data, uint32_t data_count)
{
    struct made_backup made = {.number = 1,
                               .parts = 1,
                               .sources = 1,
                               .objects = objects,
                               .objects_count = count,
                               .data = data,
                               .data_count = data_count,
                               .unsafe_path = path};
    begin(&made);
    const struct made_place outside = place_below(&place, "outside");
    CU_ASSERT_EQUAL(mkdir(outside.path, 0700), 0);
    CU_ASSERT_NOT_EQUAL(restore_as(2, false, NULL), 0);
    CU_ASSERT_STRING_NOT_EQUAL(result.message, "");
    CU_ASSERT_EQUAL(entries_of(outside.path), 0);
    CU_ASSERT_EQUAL(entries_of(place.path), 2);
    remove_place(&place);
}

#define DIRECTORY(number, name)                                                                    \
    {                                                                                              \
        .id = number, .type = PST_OBJECT_DIRECTORY, .path = name                                   \
    }
#define SMALL(number, name)                                                                        \
    {                                                                                              \
        .id = number, .type = PST_OBJECT_FILE, .path = name, .size = 8                             \
    }
#define SYMLINK(number, name, to)                                                                  \
    {                                                                                              \
        .id = number, .type = PST_OBJECT_SYMLINK, .path = name, .link = to                         \
    }
#define HARD_LINK(number, name, to)                                                                \
    {                                                                                              \
        .id = number, .type = PST_OBJECT_HARD_LINK, .path = name, .linked_object = to              \
    }

static void paths_of_a_hostile_backup_stay_inside(void)
{
    static const char *const paths[] = {"../outside/x", "/tmp/outside", "d/../../a/bc",
                                        "./aaaaaaaaaa", "aaaa//bbbbbb", "aaaaaaaaaa/.",
                                        "aaaaaaaaaaa/"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        CU_ASSERT_EQUAL_FATAL(strlen(paths[i]), 12);
        const struct pst_object objects[] = {DIRECTORY(1, ""), SMALL(2, "abcdefghijkl")};
        expect_hostile(objects, 2, paths[i], NULL, 0);
    }
}

static void links_of_a_hostile_backup_stay_inside(void)
{
    static const struct made_data data[] = {{0, 3, 0, 8}};
    const struct pst_object through[] = {DIRECTORY(1, ""), SYMLINK(2, "l", "../outside"),
                                         SMALL(3, "l/file")};
    expect_hostile(through, 3, NULL, data, 1);
    const struct pst_object same_name[] = {DIRECTORY(1, ""), SMALL(3, "same"),
                                           SYMLINK(2, "same", "../outside")};
    expect_hostile(same_name, 3, NULL, data, 1);
    const struct pst_object beneath_file[] = {DIRECTORY(1, ""), SMALL(2, "f"), SMALL(3, "f/g")};
    expect_hostile(beneath_file, 3, NULL, data, 1);
    const struct pst_object to_nothing[] = {DIRECTORY(1, ""), HARD_LINK(3, "h", 9)};
    expect_hostile(to_nothing, 2, NULL, NULL, 0);
    const struct pst_object to_directory[] = {DIRECTORY(1, ""), DIRECTORY(2, "d"),
                                              HARD_LINK(3, "h", 2)};
    expect_hostile(to_directory, 3, NULL, NULL, 0);
    const struct pst_object in_a_ring[] = {DIRECTORY(1, ""), HARD_LINK(2, "a", 3),
                                           HARD_LINK(3, "b", 2)};
    expect_hostile(in_a_ring, 3, NULL, NULL, 0);
}

static void data_of_a_hostile_backup_is_refused(void)
{
    const struct pst_object objects[] = {DIRECTORY(1, ""), SMALL(2, "f")};
    static const struct made_data beyond[] = {{0, 2, 1, 8}};
    static const struct made_data far[] = {{0, 2, INT64_MAX - 8, 8}};
    static const struct made_data of_directory[] = {{0, 1, 0, 1}};
    static const struct made_data of_nothing[] = {{0, 7, 0, 1}};
    expect_hostile(objects, 2, NULL, beyond, 1);
    expect_hostile(objects, 2, NULL, far, 1);
    expect_hostile(objects, 2, NULL, of_directory, 1);
    expect_hostile(objects, 2, NULL, of_nothing, 1);
    static const struct made_data twice[] = {{0, 2, 0, 8}, {0, 2, 0, 8}};
    expect_hostile(objects, 2, NULL, twice, 2);
    const struct pst_object other_source[] = {
        DIRECTORY(1, ""), SMALL(UINT64_C(5) << PST_OBJECT_SOURCE_SHIFT | 1, "f")};
    expect_hostile(other_source, 2, NULL, NULL, 0);
}

/* Until all is restored: as the backup has it, and no wider than it was. */
static void directories_are_closed_meanwhile(void)
{
    static const struct pst_object objects[] = {
        {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0750},
        {.id = 2, .type = PST_OBJECT_DIRECTORY, .path = "d", .mode = 0711},
        {.id = 3, .type = PST_OBJECT_FIFO, .path = "d/fifo", .mode = 0666},
    };
    struct made_backup made = {
        .number = 1, .parts = 1, .sources = 1, .objects = objects, .objects_count = 3};
    begin(&made);
    CU_ASSERT_EQUAL(restore_as(1, false, NULL), 0);
    CU_ASSERT_EQUAL(parent_mode, 0700);
    CU_ASSERT_EQUAL(chmod(target.path, 0705), 0);
    CU_ASSERT_EQUAL(chmod(place_below(&target, "d").path, 0775), 0);
    CU_ASSERT_EQUAL(restore_as(1, true, NULL), 0);
    CU_ASSERT_EQUAL(parent_mode, 0711);
    CU_ASSERT_EQUAL(target_mode, 0700);
    CU_ASSERT_EQUAL(status_of("").st_mode & 07777, 0750);
    CU_ASSERT_EQUAL(status_of("d").st_mode & 07777, 0711);
    remove_place(&place);
}

/* Of the directory beside which the target is made. */
static void no_acl_is_inherited(void)
{
    static const struct {
        uint32_t version;
        struct {
            uint16_t tag, mode;
            uint32_t id;
        } entries[5];
    } acl = {2, /* linux/posix_acl_xattr.h: owner, user 65534, group, mask, others */
             {{1, 7, UINT32_MAX},
              {2, 7, 65534},
              {4, 5, UINT32_MAX},
              {16, 7, UINT32_MAX},
              {32, 0, UINT32_MAX}}};
    struct made_backup made = made_tree(1000);
    begin(&made);
    if (setxattr(place.path, "system.posix_acl_default", &acl, sizeof(acl), 0) != 0) {
        printf("\n    (not run: no ACLs here) ");
        remove_place(&place);
        return;
    }
    CU_ASSERT_EQUAL(restore_as(1, false, NULL), 0);
    const char *const names[] = {"", "d", "d/small"};
    for (size_t i = 0; i < 3; i++) {
        const struct made_place path = *names[i] ? place_below(&target, names[i]) : target;
        CU_ASSERT_TRUE(getxattr(path.path, "system.posix_acl_access", NULL, 0) < 0);
        CU_ASSERT_TRUE(getxattr(path.path, "system.posix_acl_default", NULL, 0) < 0);
    }
    expect_tree(&made);
    remove_place(&place);
}

/* In place, what is there by a device's name stays too. */
static void devices_are_left_out(void)
{
    static const struct pst_object objects[] = {
        {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755},
        {.id = 2,
         .type = PST_OBJECT_CHARACTER_DEVICE,
         .path = "null",
         .mode = 0666,
         .rdev = UINT64_C(1) << 32 | 3},
        {.id = 3, .type = PST_OBJECT_BLOCK_DEVICE, .path = "disk", .mode = 0600},
        {.id = 4, .type = PST_OBJECT_HARD_LINK, .path = "again", .linked_object = 2},
        {.id = 5, .type = PST_OBJECT_FIFO, .path = "fifo", .mode = 0600},
    };
    struct made_backup made = {
        .number = 1, .parts = 1, .sources = 1, .objects = objects, .objects_count = 5};
    struct pst_restore_options options = {.crew = {.workers = 1}, .no_devices = true};
    begin(&made);
    CU_ASSERT_EQUAL(restore_with(&options), 0);
    CU_ASSERT_EQUAL(result.left_out, 3);
    CU_ASSERT_EQUAL(result.failed, 0);
    CU_ASSERT_EQUAL(entries_of(target.path), 1);
    put_file("null", "mine");
    options.force = true;
    CU_ASSERT_EQUAL(restore_with(&options), 0);
    CU_ASSERT_EQUAL(status_of("null").st_size, 4);
    options.no_devices = false;
    CU_ASSERT_EQUAL(restore_with(&options), 0);
    /* without root's rights none can be made, nor its second name */
    CU_ASSERT_EQUAL(result.failed, geteuid() == 0 ? 0 : 3);
    if (geteuid() == 0)
        CU_ASSERT_TRUE(S_ISCHR(status_of("again").st_mode) && status_of("again").st_rdev == 0x103);
    remove_place(&place);
}

/* As many links as a file can have, or a file system without any. */
static void what_cannot_be_linked_is_copied(void)
{
    static const int errors[] = {EMLINK, EPERM, EOPNOTSUPP};
    struct made_backup made = made_tree(1000);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        begin(&made);
        link_error = errors[i];
        CU_ASSERT_EQUAL(restore_as(2, false, NULL), 0);
        link_error = 0;
        CU_ASSERT_EQUAL(result.unset, 2);
        CU_ASSERT_EQUAL(result.failed, 0);
        CU_ASSERT_TRUE(S_ISLNK(status_of("d/e/symlink again").st_mode));
        CU_ASSERT_EQUAL(status_of("a hard link").st_nlink, 1);
        CU_ASSERT_EQUAL(status_of("a hard link").st_size, status_of("d/small").st_size);
        CU_ASSERT_EQUAL(status_of("a hard link").st_mode, status_of("d/small").st_mode);
        expect_contents(&made, "a hard link", 4);
        remove_place(&place);
    }
}

static uint64_t blocks_of(const char *name)
{
    return (uint64_t)status_of(name).st_blocks * 512;
}

/* An environment that claims `size` bytes and has 64 KiB of them, beside as many of another file.
 */
static void restore_environment(uint64_t size, bool fails)
{
    const struct pst_object objects[] = {
        {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0700},
        {.id = 2, .type = PST_OBJECT_ENVIRONMENT, .path = "data.mdb", .size = size, .mode = 0600},
        {.id = 3, .type = PST_OBJECT_FILE, .path = "f", .size = 200000, .mode = 0600},
    };
    static const struct made_data data[] = {
        {0, 2, 65536, 65536}, {0, 3, 0, 65536}, {0, 3, 65536, 65536}, {0, 3, 131072, 65536}};
    struct made_backup made = {.number = 1,
                               .parts = 1,
                               .sources = 1,
                               .objects = objects,
                               .objects_count = 3,
                               .data = data,
                               .data_count = 4};
    begin(&made);
    allocated_bytes = 0;
    allocates_half = fails;
    CU_ASSERT_EQUAL(restore_as(1, false, NULL), 0);
    allocates_half = false;
    CU_ASSERT_EQUAL((uint64_t)status_of("data.mdb").st_size, size);
    CU_ASSERT_TRUE(blocks_of("data.mdb") < 65536 + 32768);
    expect_contents(&made, "f", 3);
    if (size < 1 << 20)
        expect_contents(&made, "data.mdb", 2);
    remove_place(&place);
}

static void no_more_is_allocated_than_is_written(void)
{
    restore_environment(UINT64_C(1) << 40, false); /* as large as nothing in the backup */
    CU_ASSERT_EQUAL(allocated_bytes, 0);
    restore_environment(260000, false);
    CU_ASSERT_TRUE(allocated_bytes <= 260000);
    if (allocated_bytes == 0)
        printf("\n    (not run: the file system allocates nothing) ");
    restore_environment(260000, true);
}

/* A temporary name is there already: somebody else's, or one that a restore is at work in. */
static void a_temporary_that_is_not_ours_stays(void)
{
    struct made_backup made = made_tree(1000);
    begin(&made);
    const struct made_place other = place_below(&place, ".target.penstock-b1b1b1b1b1b1b1b1");
    CU_ASSERT_EQUAL(mkdir(other.path, 0700), 0);
    CU_ASSERT_EQUAL(mkdir(place_below(&other, "precious").path, 0700), 0);
    CU_ASSERT_EQUAL(chmod(other.path, 0755), 0);
    CU_ASSERT_EQUAL(restore_as(1, false, NULL), -EPERM);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, ".target.penstock-b1b1b1b1b1b1b1b1 beside it"));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, "rename it to target, or remove it"));
    CU_ASSERT_TRUE(path_exists(place_below(&other, "precious").path));
    CU_ASSERT_EQUAL(chmod(other.path, 0700), 0);
    int fd = open(other.path, O_RDONLY | O_DIRECTORY);
    CU_ASSERT_EQUAL(flock(fd, LOCK_EX), 0);
    CU_ASSERT_EQUAL(restore_as(1, false, NULL), -EBUSY);
    CU_ASSERT_TRUE(path_exists(place_below(&other, "precious").path));
    close(fd);
    CU_ASSERT_EQUAL(restore_as(1, false, NULL), 0);
    CU_ASSERT_FALSE(path_exists(other.path));
    expect_tree(&made);
    remove_place(&place);
}

/* Deeper than a path can be long, and than there are descriptors. */
static void a_deep_tree_can_be_removed(void)
{
    place = make_place();
    int fd = open(place.path, O_RDONLY | O_DIRECTORY);
    int top = fd;
    for (uint32_t i = 0; i < 3000; i++) {
        CU_ASSERT_EQUAL_FATAL(mkdirat(fd, "directory", 0700), 0);
        CU_ASSERT_EQUAL_FATAL(symlinkat("/", fd, "a link to all"), 0);
        int below = openat(fd, "directory", O_PATH | O_DIRECTORY);
        CU_ASSERT_TRUE_FATAL(below >= 0);
        if (fd != top)
            close(fd);
        fd = below;
    }
    CU_ASSERT_EQUAL(mkdirat(fd, "of no right", 0), 0);
    close(fd);
    CU_ASSERT_EQUAL(pst_beneath_remove(top, "directory", PST_BENEATH_SAME_OWNER), 0);
    CU_ASSERT_EQUAL(pst_beneath_remove(top, "a link to all", PST_BENEATH_SAME_OWNER), 0);
    CU_ASSERT_EQUAL(pst_beneath_remove(top, "not there", PST_BENEATH_SAME_OWNER), 0);
    close(top);
    CU_ASSERT_EQUAL(rmdir(place.path), 0);
}

int main(void)
{
    pst_log_set_level(PST_LOG_ERROR);
    umask(022);
    CU_TestInfo tests[] = {
        {"a tree comes back", a_tree_comes_back},
        {"holes stay holes", holes_stay_holes},
        {"several sources get directories", several_sources_get_directories},
        {"an empty target is taken", an_empty_target_is_taken},
        {"a target that is not empty is refused", a_target_that_is_not_empty_is_refused},
        {"force writes over what is there", force_writes_over_what_is_there},
        {"a marked target is resumed", a_marked_target_is_resumed},
        {"a mount point is filled in place", a_mount_point_is_filled_in_place},
        {"damage is named and leaves nothing", damage_is_named_and_leaves_nothing},
        {"what is not complete is refused", what_is_not_complete_is_refused},
        {"a cancelled restore leaves nothing", a_cancelled_restore_leaves_nothing},
        {"a full target leaves nothing", a_full_target_leaves_nothing},
        {"a target without a parent is refused", a_target_without_a_parent_is_refused},
        {"a target that cannot be written is refused", a_target_that_cannot_be_written_is_refused},
        {"paths of a hostile backup stay inside", paths_of_a_hostile_backup_stay_inside},
        {"links of a hostile backup stay inside", links_of_a_hostile_backup_stay_inside},
        {"data of a hostile backup is refused", data_of_a_hostile_backup_is_refused},
        {"directories are closed meanwhile", directories_are_closed_meanwhile},
        {"no ACL is inherited", no_acl_is_inherited},
        {"devices are left out", devices_are_left_out},
        {"what cannot be linked is copied", what_cannot_be_linked_is_copied},
        {"no more is allocated than is written", no_more_is_allocated_than_is_written},
        {"a temporary that is not ours stays", a_temporary_that_is_not_ours_stays},
        {"what replaces a node is left alone", what_replaces_a_node_is_left_alone},
        {"a deep tree can be removed", a_deep_tree_can_be_removed},
        CU_TEST_INFO_NULL,
    };
    return suite_run("restore", tests);
}
