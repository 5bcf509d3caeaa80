/* lmdb: what can be wrong with an environment, and what its users can do to it meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/source/registry/registry.h"
#include "tests/support/child.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/source/lmdb_rig.h"

static void write_much(int fd)
{
    (void)fd;
    MDB_env *env = open_env(0, MAP_BYTES);
    for (uint64_t row = 20; row < 35; row++)
        put_row(env, row, 1000000);
    mdb_env_close(env);
}

static void write_without_lock(int fd)
{
    (void)fd;
    MDB_env *env = open_env(MDB_NOLOCK, MAP_BYTES);
    put_row(env, 1, 600000);
    mdb_env_close(env);
}

static void write_in_larger_map(int fd)
{
    (void)fd;
    MDB_env *env = open_env(0, 4 * (size_t)MAP_BYTES);
    for (uint64_t row = 20; row < 70; row++)
        put_row(env, row, 1000000);
    mdb_env_close(env);
}

static void take_all_readers(int fd)
{
    MDB_env *env = open_env(MDB_NOTLS, MAP_BYTES);
    MDB_txn *txn;
    while (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0)
        ;
    REQUIRE(write(fd, "x", 1) == 1);
    for (;;)
        pause();
}

/* ---- what can go wrong meanwhile ---- */

static void test_headroom(void)
{
    struct pst_source *source = make(fill);
    struct collected collected;
    collected_init(&collected);
    source->policy.headroom_percent = 40;
    ASSERT_OK(cut(source));
    run_child(write_much); /* 10 of 32 MiB become 25 */
    int error = 0;
    for (int i = 0; i < 500 && !error; i++) {
        pause_ns(10 * MS);
        collected_free(&collected);
        error = pst_source_list(source, &collected.sink, &collected.listing);
    }
    CU_ASSERT_EQUAL(error, -PST_E_HEADROOM);
    CU_ASSERT_EQUAL(pst_source_check(source, in_patience()), -PST_E_HEADROOM);
    pst_source_release(source);
    /* It is as full still, but grows no more. */
    ASSERT_OK(cut(source));
    pause_ns(100 * MS);
    collected_free(&collected);
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    ASSERT_OK(pst_source_check(source, in_patience()));
    collected_free(&collected);
    done(source);
}

/* To where the headroom begins as fast as it can, and then 12 MB/s: put_row() ends the child at
 * MDB_MAP_FULL. Where CPUs are busy the guard has a second to look. */
static void write_on(int fd)
{
    (void)fd;
    MDB_env *env = open_env(0, MAP_BYTES);
    for (int i = 0; i < 250; i++) {
        put_row(env, 1, 100000);
        pause_ns(i < 80 ? 0 : 8 * MS);
    }
    mdb_env_close(env);
}

static void test_writers_never_find_the_map_full(void)
{
    struct pst_source *source = make(fill);
    source->policy.headroom_percent = 40;
    ASSERT_OK(cut(source));
    run_child(write_on);
    CU_ASSERT_EQUAL(pst_source_check(source, in_patience()), -PST_E_HEADROOM);
    done(source);
}

static void test_writer_without_lock(void)
{
    struct pst_source *source = make(fill);
    ASSERT_OK(cut(source));
    run_child(write_without_lock);
    CU_ASSERT_EQUAL(pst_source_check(source, in_patience()), -PST_E_CHANGED);
    pst_source_release(source);
    CU_ASSERT_EQUAL(cut(source), -PST_E_CHANGED); /* nor is there a snapshot to be had */
    done(source);
}

static void test_larger_map(void)
{
    struct pst_source *source = make(fill);
    struct collected collected;
    run_child(write_in_larger_map);
    collect(source, &collected);
    CU_ASSERT(collected.listing.bytes > MAP_BYTES);
    restore(source, &collected);
    CU_ASSERT_EQUAL(restored_row(), 500000);
    run_child(write_in_larger_map);
    ASSERT_OK(pst_source_check(source, in_patience()));
    collected_free(&collected);
    done(source);
}

/* The scan reads the file, not the map: a map that grows under it changes nothing; nor between two
 * backups. */
