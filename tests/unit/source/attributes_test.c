/* What the source dir keeps of files beside what stat(2) tells. */
#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engine/format/file_attributes.h"
#include "engine/source/dir/attributes.h"
#include "engine/source/registry/registry.h"
#include "tests/support/child.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/source/source_test.h"

/* As on Linux before 6.13. */
static bool has_no_listxattrat;

/* As where quotas of projects are on; and how often files were asked without an open. */
static bool has_quotas;
static int asked;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    va_list rest;
    long a[5];
    va_start(rest, number);
    for (int i = 0; i < 5; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if (has_no_listxattrat && number == 465) {
        errno = ENOSYS;
        return -1;
    }
    if (has_quotas && number == 443) {
        ((struct fs_quota_statv *)a[3])->qs_flags = FS_QUOTA_PDQ_ACCT; // NOLINT
        return 0;
    }
    asked += number == 468;
    if (has_no_listxattrat && number == 468) {
        errno = ENOSYS;
        return -1;
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4]);
}

static struct pst_source *source;
static struct collected collected;

static void set_up(void)
{
    make_directory();
    umask(0);
}

static void set_up_old(void)
{
    has_no_listxattrat = true;
    set_up();
}

static void list(const char *path)
{
    source = open_source("here=dir:%s", path);
    collect(source, &collected);
    check_listing(&collected);
}

static void forget(void)
{
    pst_source_close(source);
    collected_free(&collected);
}

static struct pst_object object_at(const char *path)
{
    struct pst_object object = {0};
    CU_ASSERT_TRUE_FATAL(find_object(&collected, path, &object));
    return object;
}

/* "name=value name=value": values are text here. */
static const char *xattrs_of(const struct pst_object *object)
{
    static char text[4096];
    struct pst_xattr xattr;
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t at = 0; pst_xattr_next(object, &at, &xattr);)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s=%.*s", used ? " " : "",
                                 xattr.name, (int)xattr.value_bytes, (const char *)xattr.value);
    return text;
}

static bool set(const char *path, const char *name, const char *value)
{
    if (lsetxattr(path, name, value, strlen(value), 0) == 0)
        return true;
    fprintf(stderr, "skipped: %s: %s\n", name, strerror(errno));
    return false;
}

static void all_are_kept_in_order(void)
{
    write_file("file", "content", 7);
    write_file("empty", "", 0);
    ASSERT_OK(mkdir("directory", 0700));
    if (!set("file", "user.b", "2") || !set("file", "user.a", "1") || !set("file", "user.c", "") ||
        !set("empty", "user.e", "x") || !set("directory", "user.d", "y"))
        return;
    ASSERT_OK(link("file", "link"));
    list(".");
    struct pst_object file = object_at("file"), other = object_at("link");
    if (file.type == PST_OBJECT_HARD_LINK) {
        struct pst_object first = other;
        other = file;
        file = first;
    }
    uint64_t data_bytes = 0;
    CU_ASSERT_STRING_EQUAL(xattrs_of(&file), "user.a=1 user.b=2 user.c=");
    CU_ASSERT_TRUE(pst_object_data_bytes(&file, &data_bytes));
    CU_ASSERT_EQUAL(data_bytes, 7);
    CU_ASSERT_EQUAL(other.attributes_bytes, 0);
    struct pst_object empty = object_at("empty"), directory = object_at("directory");
    CU_ASSERT_STRING_EQUAL(xattrs_of(&empty), "user.e=x");
    CU_ASSERT_STRING_EQUAL(xattrs_of(&directory), "user.d=y");
    CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
    forget();
}

static void a_link_is_not_followed(void)
{
    write_file("file", "", 0);
    ASSERT_OK(symlink("file", "symlink"));
    if (!set("file", "user.a", "1") || !set("symlink", "trusted.s", "2"))
        return;
    list(".");
    struct pst_object symlink = object_at("symlink");
    CU_ASSERT_STRING_EQUAL(xattrs_of(&symlink), "trusted.s=2");
    forget();
}

static void the_root_has_its_own(void)
{
    if (!set(".", "user.root", "r"))
        return;
    list(".");
    struct pst_object root = object_at("");
    CU_ASSERT_STRING_EQUAL(xattrs_of(&root), "user.root=r");
    forget();
}

static int change_flags(const char *path, unsigned flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = ioctl(fd, FS_IOC_SETFLAGS, &flags);
    close(fd);
    return rc;
}

static int add_flags(const char *path, unsigned flags)
{
    unsigned now = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = ioctl(fd, FS_IOC_GETFLAGS, &now);
    close(fd);
    return rc ? rc : change_flags(path, now | flags);
}

