/* A tree that is removed: all of it, and nothing else. An open that fails for a while, or for good.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "io/beneath.h"
#include "tests/suite.h"
#include "tests/support/scratch.h"

static struct made_place place;
static int top;
static const char *moved; /* before the entry "trigger" goes, this directory is moved to "away" */

int __real_unlinkat(int dirfd, const char *name, int flags);
int __wrap_unlinkat(int dirfd, const char *name, int flags);

/* The linker's name for every unlinkat() of the program. */
int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
    if (moved && strcmp(name, "trigger") == 0) {
        CU_ASSERT_EQUAL(renameat(top, moved, top, "away/moved"), 0);
        moved = NULL;
    }
    return __real_unlinkat(dirfd, name, flags);
}

static void make_directory(const char *name)
{
    CU_ASSERT_EQUAL_FATAL(mkdirat(top, name, 0700), 0);
}

static void make_file(const char *name)
{
    int fd = openat(top, name, O_CREAT | O_WRONLY | O_EXCL, 0600);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    close(fd);
}

static bool is_there(const char *name)
{
    return faccessat(top, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void begin(void)
{
    place = make_place();
    top = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_TRUE_FATAL(top >= 0);
    make_directory("tree");
    make_directory("tree/a");
    make_directory("tree/a/b");
    make_directory("away");
    make_file("away/precious");
    make_file("precious");
}

static void end(void)
{
    CU_ASSERT_TRUE(is_there("precious"));
    CU_ASSERT_TRUE(is_there("away/precious"));
    close(top);
    remove_place(&place);
}

static void remove_all(void)
{
    char why[PST_MESSAGE_BYTES];
    unsigned fds;
    begin();
    make_file("tree/file");
    make_file("tree/a/b/file");
    make_directory("tree/closed");
    make_file("tree/closed/file");
    CU_ASSERT_EQUAL(symlinkat("../../away", top, "tree/a/link"), 0);
    CU_ASSERT_EQUAL(symlinkat("/", top, "tree/root"), 0);
    CU_ASSERT_EQUAL(fchmodat(top, "tree/a/b", 0500, 0), 0);
    fds = count_open_fds();
    CU_ASSERT_EQUAL(pst_beneath_check_remove(top, "tree", PST_BENEATH_SAME_OWNER, NULL, 0, why), 0);
    CU_ASSERT_STRING_EQUAL(why, "");
    CU_ASSERT_TRUE(is_there("tree/a/b/file") && is_there("tree/closed/file"));
    CU_ASSERT_EQUAL(fchmodat(top, "tree/closed", 0, 0), 0);
    CU_ASSERT_EQUAL(pst_beneath_remove(top, "tree", PST_BENEATH_SAME_OWNER), 0);
    CU_ASSERT_EQUAL(count_open_fds(), fds);
    CU_ASSERT_FALSE(is_there("tree"));
    CU_ASSERT_EQUAL(pst_beneath_remove(top, "tree", PST_BENEATH_SAME_OWNER), 0);
    CU_ASSERT_EQUAL(pst_beneath_check_remove(top, "tree", PST_BENEATH_SAME_OWNER, NULL, 0, why), 0);
    end();
}

/* Where what is above it is another directory, nothing is removed any more. */
static void a_directory_that_is_moved_leads_nowhere(void)
{
    static const char *const all[] = {"tree/a", "tree/a/b", "tree/a/b"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        begin();
        make_file("tree/a/b/trigger");
        make_directory("away/a"); /* names of the tree's, where it is none */
        make_directory("away/b");
        make_directory("away/tree");
        moved = all[i];
        int error = pst_beneath_remove(top, "tree", PST_BENEATH_SAME_OWNER);
        CU_ASSERT_EQUAL(error, -ESTALE);
        CU_ASSERT_PTR_NULL(moved);
        CU_ASSERT_TRUE(is_there("away/moved") && is_there("away/a") && is_there("away/b"));
        CU_ASSERT_TRUE(is_there("tree"));
        end();
    }
}

/* In a child, which may mount: true where it did. */
static bool in_own_mounts(void (*act)(void))
{
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            _exit(77);
        top = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* below the mounts of now */
        act();
        for (const CU_FailureRecord *failure = CU_get_failure_list(); failure;
             failure = failure->pNext)
            printf("\n    line %u: %s", failure->uiLineNumber, failure->strCondition);
        fflush(stdout);
        _exit(CU_get_failure_list() ? 1 : 0);
    }
    int status;
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    bool ran = WIFEXITED(status) && WEXITSTATUS(status) != 77;
    CU_ASSERT_TRUE(!ran || WEXITSTATUS(status) == 0);
    return ran;
}

static void expect_stays(const char *what)
{
    char why[PST_MESSAGE_BYTES];
    CU_ASSERT_EQUAL(pst_beneath_check_remove(top, "tree", PST_BENEATH_SAME_OWNER, NULL, 0, why),
                    -EBUSY);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, what));
    CU_ASSERT_EQUAL(pst_beneath_remove(top, "tree", PST_BENEATH_SAME_OWNER), -EBUSY);
    CU_ASSERT_EQUAL(pst_beneath_remove(top, "tree", PST_BENEATH_PRIVATE), -EBUSY);
}

