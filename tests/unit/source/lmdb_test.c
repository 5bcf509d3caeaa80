/* lmdb: freeze, snapshot and check against environments that others use, and everything that can
 * be wrong with one. Writers are child processes, as they are in life. */
#include "engine/source/lmdb_meta.h"
#include "tests/unit/source/source_test.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAP_BYTES (32u << 20)
#define S UINT64_C(1000000000)
#define MS UINT64_C(1000000)

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * S + (uint64_t)now.tv_nsec;
}

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

/* ---- an environment's users ---- */

static MDB_env *open_env(unsigned flags, size_t map_bytes)
{
    MDB_env *env;
    REQUIRE(mdb_env_create(&env) == 0);
    REQUIRE(mdb_env_set_mapsize(env, map_bytes) == 0);
    REQUIRE(mdb_env_open(env, "env", flags | MDB_NOSYNC, 0640) == 0);
    return env;
}

static void put_row(MDB_env *env, uint64_t row, size_t bytes)
{
    static char data[1u << 20];
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {sizeof(row), &row}, v = {bytes, data};
    memset(data, (int)row + 1, bytes);
    REQUIRE(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    REQUIRE(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
    REQUIRE(mdb_put(txn, dbi, &k, &v, 0) == 0);
    REQUIRE(mdb_txn_commit(txn) == 0);
}

/* What a child does; its exit status is 0. */
static pid_t in_child(void (*work)(int fd), int fd)
{
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid != 0)
        return pid;
    work(fd);
    _exit(0);
}

static void wait_for(pid_t pid)
{
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void run_child(void (*work)(int fd))
{
    wait_for(in_child(work, -1));
}

static void fill(int fd)
{
    (void)fd;
    MDB_env *env = open_env(0, MAP_BYTES);
    for (uint64_t row = 0; row < 20; row++)
        put_row(env, row, 500000);
    mdb_env_close(env);
}

static void write_one(int fd)
{
    (void)fd;
    MDB_env *env = open_env(0, MAP_BYTES);
    put_row(env, 1, 600000);
    mdb_env_close(env);
}

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

/* Says that it holds the lock, and holds it until it is killed. */
static void hold_lock(int fd)
{
    MDB_txn *txn;
    MDB_env *env = open_env(0, MAP_BYTES);
    REQUIRE(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    REQUIRE(write(fd, "x", 1) == 1);
    for (;;)
        pause();
}

static pid_t start_holder(void)
{
    int ends[2];
    char byte;
    REQUIRE(pipe(ends) == 0);
    pid_t pid = in_child(hold_lock, ends[1]);
    REQUIRE(read(ends[0], &byte, 1) == 1);
    close(ends[0]);
    close(ends[1]);
    return pid;
}

static void end_holder(pid_t pid)
{
    kill(pid, SIGKILL);
    REQUIRE(waitpid(pid, NULL, 0) == pid);
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

static struct pst_source *make(void (*work)(int fd))
{
    make_directory();
    REQUIRE(mkdir("env", 0750) == 0);
    run_child(work);
    return open_source("lmdb:env");
}

static void done(struct pst_source *source)
{
    pst_source_close(source);
    remove_directory();
}

static int cut(struct pst_source *source)
{
    int error = pst_source_freeze(source, now_ns() + 5 * S);
    if (!error)
        error = pst_source_snapshot(source, 1);
    if (!error)
        error = pst_source_thaw(source);
    return error;
}

/* The pages of a snapshot as a restore would have them, as an environment of its own. */
static void restore(struct pst_source *source, const struct collected *collected)
{
    struct pst_object object;
    CU_ASSERT_TRUE_FATAL(find_object(collected, "data.mdb", &object));
    CU_ASSERT_EQUAL(object.type, PST_OBJECT_ENVIRONMENT);
    uint8_t *data = read_object(source, collected, &object);
    mkdir("restored", 0700);
    unlink("restored/data.mdb");
    make_file("restored/data.mdb", data, object.size);
    free(data);
}

/* Length of row 1 in the restored environment, which LMDB opens and walks. */
static size_t restored_row(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    uint64_t row = 1;
    MDB_val k = {sizeof(row), &row}, v = {0};
    CU_ASSERT_EQUAL_FATAL(mdb_env_create(&env), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_env_open(env, "restored", MDB_RDONLY, 0600), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    CU_ASSERT_EQUAL(mdb_get(txn, dbi, &k, &v), 0);
    for (size_t i = 0; i < v.mv_size; i++)
        if (((char *)v.mv_data)[i] != 2) {
            CU_FAIL("a byte of the row differs");
            break;
        }
    size_t bytes = v.mv_size;
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return bytes;
}

static pid_t guard_of_this_process(void)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getpid(), getpid());
    FILE *children = fopen(path, "r");
    REQUIRE(children && fscanf(children, "%d", &pid) == 1);
    fclose(children);
    return pid;
}

/* ---- exactness ---- */

static void test_snapshot_is_exact_while_others_write(void)
{
    for (int is_alone = 0; is_alone < 2; is_alone++) {
        struct pst_source *source = make(fill);
        struct collected collected;
        source->policy.is_alone = is_alone;
        collected_init(&collected);
        ASSERT_OK(cut(source));
        for (int i = 0; i < 8; i++) /* pages that they free would be used again by now */
            run_child(write_one);
        ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
        check_listing(&collected);
        CU_ASSERT_EQUAL(collected.listing.objects, 2);
        CU_ASSERT(collected.count > 1);
        restore(source, &collected);
        CU_ASSERT_EQUAL(restored_row(), 500000);
        ASSERT_OK(pst_source_check(source, now_ns() + S));
        CU_ASSERT_PTR_NOT_NULL_FATAL(source->details);
        CU_ASSERT_PTR_NOT_NULL(strstr(source->details, "\"transaction_id\":20,"));
        pst_source_release(source);
        collected_free(&collected);
        /* The next backup has what was written since. */
        ASSERT_OK(cut(source));
        ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
        restore(source, &collected);
        CU_ASSERT_EQUAL(restored_row(), 600000);
        collected_free(&collected);
        done(source);
    }
}

static void make_nothing(int fd)
{
    (void)fd;
    mdb_env_close(open_env(0, MAP_BYTES));
}

static void test_new_environment(void)
{
    struct pst_source *source = make(make_nothing);
    struct collected collected;
    collect(source, &collected);
    check_listing(&collected);
    restore(source, &collected);
    MDB_env *env;
    MDB_envinfo info;
    CU_ASSERT_EQUAL_FATAL(mdb_env_create(&env), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_env_open(env, "restored", 0, 0600), 0);
    CU_ASSERT_EQUAL(mdb_env_info(env, &info), 0);
    CU_ASSERT_EQUAL(info.me_last_txnid, 0);
    put_row(env, 1, 10);
    mdb_env_close(env);
    ASSERT_OK(pst_source_check(source, now_ns() + S));
    collected_free(&collected);
    done(source);
}

static void test_metadata(void)
{
    struct pst_source *source = make(fill);
    struct collected collected;
    struct pst_object object;
    collect(source, &collected);
    CU_ASSERT_TRUE(find_object(&collected, "data.mdb", &object) && object.mode == 0640);
    CU_ASSERT_TRUE(find_object(&collected, "", &object) && object.mode == 0750);
    CU_ASSERT_FALSE(find_object(&collected, "lock.mdb", &object));
    collected_free(&collected);
    done(source);
}

/* ---- the freeze ---- */

static void test_freeze_holds_writers_up(void)
{
    struct pst_source *source = make(fill);
    ASSERT_OK(pst_source_freeze(source, now_ns() + 5 * S));
    pid_t writer = in_child(write_one, -1);
    pause_ms(50);
    CU_ASSERT_EQUAL(waitpid(writer, NULL, WNOHANG), 0);
    ASSERT_OK(pst_source_thaw(source));
    wait_for(writer);
    done(source);
}

static void test_freeze_gives_up_in_time(void)
{
    struct pst_source *source = make(fill);
    pid_t holder = start_holder();
    const uint64_t began_ns = now_ns();
    CU_ASSERT_EQUAL(pst_source_freeze(source, began_ns + 100 * MS), -PST_E_FREEZE);
    CU_ASSERT(now_ns() - began_ns >= 100 * MS);
    end_holder(holder);
    run_child(write_one); /* nothing is held */
    ASSERT_OK(cut(source));
    done(source);
}

static void test_freeze_is_not_needed_alone(void)
{
    struct pst_source *source = make(fill);
    pid_t holder = start_holder();
    source->policy.is_alone = true;
    ASSERT_OK(cut(source));
    end_holder(holder);
    done(source);
}

static void test_guard_thaws_by_itself(void)
{
    struct pst_source *source = make(fill);
    source->policy.freeze_hold_ns = 20 * MS;
    ASSERT_OK(pst_source_freeze(source, now_ns() + 5 * S));
    run_child(write_one); /* as if we had been stopped */
    CU_ASSERT_EQUAL(pst_source_snapshot(source, 1), -PST_E_THAWED);
    pst_source_release(source);
    source->policy.freeze_hold_ns = 0;
    ASSERT_OK(cut(source));
    done(source);
}

static void test_dead_guard_leaves_nothing(void)
{
    struct pst_source *source = make(fill);
    struct collected collected;
    collected_init(&collected);
    ASSERT_OK(pst_source_freeze(source, now_ns() + 5 * S));
    ASSERT_OK(pst_source_snapshot(source, 1));
    kill(guard_of_this_process(), SIGKILL);
    run_child(write_one); /* the lock died with its holder */
    ASSERT_OK(pst_source_thaw(source));
    CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, &collected.listing), -PST_E_GUARD);
    CU_ASSERT_EQUAL(pst_source_check(source, now_ns() + S), -PST_E_GUARD);
    pst_source_release(source); /* a new guard clears its slot */
    MDB_env *env = open_env(0, MAP_BYTES);
    int dead = -1;
    CU_ASSERT_EQUAL(mdb_reader_check(env, &dead), 0);
    CU_ASSERT_EQUAL(dead, 0);
    mdb_env_close(env);
    ASSERT_OK(cut(source));
    collected_free(&collected);
    done(source);
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
        pause_ms(10);
        collected_free(&collected);
        error = pst_source_list(source, &collected.sink, &collected.listing);
    }
    CU_ASSERT_EQUAL(error, -PST_E_HEADROOM);
    CU_ASSERT_EQUAL(pst_source_check(source, now_ns() + S), -PST_E_HEADROOM);
    pst_source_release(source);
    /* It is as full still, but grows no more. */
    ASSERT_OK(cut(source));
    pause_ms(100);
    collected_free(&collected);
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    ASSERT_OK(pst_source_check(source, now_ns() + S));
    collected_free(&collected);
    done(source);
}