static void flags_are_kept(void)
{
    write_file("file", "x", 1);
    ASSERT_OK(mkdir("directory", 0700));
    if (change_flags("file", FS_IMMUTABLE_FL) || change_flags("directory", FS_APPEND_FL)) {
        fprintf(stderr, "skipped: flags: %s\n", strerror(errno));
        return;
    }
    list(".");
    struct pst_object file = object_at("file"), directory = object_at("directory");
    struct pst_object root = object_at("");
    CU_ASSERT_EQUAL(pst_object_inode_flags(&file), PST_OBJECT_IMMUTABLE);
    CU_ASSERT_EQUAL(pst_object_inode_flags(&directory), PST_OBJECT_APPEND_ONLY);
    CU_ASSERT_EQUAL(pst_object_inode_flags(&root), 0);
    forget();
    ASSERT_OK(change_flags("file", 0));
    ASSERT_OK(change_flags("directory", 0));
}

/* Of files with nothing that a look tells: where the directory has a flag, which they may have from
 * there, or where all are asked. */
static void flags_that_a_look_does_not_tell_are_kept(void)
{
    ASSERT_OK(mkdir("plain", 0700));
    ASSERT_OK(mkdir("flagged", 0700));
    write_file("plain/file", "x", 1);
    write_file("plain/other", "x", 1);
    write_file("flagged/file", "x", 1);
    write_file("large", "x", 1);
    ASSERT_OK(truncate("large", 1 << 20));
    if (add_flags("flagged", FS_NOATIME_FL) || add_flags("plain/file", FS_NOATIME_FL)) {
        fprintf(stderr, "skipped: flags: %s\n", strerror(errno));
        return;
    }
    ASSERT_OK(add_flags("flagged/file", FS_NOATIME_FL | FS_NODUMP_FL));
    ASSERT_OK(add_flags("large", FS_SYNC_FL));
    for (int i = 0; i < 2; i++) {
        has_quotas = i;
        asked = 0;
        list(".");
        struct pst_object flagged = object_at("flagged"), file = object_at("flagged/file");
        struct pst_object large = object_at("large"), alone = object_at("plain/file");
        struct pst_object other = object_at("plain/other");
        CU_ASSERT_EQUAL(pst_object_inode_flags(&flagged), PST_OBJECT_NO_ATIME);
        CU_ASSERT_EQUAL(pst_object_inode_flags(&file), PST_OBJECT_NO_ATIME | PST_OBJECT_NO_DUMP);
        CU_ASSERT_EQUAL(pst_object_inode_flags(&large), PST_OBJECT_SYNC);
        CU_ASSERT_EQUAL(pst_object_inode_flags(&alone), has_quotas ? PST_OBJECT_NO_ATIME : 0);
        CU_ASSERT_EQUAL(pst_object_inode_flags(&other), 0);
        CU_ASSERT_EQUAL(asked, has_quotas ? 2 : 0); /* none of those that are opened */
        CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
        forget();
    }
    has_quotas = false;
}

static int list_flagged_as_user(void)
{
    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 2;
    list(".");
    bool is_told = collected.listing.unreadable == (has_no_listxattrat ? 1 : 0);
    forget();
    return is_told ? 0 : 1;
}

/* The kernel tells all the same since Linux 6.17; before, what is empty is named too. */
static void flags_of_what_may_not_be_opened_are_reported(void)
{
    write_file("closed", "", 0);
    ASSERT_OK(chmod("closed", 0));
    ASSERT_OK(chmod(".", 0755));
    if (add_flags(".", FS_NOATIME_FL)) {
        fprintf(stderr, "skipped: flags: %s\n", strerror(errno));
        return;
    }
    if (!has_no_listxattrat && syscall(468, AT_FDCWD, ".", NULL, 0, 0) < 0 && errno == ENOSYS)
        fprintf(stderr, "skipped: file_getattr: %s\n", strerror(errno));
    else
        CU_ASSERT_EQUAL(child_run(list_flagged_as_user), 0);
}

/* What an entry cannot hold is counted and named, and the rest is there. tmpfs takes so much. */
static void too_much_is_reported(void)
{
    static char value[40000];
    char path[64] = "/dev/shm/penstock-attributes-XXXXXX", file[128];
    REQUIRE(mkdtemp(path));
    snprintf(file, sizeof(file), "%s/file", path);
    write_file(file, "content", 7);
    memset(value, 'v', sizeof(value) - 1);
    if (set(file, "user.a", value) && set(file, "user.b\n", value) && set(file, "user.c", "3")) {
        begin_log_capture();
        list(path);
        char *log = end_log_capture();
        CU_ASSERT_PTR_NOT_NULL(
            strstr(log, "cannot keep its attribute user.b\\x0a (Value too large"));
        CU_ASSERT_PTR_NOT_NULL(strstr(log, "\"file\""));
        free(log);
        CU_ASSERT_EQUAL(collected.listing.unreadable, 1);
        struct pst_object object = object_at("file");
        struct pst_xattr xattr;
        uint32_t at = 0;
        CU_ASSERT_TRUE(pst_xattr_next(&object, &at, &xattr));
        CU_ASSERT_EQUAL(xattr.value_bytes, sizeof(value) - 1);
        CU_ASSERT_TRUE(pst_xattr_next(&object, &at, &xattr));
        CU_ASSERT_STRING_EQUAL(xattr.name, "user.c");
        CU_ASSERT_FALSE(pst_xattr_next(&object, &at, &xattr));
        forget();
    }
    ASSERT_OK(unlink(file));
    ASSERT_OK(rmdir(path));
}

