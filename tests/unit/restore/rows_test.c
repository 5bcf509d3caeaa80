/* Rows of a backup: verified, restored and exported in their order, and every way they can be
 * wrong although each byte is as it was written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/format/rows.h"
#include "engine/restore/restore.h"
#include "engine/restore/verify.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"
#include "tests/support/stderr_capture.h"

#define ID(counter) (UINT64_C(0) << PST_OBJECT_SOURCE_SHIFT | (counter))
#define OBJECTS_MAX 8u
#define DATA_MAX 128u

/* ---- a backup with rows ---- */

static struct pst_object objects[OBJECTS_MAX];
static uint8_t attributes[OBJECTS_MAX][PST_ROWS_ATTRIBUTE_BYTES_MAX];
static char paths[OBJECTS_MAX][64];
static uint8_t streams[OBJECTS_MAX][4096];
static const uint8_t *contents[OBJECTS_MAX + 1];
static struct made_data data[DATA_MAX];
static struct made_backup made;
static struct made_place place;

static void add_database(void)
{
    const struct pst_database_entry entry = {.kind = "test"};
    objects[0] = (struct pst_object){.id = ID(1),
                                     .type = PST_OBJECT_DATABASE,
                                     .path = "db",
                                     .mode = 0640,
                                     .attributes = attributes[0]};
    objects[0].attributes_bytes = pst_database_encode(&entry, attributes[0]);
    made.objects_count = 1;
}

/* Rows "NAME first" … "NAME last" of a table. */
static void add_share(const char *name, uint32_t share, uint32_t shares, uint32_t first,
                      uint32_t last)
{
    uint32_t i = made.objects_count++;
    char path[PST_PATH_BYTES_MAX];
    const struct pst_share described = {.name = name,
                                        .name_bytes = (uint32_t)strlen(name),
                                        .share = share,
                                        .shares = shares,
                                        .rows = 10};
    size_t bytes = 0;
    for (uint32_t row = first; row <= last; row++) {
        char key[64] = "";
        snprintf(key, sizeof(key), "%s %u", name, row);
        const struct pst_row encoded = {key, key, (uint32_t)strlen(key), row * 17 % 60};
        bytes += pst_row_copy(&encoded, 0, streams[i] + bytes, sizeof(streams[i]) - bytes);
    }
    bytes += pst_rows_end_copy(last + 1 - first, bytes, 0, streams[i] + bytes,
                               sizeof(streams[i]) - bytes);
    snprintf(paths[i], sizeof(paths[i]), "%s", pst_share_path(&described, path));
    objects[i] = (struct pst_object){.id = ID(i + 1),
                                     .type = PST_OBJECT_ROWS,
                                     .path = paths[i],
                                     .size = bytes,
                                     .attributes = attributes[i]};
    objects[i].attributes_bytes = pst_share_encode(&described, attributes[i]);
}

/* Pieces of `step`, in turn of all shares, the later ones first, so that nothing lies in order. */
static void spread_data(uint32_t step)
{
    made.data_count = 0;
    for (uint32_t i = 1; i < made.objects_count; i++)
        contents[objects[i].id] = streams[i];
    for (uint64_t offset = 4096; offset > 0;) {
        offset = offset > step ? offset - step : 0;
        for (uint32_t i = 1; i < made.objects_count; i++) {
            if (offset >= objects[i].size)
                continue;
            uint64_t left = objects[i].size - offset;
            CU_ASSERT_FATAL(made.data_count < DATA_MAX);
            data[made.data_count++] =
                (struct made_data){.part = i % 2,
                                   .object = objects[i].id,
                                   .offset = offset,
                                   .bytes = left < step ? (uint32_t)left : step};
        }
    }
}

static void begin(void)
{
    made = (struct made_backup){.number = 1,
                                .parts = 2,
                                .sources = 1,
                                .objects = objects,
                                .data = data,
                                .contents = contents};
    add_database();
    add_share("a", 0, 2, 0, 6);
    add_share("a", 1, 2, 7, 9);
    add_share("b/c", 0, 1, 0, 9);
}

static void write_backup(void)
{
    spread_data(128);
    place = make_place();
    make_backup(place.path, &made);
}

/* ---- what comes of it ---- */

struct test_sink {
    struct pst_table_sink sink;
    char table[64];
    uint32_t next;
};