static void test_map_that_grows_meanwhile(void)
{
    struct pst_source *source = make(fill);
    struct collected collected;
    collected_init(&collected);
    ASSERT_OK(cut(source));
    run_child(write_in_larger_map);
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    CU_ASSERT(collected.listing.bytes < MAP_BYTES);
    restore(source, &collected);
    CU_ASSERT_EQUAL(restored_row(), 500000);
    ASSERT_OK(pst_source_check(source, in_patience()));
    CU_ASSERT_PTR_NOT_NULL(strstr(source->details, "\"map_bytes\":33554432,"));
    CU_ASSERT_PTR_NULL(strstr(source->details, "\"grown_bytes\":0}"));
    pst_source_release(source);
    collected_free(&collected);
    ASSERT_OK(cut(source));
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    CU_ASSERT(collected.listing.bytes > MAP_BYTES);
    ASSERT_OK(pst_source_check(source, in_patience()));
    CU_ASSERT_PTR_NOT_NULL(strstr(source->details, "\"map_bytes\":134217728,"));
    collected_free(&collected);
    done(source);
}

/* As an environment that was made where memory pages have 16 KiB. */
static void make_of_large_pages(int fd)
{
    static char pages[2][16384];
    uint32_t bytes = sizeof(pages[0]);
    make_nothing(fd);
    int data = open("env/data.mdb", O_RDWR);
    for (size_t i = 0; i < 2; i++) {
        REQUIRE(pread(data, pages[i], 4096, (off_t)i * 4096) == 4096);
        memcpy(pages[i] + 40, &bytes, sizeof(bytes));
    }
    REQUIRE(pwrite(data, pages, sizeof(pages), 0) == (ssize_t)sizeof(pages));
    close(data);
    unlink("env/lock.mdb");
    fill(fd);
}

static void test_foreign_page_size(void)
{
    struct pst_source *source = make(make_of_large_pages);
    struct collected collected;
    collected_init(&collected);
    ASSERT_OK(cut(source));
    run_child(write_one);
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    restore(source, &collected);
    CU_ASSERT_EQUAL(restored_row(), 500000);
    ASSERT_OK(pst_source_check(source, in_patience()));
    CU_ASSERT_PTR_NOT_NULL(strstr(source->details, "\"page_bytes\":16384,"));
    collected_free(&collected);
    done(source);
}

/* Renamed, and another one in its place, whose writers know nothing of the one that we have open.
 */
static void test_replaced_directory(void)
{
    struct pst_source *source = make(fill);
    ASSERT_OK(cut(source));
    REQUIRE(rename("env", "old") == 0 && mkdir("env", 0750) == 0);
    run_child(fill);
    CU_ASSERT_EQUAL(pst_source_check(source, in_patience()), -PST_E_CHANGED);
    pst_source_release(source);
    begin_log_capture();
    ASSERT_OK(cut(source));
    char *log = end_log_capture();
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "/env is another environment than before"));
    free(log);
    done(source);
}

/* Between two backups, as by `mdb_copy -c env copy; mv copy/data.mdb env/data.mdb`. */
static void test_replaced_data_file_at_rest(void)
{
    struct pst_source *source = make(fill);
    struct collected collected;
    collected_init(&collected);
    ASSERT_OK(cut(source));
    pst_source_release(source);
    REQUIRE(rename("env", "old") == 0 && mkdir("env", 0750) == 0);
    run_child(make_nothing);
    run_child(write_one);
    REQUIRE(rename("env", "new") == 0 && rename("old", "env") == 0);
    REQUIRE(rename("new/data.mdb", "env/data.mdb") == 0);
    collect(source, &collected);
    restore(source, &collected);
    CU_ASSERT_EQUAL(restored_row(), 600000);
    ASSERT_OK(pst_source_check(source, in_patience()));
    collected_free(&collected);
    done(source);
}

/* A guard that keeps a lock file which the writers no longer use would hold up none of them. */
static void test_replaced_lock_file_at_rest(void)
{
    struct pst_source *source = make(fill);
    REQUIRE(unlink("env/lock.mdb") == 0);
    pid_t holder = start_holder(); /* makes a new one */
    ASSERT_OK(pst_source_prepare(source));
    CU_ASSERT_EQUAL(pst_source_freeze(source, pst_monotonic_ns() + 200 * MS), -PST_E_FREEZE);
    end_holder(holder);
    ASSERT_OK(cut(source));
    ASSERT_OK(pst_source_check(source, in_patience()));
    done(source);
}

