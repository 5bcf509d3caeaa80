/* The source synthetic: what its bytes are, and that they are the same however they are made. */
#include <errno.h>
#include <string.h>

#include "engine/source/registry/registry.h"
#include "engine/source/synthetic/synthetic.h"
#include "tests/unit/source/source_test.h"

static uint8_t *filled(const struct synthetic *synthetic)
{
    uint8_t *bytes = calloc(synthetic->rows, synthetic->row_bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    synthetic_fill(synthetic, 0, bytes, synthetic->rows * synthetic->row_bytes);
    return bytes;
}

static void any_piece_is_a_piece_of_the_whole(void)
{
    static const uint64_t sizes[] = {1, 7, 8, 100, 255, 256, 257, 1000, 4096, 70001};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct synthetic synthetic = {200000 / sizes[i], sizes[i], 30, 42};
        uint8_t *whole = filled(&synthetic);
        uint64_t total = synthetic.rows * synthetic.row_bytes;
        for (uint64_t offset = 0; offset + 1500 < total; offset += 977)
            for (size_t bytes = 1; bytes < 1500; bytes = bytes * 3 + 1) {
                uint8_t piece[1500];
                synthetic_fill(&synthetic, offset, piece, bytes);
                CU_ASSERT_EQUAL_FATAL(memcmp(piece, whole + offset, bytes), 0);
            }
        free(whole);
    }
}

/* Written down, so that it never changes unseen: restored data are compared with it. */
static void content_is_pinned(void)
{
    static const uint8_t expected[16] = {0x93, 0xde, 0x9c, 0xcb, 0x57, 0x85, 0x07, 0x5c,
                                         0xae, 0x19, 0x3e, 0x9f, 0x84, 0xca, 0x19, 0xa9};
    struct synthetic synthetic = {.rows = 10, .row_bytes = 16, .seed = 1};
    uint8_t row[16];
    synthetic_fill(&synthetic, 32, row, sizeof(row));
    CU_ASSERT_EQUAL(memcmp(row, expected, sizeof(row)), 0);
    if (memcmp(row, expected, sizeof(row)))
        for (size_t i = 0; i < sizeof(row); i++)
            fprintf(stderr, "0x%02x, ", row[i]);
}

static void seeds_and_rows_differ(void)
{
    struct synthetic one = {.rows = 64, .row_bytes = 64, .compressibility = 0, .seed = 1};
    struct synthetic two = one;
    two.seed = 2;
    uint8_t *a = filled(&one);
    uint8_t *b = filled(&two);
    for (size_t i = 0; i < 64; i++) {
        CU_ASSERT_NOT_EQUAL(memcmp(a + 64 * i, b + 64 * i, 64), 0);
        for (size_t j = 0; j < i; j++)
            CU_ASSERT_NOT_EQUAL(memcmp(a + 64 * i, a + 64 * j, 64), 0);
    }
    free(a);
    free(b);
}

static uint64_t padding_in(uint64_t compressibility, uint64_t row_bytes)
{
    struct synthetic synthetic = {1000000 / row_bytes, row_bytes, compressibility, 5};
    uint8_t *bytes = filled(&synthetic);
    uint64_t padding = 0;
    for (uint64_t i = 0; i < synthetic.rows * row_bytes; i++)
        padding += bytes[i] == ' ';
    free(bytes);
    return padding * 100 / (synthetic.rows * row_bytes);
}

static void compressibility_is_the_share_of_padding(void)
{
    static const uint64_t rows[] = {100, 256, 1000, 100000};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CU_ASSERT_TRUE(padding_in(0, rows[i]) <= 1);
        CU_ASSERT_EQUAL(padding_in(100, rows[i]), 100);
        uint64_t half = padding_in(50, rows[i]);
        CU_ASSERT_TRUE(half >= 50 && half <= 52);
    }
}

static void fragments_are_of_whole_rows(void)
{
    static const char *const specs[] = {
        "synthetic:rows=40000,row-bytes=1000",
        "synthetic:rows=10,row-bytes=16777216",
        "synthetic:rows=7,row-bytes=9000001",
        "synthetic:rows=1,row-bytes=1",
    };
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        struct pst_source *source = open_source("%s", specs[i]);
        struct synthetic synthetic;
        char text[PST_SOURCE_ERROR_BYTES];
        ASSERT_OK(synthetic_parse(strchr(specs[i], ':') + 1, &synthetic, text, sizeof(text)));
        struct collected collected;
        collect(source, &collected);
        check_listing(&collected);
        CU_ASSERT_EQUAL(collected.listing.bytes, synthetic.rows * synthetic.row_bytes);
        for (uint64_t j = 0; j < collected.count; j++)
            CU_ASSERT_EQUAL(collected.fragments[j]->bytes % synthetic.row_bytes, 0);
        pst_source_close(source);
        collected_free(&collected);
    }
}