/* Some hundred MB/s through a map of 32 MiB: put_row() ends the child at MDB_MAP_FULL. */
static void write_on(int fd)
{
    (void)fd;
    MDB_env *env = open_env(0, MAP_BYTES);
    for (int i = 0; i < 1000; i++) {
        put_row(env, 1, 100000);
        pause_ms(1);
    }
    mdb_env_close(env);
}

static void test_writers_never_find_the_map_full(void)
{
    struct pst_source *source = make(fill);
    source->policy.headroom_percent = 40;
    ASSERT_OK(cut(source));
    run_child(write_on);
    CU_ASSERT_EQUAL(pst_source_check(source, now_ns() + S), -PST_E_HEADROOM);
    done(source);
}

static void test_writer_without_lock(void)
{
    struct pst_source *source = make(fill);
    ASSERT_OK(cut(source));
    run_child(write_without_lock);
    CU_ASSERT_EQUAL(pst_source_check(source, now_ns() + 10 * S), -PST_E_CHANGED);
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
    ASSERT_OK(pst_source_check(source, now_ns() + S));
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
    ASSERT_OK(pst_source_check(source, now_ns() + S));
    CU_ASSERT_PTR_NOT_NULL(strstr(source->details, "\"map_bytes\":33554432,"));
    CU_ASSERT_PTR_NULL(strstr(source->details, "\"grown_bytes\":0}"));
    pst_source_release(source);
    collected_free(&collected);
    ASSERT_OK(cut(source));
    ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
    CU_ASSERT(collected.listing.bytes > MAP_BYTES);
    ASSERT_OK(pst_source_check(source, now_ns() + S));
    CU_ASSERT_PTR_NOT_NULL(strstr(source->details, "\"map_bytes\":134217728,"));
    collected_free(&collected);
    done(source);
}

