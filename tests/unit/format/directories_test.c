/* The filter of a catalogue: no directory that is there is denied, few that are not are claimed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/directories.h"
#include "tests/suite.h"
#include "tests/unit/format/sample.h"

#define SOURCE UINT64_C(5)

struct catalogue {
    uint8_t *chunk; /* header and payload */
    size_t bytes;   /* of the payload */
    uint64_t next;  /* id */
};

static struct catalogue make_catalogue(void)
{
    struct catalogue made = {.chunk = sample_buffer(), .next = 1};
    pst_chunk_begin(made.chunk, PST_CHUNK_CATALOGUE);
    return made;
}

static void add(struct catalogue *catalogue, enum pst_object_type type, const char *path)
{
    const struct pst_object object = {
        .id = SOURCE << PST_OBJECT_SOURCE_SHIFT | catalogue->next++, .type = type, .path = path};
    CU_ASSERT_EQUAL_FATAL(pst_object_encode(&object, catalogue->chunk + PST_CHUNK_HEADER_BYTES,
                                            PST_CHUNK_BYTES_MIN, &catalogue->bytes),
                          0);
}

/* As a reader has it. */
static void seal(struct catalogue *catalogue)
{
    struct pst_chunk_header *header = (struct pst_chunk_header *)catalogue->chunk;
    format_directories_note(catalogue->chunk, (uint32_t)catalogue->bytes);
    header->raw_bytes = (uint32_t)catalogue->bytes;
}

static bool may_have(const struct catalogue *catalogue, uint32_t source, const char *path)
{
    return pst_directories_may_have(pst_chunk_header_of(catalogue->chunk), source, path,
                                    strlen(path));
}

static void what_is_there_is_never_denied(void)
{
    struct catalogue catalogue = make_catalogue();
    char path[64];
    add(&catalogue, PST_OBJECT_DIRECTORY, "empty");
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "a/dir-%u/file", i);
        add(&catalogue, PST_OBJECT_FILE, path);
    }
    seal(&catalogue);
    CU_ASSERT_TRUE(may_have(&catalogue, SOURCE, ""));
    CU_ASSERT_TRUE(may_have(&catalogue, SOURCE, "empty"));
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "a/dir-%u", i);
        CU_ASSERT_TRUE(may_have(&catalogue, SOURCE, path));
    }
    free(catalogue.chunk);
}

static void little_else_is_claimed(void)
{
    struct catalogue catalogue = make_catalogue();
    uint32_t claimed = 0;
    char path[64];
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "a/dir-%u/file", i);
        add(&catalogue, PST_OBJECT_FILE, path);
    }
    seal(&catalogue);
    CU_ASSERT_FALSE(may_have(&catalogue, SOURCE, "a/dir-0/file"));
    CU_ASSERT_FALSE(may_have(&catalogue, SOURCE, "a"));
    CU_ASSERT_FALSE(may_have(&catalogue, SOURCE, ""));
    CU_ASSERT_FALSE(may_have(&catalogue, SOURCE + 1, "a/dir-0"));
    for (uint32_t i = 0; i < 10000; i++) {
        snprintf(path, sizeof(path), "b/dir-%u", i);
        claimed += may_have(&catalogue, SOURCE, path);
    }
    CU_ASSERT_TRUE(claimed < 20);
    free(catalogue.chunk);
}

static void without_a_filter_anything_may_be_there(void)
{
    struct catalogue catalogue = make_catalogue();
    add(&catalogue, PST_OBJECT_FILE, "a/b");
    CU_ASSERT_TRUE(may_have(&catalogue, SOURCE, "c"));
    CU_ASSERT_TRUE(pst_directories_are_right(catalogue.chunk));
    free(catalogue.chunk);
}

static void a_filter_of_other_entries_is_wrong(void)
{
    struct catalogue catalogue = make_catalogue();
    add(&catalogue, PST_OBJECT_FILE, "a/b");
    seal(&catalogue);
    CU_ASSERT_TRUE(pst_directories_are_right(catalogue.chunk));
    add(&catalogue, PST_OBJECT_FILE, "c/d");
    ((struct pst_chunk_header *)catalogue.chunk)->raw_bytes = (uint32_t)catalogue.bytes;
    CU_ASSERT_FALSE(pst_directories_are_right(catalogue.chunk));
    free(catalogue.chunk);
}

static void a_part_has_it(void)
{
    const struct sample_part part = sample_part(1, 8);
    const uint8_t *catalogue = NULL;
    for (uint64_t at = PST_BLOCK_BYTES; at < part.size; at += PST_BLOCK_BYTES) {
        const struct pst_chunk_header *header = pst_chunk_header_of(part.bytes + at);
        if (memcmp(header->head.magic, "PSTKCHNK", 8) == 0 && header->type == PST_CHUNK_CATALOGUE)
            catalogue = part.bytes + at;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(catalogue);
    CU_ASSERT_FALSE(pst_directories_may_have(pst_chunk_header_of(catalogue), 63, "none", 4));
    CU_ASSERT_TRUE(pst_directories_are_right(catalogue));
    free(part.bytes);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what is there is never denied", what_is_there_is_never_denied},
        {"little else is claimed", little_else_is_claimed},
        {"without a filter anything may be there", without_a_filter_anything_may_be_there},
        {"a filter of other entries is wrong", a_filter_of_other_entries_is_wrong},
        {"a part has it", a_part_has_it},
        CU_TEST_INFO_NULL,
    };
    return suite_run("directories", tests);
}
