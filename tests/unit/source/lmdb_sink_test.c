/* What a sink for LMDB takes, refuses and reports: backups that are not as LMDB would have it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lmdb.h>

#include "engine/source/lmdb/lmdb_order.h"
#include "engine/source/lmdb/lmdb_row_check.h"
#include "engine/source/lmdb/lmdb_sink.h"
#include "tests/unit/source/source_test.h"

struct row {
    const char *key;
    const char *value;
};

static struct pst_table_sink *open_sink(uint32_t tables, const char *name)
{
    struct pst_lmdb_sink_options options = {0};
    struct pst_database database = {.kind = "lmdb", .name = name, .tables = tables};
    char text[PST_TABLE_SINK_TEXT_BYTES];
    struct pst_table_sink *sink;
    int fd = open(".", O_PATH | O_DIRECTORY);
    ASSERT_OK(pst_lmdb_sink_open(&options, &database, fd, &sink, text));
    close(fd);
    return sink;
}

/* Rows of a table "t" up to one with no key; the first error. */
static int pour(struct pst_table_sink *sink, uint32_t flags, const struct row *rows,
                uint64_t wanted)
{
    const struct pst_table table = {.name = "t", .name_bytes = 1, .flags = flags, .rows = wanted};
    int error = sink->begin(sink, &table);
    for (; !error && rows->key; rows++)
        error = sink->row(sink, rows->key, (uint32_t)strlen(rows->key), rows->value,
                          (uint32_t)strlen(rows->value));
    return error ? error : sink->end(sink);
}