static struct test_sink test_sink;
static char story[256];
static const char *notice = ""; /* of table a */
static bool is_damaged;         /* rows before the damage may come, and be none */
static bool keep_going;
static struct pst_pace
    *pace;              /* of the restore; auto, which is to decide in the first row of a table */
static uint32_t steps;  /* of it, before that */
static char named[256]; /* what verify or restore names, each behind a space */

static void add_name(const char *name)
{
    size_t used = strlen(named);
    snprintf(named + used, sizeof(named) - used, " %s", name);
}

static void note_trouble(void *context, const struct pst_restore_trouble *trouble)
{
    (void)context;
    add_name(trouble->path);
}

static void note_finding(void *context, const struct pst_finding *finding)
{
    (void)context;
    if (finding->object)
        add_name(finding->object + strlen("one/"));
}

static int sink_begin(struct pst_table_sink *sink, const struct pst_table *table)
{
    (void)sink;
    snprintf(test_sink.table, sizeof(test_sink.table), "%.*s", (int)table->name_bytes,
             (const char *)table->name);
    test_sink.next = 0;
    CU_ASSERT(is_damaged || table->rows == 10);
    if (pace) {
        atomic_store(&pace->step_at_ns, 0);
        steps = atomic_load(&pace->step);
    }
    return 0;
}

static int sink_row(struct pst_table_sink *sink, const void *key, uint32_t key_bytes,
                    const void *value, uint32_t value_bytes)
{
    char wanted[80];
    (void)sink;
    if (is_damaged)
        return 0;
    snprintf(wanted, sizeof(wanted), "%s %u", test_sink.table, test_sink.next);
    CU_ASSERT_EQUAL(key_bytes, strlen(wanted));
    CU_ASSERT_EQUAL(memcmp(key, wanted, strlen(wanted)), 0);
    CU_ASSERT_EQUAL(value_bytes, test_sink.next * 17 % 60);
    CU_ASSERT(value_bytes < strlen(wanted) || memcmp(value, wanted, strlen(wanted)) == 0);
    test_sink.next++;
    return 0;
}

static int sink_end(struct pst_table_sink *sink)
{
    if (pace)
        CU_ASSERT_TRUE(atomic_load(&pace->step) > steps);
    snprintf(sink->notice, sizeof(sink->notice), "%s",
             strcmp(test_sink.table, "a") == 0 ? notice : "");
    size_t used = strlen(story);
    snprintf(story + used, sizeof(story) - used, "%s:%u ", test_sink.table, test_sink.next);
    return 0;
}

static int sink_finish(struct pst_table_sink *sink)
{
    (void)sink;
    strcat(story, "finished ");
    return 0;
}

static void sink_close(struct pst_table_sink *sink)
{
    (void)sink;
    strcat(story, "closed");
}

static int sink_open(void *context, const struct pst_database *database, int directory_fd,
                     struct pst_table_sink **sink, char *error_text)
{
    (void)context;
    (void)directory_fd;
    (void)error_text;
    CU_ASSERT_STRING_EQUAL(database->kind, "test");
    CU_ASSERT_STRING_EQUAL(database->name, "db");
    test_sink = (struct test_sink){.sink = {.struct_bytes = sizeof(struct pst_table_sink),
                                            .abi_version = PST_TABLE_SINK_ABI_VERSION,
                                            .begin = sink_begin,
                                            .row = sink_row,
                                            .end = sink_end,
                                            .finish = sink_finish,
                                            .close = sink_close}};
    *sink = &test_sink.sink;
    return 0;
}

static int restore(const struct pst_export *export, struct pst_restore_result *result)
{
    const struct pst_restore_options options = {.crew = {.workers = 2, .depth = 2, .pace = pace},
                                                .open_sink = sink_open,
                                                .export = export,
                                                .keep_going = keep_going,
                                                .trouble = note_trouble};
    const struct made_place target = place_below(&place, "target");
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    story[0] = named[0] = '\0';
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    int error = pst_restore(backup, target.path, &options, result);
    pst_backup_list_release(&list);
    return error;
}

static struct pst_verify_result verified;

static int verify(void)
{
    const struct pst_verify_options options = {.crew = {.workers = 2, .depth = 2},
                                               .found = note_finding};
    named[0] = '\0';
    return verify_backup(place.path, &options, &verified);
}

/* ---- tests ---- */

static void rows_come_in_their_order(void)
{
    struct pst_restore_result result;
    begin();
    write_backup();
    CU_ASSERT_EQUAL(verify(), 0);
    CU_ASSERT_EQUAL(restore(NULL, &result), 0);
    CU_ASSERT_STRING_EQUAL(story, "a:10 b/c:10 finished closed");
    remove_place(&place);
}

