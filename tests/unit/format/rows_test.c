/* Record streams, however they are cut; names of tables; what ROWS and DATABASE objects say. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/object.h"
#include "engine/format/rows.h"
#include "tests/suite.h"

#define ROWS 50u
#define STREAM_BYTES_MAX (1u << 16)

static uint8_t pattern[1000];

static struct pst_row row_of(uint32_t i)
{
    return (struct pst_row){.key = pattern + i % 7,
                            .value = pattern + i,
                            .key_bytes = i % 12,
                            .value_bytes = i == 20 ? 0 : i * i % 900};
}

/* Encodes ROWS rows and their end, by so many bytes at a time. */
static size_t make_stream(uint8_t *stream, size_t step)
{
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 31);
    for (uint32_t i = 0; i < ROWS; i++) {
        const struct pst_row row = row_of(i);
        for (uint64_t done = 0; done < pst_row_bytes(&row);) {
            size_t copied = pst_row_copy(&row, done, stream + bytes, step);
            CU_ASSERT_FATAL(copied > 0 && copied <= step);
            done += copied;
            bytes += copied;
        }
    }
    size_t rows_bytes = bytes;
    for (uint32_t done = 0; done < PST_ROWS_END_BYTES;) {
        size_t copied = pst_rows_end_copy(ROWS, rows_bytes, done, stream + bytes, step);
        done += (uint32_t)copied;
        bytes += copied;
    }
    return bytes;
}

static int take_row(void *context, const struct pst_row *row)
{
    uint32_t *next = context;
    const struct pst_row wanted = row_of(*next);
    ++*next;
    CU_ASSERT_EQUAL_FATAL(row->key_bytes, wanted.key_bytes);
    CU_ASSERT_EQUAL_FATAL(row->value_bytes, wanted.value_bytes);
    CU_ASSERT_EQUAL(memcmp(row->key, wanted.key, row->key_bytes), 0);
    CU_ASSERT_EQUAL(memcmp(row->value, wanted.value, row->value_bytes), 0);
    return 0;
}

/* Feeds a stream in pieces of `step`, each in memory of its own, which a sanitizer watches. */
static int feed(const uint8_t *stream, size_t bytes, size_t size, size_t step, pst_row_taker *take,
                void *context)
{
    struct pst_rows_reader reader = {.size = size};
    int error = 0;
    for (size_t done = 0; !error && done < bytes; done += step) {
        size_t part = bytes - done < step ? bytes - done : step;
        uint8_t *copy = malloc(part);
        memcpy(copy, stream + done, part);
        error = pst_rows_feed(&reader, copy, part, take, context);
        free(copy);
    }
    if (!error)
        error = pst_rows_finish(&reader);
    pst_rows_release(&reader);
    return error;
}

static void a_stream_reads_back_however_it_is_cut(void)
{
    static uint8_t stream[STREAM_BYTES_MAX], again[STREAM_BYTES_MAX];
    size_t bytes = make_stream(stream, STREAM_BYTES_MAX);
    static const size_t steps[] = {1, 2, 3, 7, 8, 9, 23, 24, 25, 100, 1000, STREAM_BYTES_MAX};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        uint32_t rows = 0;
        CU_ASSERT_EQUAL(make_stream(again, steps[i]), bytes);
        CU_ASSERT_EQUAL(memcmp(stream, again, bytes), 0);
        CU_ASSERT_EQUAL(feed(stream, bytes, bytes, steps[i], take_row, &rows), 0);
        CU_ASSERT_EQUAL(rows, ROWS);
        CU_ASSERT_EQUAL(feed(stream, bytes, bytes, steps[i], NULL, NULL), 0);
    }
}

static void a_stream_without_its_end_is_found(void)
{
    static uint8_t stream[STREAM_BYTES_MAX];
    size_t bytes = make_stream(stream, STREAM_BYTES_MAX);
    for (size_t cut = 0; cut < bytes; cut += cut < bytes - 30 ? 97 : 1) {
        CU_ASSERT_NOT_EQUAL(feed(stream, cut, bytes, 500, NULL, NULL), 0);
        CU_ASSERT_NOT_EQUAL(feed(stream, cut, cut, 500, NULL, NULL), 0);
    }
    stream[bytes] = 0;
    CU_ASSERT_EQUAL(feed(stream, bytes + 1, bytes + 1, 500, NULL, NULL), -PST_E_CORRUPT);
}