static int list_as_user(void)
{
    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 2;
    list(".");
    bool is_one = collected.listing.unreadable == 0 && object_at("closed").type == PST_OBJECT_FILE;
    forget();
    return is_one ? 0 : 1;
}

/* Its reader says so of the file: once is enough. */
static void a_file_that_is_not_readable_is_not_counted_twice(void)
{
    write_file("closed", "content", 7);
    if (!set("closed", "user.a", "1"))
        return;
    ASSERT_OK(chmod("closed", 0));
    ASSERT_OK(chmod(".", 0755));
    CU_ASSERT_EQUAL(child_run(list_as_user), 0);
}

static int list_as_user_with_a_base(void)
{
    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 2;
    source = open_source("here=dir:.");
    collected_init(&collected);
    collected.sink.find_in_base = find_everything;
    bool is_listed = !pst_source_prepare(source) && !pst_source_freeze(source, UINT64_MAX) &&
                     !pst_source_snapshot(source, 1) && !pst_source_thaw(source) &&
                     !pst_source_list(source, &collected.sink, &collected.listing);
    bool is_one = is_listed && collected.listing.unreadable == 1;
    forget();
    return is_one ? 0 : 1;
}

/* Else nothing would be said of a file that root backed up, and then a user. */
static void what_is_lost_of_a_file_in_the_base_is_reported(void)
{
    write_file("closed", "content", 7);
    if (!set("closed", "user.a", "1"))
        return;
    ASSERT_OK(chmod("closed", 0));
    ASSERT_OK(chmod(".", 0755));
    CU_ASSERT_EQUAL(child_run(list_as_user_with_a_base), 0);
}

/* What has the name by the time that attributes are read is not what the entry is of. */
static void another_file_of_the_name_lends_none(void)
{
    static struct attributes attributes;
    struct stat status;
    write_file("file", "mine", 4);
    write_file("other", "not mine", 8);
    if (!set("file", "user.a", "mine") || !set("other", "user.a", "not mine"))
        return;
    ASSERT_OK(stat("file", &status));
    ASSERT_OK(rename("other", "file"));
    int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_EQUAL(attributes_read(&attributes, fd, "file", &status, 0), -PST_E_CHANGED);
    CU_ASSERT_EQUAL(attributes.bytes, 0);
    ASSERT_OK(stat("file", &status));
    ASSERT_OK(attributes_read(&attributes, fd, "file", &status, 0));
    CU_ASSERT_TRUE(attributes.bytes > 0);
    close(fd);
}

static void the_acls_of_xfs_are_kept_once(void)
{
    write_file("file", "", 0);
    if (!set("file", "trusted.SGI_ACL_FILE", "1") || !set("file", "trusted.SGI_OTHER", "2"))
        return;
    list(".");
    struct pst_object file = object_at("file");
    CU_ASSERT_STRING_EQUAL(xattrs_of(&file), "trusted.SGI_OTHER=2");
    CU_ASSERT_EQUAL(collected.listing.unreadable, 0);
    forget();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"all are kept, in order", all_are_kept_in_order},
        {"a link is not followed", a_link_is_not_followed},
        {"the root has its own", the_root_has_its_own},
        {"flags are kept", flags_are_kept},
        {"flags that a look does not tell are kept", flags_that_a_look_does_not_tell_are_kept},
        {"flags of what may not be opened are reported",
         flags_of_what_may_not_be_opened_are_reported},
        {"too much is reported", too_much_is_reported},
        {"a file that is not readable is not counted twice",
         a_file_that_is_not_readable_is_not_counted_twice},
        {"what is lost of a file in the base is reported",
         what_is_lost_of_a_file_in_the_base_is_reported},
        {"another file of the name lends none", another_file_of_the_name_lends_none},
        {"the ACLs of XFS are kept once", the_acls_of_xfs_are_kept_once},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {"attributes", NULL, NULL, set_up, remove_directory, tests},
        {"attributes on an older kernel", NULL, NULL, set_up_old, remove_directory, tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
