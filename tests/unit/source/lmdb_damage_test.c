/* Rows of damaged lmdb: environments: they fail their source by name, or are right; whatever they
 * do to the process that reads them, this one goes on. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "engine/format/rows.h"
#include "engine/source/lmdb/lmdb_slot.h"
#include "tests/support/child.h"
#include "tests/support/pause.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/source/source_test.h"

#define S UINT64_C(1000000000)
#define ROWS 20000u
#define PAGE_BYTES 4096u
#define DAMAGED 40u
#define MEMORY_BYTES (32u << 20)

/* ---- environments ---- */

static int write_rows(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    char value[80];
    REQUIRE(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0);
    REQUIRE(mdb_env_set_mapsize(env, MEMORY_BYTES) == 0);
    REQUIRE(mdb_env_open(env, "env", MDB_NOSYNC, 0640) == 0);
    REQUIRE(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    REQUIRE(mdb_dbi_open(txn, "table", MDB_CREATE, &dbi) == 0);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t number = __builtin_bswap32(i * 7919u % ROWS);
        MDB_val key = {sizeof(number), &number}, data = {i % sizeof(value), value};
        memset(value, (int)i, sizeof(value));
        REQUIRE(mdb_put(txn, dbi, &key, &data, 0) == 0);
    }
    REQUIRE(mdb_dbi_open(txn, "dups", MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED, &dbi) == 0);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t number = i / 1000;
        MDB_val key = {sizeof(number), &number}, data = {sizeof(i), &i};
        REQUIRE(mdb_put(txn, dbi, &key, &data, 0) == 0);
    }
    REQUIRE(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
    return 0;
}

static void make_env(void)
{
    make_directory();
    REQUIRE(mkdir("env", 0750) == 0);
    CU_ASSERT_EQUAL(child_run(write_rows), 0);
}

static off_t env_bytes(void)
{
    struct stat status;
    REQUIRE(stat("env/data.mdb", &status) == 0);
    return status.st_size;
}

static struct pst_source *open_logical(const char *path)
{
    struct pst_source *source = open_source("lmdb:%s", path);
    source->policy.is_alone = true;
    source->policy.is_logical = true;
    source->policy.ldms = 2;
    return source;
}

/* ---- a logical backup ---- */

struct backup {
    struct collected collected;
    uint64_t rows;
    uint64_t digest;
};

static int take_row(void *context, const struct pst_row *row)
{
    struct backup *backup = context;
    backup->rows++;
    for (uint32_t i = 0; i < row->key_bytes; i++)
        backup->digest = backup->digest * 31 + ((const uint8_t *)row->key)[i];
    for (uint32_t i = 0; i < row->value_bytes; i++)
        backup->digest = backup->digest * 31 + ((const uint8_t *)row->value)[i];
    return 0;
}

static int produce(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                   struct backup *backup)
{
    static uint8_t buffer[MEMORY_BYTES];
    struct pst_row_cursor cursor = {0};
    size_t done = 0, bytes = 1;
    int error = 0;
    while (!error && bytes > 0) {
        CU_ASSERT_FATAL(done < sizeof(buffer));
        error = pst_source_produce(source, fragment, done, &cursor, buffer + done,
                                   sizeof(buffer) - done, &bytes);
        bytes = error == -EAGAIN ? 1 : bytes;
        if (!error)
            done += bytes;
        error = error == -EAGAIN ? 0 : error;
    }
    struct pst_rows_reader reader = {.size = done};
    if (!error)
        error = pst_rows_feed(&reader, buffer, done, take_row, backup);
    if (!error)
        error = pst_rows_finish(&reader);
    pst_rows_release(&reader);
    return error;
}

static int start(struct pst_source *source, struct backup *backup)
{
    *backup = (struct backup){0};
    collected_init(&backup->collected);
    int error = pst_source_prepare(source);
    if (!error)
        error = pst_source_freeze(source, in_patience());
    if (!error)
        error = pst_source_snapshot(source, 1);
    if (!error)
        error = pst_source_thaw(source);
    return error ? error
                 : pst_source_list(source, &backup->collected.sink, &backup->collected.listing);
}