static void a_wrong_length_or_count_is_found(void)
{
    static uint8_t stream[STREAM_BYTES_MAX];
    size_t bytes = make_stream(stream, STREAM_BYTES_MAX);
    const struct pst_row first = row_of(0);
    size_t second = (size_t)pst_row_bytes(&first);
    static const uint8_t bits[] = {0x01, 0x80};
    for (size_t i = 0; i < sizeof(bits); i++) {
        for (size_t at = second; at < second + PST_ROW_HEAD_BYTES; at++) {
            stream[at] ^= bits[i];
            CU_ASSERT_NOT_EQUAL(feed(stream, bytes, bytes, 64, NULL, NULL), 0);
            stream[at] ^= bits[i];
        }
        for (size_t at = bytes - PST_ROWS_END_BYTES; at < bytes; at++) {
            stream[at] ^= bits[i];
            CU_ASSERT_NOT_EQUAL(feed(stream, bytes, bytes, 64, NULL, NULL), 0);
            stream[at] ^= bits[i];
        }
    }
}

static int refuse(void *context, const struct pst_row *row)
{
    (void)context;
    (void)row;
    return -28;
}

static void the_takers_error_is_returned(void)
{
    static uint8_t stream[STREAM_BYTES_MAX];
    size_t bytes = make_stream(stream, STREAM_BYTES_MAX);
    CU_ASSERT_EQUAL(feed(stream, bytes, bytes, 5, refuse, NULL), -28);
    CU_ASSERT_EQUAL(feed(stream, bytes, bytes, 5000, refuse, NULL), -28);
}

static void expect_name(const char *name, uint32_t bytes, const char *text)
{
    char escaped[PST_TABLE_TEXT_BYTES];
    CU_ASSERT_STRING_EQUAL(pst_table_name_escape(name, bytes, escaped), text);
    CU_ASSERT_TRUE(pst_table_name_is(text, name, bytes));
}

static void names_are_safe_and_mean_one_table(void)
{
    expect_name("", 0, "%main");
    expect_name("accounts-2.old_X", 16, "accounts-2.old_X");
    expect_name("a/b c", 5, "a%2Fb%20c");
    expect_name("..", 2, "%2E.");
    expect_name(".", 1, "%2E");
    expect_name("%main", 5, "%25main");
    expect_name("x\0\xff\n", 4, "x%00%FF%0A");
    CU_ASSERT_TRUE(pst_table_name_is("a/b c", "a/b c", 5));
    CU_ASSERT_TRUE(pst_table_name_is("a%2fb c", "a/b c", 5));
    CU_ASSERT_FALSE(pst_table_name_is("a/b", "a/b c", 5));
    CU_ASSERT_FALSE(pst_table_name_is("a/b cd", "a/b c", 5));
    CU_ASSERT_FALSE(pst_table_name_is("%main", "%main", 5));
    CU_ASSERT_FALSE(pst_table_name_is("", "", 0));
    CU_ASSERT_FALSE(pst_table_name_is("x%", "x%", 2));
    CU_ASSERT_FALSE(pst_table_name_is("x%4", "x%4", 3));
}