static void mount_inside(void)
{
    const struct made_place away = place_below(&place, "away");
    const struct made_place file = place_below(&place, "tree/a/file");
    const struct made_place directory = place_below(&place, "tree/a/b");
    const struct made_place precious = place_below(&place, "precious");
    /* the same file system: only the mount tells */
    if (mount(away.path, directory.path, NULL, MS_BIND, NULL) < 0)
        _exit(77);
    expect_stays("tree/a/b: something is mounted there");
    CU_ASSERT_TRUE(is_there("tree/a/b/precious"));
    CU_ASSERT_EQUAL(umount(directory.path), 0);
    CU_ASSERT_EQUAL(mount("tmpfs", directory.path, "tmpfs", 0, "size=1m"), 0);
    make_file("tree/a/b/precious");
    expect_stays("tree/a/b: something is mounted there");
    CU_ASSERT_TRUE(is_there("tree/a/b/precious"));
    CU_ASSERT_EQUAL(umount(directory.path), 0);
    make_file("tree/a/file");
    CU_ASSERT_EQUAL(mount(precious.path, file.path, NULL, MS_BIND, NULL), 0);
    expect_stays("tree/a/file: ");
    CU_ASSERT_EQUAL(umount(file.path), 0);
}

static void a_mount_point_is_not_entered(void)
{
    begin();
    if (!in_own_mounts(mount_inside))
        printf("\n    (not run: no right to mount here) ");
    end();
}

static void a_kept_directory_stays(void)
{
    static const char *const all[] = {"tree", "tree/a/b"};
    char why[PST_MESSAGE_BYTES];
    for (size_t i = 0; i < 2; i++) {
        struct stat status, outside;
        begin();
        make_file("tree/a/b/file");
        CU_ASSERT_EQUAL(fstatat(top, all[i], &status, 0), 0);
        CU_ASSERT_EQUAL(fstat(top, &outside), 0);
        const struct pst_beneath_kept kept[] = {{outside.st_dev, outside.st_ino, "no"},
                                                {status.st_dev, status.st_ino, "is wanted"}};
        int error =
            pst_beneath_check_remove(top, "tree", PST_BENEATH_SAME_OWNER, kept, i ? 2 : 1, why);
        CU_ASSERT_EQUAL(error, i ? -EBUSY : 0);
        error = pst_beneath_check_remove(top, "tree", PST_BENEATH_SAME_OWNER, kept, 2, why);
        CU_ASSERT_EQUAL(error, -EBUSY);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, all[i]));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, ": is wanted"));
        CU_ASSERT_TRUE(is_there("tree/a/b/file"));
        end();
    }
}

/* As root: what a third user has in the tree of another's, or of root's. */
static void what_is_of_others_stays(void)
{
    static const char *const others[] = {"tree/a/theirs", "tree/a/b"};
    char why[PST_MESSAGE_BYTES];
    if (geteuid() != 0) {
        printf("\n    (not run: not root) ");
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        begin();
        make_file("tree/a/theirs");
        make_file("tree/a/root's");
        /* the tree is a user's own, with something of root's: all that goes */
        uid_t owner = i < 2 ? 1234 : 0;
        CU_ASSERT_EQUAL(fchownat(top, "tree", owner, 0, 0), 0);
        CU_ASSERT_EQUAL(fchownat(top, others[i % 2], 4321, 0, 0), 0);
        CU_ASSERT_EQUAL(pst_beneath_check_remove(top, "tree", PST_BENEATH_SAME_OWNER, NULL, 0, why),
                        -EPERM);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, others[i % 2]));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "4321"));
        CU_ASSERT_EQUAL(pst_beneath_remove(top, "tree", PST_BENEATH_SAME_OWNER), -EPERM);
        CU_ASSERT_TRUE(is_there(others[i % 2]));
        CU_ASSERT_EQUAL(fchownat(top, others[i % 2], owner, 0, 0), 0);
        CU_ASSERT_EQUAL(pst_beneath_remove(top, "tree", PST_BENEATH_SAME_OWNER), 0);
        CU_ASSERT_FALSE(is_there("tree"));
        end();
    }
}