static int scan(struct pst_source *source, struct backup *backup)
{
    int error = 0;
    for (uint64_t i = 0; !error && i < backup->collected.count; i++)
        if (backup->collected.fragments[i]->kind == PST_FRAGMENT_ROWS)
            error = produce(source, backup->collected.fragments[i], backup);
    return error ? error : pst_source_check(source, in_patience());
}

static int back_up(struct pst_source *source, struct backup *backup)
{
    int error = start(source, backup);
    if (!error)
        error = scan(source, backup);
    pst_source_release(source);
    collected_free(&backup->collected);
    return error;
}

/* ---- processes ---- */

/* The children of a process that have this name, READERS_MAX at most. */
#define READERS_MAX 8
static int children_named(pid_t parent, const char *name, pid_t pids[READERS_MAX])
{
    char path[64], found[32] = "";
    int count = 0, pid;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *list = fopen(path, "r");
    REQUIRE(list != NULL);
    while (count < READERS_MAX && fscanf(list, "%d", &pid) == 1) {
        snprintf(path, sizeof(path), "/proc/%d/comm", pid);
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%31[^\n]", found) == 1 && strcmp(found, name) == 0)
            pids[count++] = pid;
        if (file)
            fclose(file);
    }
    fclose(list);
    return count;
}

static pid_t guard_of_this(void)
{
    pid_t pids[READERS_MAX];
    CU_ASSERT_EQUAL_FATAL(children_named(getpid(), "penstock-guard", pids), 1);
    return pids[0];
}

/* They have their name a moment after they are there. */
static void signal_readers(pid_t guard, int number)
{
    pid_t pids[READERS_MAX];
    while (children_named(guard, "penstock-reader", pids) < 3)
        pause_ns(1000000);
    for (int i = 0; i < 3; i++)
        REQUIRE(kill(pids[i], number) == 0);
}

/* ---- tests ---- */

static void truncated_is_told(void)
{
    for (int i = 0; i < 2; i++) {
        struct backup backup;
        make_env();
        off_t bytes = env_bytes();
        REQUIRE(truncate("env/data.mdb", i ? bytes / 2 : bytes - 5000) == 0);
        struct pst_source *source = open_logical("env");
        begin_log_capture();
        int error = back_up(source, &backup);
        char *text = end_log_capture();
        CU_ASSERT_EQUAL(error, -PST_E_DAMAGED);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "lmdb:"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "table "));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "restore it from a backup"));
        free(text);
        pst_source_close(source);
        remove_directory();
    }
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Three bits of the headers of pages that are no meta pages. */
static void flip(uint32_t seed)
{
    uint32_t pages = (uint32_t)(env_bytes() / PAGE_BYTES), state = seed * 977u + 1;
    int fd = open("env/data.mdb", O_RDWR);
    REQUIRE(fd >= 0);
    for (int i = 0; i < 3; i++) {
        uint8_t byte;
        off_t at = (off_t)(2 + next_random(&state) % (pages - 2)) * PAGE_BYTES +
                   (off_t)(next_random(&state) % 16);
        REQUIRE(pread(fd, &byte, 1, at) == 1);
        byte ^= (uint8_t)(1u << next_random(&state) % 8);
        REQUIRE(pwrite(fd, &byte, 1, at) == 1);
    }
    close(fd);
}

static void flipped_bits_are_told_or_harmless(void)
{
    struct backup right, backup;
    uint32_t failed = 0;
    make_env();
    struct pst_source *source = open_logical("env");
    ASSERT_OK(back_up(source, &right));
    CU_ASSERT_EQUAL(right.rows, 2 * ROWS);
    pst_source_close(source);
    for (uint32_t seed = 1; seed <= DAMAGED; seed++) {
        REQUIRE(unlink("env/data.mdb") == 0 && unlink("env/lock.mdb") == 0);
        CU_ASSERT_EQUAL(child_run(write_rows), 0);
        flip(seed);
        source = open_logical("env");
        int error = back_up(source, &backup);
        if (error) {
            CU_ASSERT(error == -PST_E_DAMAGED || error == -PST_E_SCAN);
            failed++;
        } else {
            CU_ASSERT(backup.rows == right.rows && backup.digest == right.digest);
        }
        pst_source_close(source);
    }
    CU_ASSERT(failed > 0);
    remove_directory();
}