/* As an environment that was made where memory pages have 16 KiB. */
static void make_of_large_pages(int fd)
{
    static char pages[2][16384];
    const uint32_t bytes = sizeof(pages[0]);
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
    ASSERT_OK(pst_source_check(source, now_ns() + S));
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
    CU_ASSERT_EQUAL(pst_source_check(source, now_ns() + S), -PST_E_CHANGED);
    pst_source_release(source);
    CU_ASSERT_EQUAL(cut(source), -PST_E_CHANGED);
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
    CU_ASSERT_EQUAL(pst_source_check(source, now_ns() + S), -PST_E_CHANGED);
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
    make_file("env/data.mdb", "", 0);
    CU_ASSERT_EQUAL(pst_source_check(source, now_ns() + S), -PST_E_CHANGED);
    pst_source_release(source);
    CU_ASSERT_EQUAL(cut(source), -PST_E_CHANGED);
    done(source);
}

/* ---- what cannot be opened ---- */

static void expect_refused(int error, const char *message)
{
    struct pst_source *source;
    char text[PST_SOURCE_ERROR_BYTES];
    CU_ASSERT_EQUAL(pst_source_open("lmdb:env", 0, &source, text, sizeof(text)), error);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, message));
}

static void test_refused(void)
{
    make_directory();
    expect_refused(-ENOENT, "want an LMDB environment");
    REQUIRE(mkdir("env", 0700) == 0);
    expect_refused(-ENOENT, "want an LMDB environment");
    make_file("env/data.mdb", "", 0);
    expect_refused(-PST_E_CORRUPT, "want an LMDB environment");
    CU_ASSERT_EQUAL(access("env/lock.mdb", F_OK), -1);
    remove_directory();
}