/* Not only while the headers are read. */
static void auto_decides_while_rows_are_read(void)
{
    struct pst_restore_result result;
    static struct pst_pace automatic;
    const struct pst_pace_setting setting = {.mode = PST_PACE_AUTO};
    begin();
    write_backup();
    pst_pace_init(&automatic, &setting, 8);
    pressure_close(&automatic.pressure);
    pace = &automatic;
    CU_ASSERT_EQUAL(restore(NULL, &result), 0);
    CU_ASSERT_STRING_EQUAL(story, "a:10 b/c:10 finished closed");
    pace = NULL;
    pst_pace_release(&automatic);
    remove_place(&place);
}

/* The table is there, but the restore is not a whole one: exit code 3. */
static void what_a_sink_notices_is_reported(void)
{
    struct pst_restore_result result;
    begin();
    write_backup();
    notice = "not in order";
    begin_log_capture();
    CU_ASSERT_EQUAL(restore(NULL, &result), 0);
    char *text = end_log_capture();
    notice = "";
    CU_ASSERT_EQUAL(result.failed, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "/a/00000: not in order"));
    free(text);
    remove_place(&place);
}

static void an_export_takes_what_is_named(void)
{
    static const char *const one[] = {"b%2Fc"}, *const none[] = {"a", "c"};
    struct pst_export export = {.tables = one, .tables_count = 1};
    struct pst_restore_result result;
    begin();
    write_backup();
    CU_ASSERT_EQUAL(restore(&export, &result), 0);
    CU_ASSERT_STRING_EQUAL(story, "b/c:10 finished closed");
    remove_place(&place);
    write_backup();
    export = (struct pst_export){.tables = none, .tables_count = 2};
    CU_ASSERT_EQUAL(restore(&export, &result), -PST_E_NO_TABLE);
    CU_ASSERT_STRING_EQUAL(story, "");
    export = (struct pst_export){.source = "nothing"};
    CU_ASSERT_EQUAL(restore(&export, &result), -ENOKEY);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.message, "no source nothing"));
    remove_place(&place);
}

/* A file, whose data are no rows, in a part of its own. */
static void add_file(void)
{
    uint32_t i = made.objects_count++;
    objects[i] = (struct pst_object){
        .id = ID(i + 1), .type = PST_OBJECT_FILE, .path = "file", .mode = 0600, .size = 2000};
    contents[objects[i].id] = streams[i];
    made.parts = 3;
    data[made.data_count++] = (struct made_data){.part = 2, .object = objects[i].id, .bytes = 2000};
}

static off_t size_of(const char *name)
{
    struct stat status = {0};
    CU_ASSERT_EQUAL_FATAL(stat(place_below(&place, name).path, &status), 0);
    return status.st_size;
}

static void flip(const char *name, off_t offset)
{
    flip_bit(place_below(&place, name).path, offset);
}

/* Whether data are read as they lie or in the order of the rows. */
static void every_chunk_is_verified(void)
{
    for (uint32_t parts = 2; parts <= 3; parts++) {
        char names[3][64];
        begin();
        spread_data(128);
        if (parts == 3)
            add_file();
        place = make_place();
        make_backup(place.path, &made);
        off_t bytes =
            size_of("BACKUP-1/BACKUP-1.1.manifest") + size_of("BACKUP-1/BACKUP-1.cluster.manifest");
        for (uint32_t i = 0; i < parts; i++) {
            snprintf(names[i], sizeof(names[i]), "BACKUP-1/BACKUP-1-PART-%u-OF-%u/BACKUP-1.1.data",
                     i + 1, parts);
            bytes += size_of(names[i]);
        }
        CU_ASSERT_EQUAL(verify(), 0);
        CU_ASSERT_EQUAL(verified.bytes, (uint64_t)bytes);
        CU_ASSERT_EQUAL(verified.chunks, 4 * parts); /* data, catalogue, checksums, index */
        for (uint32_t i = 0; i < parts; i++) {
            for (off_t offset = 11; offset < size_of(names[i]); offset += 1024) {
                flip(names[i], offset);
                CU_ASSERT_EQUAL(verify(), -PST_E_CORRUPT);
                CU_ASSERT_EQUAL(verified.damages, 1);
                flip(names[i], offset);
            }
        }
        CU_ASSERT_EQUAL(verify(), 0);
        remove_place(&place);
    }
}