static void truncated_meanwhile_is_told(void)
{
    struct backup backup, other;
    make_env();
    REQUIRE(rename("env", "other") == 0 && mkdir("env", 0750) == 0);
    CU_ASSERT_EQUAL(child_run(write_rows), 0);
    struct pst_source *source = open_logical("env"), *sound = open_logical("other");
    ASSERT_OK(start(source, &backup));
    ASSERT_OK(start(sound, &other));
    REQUIRE(truncate("env/data.mdb", 3 * PAGE_BYTES) == 0);
    CU_ASSERT_EQUAL(scan(source, &backup), -PST_E_DAMAGED);
    ASSERT_OK(scan(sound, &other));
    CU_ASSERT_EQUAL(other.rows, 2 * ROWS);
    collected_free(&backup.collected);
    collected_free(&other.collected);
    pst_source_close(source);
    pst_source_close(sound);
    remove_directory();
}

/* By somebody, or because memory ran out. The next backup has new ones. */
static void killed_readers_are_told(void)
{
    struct backup backup;
    make_env();
    struct pst_source *source = open_logical("env");
    ASSERT_OK(start(source, &backup));
    signal_readers(guard_of_this(), SIGKILL);
    CU_ASSERT_EQUAL(scan(source, &backup), -PST_E_GUARD);
    pst_source_release(source);
    collected_free(&backup.collected);
    ASSERT_OK(back_up(source, &backup));
    CU_ASSERT_EQUAL(backup.rows, 2 * ROWS);
    pst_source_close(source);
    remove_directory();
}

/* No LDM ever waits for it, and it is gone with its snapshot. */
static void a_reader_that_hangs_holds_nobody_up(void)
{
    struct backup backup;
    struct pst_row_cursor cursor = {0};
    uint8_t byte;
    size_t bytes;
    make_env();
    struct pst_source *source = open_logical("env");
    ASSERT_OK(start(source, &backup));
    pid_t guard = guard_of_this(), pids[READERS_MAX];
    signal_readers(guard, SIGSTOP);
    const struct pst_fragment_descriptor *fragment =
        backup.collected.fragments[backup.collected.count - 1];
    CU_ASSERT_EQUAL(fragment->kind, PST_FRAGMENT_ROWS);
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(pst_source_produce(source, fragment, 0, &cursor, &byte, 1, &bytes),
                        -EAGAIN);
    pst_source_release(source);
    CU_ASSERT_EQUAL(children_named(guard, "penstock-reader", pids), 0);
    collected_free(&backup.collected);
    ASSERT_OK(back_up(source, &backup));
    pst_source_close(source);
    remove_directory();
}

/* A backup of pages: starts, lists and checks. */
static int list_pages(struct pst_source *source, void (*meanwhile)(void))
{
    struct backup backup;
    source->policy.is_logical = false;
    int error = start(source, &backup);
    if (!error && meanwhile)
        meanwhile();
    if (!error)
        error = pst_source_check(source, in_patience());
    pst_source_release(source);
    collected_free(&backup.collected);
    return error;
}

static void cut_the_file(void)
{
    REQUIRE(truncate("env/data.mdb", env_bytes() - PAGE_BYTES) == 0);
}

