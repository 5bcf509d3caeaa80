/* The rows of lmdb: sources, out of an environment that others write, and into a new one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lmdb.h>

#include "engine/format/rows.h"
#include "engine/source/lmdb/lmdb_sink.h"
#include "tests/support/child.h"
#include "tests/unit/source/source_test.h"

#define MAP_BYTES (256u << 20)
#define BIG_ROWS 40000u /* some 24 MiB of leaves: several shares */
#define TABLES_MAX 16u

/* ---- environments, written by children ---- */

static void (*child_work)(MDB_txn *txn);

static int do_work(void)
{
    MDB_env *env;
    MDB_txn *txn;
    REQUIRE(mdb_env_create(&env) == 0);
    REQUIRE(mdb_env_set_maxdbs(env, TABLES_MAX) == 0);
    REQUIRE(mdb_env_set_mapsize(env, MAP_BYTES) == 0);
    REQUIRE(mdb_env_open(env, "env", MDB_NOSYNC, 0640) == 0);
    REQUIRE(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    child_work(txn);
    REQUIRE(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
    return 0;
}

static void run_child(void (*work)(MDB_txn *txn))
{
    child_work = work;
    CU_ASSERT_EQUAL(child_run(do_work), 0);
}

static void put(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_bytes, const void *value,
                size_t value_bytes)
{
    MDB_val k = {key_bytes, (void *)(uintptr_t)key}, v = {value_bytes, (void *)(uintptr_t)value};
    REQUIRE(mdb_put(txn, dbi, &k, &v, 0) == 0);
}

static MDB_dbi open_table(MDB_txn *txn, const char *name, unsigned flags)
{
    MDB_dbi dbi;
    REQUIRE(mdb_dbi_open(txn, name, flags | MDB_CREATE, &dbi) == 0);
    return dbi;
}

static void write_big(MDB_txn *txn)
{
    char value[600];
    char key[32];
    MDB_dbi dbi = open_table(txn, "big", 0);
    for (uint32_t i = 0; i < BIG_ROWS; i++) {
        memset(value, (int)i, sizeof(value));
        snprintf(key, sizeof(key), "%08u", (i * 2654435761u) % 100000007u);
        put(txn, dbi, key, strlen(key), value, i % sizeof(value));
    }
}

/* Every kind of table, and every length that is at an edge. */
static void write_all(MDB_txn *txn)
{
    static char huge[3u << 20];
    char key[511];
    memset(key, 'k', sizeof(key));
    memset(huge, 'h', sizeof(huge));
    MDB_dbi dbi = open_table(txn, "a/b", 0);
    put(txn, dbi, key, sizeof(key), huge, sizeof(huge));
    put(txn, dbi, "x", 1, "", 0);
    dbi = open_table(txn, "dups", MDB_DUPSORT);
    for (uint32_t i = 0; i < 5000; i++)
        put(txn, dbi, key, 1 + i / 2000, &i, sizeof(i));
    dbi = open_table(txn, "fixed", MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP | MDB_INTEGERKEY);
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t k = i % 3;
        put(txn, dbi, &k, sizeof(k), &i, sizeof(i));
    }
    dbi = open_table(txn, "reverse", MDB_REVERSEKEY | MDB_DUPSORT | MDB_REVERSEDUP);
    for (uint32_t i = 0; i < 500; i++)
        put(txn, dbi, &i, 2, &i, sizeof(i));
    open_table(txn, "empty", 0);
    open_table(txn, "empty of dups", MDB_DUPSORT | MDB_DUPFIXED);
    dbi = open_table(txn, NULL, 0);
    put(txn, dbi, "plain", 5, "row", 3);
    put(txn, dbi, "zzz", 3, key, 48); /* as long as the record of a named database */
    write_big(txn);
}

static void write_elsewhere(MDB_txn *txn)
{
    MDB_dbi dbi = open_table(txn, "big", 0);
    REQUIRE(mdb_drop(txn, dbi, 0) == 0);
    dbi = open_table(txn, "new", 0);
    for (uint32_t i = 0; i < 20000; i++)
        put(txn, dbi, &i, sizeof(i), "now", 3);
}

static void write_plain_rows(MDB_txn *txn)
{
    MDB_dbi dbi = open_table(txn, NULL, MDB_INTEGERKEY);
    for (uint64_t i = 0; i < 1000; i++)
        put(txn, dbi, &i, sizeof(i), "value", i % 6);
}

static int compare_backwards(const MDB_val *a, const MDB_val *b)
{
    return memcmp(b->mv_data, a->mv_data, 8);
}

static void write_backwards(MDB_txn *txn)
{
    char key[9], value[600] = "";
    MDB_dbi dbi = open_table(txn, "own order", 0);
    REQUIRE(mdb_set_compare(txn, dbi, compare_backwards) == 0);
    for (uint32_t i = 0; i < BIG_ROWS; i++) {
        snprintf(key, sizeof(key), "%08u", i);
        put(txn, dbi, key, 8, value, sizeof(value));
    }
}

/* Bits of the key from the lowest: cut by LMDB's order, rows would be lost. */
static int compare_shuffled(const MDB_val *a, const MDB_val *b)
{
    uint64_t left, right;
    memcpy(&left, a->mv_data, 8);
    memcpy(&right, b->mv_data, 8);
    left *= UINT64_C(0x9e3779b97f4a7c15);
    right *= UINT64_C(0x9e3779b97f4a7c15);
    return left < right ? -1 : left > right;
}

static void write_shuffled(MDB_txn *txn)
{
    char key[9], value[600] = "";
    MDB_dbi dbi = open_table(txn, "own order", 0);
    REQUIRE(mdb_set_compare(txn, dbi, compare_shuffled) == 0);
    for (uint32_t i = 0; i < BIG_ROWS; i++) {
        snprintf(key, sizeof(key), "%08u", i);
        put(txn, dbi, key, 8, value, sizeof(value));
    }
}

/* ---- contents, as records one after the other ---- */

struct content {
    char name[64];
    unsigned flags;
    uint32_t shares;
    uint8_t *records;
    size_t bytes;
    size_t room;
};

static void append(struct content *content, const void *data, size_t bytes)
{
    if (content->room - content->bytes < bytes) {
        content->room = 2 * (content->bytes + bytes);
        content->records = realloc(content->records, content->room);
        REQUIRE(content->records != NULL);
    }
    memcpy(content->records + content->bytes, data, bytes);
    content->bytes += bytes;
}

static void append_row(struct content *content, const struct pst_row *row)
{
    uint8_t head[PST_ROW_HEAD_BYTES];
    pst_row_copy(row, 0, head, sizeof(head));
    append(content, head, sizeof(head));
    append(content, row->key, row->key_bytes);
    append(content, row->value, row->value_bytes);
}

static void free_contents(struct content *contents)
{
    for (uint32_t i = 0; i < TABLES_MAX; i++)
        free(contents[i].records);
    free(contents);
}

static bool is_sub_database(MDB_txn *txn, const MDB_val *key)
{
    char name[64];
    MDB_dbi dbi;
    if (key->mv_size >= sizeof(name) || memchr(key->mv_data, 0, key->mv_size))
        return false;
    memcpy(name, key->mv_data, key->mv_size);
    name[key->mv_size] = 0;
    return mdb_dbi_open(txn, name, 0, &dbi) == 0;
}

static void read_table(MDB_txn *txn, const char *name, struct content *content)
{
    MDB_cursor *cursor;
    MDB_dbi dbi;
    MDB_val k, v;
    snprintf(content->name, sizeof(content->name), "%s", name ? name : "");
    REQUIRE(mdb_dbi_open(txn, name, 0, &dbi) == 0);
    REQUIRE(mdb_dbi_flags(txn, dbi, &content->flags) == 0);
    REQUIRE(mdb_cursor_open(txn, dbi, &cursor) == 0);
    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
        const struct pst_row row = {k.mv_data, v.mv_data, (uint32_t)k.mv_size, (uint32_t)v.mv_size};
        if (name || !is_sub_database(txn, &k))
            append_row(content, &row);
    }
    mdb_cursor_close(cursor);
}