static void test_gone_environment(void)
{
    struct pst_source *source = make(fill);
    REQUIRE(rename("env", "away") == 0);
    begin_log_capture();
    CU_ASSERT_EQUAL(cut(source), -ENOENT);
    char *log = end_log_capture();
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "/env: No such file or directory"));
    free(log);
    REQUIRE(rename("away", "env") == 0);
    ASSERT_OK(cut(source));
    done(source);
}

/* A whole environment moved over the one that is open, as a restore of its owner's would do it. */
static void test_renamed_data_file(void)
{
    struct pst_source *source = make(fill);
    struct collected collected;
    collected_init(&collected);
    ASSERT_OK(cut(source));
    REQUIRE(rename("env", "old") == 0 && mkdir("env", 0750) == 0);
    run_child(fill);
    REQUIRE(rename("env", "new") == 0 && rename("old", "env") == 0);
    REQUIRE(rename("new/data.mdb", "env/data.mdb") == 0);
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    CU_ASSERT_EQUAL(pst_source_check(source, in_patience()), -PST_E_CHANGED);
    collected_free(&collected);
    done(source);
}

static void test_replaced_environment(void)
{
    struct pst_source *source = make(fill);
    REQUIRE(rename("env/data.mdb", "env/old") == 0);
    REQUIRE(link("env/old", "env/data.mdb") == 0);
    ASSERT_OK(cut(source)); /* another name of the same */
    REQUIRE(unlink("env/data.mdb") == 0);
    write_file("env/data.mdb", "", 0);
    CU_ASSERT_EQUAL(pst_source_check(source, in_patience()), -PST_E_CHANGED);
    pst_source_release(source);
    CU_ASSERT_EQUAL(cut(source), -PST_E_DAMAGED);
    REQUIRE(rename("env/old", "env/data.mdb") == 0);
    ASSERT_OK(cut(source));
    done(source);
}

/* ---- what cannot be opened ---- */

static void expect_refused(int error, const char *message)
{
    struct pst_source *source;
    char text[PST_SOURCE_ERROR_BYTES];
    CU_ASSERT_EQUAL(registry_open("lmdb:env", 0, &source, text, sizeof(text)), error);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, message));
}

static void test_refused(void)
{
    make_directory();
    expect_refused(-ENOENT, "want an LMDB environment");
    REQUIRE(mkdir("env", 0700) == 0);
    expect_refused(-ENOENT, "want an LMDB environment");
    write_file("env/data.mdb", "", 0);
    expect_refused(-PST_E_DAMAGED, "its data file is empty: want an LMDB environment");
    CU_ASSERT_EQUAL(access("env/lock.mdb", F_OK), -1);
    remove_directory();
}

static void test_other_version(void)
{
    uint32_t version = 2;
    make_directory();
    REQUIRE(mkdir("env", 0700) == 0);
    run_child(fill);
    int fd = open("env/data.mdb", O_WRONLY);
    REQUIRE(pwrite(fd, &version, 4, 20) == 4 && pwrite(fd, &version, 4, 4096 + 20) == 4);
    close(fd);
    expect_refused(-PST_E_FOREIGN, "data format of LMDB 0.9");
    remove_directory();
}

static void test_full_reader_table(void)
{
    int ends[2];
    char byte;
    make_directory();
    REQUIRE(mkdir("env", 0700) == 0 && pipe(ends) == 0);
    pid_t hog = in_child(take_all_readers, ends[1]);
    REQUIRE(read(ends[0], &byte, 1) == 1);
    expect_refused(-PST_E_NO_RESOURCES, "reader table is full");
    end_holder(hog);
    pst_source_close(open_source("lmdb:env")); /* its slots were cleared */
    close(ends[0]);
    close(ends[1]);
    remove_directory();
}