/* As a restore is checked: read through fragments in slices, compared with the whole. */
static void produced_is_filled(void)
{
    struct pst_source *source =
        open_source("synthetic:rows=40000,row-bytes=999,compressibility=20,seed=7");
    struct synthetic synthetic = {40000, 999, 20, 7};
    struct collected collected;
    collect(source, &collected);
    struct pst_object object;
    CU_ASSERT_TRUE_FATAL(find_object(&collected, SYNTHETIC_PATH, &object));
    CU_ASSERT_EQUAL(object.type, PST_OBJECT_TABLE);
    CU_ASSERT_EQUAL_FATAL(object.size, 40000 * 999);
    uint8_t *produced = read_object(source, &collected, &object);
    uint8_t *whole = filled(&synthetic);
    CU_ASSERT_EQUAL(memcmp(produced, whole, object.size), 0);
    free(produced);
    free(whole);
    pst_source_close(source);
    collected_free(&collected);
}

static void no_rows_are_an_empty_table(void)
{
    struct pst_source *source = open_source("synthetic:rows=0");
    struct collected collected;
    collect(source, &collected);
    check_listing(&collected);
    CU_ASSERT_EQUAL(collected.count, 1);
    CU_ASSERT_EQUAL(collected.listing.objects, 1);
    CU_ASSERT_EQUAL(collected.listing.bytes, 0);
    pst_source_close(source);
    collected_free(&collected);
}

static void options_are_parsed(void)
{
    struct synthetic synthetic;
    char text[PST_SOURCE_ERROR_BYTES] = "";
    ASSERT_OK(synthetic_parse("rows=12", &synthetic, text, sizeof(text)));
    CU_ASSERT_EQUAL(synthetic.rows, 12);
    CU_ASSERT_EQUAL(synthetic.row_bytes, 1024);
    CU_ASSERT_EQUAL(synthetic.compressibility, 50);
    CU_ASSERT_EQUAL(synthetic.seed, 1);
    ASSERT_OK(
        synthetic_parse("seed=18446744073709551615,compressibility=100,rows=3,row-bytes=16777216",
                        &synthetic, text, sizeof(text)));
    CU_ASSERT_EQUAL(synthetic.seed, UINT64_MAX);
    CU_ASSERT_EQUAL(synthetic.row_bytes, 16777216);
}

static void bad_options_are_refused(void)
{
    static const char *const bad[][2] = {
        {"", "rows=N"},
        {"row-bytes=5", "rows=N"},
        {"rows", "\"rows\""},
        {"rows=", "rows="},
        {"rows=x", "rows=x"},
        {"rows=-1", "rows=-1"},
        {"rows=+1", "rows=+1"},
        {"rows= 1", "rows= 1"},
        {"rows=1k", "rows=1k"},
        {"rows=1,", "\"\""},
        {",rows=1", "\"\""},
        {"rows=1,rows=2", "given once"},
        {"rows=1,row-bytes=0", "row-bytes=0"},
        {"rows=1,row-bytes=16777217", "16777216"},
        {"rows=1,compressibility=101", "100"},
        {"rows=1,seed=18446744073709551616", "seed=18446744073709551616"},
        {"rows=1,colour=2", "\"colour=2\""},
        {"rows=4611686018427387904,row-bytes=2", "2^62"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct synthetic synthetic;
        char text[PST_SOURCE_ERROR_BYTES] = "";
        CU_ASSERT_EQUAL(synthetic_parse(bad[i][0], &synthetic, text, sizeof(text)), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, bad[i][1]));
    }
}

static CU_TestInfo tests[] = {
    {"any piece is a piece of the whole", any_piece_is_a_piece_of_the_whole},
    {"content is pinned", content_is_pinned},
    {"seeds and rows differ", seeds_and_rows_differ},
    {"compressibility is the share of padding", compressibility_is_the_share_of_padding},
    {"fragments are of whole rows", fragments_are_of_whole_rows},
    {"produced is filled", produced_is_filled},
    {"no rows are an empty table", no_rows_are_an_empty_table},
    {"options are parsed", options_are_parsed},
    {"bad options are refused", bad_options_are_refused},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"source synthetic", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