static int free_the_end(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    REQUIRE(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0);
    REQUIRE(mdb_env_set_mapsize(env, MEMORY_BYTES) == 0);
    REQUIRE(mdb_env_open(env, "env", MDB_NOSYNC, 0640) == 0);
    REQUIRE(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    REQUIRE(mdb_dbi_open(txn, "dups", MDB_DUPSORT | MDB_DUPFIXED, &dbi) == 0);
    REQUIRE(mdb_drop(txn, dbi, 1) == 0);
    REQUIRE(mdb_txn_commit(txn) == 0);
    for (uint32_t i = 0; i < 8; i++) { /* what the drop wrote at the end moves forward */
        MDB_val key = {sizeof(i), &i}, data = {0, NULL};
        REQUIRE(mdb_txn_begin(env, NULL, 0, &txn) == 0);
        REQUIRE(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
        REQUIRE(mdb_put(txn, dbi, &key, &data, 0) == 0);
        REQUIRE(mdb_txn_commit(txn) == 0);
    }
    mdb_env_close(env);
    return 0;
}

static void pages_that_are_missing_are_told(void)
{
    make_env();
    struct pst_source *source = open_logical("env");
    ASSERT_OK(list_pages(source, NULL));
    CU_ASSERT_EQUAL(list_pages(source, cut_the_file), -PST_E_DAMAGED);
    begin_log_capture();
    CU_ASSERT_EQUAL(list_pages(source, NULL), -PST_E_DAMAGED);
    char *text = end_log_capture();
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "the end of it is lost"));
    free(text);
    pst_source_close(source);
    remove_directory();
}

/* A file may end before its last pages, if they are free. */
static void free_pages_may_be_missing(void)
{
    make_env();
    CU_ASSERT_EQUAL(child_run(free_the_end), 0);
    struct pst_source *source = open_logical("env");
    ASSERT_OK(list_pages(source, NULL));
    int failed = 0, cut = 0;
    while (!failed && cut < 100) {
        cut_the_file();
        failed = list_pages(source, NULL);
        cut++;
    }
    CU_ASSERT(cut > 1 && cut < 100);
    CU_ASSERT_EQUAL(failed, -PST_E_DAMAGED);
    pst_source_close(source);
    remove_directory();
}

static void pages_are_checked_if_asked_for(void)
{
    uint32_t failed = 0;
    make_env();
    for (uint32_t seed = 1; seed <= DAMAGED / 4; seed++) {
        REQUIRE(unlink("env/data.mdb") == 0 && unlink("env/lock.mdb") == 0);
        CU_ASSERT_EQUAL(child_run(write_rows), 0);
        struct pst_source *source = open_logical("env");
        source->policy.check_pages = true;
        ASSERT_OK(list_pages(source, NULL));
        for (uint32_t i = 0; i < 20; i++)
            flip(seed * 100 + i);
        source->policy.check_pages = false;
        ASSERT_OK(list_pages(source, NULL)); /* pages are pages */
        source->policy.check_pages = true;
        int error = list_pages(source, NULL);
        CU_ASSERT(error == 0 || error == -PST_E_DAMAGED);
        failed += error != 0;
        pst_source_close(source);
    }
    CU_ASSERT(failed > DAMAGED / 8);
    remove_directory();
}

/* ---- rows that LMDB reads, and would not take ---- */

#define LEAF 0x02u
#define LEAF_OF_VALUES 0x22u /* of MDB_DUPFIXED: nothing but values, of 4 bytes */
#define PAGE_FLAGS 10
#define PAGE_HEAD 16
#define NODE_KEY_BYTES 6
#define NODE_KEY 8

static uint16_t read_16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint8_t *node_of(uint8_t *page, int index)
{
    return page + read_16(page + PAGE_HEAD + 2 * index);
}

/* A page of rows of "table", which are no names of tables, or one of values of "dups". */
static bool is_wanted(uint8_t *page, unsigned flags)
{
    return read_16(page + PAGE_FLAGS) == flags &&
           (flags == LEAF_OF_VALUES ||
            (read_16(page + PAGE_HEAD - 4) > PAGE_HEAD + 20 &&
             read_16(node_of(page, 0) + NODE_KEY_BYTES) == sizeof(uint32_t) &&
             read_16(node_of(page, 0) + 4) == 0));
}

static void spoil_page(unsigned flags, void (*spoil)(uint8_t *page))
{
    uint8_t page[PAGE_BYTES] = {0};
    off_t at = 2 * PAGE_BYTES;
    int fd = open("env/data.mdb", O_RDWR);
    REQUIRE(fd >= 0);
    while (pread(fd, page, sizeof(page), at) == PAGE_BYTES && !is_wanted(page, flags))
        at += PAGE_BYTES;
    REQUIRE(at < env_bytes());
    spoil(page);
    REQUIRE(pwrite(fd, page, sizeof(page), at) == PAGE_BYTES);
    REQUIRE(close(fd) == 0);
}