static void test_lock_file_is_made_as_the_data_file(void)
{
    struct stat status;
    make_directory();
    REQUIRE(mkdir("env", 0700) == 0);
    run_child(fill);
    REQUIRE(unlink("env/lock.mdb") == 0 && chmod("env/data.mdb", 0604) == 0);
    REQUIRE(geteuid() != 0 ||
            (chown("env/data.mdb", 65534, 65534) == 0 && chown("env", 65534, 65534) == 0));
    pst_source_close(open_source("lmdb:env"));
    REQUIRE(stat("env/lock.mdb", &status) == 0);
    CU_ASSERT_EQUAL(status.st_mode & 0777, 0604);
    CU_ASSERT(geteuid() != 0 || (status.st_uid == 65534 && status.st_gid == 65534));
    remove_directory();
}

/* In a child: root without these capabilities. */
static int open_without(const int *capabilities)
{
    char text[PST_SOURCE_ERROR_BYTES];
    struct pst_source *source = NULL;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    REQUIRE(syscall(SYS_capget, &head, data) == 0);
    for (; *capabilities >= 0; capabilities++)
        data[0].effective &= ~(1u << *capabilities);
    REQUIRE(syscall(SYS_capset, &head, data) == 0);
    int error = registry_open("lmdb:env", 0, &source, text, sizeof(text));
    if (error == 0)
        pst_source_close(source);
    return -error;
}

static int open_without_chown(void)
{
    return open_without((const int[]){CAP_CHOWN, -1});
}

static int open_without_setuid(void)
{
    return open_without((const int[]){CAP_SETUID, CAP_SETGID, -1});
}

/* A lock file of root's would shut the environment's own users out. */
static void test_lock_file_of_root_is_never_left(void)
{
    struct stat status;
    if (geteuid() != 0)
        return;
    make_directory();
    REQUIRE(mkdir("env", 0700) == 0);
    run_child(fill);
    REQUIRE(unlink("env/lock.mdb") == 0 && chmod("env/data.mdb", 0600) == 0);
    REQUIRE(chown("env/data.mdb", 65534, 65534) == 0 && chown("env", 65534, 65534) == 0);
    CU_ASSERT_EQUAL(child_run(open_without_setuid), EPERM);
    CU_ASSERT_NOT_EQUAL(stat("env/lock.mdb", &status), 0);
    CU_ASSERT_EQUAL(child_run(open_without_chown), 0);
    CU_ASSERT_EQUAL(stat("env/lock.mdb", &status), 0);
    CU_ASSERT(status.st_uid == 65534 && (status.st_mode & 0777) == 0600);
    remove_directory();
}

static void expect_wrong_kind(const char *spec, const char *message)
{
    char text[PST_SOURCE_ERROR_BYTES];
    struct pst_source *source = NULL;
    CU_ASSERT_EQUAL(registry_open(spec, 0, &source, text, sizeof(text)), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, message));
}

/* By its directory and as a file it has two lock files. */
static void test_the_wrong_kind_of_path(void)
{
    struct stat status;
    make_directory();
    REQUIRE(mkdir("env", 0700) == 0);
    run_child(fill);
    expect_wrong_kind("lmdb:env/data.mdb", "give that one's directory");
    REQUIRE(unlink("env/lock.mdb") == 0);
    expect_wrong_kind("lmdb:env/data.mdb", "give that one's directory");
    CU_ASSERT_NOT_EQUAL(stat("env/data.mdb-lock", &status), 0);
    write_file("env/data.mdb-lock", "", 0);
    expect_wrong_kind("lmdb:env", "MDB_NOSUBDIR");
    pst_source_close(open_source("lmdb:env/data.mdb"));
    write_file("env/lock.mdb", "", 0);
    expect_wrong_kind("lmdb:env/data.mdb", "give that one's directory");
    pst_source_close(open_source("lmdb:env"));
    remove_directory();
}

static void refuse(void)
{
    char text[PST_SOURCE_ERROR_BYTES];
    struct pst_source *source = NULL;
    CU_ASSERT_NOT_EQUAL(registry_open("lmdb:env", 0, &source, text, sizeof(text)), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "lock file"));
}

/* liblmdb opens what stands at the name of the lock file, and makes it: whatever an owner puts
 * there must come to nothing, with root's rights above all. */