/* What a plain reader finds: the unnamed table, then the others in the order of their names. */
static struct content *read_env(const char *path, unsigned flags)
{
    struct content *contents = calloc(TABLES_MAX, sizeof(*contents));
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_dbi dbi;
    MDB_val k;
    uint32_t count = 1;
    REQUIRE(contents && mdb_env_create(&env) == 0);
    REQUIRE(mdb_env_set_maxdbs(env, TABLES_MAX) == 0);
    REQUIRE(mdb_env_open(env, path, flags | MDB_RDONLY | MDB_NOLOCK, 0) == 0);
    REQUIRE(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
    read_table(txn, NULL, &contents[0]);
    REQUIRE(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
    REQUIRE(mdb_cursor_open(txn, dbi, &cursor) == 0);
    while (mdb_cursor_get(cursor, &k, NULL, MDB_NEXT) == 0) {
        char name[64];
        if (!is_sub_database(txn, &k))
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)k.mv_size, (const char *)k.mv_data);
        read_table(txn, name, &contents[count++]);
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return contents;
}

static void expect_same(const struct content *a, const struct content *b)
{
    for (uint32_t i = 0; i < TABLES_MAX; i++) {
        CU_ASSERT_STRING_EQUAL(a[i].name, b[i].name);
        CU_ASSERT_EQUAL(a[i].flags, b[i].flags);
        CU_ASSERT_EQUAL_FATAL(a[i].bytes, b[i].bytes);
        CU_ASSERT(a[i].bytes == 0 || memcmp(a[i].records, b[i].records, a[i].bytes) == 0);
    }
}

/* ---- the source ---- */

static struct pst_source *make(void (*work)(MDB_txn *txn))
{
    make_directory();
    REQUIRE(mkdir("env", 0750) == 0);
    run_child(work);
    struct pst_source *source = open_source("lmdb:env");
    source->policy.is_alone = true;
    source->policy.is_logical = true;
    source->policy.ldms = 2;
    return source;
}

static void done(struct pst_source *source)
{
    pst_source_close(source);
    remove_directory();
}

/* One LDM in the middle of a fragment. */
struct scan {
    const struct pst_fragment_descriptor *fragment;
    struct pst_row_cursor cursor;
    struct content stream;
    bool ended;
};

static void produce(struct pst_source *source, struct scan *scan, size_t step)
{
    static uint8_t buffer[1u << 20];
    size_t bytes = 0;
    int error;
    do
        error = pst_source_produce(source, scan->fragment, 0, &scan->cursor, buffer, step, &bytes);
    while (error == -EAGAIN);
    ASSERT_OK(error);
    CU_ASSERT_FATAL(bytes <= step);
    append(&scan->stream, buffer, bytes);
    scan->ended = bytes == 0;
}

static int take_row(void *context, const struct pst_row *row)
{
    append_row(context, row);
    return 0;
}

/* Appends what a fragment held to the table that its entry names. */
static void add_share(const struct scan *scan, struct content *contents)
{
    struct pst_object object;
    size_t offset = 0;
    ASSERT_OK(
        pst_object_decode(scan->fragment->data, scan->fragment->entries_bytes, &offset, &object));
    const struct pst_share share = pst_share_of(&object);
    struct content *content = share.name_bytes == 0 ? contents : contents + 1;
    while (share.name_bytes > 0 && content->name[0] &&
           strncmp(content->name, share.name, share.name_bytes) != 0)
        content++;
    CU_ASSERT_EQUAL(content->shares, share.share); /* in their order */
    content->shares++;
    content->flags = share.flags;
    snprintf(content->name, sizeof(content->name), "%.*s", (int)share.name_bytes,
             (const char *)share.name);
    struct pst_rows_reader reader = {.size = scan->stream.bytes};
    ASSERT_OK(pst_rows_feed(&reader, scan->stream.records, scan->stream.bytes, take_row, content));
    ASSERT_OK(pst_rows_finish(&reader));
    pst_rows_release(&reader);
}

static bool is_rows(const struct collected *collected, uint64_t i)
{
    return i < collected->count && collected->fragments[i]->kind == PST_FRAGMENT_ROWS;
}

/* Scans all fragments, two at a time, in steps of different length. */
static struct content *scan_all(struct pst_source *source, const struct collected *collected)
{
    struct content *contents = calloc(TABLES_MAX, sizeof(*contents));
    REQUIRE(contents != NULL);
    for (uint64_t i = 0; i < collected->count; i += 2) {
        struct scan scans[2] = {{.ended = true}, {.ended = true}};
        for (uint64_t j = 0; j < 2; j++)
            if (is_rows(collected, i + j))
                scans[j] = (struct scan){.fragment = collected->fragments[i + j]};
        while (!scans[0].ended || !scans[1].ended) {
            if (!scans[0].ended)
                produce(source, &scans[0], 4093);
            if (!scans[1].ended)
                produce(source, &scans[1], 512u << 10);
        }
        for (uint64_t j = 0; j < 2; j++) {
            if (is_rows(collected, i + j))
                add_share(&scans[j], contents);
            free(scans[j].stream.records);
        }
    }
    return contents;
}

static void list(struct pst_source *source, struct collected *collected)
{
    ASSERT_OK(pst_source_list(source, &collected->sink, &collected->listing));
}

static void cut(struct pst_source *source, struct collected *collected)
{
    collected_init(collected);
    ASSERT_OK(pst_source_prepare(source));
    ASSERT_OK(pst_source_freeze(source, in_patience()));
    ASSERT_OK(pst_source_snapshot(source, 1));
    ASSERT_OK(pst_source_thaw(source));
}

/* ---- tests ---- */

static void rows_are_those_of_the_snapshot(void)
{
    for (int is_alone = 0; is_alone < 2; is_alone++) {
        struct pst_source *source = make(write_all);
        struct collected collected;
        struct content *wanted = read_env("env", 0);
        source->policy.is_alone = is_alone;
        cut(source, &collected);
        for (int i = 0; i < 3; i++)
            run_child(write_elsewhere);
        list(source, &collected);
        for (int i = 0; i < 2; i++)
            run_child(write_elsewhere);
        struct content *found = scan_all(source, &collected);
        expect_same(found, wanted);
        CU_ASSERT(found[2].shares > 1); /* big, after a/b */
        ASSERT_OK(pst_source_check(source, in_patience()));
        CU_ASSERT_PTR_NOT_NULL_FATAL(source->details);
        CU_ASSERT_PTR_NOT_NULL(strstr(source->details, "\"transaction_id\":1,"));
        CU_ASSERT_PTR_NOT_NULL(strstr(source->details, "\"tables\":8,"));
        free_contents(found);
        free_contents(wanted);
        collected_free(&collected);
        done(source);
    }
}

static void a_main_database_alone_is_a_table(void)
{
    struct pst_source *source = make(write_plain_rows);
    struct collected collected;
    struct content *wanted = read_env("env", 0);
    cut(source, &collected);
    list(source, &collected);
    struct content *found = scan_all(source, &collected);
    CU_ASSERT_EQUAL(wanted[0].flags, MDB_INTEGERKEY);
    expect_same(found, wanted);
    free_contents(found);
    free_contents(wanted);
    collected_free(&collected);
    done(source);
}

static void an_order_of_its_own_is_kept_or_refused(void)
{
    void (*const writers[])(MDB_txn * txn) = {write_backwards, write_shuffled};
    for (int i = 0; i < 2; i++) {
        struct pst_source *source = make(writers[i]);
        struct collected collected;
        struct content *wanted = read_env("env", 0);
        cut(source, &collected);
        list(source, &collected);
        struct content *found = scan_all(source, &collected);
        int error = pst_source_check(source, in_patience());
        if (error) {
            CU_ASSERT_EQUAL(error, -PST_E_SCAN);
            CU_ASSERT(i > 0 && found[1].shares > 1);
        } else {
            found[0].flags = wanted[0].flags; /* of the empty main database: no table */
            expect_same(found, wanted);
        }
        free_contents(found);
        free_contents(wanted);
        collected_free(&collected);
        done(source);
    }
}

static void filters_choose_tables(void)
{
    static const char *const wanted[] = {"a%2Fb", "dups", "%main", "empty"};
    static const char *const unwanted[] = {"empty", "nothing of that name"};
    atomic_bool found[4] = {false};
    struct pst_table_filter filter = {wanted, unwanted, 4, 2, found};
    struct pst_source *source = make(write_all);
    struct collected collected;
    source->policy.tables = &filter;
    cut(source, &collected);
    list(source, &collected);
    struct content *contents = scan_all(source, &collected);
    CU_ASSERT(contents[0].bytes > 0);
    CU_ASSERT_STRING_EQUAL(contents[1].name, "a/b");
    CU_ASSERT_STRING_EQUAL(contents[2].name, "dups");
    CU_ASSERT_STRING_EQUAL(contents[3].name, "");
    ASSERT_OK(pst_source_check(source, in_patience()));
    free_contents(contents);
    collected_free(&collected);
    pst_source_release(source);
    static const char *const missing[] = {"dups", "no such table"};
    atomic_store(&found[0], false);
    atomic_store(&found[1], false);
    filter = (struct pst_table_filter){missing, NULL, 2, 0, found};
    cut(source, &collected);
    list(source, &collected);
    contents = scan_all(source, &collected);
    CU_ASSERT_EQUAL(pst_source_check(source, in_patience()), -PST_E_NO_TABLE);
    free_contents(contents);
    collected_free(&collected);
    done(source);
}

static uint64_t rows_of(const struct content *content)
{
    uint64_t rows = 0;
    for (size_t at = 0; at < content->bytes; rows++) {
        uint32_t lengths[2];
        memcpy(lengths, content->records + at, sizeof(lengths));
        at += sizeof(lengths) + lengths[0] + lengths[1];
    }
    return rows;
}

static void pour(struct pst_table_sink *sink, const struct content *content)
{
    const struct pst_table table = {.name = content->name,
                                    .name_bytes = (uint32_t)strlen(content->name),
                                    .flags = content->flags,
                                    .rows = rows_of(content)};
    ASSERT_OK(sink->begin(sink, &table));
    for (size_t at = 0; at < content->bytes;) {
        uint32_t lengths[2];
        memcpy(lengths, content->records + at, sizeof(lengths));
        const uint8_t *key = content->records + at + sizeof(lengths);
        int error = sink->row(sink, key, lengths[0], key + lengths[0], lengths[1]);
        CU_ASSERT_EQUAL_FATAL(error, 0);
        at += sizeof(lengths) + lengths[0] + lengths[1];
    }
    ASSERT_OK(sink->end(sink));
}

static void expect_restored(void (*work)(MDB_txn *txn), uint64_t map_bytes, uint64_t own_bytes)
{
    struct pst_source *source = make(work);
    struct content *wanted = read_env("env", 0);
    struct pst_lmdb_sink_options options = {.map_bytes = map_bytes};
    struct pst_database database = {.kind = "lmdb",
                                    .name = "restored.mdb",
                                    .details = &own_bytes,
                                    .details_bytes = sizeof(own_bytes),
                                    .tables = 1};
    for (uint32_t i = 1; i < TABLES_MAX && wanted[i].name[0]; i++)
        database.tables++;
    char text[PST_TABLE_SINK_TEXT_BYTES];
    struct pst_table_sink *sink;
    int fd = open(".", O_PATH | O_DIRECTORY);
    ASSERT_OK(pst_lmdb_sink_open(&options, &database, fd, &sink, text));
    for (uint32_t i = 0; i < database.tables; i++)
        pour(sink, &wanted[i]);
    ASSERT_OK(sink->finish(sink));
    sink->close(sink);
    close(fd);
    struct content *found = read_env("restored.mdb", MDB_NOSUBDIR);
    expect_same(found, wanted);
    struct stat status;
    CU_ASSERT_NOT_EQUAL(stat("restored.mdb-lock", &status), 0);
    free_contents(found);
    free_contents(wanted);
    done(source);
}

static void a_sink_restores_every_kind(void)
{
    expect_restored(write_all, 0, MAP_BYTES);
    expect_restored(write_plain_rows, 0, 0);
    expect_restored(write_shuffled, 0, MAP_BYTES);
}

static void a_map_grows_where_it_must(void)
{
    expect_restored(write_all, 1, MAP_BYTES);
}

static void a_sink_refuses_what_is_not_lmdbs(void)
{
    struct pst_lmdb_sink_options options = {0};
    struct pst_database database = {.kind = "other", .name = "x.mdb", .tables = 1};
    struct pst_table table = {.name = "a\0b", .name_bytes = 3};
    static const char key[1000];
    char text[PST_TABLE_SINK_TEXT_BYTES];
    struct pst_table_sink *sink;
    make_directory();
    int fd = open(".", O_PATH | O_DIRECTORY);
    CU_ASSERT_EQUAL(pst_lmdb_sink_open(&options, &database, fd, &sink, text), -ENOTSUP);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "export"));
    database.kind = "lmdb";
    ASSERT_OK(pst_lmdb_sink_open(&options, &database, fd, &sink, text));
    CU_ASSERT_EQUAL(sink->begin(sink, &table), -EINVAL);
    sink->close(sink);
    ASSERT_OK(pst_lmdb_sink_open(&options, &database, fd, &sink, text));
    table = (struct pst_table){.name = "a", .name_bytes = 1, .flags = 0x1000};
    CU_ASSERT_EQUAL(sink->begin(sink, &table), -EINVAL);
    sink->close(sink);
    ASSERT_OK(pst_lmdb_sink_open(&options, &database, fd, &sink, text));
    table.flags = 0;
    ASSERT_OK(sink->begin(sink, &table));
    CU_ASSERT(sink->row(sink, key, sizeof(key), "", 0) < 0); /* a key longer than LMDB's */
    CU_ASSERT(sink->error_text[0] != '\0');
    sink->close(sink);
    close(fd);
    remove_directory();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"rows are those of the snapshot", rows_are_those_of_the_snapshot},
        {"a main database alone is a table", a_main_database_alone_is_a_table},
        {"an order of its own is kept or refused", an_order_of_its_own_is_kept_or_refused},
        {"filters choose tables", filters_choose_tables},
        {"a sink restores every kind", a_sink_restores_every_kind},
        {"a map grows where it must", a_map_grows_where_it_must},
        {"a sink refuses what is not LMDB's", a_sink_refuses_what_is_not_lmdbs},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"lmdb rows", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    return suites_run(suites);
}