static void set_key_bytes(uint8_t *page, uint16_t bytes)
{
    memcpy(node_of(page, 1) + NODE_KEY_BYTES, &bytes, sizeof(bytes));
}

static void no_key(uint8_t *page)
{
    set_key_bytes(page, 0);
}

static void long_key(uint8_t *page)
{
    set_key_bytes(page, 3000);
}

static void key_twice(uint8_t *page)
{
    memcpy(node_of(page, 1) + NODE_KEY, node_of(page, 0) + NODE_KEY, sizeof(uint32_t));
}

static void value_twice(uint8_t *page)
{
    memcpy(page + PAGE_HEAD + sizeof(uint32_t), page + PAGE_HEAD, sizeof(uint32_t));
}

static void rows_that_no_restore_could_make_are_told(void)
{
    static const struct {
        unsigned flags;
        void (*spoil)(uint8_t *page);
        const char *says;
    } cases[] = {
        {LEAF, no_key, "a key has 0 bytes"},
        {LEAF, long_key, "a key has 3000 bytes"},
        {LEAF, key_twice, "a row is there twice"},
        {LEAF_OF_VALUES, value_twice, "a row is there twice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct backup backup;
        make_env();
        spoil_page(cases[i].flags, cases[i].spoil);
        struct pst_source *source = open_logical("env");
        begin_log_capture();
        CU_ASSERT_EQUAL(back_up(source, &backup), -PST_E_DAMAGED);
        source->policy.check_pages = true;
        CU_ASSERT_EQUAL(list_pages(source, NULL), -PST_E_DAMAGED);
        char *text = end_log_capture();
        const char *said = strstr(text, cases[i].says);
        CU_ASSERT(said && strstr(said + 1, cases[i].says)); /* of both */
        free(text);
        pst_source_close(source);
        remove_directory();
    }
}

/* What no reader sends comes to nothing but an error. */
static void nothing_is_believed(void)
{
    static struct lmdb_slot slot;
    struct lmdb_reader reader;
    char text[LMDB_TEXT_BYTES];
    uint8_t out[64];
    size_t took;
    bool ended;
    lmdb_reader_init(&reader, &slot);
    lmdb_reader_start(&reader);
    atomic_store(&slot.sent, LMDB_RING_BYTES + 1);
    CU_ASSERT_EQUAL(lmdb_reader_take(&reader, out, sizeof(out), &took, &ended, text),
                    -PST_E_DAMAGED);
    atomic_store(&slot.sent, UINT32_MAX);
    CU_ASSERT_EQUAL(lmdb_reader_take(&reader, out, sizeof(out), &took, &ended, text),
                    -PST_E_DAMAGED);
    atomic_store(&slot.sent, 10);
    atomic_store(&slot.taken, 77); /* ours to know */
    ASSERT_OK(lmdb_reader_take(&reader, out, sizeof(out), &took, &ended, text));
    CU_ASSERT(took == 10 && !ended);
    memset(slot.text, 'x', sizeof(slot.text));
    slot.error = 17;
    atomic_store(&slot.done, 1);
    CU_ASSERT_EQUAL(lmdb_reader_take(&reader, out, sizeof(out), &took, &ended, text),
                    -PST_E_DAMAGED);
    CU_ASSERT_EQUAL(strlen(text), LMDB_TEXT_BYTES - 1);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"truncated is told", truncated_is_told},
        {"flipped bits are told, or harmless", flipped_bits_are_told_or_harmless},
        {"truncated meanwhile is told", truncated_meanwhile_is_told},
        {"killed readers are told", killed_readers_are_told},
        {"a reader that hangs holds nobody up", a_reader_that_hangs_holds_nobody_up},
        {"pages that are missing are told", pages_that_are_missing_are_told},
        {"free pages may be missing", free_pages_may_be_missing},
        {"pages are checked if asked for", pages_are_checked_if_asked_for},
        {"rows that no restore could make are told", rows_that_no_restore_could_make_are_told},
        {"nothing is believed", nothing_is_believed},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"lmdb damage", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    return suites_run(suites);
}
