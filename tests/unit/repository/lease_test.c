/* The lease of a backup directory: it follows the path between backups, and its locks with it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/repository/lease.h"
#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/support/scratch.h"
#include "tests/support/stderr_capture.h"

static struct made_place place, to, old;
static struct pst_repository_lease lease;

static void begin(bool is_shared)
{
    place = make_place();
    to = place_below(&place, "to");
    old = place_below(&place, "old");
    CU_ASSERT_EQUAL_FATAL(pst_repository_lease_take(&lease, to.path, 1, is_shared, NULL), 0);
    begin_log_capture();
}

/* log: what must have been logged meanwhile; NULL: nothing. */
static void end(const char *log)
{
    char *text = end_log_capture();
    CU_ASSERT_TRUE(log ? strstr(text, log) != NULL : *text == '\0');
    free(text);
    pst_repository_lease_release(&lease);
    remove_place(&place);
}

static bool is_open_at(const char *path)
{
    struct stat open, named;
    return fstat(lease.repository.root, &open) == 0 && stat(path, &named) == 0 &&
           open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

/* Whether a node of that number can have the directory beside us. */
static int take_beside(const char *path, uint32_t node, bool is_shared)
{
    struct pst_repository_lease other;
    int error = pst_repository_lease_take(&other, path, node, is_shared, NULL);
    if (!error)
        pst_repository_lease_release(&other);
    return error;
}

static void replace(void)
{
    CU_ASSERT_EQUAL_FATAL(rename(to.path, old.path), 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(to.path, 0700), 0);
}

static void one_that_stays_is_kept(void)
{
    begin(false);
    int root = lease.repository.root;
    CU_ASSERT_EQUAL(pst_repository_lease_renew(&lease, false), 0);
    CU_ASSERT_EQUAL(pst_repository_lease_renew(&lease, true), 0);
    CU_ASSERT_EQUAL(lease.repository.root, root);
    end(NULL);
}

static void move_to(bool is_shared)
{
    begin(is_shared);
    replace();
    int root = lease.repository.root;
    unsigned fds = count_open_fds();
    CU_ASSERT_EQUAL(pst_repository_lease_renew(&lease, false), 0);
    CU_ASSERT_EQUAL(lease.repository.root, root); /* LDMs know it by its number */
    CU_ASSERT_EQUAL(count_open_fds(), fds);
    CU_ASSERT_TRUE(is_open_at(to.path));
    CU_ASSERT_EQUAL(take_beside(to.path, 1, is_shared), -PST_E_BUSY);
    CU_ASSERT_EQUAL(take_beside(to.path, 2, true), is_shared ? 0 : -PST_E_BUSY);
    CU_ASSERT_EQUAL(take_beside(old.path, 1, false), 0);
    CU_ASSERT_TRUE(is_empty_directory(old.path)); /* of its lock file too */
    end("/to is another directory than before");
}

static void another_is_taken_with_its_locks(void)
{
    move_to(false);
    move_to(true);
}

static void one_in_use_is_not_taken(void)
{
    struct pst_repository_lease other;
    begin(false);
    replace();
    CU_ASSERT_EQUAL_FATAL(pst_repository_lease_take(&other, to.path, 1, false, NULL), 0);
    CU_ASSERT_EQUAL(pst_repository_lease_renew(&lease, false), -PST_E_BUSY);
    CU_ASSERT_TRUE(is_open_at(old.path));
    CU_ASSERT_EQUAL(take_beside(old.path, 1, false), -PST_E_BUSY);
    pst_repository_lease_release(&other);
    CU_ASSERT_EQUAL(pst_repository_lease_renew(&lease, false), 0);
    CU_ASSERT_TRUE(is_open_at(to.path));
    end("another process is backing up into it");
}

static void one_with_doubts_is_not_left(void)
{
    begin(true);
    replace();
    CU_ASSERT_EQUAL(pst_repository_lease_renew(&lease, true), -PST_E_CLEANING);
    CU_ASSERT_TRUE(is_open_at(old.path));
    end("backups are in doubt in that one");
}

static void one_that_does_not_stay_is_named(void)
{
    begin(true);
    CU_ASSERT_EQUAL(pst_repository_lease_stays(&lease), 0);
    replace();
    CU_ASSERT_EQUAL(pst_repository_lease_stays(&lease), -ESTALE);
    CU_ASSERT_TRUE(is_open_at(old.path));
    end("is another directory than when the backup began");
}

/* A program that backs up may go elsewhere meanwhile. */
static void a_relative_path_stays_what_it_was(void)
{
    char *here = getcwd(NULL, 0);
    place = make_place();
    to = place_below(&place, "to");
    CU_ASSERT_EQUAL_FATAL(chdir(place.path), 0);
    CU_ASSERT_EQUAL_FATAL(pst_repository_lease_take(&lease, "to", 1, false, NULL), 0);
    CU_ASSERT_EQUAL(chdir(here), 0);
    CU_ASSERT_EQUAL(pst_repository_lease_stays(&lease), 0);
    pst_repository_lease_release(&lease);
    CU_ASSERT_NOT_EQUAL(access(to.path, F_OK), 0); /* it was made, and nothing is in it */
    remove_place(&place);
    free(here);
}

static void one_that_is_gone_is_named(void)
{
    begin(false);
    CU_ASSERT_EQUAL_FATAL(rename(to.path, old.path), 0);
    CU_ASSERT_EQUAL(pst_repository_lease_renew(&lease, false), -ENOENT);
    CU_ASSERT_TRUE(is_open_at(old.path));
    CU_ASSERT_EQUAL_FATAL(rename(old.path, to.path), 0);
    CU_ASSERT_EQUAL(pst_repository_lease_renew(&lease, false), 0);
    end("/to: No such file or directory: the backup directory was renamed");
}

static int live_on(void *unused)
{
    (void)unused;
    return pause();
}

/* Of the program's own: it has open what the process had when it was forked. */
static void hold_by_a_child(bool is_shared)
{
    begin(is_shared);
    pid_t child = child_start(live_on, NULL);
    replace();
    CU_ASSERT_EQUAL(pst_repository_lease_renew(&lease, false), 0);
    CU_ASSERT_EQUAL(take_beside(old.path, 1, false), 0);
    pid_t second = child_start(live_on, NULL);
    pst_repository_lease_release(&lease);
    CU_ASSERT_EQUAL(pst_repository_lease_take(&lease, to.path, 1, is_shared, NULL), 0);
    kill(child, SIGKILL);
    kill(second, SIGKILL);
    CU_ASSERT_EQUAL(child_wait(child), -SIGKILL);
    CU_ASSERT_EQUAL(child_wait(second), -SIGKILL);
    end("/to is another directory than before");
}

static void a_child_that_lives_on_holds_nothing(void)
{
    hold_by_a_child(false);
    hold_by_a_child(true);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"one that stays is kept", one_that_stays_is_kept},
        {"another is taken with its locks", another_is_taken_with_its_locks},
        {"one in use is not taken", one_in_use_is_not_taken},
        {"one with doubts is not left", one_with_doubts_is_not_left},
        {"one that does not stay is named", one_that_does_not_stay_is_named},
        {"a relative path stays what it was", a_relative_path_stays_what_it_was},
        {"one that is gone is named", one_that_is_gone_is_named},
        {"a child that lives on holds nothing", a_child_that_lives_on_holds_nothing},
        CU_TEST_INFO_NULL,
    };
    return suite_run("lease", tests);
}