static void test_lock_file_leads_nowhere(void)
{
    static const char precious[] = "precious";
    char found[sizeof(precious)] = "";
    struct stat status;
    make_directory();
    REQUIRE(mkdir("env", 0700) == 0 && mkdir("other", 0700) == 0);
    run_child(fill);
    REQUIRE(unlink("env/lock.mdb") == 0);
    REQUIRE(symlink("../other/made", "env/lock.mdb") == 0);
    refuse();
    CU_ASSERT_NOT_EQUAL(stat("other/made", &status), 0);
    int fd = open("other/victim", O_RDWR | O_CREAT | O_EXCL, 0600);
    REQUIRE(fd >= 0 && write(fd, precious, sizeof(precious)) == (ssize_t)sizeof(precious));
    REQUIRE(unlink("env/lock.mdb") == 0 && symlink("../other/victim", "env/lock.mdb") == 0);
    refuse();
    REQUIRE(unlink("env/lock.mdb") == 0 && link("other/victim", "env/lock.mdb") == 0);
    refuse(); /* a second name of it */
    REQUIRE(unlink("env/lock.mdb") == 0 && mkfifo("env/lock.mdb", 0600) == 0);
    refuse();
    CU_ASSERT_EQUAL(pread(fd, found, sizeof(found), 0), (ssize_t)sizeof(found));
    CU_ASSERT_STRING_EQUAL(found, precious);
    CU_ASSERT_EQUAL(fstat(fd, &status), 0);
    CU_ASSERT(status.st_size == (off_t)sizeof(precious) && (status.st_mode & 07777) == 0600);
    close(fd);
    remove_directory();
}

/* Root's guard of another user's environment is that user. */
static void test_guard_is_the_owner(void)
{
    char path[64], line[256] = "";
    int uid = -1;
    if (geteuid() != 0)
        return;
    make_directory();
    REQUIRE(mkdir("env", 0700) == 0);
    run_child(fill);
    REQUIRE(chown("env", 65534, 65534) == 0 && chown("env/data.mdb", 65534, 65534) == 0 &&
            chown("env/lock.mdb", 65534, 65534) == 0);
    struct pst_source *source = open_source("lmdb:env");
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)gettid());
    FILE *file = fopen(path, "r");
    REQUIRE(file && fgets(line, sizeof(line), file));
    fclose(file);
    snprintf(path, sizeof(path), "/proc/%d/status", atoi(line));
    file = fopen(path, "r");
    REQUIRE(file != NULL);
    while (fgets(line, sizeof(line), file))
        sscanf(line, "Uid: %d", &uid);
    fclose(file);
    CU_ASSERT_EQUAL(uid, 65534);
    pst_source_close(source);
    remove_directory();
}

int main(void)
{
    static CU_TestInfo troubles[] = {
        {"headroom", test_headroom},
        {"a writer without lock", test_writer_without_lock},
        {"a larger map", test_larger_map},
        {"a map that grows meanwhile", test_map_that_grows_meanwhile},
        {"a foreign page size", test_foreign_page_size},
        {"writers never find the map full", test_writers_never_find_the_map_full},
        {"a replaced directory", test_replaced_directory},
        {"a data file replaced at rest", test_replaced_data_file_at_rest},
        {"a lock file replaced at rest", test_replaced_lock_file_at_rest},
        {"an environment that is gone", test_gone_environment},
        {"a renamed data file", test_renamed_data_file},
        {"a replaced environment", test_replaced_environment},
        {"refused", test_refused},
        {"another version", test_other_version},
        {"a full reader table", test_full_reader_table},
        {"a lock file of ours", test_lock_file_is_made_as_the_data_file},
        {"a lock file of root is never left", test_lock_file_of_root_is_never_left},
        {"the wrong kind of path", test_the_wrong_kind_of_path},
        {"a lock file leads nowhere", test_lock_file_leads_nowhere},
        {"the guard is the owner", test_guard_is_the_owner},
        CU_TEST_INFO_NULL,
    };
    static CU_SuiteInfo suites[] = {
        {"troubles", NULL, NULL, NULL, NULL, troubles},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