/* A temporary name is ours only if nobody else could have made it, or put anything there. */
static void only_a_private_tree_is_all_ours(void)
{
    begin();
    CU_ASSERT_EQUAL(fchmodat(top, "tree", 0750, 0), 0);
    CU_ASSERT_EQUAL(pst_beneath_remove(top, "tree", PST_BENEATH_PRIVATE), -EPERM);
    CU_ASSERT_NOT_EQUAL(pst_beneath_remove(top, "precious", PST_BENEATH_PRIVATE), 0);
    CU_ASSERT_EQUAL(symlinkat("away", top, "link"), 0);
    CU_ASSERT_NOT_EQUAL(pst_beneath_remove(top, "link", PST_BENEATH_PRIVATE), 0);
    CU_ASSERT_TRUE(is_there("link") && is_there("tree/a/b"));
    CU_ASSERT_EQUAL(fchmodat(top, "tree", 0700, 0), 0);
    if (geteuid() == 0) {
        CU_ASSERT_EQUAL(fchownat(top, "tree", 1234, 0, 0), 0);
        CU_ASSERT_EQUAL(pst_beneath_remove(top, "tree", PST_BENEATH_PRIVATE), -EPERM);
        CU_ASSERT_EQUAL(fchownat(top, "tree", 0, 0, 0), 0);
        CU_ASSERT_EQUAL(fchownat(top, "tree/a/b", 1234, 0, 0), 0);
    }
    CU_ASSERT_EQUAL(pst_beneath_remove(top, "tree", PST_BENEATH_PRIVATE), 0);
    CU_ASSERT_FALSE(is_there("tree"));
    end();
}

static int next_error; /* of every openat2() while opens_left is not 0 */
static uint32_t opens_left, opens;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, int dirfd, const char *path, const void *how, size_t bytes);

/* The linker's name for every syscall() of the program, which are those of openat2(). */
long __wrap_syscall(long number, int dirfd, const char *path, const void *how, size_t bytes)
{
    opens++;
    if (opens_left == 0)
        return __real_syscall(number, dirfd, path, how, bytes);
    opens_left--;
    errno = next_error;
    return -1;
}

static int open_with(int error, uint32_t times)
{
    next_error = error;
    opens_left = times;
    opens = 0;
    int fd = pst_beneath_open(top, "precious", O_RDONLY, 0);
    opens_left = 0;
    if (fd >= 0)
        close(fd);
    return fd;
}

static void races_are_tried_again(void)
{
    begin();
    CU_ASSERT_TRUE(open_with(EAGAIN, 5) >= 0);
    CU_ASSERT_EQUAL(opens, 6);
    CU_ASSERT_TRUE(open_with(EINTR, 1000) >= 0);
    CU_ASSERT_EQUAL(opens, 1001);
    CU_ASSERT_EQUAL(open_with(EAGAIN, 1000), -EAGAIN);
    CU_ASSERT(opens < 100);
    CU_ASSERT_EQUAL(open_with(EIO, 1), -EIO);
    CU_ASSERT_EQUAL(opens, 1);
    end();
}

/* Its holder, who is told to give it up, does not: this is a signal that the process ignores. */
static void a_lease_is_not_waited_for(void)
{
    begin();
    struct sigaction before, ignore = {.sa_handler = SIG_IGN};
    CU_ASSERT_EQUAL(sigaction(SIGIO, &ignore, &before), 0);
    int fd = openat(top, "precious", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        opens = 0;
        CU_ASSERT_EQUAL(pst_beneath_open(top, "precious", O_WRONLY | O_NONBLOCK, 0), -EAGAIN);
        CU_ASSERT(opens < 100);
    }
    close(fd);
    CU_ASSERT_EQUAL(sigaction(SIGIO, &before, NULL), 0);
    end();
}

int main(void)
{
    pst_log_set_level(PST_LOG_ERROR);
    CU_TestInfo tests[] = {
        {"all of a tree is removed", remove_all},
        {"a directory that is moved leads nowhere", a_directory_that_is_moved_leads_nowhere},
        {"a mount point is not entered", a_mount_point_is_not_entered},
        {"a kept directory stays", a_kept_directory_stays},
        {"what is of others stays", what_is_of_others_stays},
        {"only a private tree is all ours", only_a_private_tree_is_all_ours},
        {"races are tried again", races_are_tried_again},
        {"a lease is not waited for", a_lease_is_not_waited_for},
        CU_TEST_INFO_NULL,
    };
    return suite_run("io beneath", tests);
}