/* Each chunk is whole; the sum of them is not. */
/* A byte of one share: all shares of the chunk are lost, for their rows are passed on before all of
 * a share was seen. Beside a file, and without one. */
static void a_damaged_chunk_costs_all_its_tables(void)
{
    struct pst_restore_result result;
    for (uint32_t with_file = 0; with_file < 2; with_file++) {
        begin();
        spread_data(128);
        if (with_file)
            add_file();
        place = make_place();
        make_backup(place.path, &made);
        flip(with_file ? "BACKUP-1/BACKUP-1-PART-2-OF-3/BACKUP-1.1.data"
                       : "BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data",
             PST_BLOCK_BYTES + PST_CHUNK_HEADER_BYTES);
        CU_ASSERT_EQUAL(verify(), -PST_E_CORRUPT);
        CU_ASSERT_STRING_EQUAL(named, " a/00000 b%2Fc/00000");
        is_damaged = keep_going = true;
        CU_ASSERT_EQUAL(restore(NULL, &result), 0);
        CU_ASSERT_STRING_EQUAL(named, " a/00000 db b%2Fc/00000");
        is_damaged = keep_going = false;
        remove_place(&place);
    }
}

static void expect_refused(void)
{
    struct pst_restore_result result;
    place = make_place();
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(verify(), -PST_E_CORRUPT);
    is_damaged = true;
    int error = restore(NULL, &result);
    is_damaged = false;
    CU_ASSERT(error == -PST_E_CORRUPT || error == -PST_E_TRUNCATED);
    CU_ASSERT(result.message[0] != '\0');
    CU_ASSERT_PTR_NULL(strstr(story, "finished"));
    remove_place(&place);
}

static void what_is_missing_is_found(void)
{
    begin(); /* the end of a stream, and the object says so */
    objects[1].size -= PST_ROWS_END_BYTES;
    spread_data(128);
    expect_refused();

    begin(); /* a piece in the middle */
    spread_data(128);
    for (uint32_t i = 0; i < made.data_count; i++)
        if (data[i].object == ID(2) && data[i].offset == 128)
            data[i] = data[--made.data_count];
    expect_refused();

    begin(); /* all bytes of a share */
    spread_data(128);
    for (uint32_t i = 0; i < made.data_count;)
        if (data[i].object == ID(3))
            data[i] = data[--made.data_count];
        else
            i++;
    expect_refused();

    begin(); /* a share */
    made.objects_count = 3;
    objects[2] = objects[3];
    objects[2].id = ID(4);
    add_share("a", 1, 2, 7, 9); /* after another table's */
    spread_data(128);
    expect_refused();
}

static void what_does_not_fit_is_found(void)
{
    begin(); /* a length of a row */
    streams[1][4] ^= 1;
    spread_data(128);
    expect_refused();

    begin(); /* the number of rows */
    streams[3][objects[3].size - 16] ^= 1;
    spread_data(128);
    expect_refused();

    begin(); /* the number of rows of the table */
    attributes[3][8 + 16]++;
    spread_data(128);
    expect_refused();

    begin(); /* bytes that are not there: no memory is taken for them */
    objects[3].size = UINT64_C(1) << 50;
    memset(&streams[3][4], 0xFF, 4);
    spread_data(128);
    expect_refused();

    begin(); /* pieces that overlap */
    spread_data(128);
    data[0].offset = 0;
    data[0].object = ID(2);
    expect_refused();

    begin(); /* shares in another order */
    uint64_t id = objects[1].id;
    objects[1].id = objects[2].id;
    objects[2].id = id;
    spread_data(128);
    expect_refused();

    begin(); /* of a table that has more shares */
    add_share("d", 0, 2, 0, 9);
    spread_data(128);
    expect_refused();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"rows come in their order", rows_come_in_their_order},
        {"auto decides while rows are read", auto_decides_while_rows_are_read},
        {"what a sink notices is reported", what_a_sink_notices_is_reported},
        {"an export takes what is named", an_export_takes_what_is_named},
        {"every chunk is verified", every_chunk_is_verified},
        {"what is missing is found", what_is_missing_is_found},
        {"what does not fit is found", what_does_not_fit_is_found},
        {"a damaged chunk costs all its tables", a_damaged_chunk_costs_all_its_tables},
        CU_TEST_INFO_NULL,
    };
    return suite_run("rows", tests);
}
