/* A program's source whose produce makes no rows, or not those that it listed: its backup fails,
 * in words, before anybody relies on it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite.h"
#include "tests/support/scratch.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/api/memory.h"

#define ROWS 10u
#define STREAM_BYTES 512u

/* The table "t", of one share. */
static struct made {
    struct pst_source source; /* first */
    uint64_t rows;            /* as it is listed */
    bool has_length;
    size_t elsewhere; /* bytes of the share that its fragment has not */
    size_t step;      /* bytes of a call of produce */
    size_t bytes;
    uint8_t stream[STREAM_BYTES];
} made;

static char scratch[SCRATCH_PATH_BYTES];

/* ---- the source ---- */

static int fill(struct pst_source *source, bool is_share, struct pst_fragment_descriptor *slot)
{
    uint8_t attribute[PST_ROWS_ATTRIBUTE_BYTES_MAX], entry[2048];
    size_t entry_bytes = 0;
    const struct pst_database_entry database = {.kind = "made"};
    const struct pst_share share = {.name = "t", .name_bytes = 1, .shares = 1, .rows = made.rows};
    const struct pst_object object = {
        .id = pst_source_object_id(source, is_share ? 2 : 1),
        .type = is_share ? PST_OBJECT_ROWS : PST_OBJECT_DATABASE,
        .path = is_share ? "t/00000" : "database",
        .size = is_share && made.has_length ? made.bytes + made.elsewhere : 0,
        .attributes = attribute,
        .attributes_bytes = is_share ? pst_share_encode(&share, attribute)
                                     : pst_database_encode(&database, attribute)};
    const struct pst_fragment_file file = {.object = object.id};
    int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    pst_fragment_init(slot, is_share ? PST_FRAGMENT_ROWS : PST_FRAGMENT_EXTENTS);
    if (!error)
        error = pst_fragment_add_entry(slot, entry, entry_bytes, true);
    if (error || !is_share)
        return error;
    error = pst_fragment_add_file(slot, &file);
    if (!error && made.has_length)
        return pst_fragment_add_extent(slot, 0, made.bytes, NULL);
    pst_fragment_add_rows(slot, 1, NULL);
    return error;
}

static int list(struct pst_source *source, struct pst_fragment_sink *sink,
                struct pst_source_listing *listing)
{
    for (int i = 0; i < 2; i++) {
        struct pst_fragment_descriptor *slot;
        int error = sink->acquire(sink, &slot);
        if (!error)
            error = fill(source, i == 1, slot);
        if (!error)
            error = sink->emit(sink, slot);
        if (error)
            return error;
        listing->fragments++;
        listing->objects++;
    }
    listing->bytes = made.has_length ? made.bytes : 0;
    return 0;
}

static int produce(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                   struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                   size_t *produced_bytes)
{
    (void)source;
    (void)fragment;
    size_t done = (size_t)cursor->words[0], bytes = made.bytes - done;
    bytes = bytes < made.step ? bytes : made.step;
    bytes = bytes < capacity_bytes ? bytes : capacity_bytes;
    memcpy(buffer, made.stream + done, bytes);
    cursor->words[0] += bytes;
    *produced_bytes = bytes;
    return 0;
}

/* Rows as they should be, with an end record that counts so many. */
static void make(uint64_t counted)
{
    memset(&made, 0, sizeof(made));
    pst_source_init(&made.source, "made");
    made.source.flags = PST_SOURCE_ANY_LDM | PST_SOURCE_CAN_ROWS;
    made.source.list = list;
    made.source.produce = produce;
    made.rows = ROWS;
    made.step = STREAM_BYTES;
    for (uint32_t key = 0; key < ROWS; key++) {
        const struct pst_row row = {
            .key = &key, .key_bytes = sizeof(key), .value = "a value", .value_bytes = key % 7};
        made.bytes += pst_row_copy(&row, 0, made.stream + made.bytes, STREAM_BYTES - made.bytes);
    }
    made.bytes += pst_rows_end_copy(counted, made.bytes, 0, made.stream + made.bytes,
                                    STREAM_BYTES - made.bytes);
}

/* ---- its backups ---- */

static int back_up(void)
{
    struct pst_source *source = &made.source;
    struct pst_backup_job job;
    struct pst_backup_outcome outcome;
    job_for(&job, &source, scratch);
    pst_backup_outcome_init(&outcome);
    return pst_run_backup(&job, &outcome);
}