static void the_longest_name_makes_a_legal_object(void)
{
    char name[PST_TABLE_NAME_BYTES_MAX], path[PST_PATH_BYTES_MAX];
    uint8_t attribute[PST_ROWS_ATTRIBUTE_BYTES_MAX], payload[PST_CHUNK_BYTES_MIN];
    memset(name, '/', sizeof(name));
    const struct pst_share share = {.name = name,
                                    .name_bytes = sizeof(name),
                                    .flags = 0x14,
                                    .share = 7,
                                    .shares = 12,
                                    .rows = 123456789};
    struct pst_object object = {.id = 5,
                                .type = PST_OBJECT_ROWS,
                                .path = pst_share_path(&share, path),
                                .size = 99,
                                .attributes = attribute};
    object.attributes_bytes = pst_share_encode(&share, attribute);
    CU_ASSERT(object.attributes_bytes <= sizeof(attribute));
    size_t offset = 0;
    CU_ASSERT_EQUAL_FATAL(pst_object_encode(&object, payload, sizeof(payload), &offset), 0);
    size_t bytes = offset;
    offset = 0;
    struct pst_object decoded;
    CU_ASSERT_EQUAL_FATAL(pst_object_decode(payload, bytes, &offset, &decoded), 0);
    const struct pst_share found = pst_share_of(&decoded);
    CU_ASSERT_EQUAL(found.name_bytes, sizeof(name));
    CU_ASSERT_EQUAL(memcmp(found.name, name, sizeof(name)), 0);
    CU_ASSERT(found.flags == 0x14 && found.share == 7 && found.shares == 12);
    CU_ASSERT_EQUAL(found.rows, 123456789);
    object.type = PST_OBJECT_FILE; /* to which the attribute says nothing */
    offset = 0;
    CU_ASSERT_EQUAL(pst_object_encode(&object, payload, sizeof(payload), &offset), 0);
    offset = 0;
    CU_ASSERT_EQUAL(pst_object_decode(payload, bytes, &offset, &decoded), -PST_E_NEWER);
}

static void a_database_says_its_kind(void)
{
    uint8_t attribute[PST_ROWS_ATTRIBUTE_BYTES_MAX], payload[4096];
    const struct pst_database_entry database = {
        .kind = "lmdb", .details = "12345678", .details_bytes = 8};
    const struct pst_object object = {
        .id = 1,
        .type = PST_OBJECT_DATABASE,
        .path = "data.mdb",
        .attributes = attribute,
        .attributes_bytes = pst_database_encode(&database, attribute),
    };
    size_t offset = 0;
    CU_ASSERT_EQUAL_FATAL(pst_object_encode(&object, payload, sizeof(payload), &offset), 0);
    size_t bytes = offset;
    offset = 0;
    struct pst_object decoded;
    CU_ASSERT_EQUAL_FATAL(pst_object_decode(payload, bytes, &offset, &decoded), 0);
    const struct pst_database_entry found = pst_database_of(&decoded);
    CU_ASSERT_STRING_EQUAL(found.kind, "lmdb");
    CU_ASSERT_EQUAL_FATAL(found.details_bytes, 8);
    CU_ASSERT_EQUAL(memcmp(found.details, "12345678", 8), 0);
}

static void a_share_must_say_which_it_is(void)
{
    uint8_t attribute[2 * PST_ROWS_ATTRIBUTE_BYTES_MAX], payload[8192];
    const struct pst_share share = {.name = "t", .name_bytes = 1, .shares = 2};
    struct pst_object object = {.id = 1, .type = PST_OBJECT_ROWS, .path = "t/00000"};
    size_t offset = 0;
    CU_ASSERT_EQUAL(pst_object_encode(&object, payload, sizeof(payload), &offset), -EINVAL);
    object.attributes = attribute;
    uint32_t bytes = pst_share_encode(&share, attribute);
    pst_share_encode(&share, attribute + bytes);
    object.attributes_bytes = 2 * bytes;
    CU_ASSERT_EQUAL(pst_object_encode(&object, payload, sizeof(payload), &offset), -EINVAL);
    object.attributes_bytes = bytes;
    /* which share, of how many, bytes of the name: 2, 0 and 3 now */
    for (size_t at = 12; at <= 20; at += 4) {
        attribute[at] ^= 2;
        CU_ASSERT_EQUAL(pst_object_encode(&object, payload, sizeof(payload), &offset), -EINVAL);
        attribute[at] ^= 2;
    }
    CU_ASSERT_EQUAL(pst_object_encode(&object, payload, sizeof(payload), &offset), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a stream reads back however it is cut", a_stream_reads_back_however_it_is_cut},
        {"a stream without its end is found", a_stream_without_its_end_is_found},
        {"a wrong length or count is found", a_wrong_length_or_count_is_found},
        {"the taker's error is returned", the_takers_error_is_returned},
        {"names are safe and mean one table", names_are_safe_and_mean_one_table},
        {"the longest name makes a legal object", the_longest_name_makes_a_legal_object},
        {"a database says its kind", a_database_says_its_kind},
        {"a share must say which it is", a_share_must_say_which_it_is},
        CU_TEST_INFO_NULL,
    };
    return suite_run("rows", tests);
}