/* As mdb_dump reads it: every row, in the order that it was given in. */
static void expect_readable(const char *name, const struct row *rows)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_dbi dbi;
    MDB_val k, v;
    REQUIRE(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 2) == 0);
    REQUIRE(mdb_env_open(env, name, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0) == 0);
    REQUIRE(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
    CU_ASSERT_EQUAL_FATAL(mdb_dbi_open(txn, "t", 0, &dbi), 0);
    REQUIRE(mdb_cursor_open(txn, dbi, &cursor) == 0);
    for (; rows->key; rows++) {
        CU_ASSERT_EQUAL_FATAL(mdb_cursor_get(cursor, &k, &v, MDB_NEXT), 0);
        CU_ASSERT(k.mv_size == strlen(rows->key) && memcmp(k.mv_data, rows->key, k.mv_size) == 0);
        CU_ASSERT(v.mv_size == strlen(rows->value) &&
                  memcmp(v.mv_data, rows->value, v.mv_size) == 0);
    }
    CU_ASSERT_EQUAL(mdb_cursor_get(cursor, &k, &v, MDB_NEXT), MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

/* error 0: it is restored, and notice is "" or part of what is reported. */
static void expect(uint32_t flags, const struct row *rows, uint64_t wanted, int error,
                   const char *text)
{
    struct pst_table_sink *sink = open_sink(1, "db");
    CU_ASSERT_EQUAL(pour(sink, flags, rows, wanted), error);
    if (error) {
        CU_ASSERT_PTR_NOT_NULL(strstr(sink->error_text, text));
    } else {
        CU_ASSERT(text[0] ? strstr(sink->notice, text) != NULL : sink->notice[0] == '\0');
        ASSERT_OK(sink->finish(sink));
        expect_readable("db", rows);
    }
    sink->close(sink);
    unlink("db");
}

static void order_is_looked_at(void)
{
    static const struct row ascending[] = {{"a", "1"}, {"b", "1"}, {"c", "1"}, {NULL, NULL}};
    static const struct row foreign[] = {{"c", "1"}, {"a", "1"}, {"b", "1"}, {NULL, NULL}};
    static const struct row apart[] = {{"a", "1"}, {"b", "1"}, {"a", "2"}, {NULL, NULL}};
    static const struct row twice[] = {{"a", "1"}, {"b", "1"}, {"b", "2"}, {NULL, NULL}};
    static const struct row dups[] = {{"a", "1"}, {"a", "2"}, {"b", "1"}, {NULL, NULL}};
    static const struct row foreign_dups[] = {{"a", "2"}, {"a", "1"}, {"a", "3"}, {NULL, NULL}};
    static const struct row twice_dups[] = {{"a", "1"}, {"a", "1"}, {NULL, NULL}};
    static const struct row integers[] = {
        {"\x02\x01\x01\x01", "1"}, {"\x01\x01\x01\x02", "1"}, {NULL, NULL}};
    static const struct row short_integers[] = {{"ab", "1"}, {"abc", "1"}, {NULL, NULL}};
    static const struct row ends[] = {{"ba", "1"}, {"ab", "1"}, {NULL, NULL}};
    make_directory();
    expect(0, ascending, 3, 0, "");
    expect(0, foreign, 3, 0, "not in LMDB's order");
    expect(0, apart, 3, 0, "not in LMDB's order");
    expect(0, twice, 3, -PST_E_CORRUPT, "row 2 is there twice");
    expect(MDB_DUPSORT, dups, 3, 0, "");
    expect(MDB_DUPSORT, foreign_dups, 3, 0, "not in LMDB's order");
    expect(MDB_DUPSORT, twice_dups, 2, -PST_E_CORRUPT, "row 1 is there twice");
    expect(MDB_INTEGERKEY, integers, 2, 0, "");
    expect(MDB_INTEGERKEY, short_integers, 2, 0, "not in LMDB's order");
    expect(MDB_REVERSEKEY, ends, 2, 0, "");
    expect(MDB_REVERSEKEY, ascending, 3, 0, "");
    expect(0, ascending, 4, 0, "it should have 4 rows, and the backup has 3");
    remove_directory();
}

static void what_lmdb_refuses_is_refused(void)
{
    static const struct row rows[] = {{"a", "1"}, {NULL, NULL}};
    static const struct row lengths[] = {{"a", "1"}, {"a", "22"}, {NULL, NULL}};
    static const struct row empty_key[] = {{"", "1"}, {NULL, NULL}};
    make_directory();
    expect(MDB_DUPFIXED, rows, 1, -EINVAL, "flags 0x10");
    expect(MDB_DUPFIXED | MDB_INTEGERDUP, rows, 1, -EINVAL, "flags 0x30");
    expect(0x1000, rows, 1, -EINVAL, "flags 0x1000");
    expect(MDB_INTEGERDUP, rows, 1, 0, ""); /* which LMDB takes, and never looks at */
    expect(MDB_DUPSORT | MDB_DUPFIXED, lengths, 2, -PST_E_CORRUPT, "row 2 is of another length");
    expect(0, empty_key, 1, -EIO, "of a length that LMDB does not take");
    remove_directory();
}

/* Of every set of flags, and keys of all lengths that it may have. */
static void order_is_that_of_lmdb(void)
{
    static const unsigned flags[] = {0,
                                     MDB_REVERSEKEY,
                                     MDB_INTEGERKEY,
                                     MDB_INTEGERKEY | MDB_REVERSEKEY,
                                     MDB_DUPSORT | MDB_REVERSEDUP,
                                     MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP,
                                     MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP | MDB_REVERSEDUP};
    MDB_env *env;
    MDB_txn *txn;
    uint32_t state = 1;
    make_directory();
    REQUIRE(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 16) == 0);
    REQUIRE(mdb_env_open(env, "order", MDB_NOSUBDIR, 0600) == 0);
    REQUIRE(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        char name[16];
        MDB_dbi dbi;
        bool is_integer = flags[i] & (MDB_INTEGERKEY | MDB_INTEGERDUP);
        snprintf(name, sizeof(name), "%zu", i);
        REQUIRE(mdb_dbi_open(txn, name, flags[i] | MDB_CREATE, &dbi) == 0);
        for (int n = 0; n < 4000; n++) {
            _Alignas(8) uint8_t data[2][8];
            size_t bytes[2];
            for (int j = 0; j < 2; j++) {
                state = state * 1664525u + 1013904223u;
                bytes[j] = is_integer ? (n % 2 ? 4 : 8) : 1 + (state >> 24) % 8;
                for (int k = 0; k < 8; k++)
                    data[j][k] = (uint8_t)(state >> (k + 5)) & 3;
            }
            MDB_val a = {bytes[0], data[0]}, b = {bytes[1], data[1]};
            struct lmdb_bytes left = {data[0], (uint32_t)bytes[0]};
            struct lmdb_bytes right = {data[1], (uint32_t)bytes[1]};
            int keys = mdb_cmp(txn, dbi, &a, &b);
            CU_ASSERT_EQUAL(lmdb_keys_ascend(flags[i], left, right),
                            keys < 0 || (keys == 0 && (flags[i] & MDB_DUPSORT)));
            if (flags[i] & MDB_DUPSORT)
                CU_ASSERT_EQUAL(lmdb_values_ascend(flags[i], left, right),
                                mdb_dcmp(txn, dbi, &a, &b) < 0);
        }
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
    remove_directory();
}

/* ---- what a backup refuses, since no sink takes it ---- */

/* Values of one key of MDB_DUPSORT. */
static int check_values(unsigned flags, size_t one, size_t other)
{
    struct lmdb_answer answer;
    struct environment environment = {.answer = &answer};
    const struct tasks tasks = {.environment = &environment};
    struct lmdb_row_check check = {.bytes_max = 511, .flags = flags};
    char bytes[2][512] = {{'a'}, {'b'}};
    const MDB_val key = {1, bytes[0]}, values[] = {{one, bytes[0]}, {other, bytes[1]}};
    int error = lmdb_row_check(&tasks, &check, &key, &values[0]);
    return error ? error : lmdb_row_check(&tasks, &check, &key, &values[1]);
}

static void values_that_no_restore_could_make_are_told(void)
{
    ASSERT_OK(check_values(MDB_DUPSORT, 1, 2));
    CU_ASSERT_EQUAL(check_values(MDB_DUPSORT, 512, 2), -PST_E_DAMAGED);
    CU_ASSERT_EQUAL(check_values(MDB_DUPSORT, 0, 2), -PST_E_DAMAGED);
    CU_ASSERT_EQUAL(check_values(MDB_DUPSORT, 1, 0), -PST_E_DAMAGED);
    ASSERT_OK(check_values(MDB_DUPSORT | MDB_DUPFIXED, 4, 4));
    CU_ASSERT_EQUAL(check_values(MDB_DUPSORT | MDB_DUPFIXED, 4, 5), -PST_E_DAMAGED);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"order is looked at", order_is_looked_at},
        {"what LMDB refuses is refused", what_lmdb_refuses_is_refused},
        {"order is that of LMDB", order_is_that_of_lmdb},
        {"values that no restore could make are told", values_that_no_restore_could_make_are_told},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"lmdb sink", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    return suites_run(suites);
}