/* Both where the length of the rows is known before, and where it is not. */
static void expect_refused(const char *says)
{
    static const size_t steps[] = {1, 5, STREAM_BYTES};
    for (size_t i = 0; i < 2 * sizeof(steps) / sizeof(steps[0]); i++) {
        made.has_length = i % 2 == 1 && made.bytes > 0;
        made.step = steps[i / 2];
        begin_log_capture();
        CU_ASSERT_EQUAL(back_up(), -EINVAL);
        char *log = end_log_capture();
        bool is_said = strstr(log, "source made: t/00000: its produce made") && strstr(log, says);
        if (!is_said)
            printf("wanted \"%s\": %s\n", says, log);
        CU_ASSERT_TRUE(is_said);
        free(log);
    }
}

static void set_up(void)
{
    make_scratch(scratch, NULL);
    pst_log_set_level(PST_LOG_WARNING);
}

static void tear_down(void)
{
    remove_tree(scratch);
}

static void rows_are_rows_however_they_come(void)
{
    static const size_t steps[] = {1, 3, 8, 23, 24, 25, STREAM_BYTES};
    for (size_t i = 0; i < 2 * sizeof(steps) / sizeof(steps[0]); i++) {
        make(ROWS);
        made.has_length = i % 2 == 1;
        made.step = steps[i / 2];
        CU_ASSERT_EQUAL(back_up(), 0);
        CU_ASSERT_EQUAL(verify_in(scratch), 0);
    }
}

static void what_is_no_row_fails_the_backup(void)
{
    make(ROWS);
    memset(made.stream, 'g', made.bytes);
    expect_refused("no row at byte 0");
    make(ROWS);
    made.stream[12 + 2] = 1; /* the second key is longer than any */
    expect_refused("no row at byte 12");
    make(ROWS);
    made.stream[made.bytes++] = 0;
    expect_refused("no row at byte");
}

static void an_end_record_fits_what_it_ends(void)
{
    make(ROWS - 1);
    expect_refused("no end record that fits");
    make(ROWS);
    made.stream[made.bytes - 8] ^= 1; /* the bytes that it counts */
    expect_refused("no end record that fits");
    make(ROWS);
    made.stream[made.bytes - 20] = 1;
    expect_refused("no end record that fits");
}

static void rows_have_an_end_record(void)
{
    make(ROWS);
    size_t whole = made.bytes;
    made.bytes = 0;
    expect_refused("rows without an end record");
    for (size_t cut = 1; cut <= PST_ROWS_END_BYTES + 1; cut += 8) {
        make(ROWS);
        made.bytes = whole - cut;
        made.step = STREAM_BYTES;
        begin_log_capture();
        CU_ASSERT_EQUAL(back_up(), -EINVAL);
        char *log = end_log_capture();
        CU_ASSERT_PTR_NOT_NULL(strstr(log, "rows without an end record"));
        free(log);
    }
}

static void a_table_has_as_many_rows_as_it_says(void)
{
    make(ROWS);
    made.rows = ROWS + 1;
    expect_refused("10 rows, and its table has 11");
    made.rows = ROWS - 1;
    expect_refused("10 rows, and its table has 9");
}

static void a_share_is_in_one_fragment(void)
{
    make(ROWS);
    made.has_length = true;
    made.elsewhere = 1;
    begin_log_capture();
    CU_ASSERT_EQUAL(back_up(), -EINVAL);
    char *log = end_log_capture();
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "a share of a table that is not in one fragment"));
    free(log);
}

/* Rows that nobody looks at are those of Penstock's own sources. */
static void no_program_has_its_rows_passed_over(void)
{
    make(ROWS);
    made.source.flags |= UINT32_C(1) << 31;
    CU_ASSERT_EQUAL(back_up(), -EINVAL);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"rows are rows however they come", rows_are_rows_however_they_come},
        {"what is no row fails the backup", what_is_no_row_fails_the_backup},
        {"an end record fits what it ends", an_end_record_fits_what_it_ends},
        {"rows have an end record", rows_have_an_end_record},
        {"a table has as many rows as it says", a_table_has_as_many_rows_as_it_says},
        {"a share is in one fragment", a_share_is_in_one_fragment},
        {"no program has its rows passed over", no_program_has_its_rows_passed_over},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"wrong_rows", NULL, NULL, set_up, tear_down, tests},
                             CU_SUITE_INFO_NULL};
    return suites_run(suites);
}