static void test_other_version(void)
{
    const uint32_t version = 2;
    make_directory();
    REQUIRE(mkdir("env", 0700) == 0);
    run_child(fill);
    int fd = open("env/data.mdb", O_WRONLY);
    REQUIRE(pwrite(fd, &version, 4, 20) == 4 && pwrite(fd, &version, 4, 4096 + 20) == 4);
    close(fd);
    expect_refused(-PST_E_NEWER, "data format of LMDB 0.9");
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
    REQUIRE(geteuid() != 0 || chown("env/data.mdb", 65534, 65533) == 0);
    pst_source_close(open_source("lmdb:env"));
    REQUIRE(stat("env/lock.mdb", &status) == 0);
    CU_ASSERT_EQUAL(status.st_mode & 0777, 0604);
    CU_ASSERT(geteuid() != 0 || (status.st_uid == 65534 && status.st_gid == 65533));
    remove_directory();
}

/* ---- meta pages ---- */

static void test_meta_pages(void)
{
    uint8_t page[512] = {0}, previous[512];
    struct pst_lmdb_meta meta;
    CU_ASSERT_EQUAL(pst_lmdb_meta_decode(page, &meta), -PST_E_CORRUPT);
    memcpy(page + 16, "\xde\xc0\xef\xbe\x01\0\0\0", 8);
    CU_ASSERT_EQUAL(pst_lmdb_meta_decode(page, &meta), -PST_E_CORRUPT); /* page size 0 */
    memcpy(page + 40, "\0\2\0\0", 4);
    page[136] = 9;
    page[144] = 7;
    page[0] = 1; /* transaction 7 is in page 1 */
    ASSERT_OK(pst_lmdb_meta_decode(page, &meta));
    CU_ASSERT(meta.page_bytes == 512 && meta.last_page == 9 && meta.transaction == 7);
    pst_lmdb_meta_make_previous(page, 512, previous);
    ASSERT_OK(pst_lmdb_meta_decode(previous, &meta));
    CU_ASSERT(meta.transaction == 6 && meta.last_page == 9 && previous[0] == 0);
    memset(page + 136, 0xff, 8);
    CU_ASSERT_EQUAL(pst_lmdb_meta_decode(page, &meta), -PST_E_CORRUPT);
    page[20] = 2;
    CU_ASSERT_EQUAL(pst_lmdb_meta_decode(page, &meta), -PST_E_NEWER);
}

int main(void)
{
    static CU_TestInfo exact[] = {
        {"a snapshot is exact while others write", test_snapshot_is_exact_while_others_write},
        {"a new environment", test_new_environment},
        {"metadata; no lock file", test_metadata},
        {"meta pages", test_meta_pages},
        CU_TEST_INFO_NULL,
    };
    static CU_TestInfo freeze[] = {
        {"a freeze holds writers up", test_freeze_holds_writers_up},
        {"a freeze gives up in time, holding nothing", test_freeze_gives_up_in_time},
        {"a single source needs none", test_freeze_is_not_needed_alone},
        {"the guard thaws by itself", test_guard_thaws_by_itself},
        {"a dead guard leaves nothing", test_dead_guard_leaves_nothing},
        CU_TEST_INFO_NULL,
    };
    static CU_TestInfo troubles[] = {
        {"headroom", test_headroom},
        {"a writer without lock", test_writer_without_lock},
        {"a larger map", test_larger_map},
        {"a map that grows meanwhile", test_map_that_grows_meanwhile},
        {"a foreign page size", test_foreign_page_size},
        {"writers never find the map full", test_writers_never_find_the_map_full},
        {"a replaced directory", test_replaced_directory},
        {"a renamed data file", test_renamed_data_file},
        {"a replaced environment", test_replaced_environment},
        {"refused", test_refused},
        {"another version", test_other_version},
        {"a full reader table", test_full_reader_table},
        {"a lock file of ours", test_lock_file_is_made_as_the_data_file},
        CU_TEST_INFO_NULL,
    };
    static CU_SuiteInfo suites[] = {
        {"exact", NULL, NULL, NULL, NULL, exact},
        {"freeze", NULL, NULL, NULL, NULL, freeze},
        {"troubles", NULL, NULL, NULL, NULL, troubles},
        CU_SUITE_INFO_NULL,
    };
    return run_suites(suites);
}
