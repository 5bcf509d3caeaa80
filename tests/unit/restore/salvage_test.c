/* A damaged chunk of packed files: those whose own bytes are hit are lost, and no other, as long as
 * the checksums of objects can tell. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/format/sums.h"
#include "engine/restore/restore.h"
#include "engine/restore/verify.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

#define FIRST "BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data"
#define SECOND "BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data"

/* Of the first chunk of a part. */
#define HEADER ((off_t)PST_BLOCK_BYTES)
#define PAYLOAD (HEADER + (off_t)PST_CHUNK_HEADER_BYTES)
#define PADDING (PAYLOAD + 3200)

static struct pst_object objects[] = {
    {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755},
    {.id = 2, .type = PST_OBJECT_FILE, .path = "a", .size = 1000},
    {.id = 3, .type = PST_OBJECT_FILE, .path = "b", .size = 1000},
    {.id = 4, .type = PST_OBJECT_FILE, .path = "c", .size = 500, .flags = PST_OBJECT_CHANGED},
    {.id = 5, .type = PST_OBJECT_FILE, .path = "split", .size = 1000},
    {.id = 6, .type = PST_OBJECT_FILE, .path = "e"},
    {.id = 7, .type = PST_OBJECT_FILE, .path = "f", .size = 1000},
    {.id = 8, .type = PST_OBJECT_HARD_LINK, .path = "link to b", .linked_object = 3},
};

/* The first part: a at 0, b at 1000, 300 bytes of c at 2000, nothing of e, and split from 2300. */
static const struct made_data data[] = {
    {0, 2, 0, 1000}, {0, 3, 0, 1000}, {0, 4, 0, 300},   {0, 6, 0, 0},
    {0, 5, 0, 900},  {1, 7, 0, 1000}, {1, 5, 900, 100},
};

static struct made_backup made;
static struct made_place place;

static void begin(void)
{
    made = (struct made_backup){
        .number = 1,
        .parts = 2,
        .sources = 1,
        .objects = objects,
        .objects_count = sizeof(objects) / sizeof(objects[0]),
        .data = data,
        .data_count = sizeof(data) / sizeof(data[0]),
    };
    place = make_place();
    make_backup(place.path, &made);
}

static void flip(const char *name, off_t offset)
{
    flip_bit(place_below(&place, name).path, offset);
}

/* Where the records begin in a part. */
static off_t sums_of(const char *name)
{
    static uint8_t bytes[1 << 16];
    int fd = open(place_below(&place, name).path, O_RDONLY);
    ssize_t got = read(fd, bytes, sizeof(bytes));
    close(fd);
    const uint8_t *at = memmem(bytes, (size_t)got, PST_SUMS_MAGIC, strlen(PST_SUMS_MAGIC));
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    return at - bytes;
}

/* ---- what comes of it ---- */

static char named[256]; /* each behind a space */

static void add_name(const char *name)
{
    size_t used = strlen(named);
    snprintf(named + used, sizeof(named) - used, " %s", name);
}

static void note_finding(void *context, const struct pst_finding *finding)
{
    (void)context;
    if (finding->object)
        add_name(finding->object + strlen("one/"));
}

static void note_trouble(void *context, const struct pst_restore_trouble *trouble)
{
    (void)context;
    CU_ASSERT_FALSE(trouble->is_whole);
    add_name(trouble->path);
}

static void expect_verified(uint64_t damages, const char *hit)
{
    const struct pst_verify_options options = {.crew = {.workers = 2}, .found = note_finding};
    struct pst_verify_result result;
    named[0] = '\0';
    CU_ASSERT_EQUAL(verify_backup(place.path, &options, &result), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(result.damages, damages);
    CU_ASSERT_STRING_EQUAL(named, hit);
}

/* Whether the file has the bytes that were backed up. */
static bool is_whole(const struct pst_object *object)
{
    static uint8_t bytes[4096];
    char name[64];
    snprintf(name, sizeof(name), "target/%s", object->path);
    int fd = open(place_below(&place, name).path, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
    bool whole = got == (ssize_t)object->size;
    uint64_t known = object->id == 4 ? 300 : object->size;
    for (uint64_t i = 0; whole && i < object->size; i++)
        whole = bytes[i] == (i < known ? made_byte(object->id, i) : 0);
    if (fd >= 0)
        close(fd);
    return whole;
}

static void expect_target(void)
{
    for (uint32_t i = 1; i < made.objects_count; i++) {
        char name[64], word[16];
        snprintf(name, sizeof(name), "target/%s", objects[i].path);
        snprintf(word, sizeof(word), " %s", objects[i].path);
        bool is_there = access(place_below(&place, name).path, F_OK) == 0;
        CU_ASSERT_EQUAL(is_there, strstr(named, word) == NULL);
        if (is_there && objects[i].type == PST_OBJECT_FILE)
            CU_ASSERT_TRUE(is_whole(&objects[i]));
    }
}

static struct pst_restore_result restore_past_damage(void)
{
    const struct pst_restore_options options = {
        .crew = {.workers = 2}, .keep_going = true, .trouble = note_trouble};
    const struct made_place target = place_below(&place, "target");
    struct pst_restore_result result;
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    named[0] = '\0';
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(pst_restore(backup, target.path, &options, &result), 0);
    pst_backup_list_release(&list);
    return result;
}

/* Also that all else is restored as it was. */
static void expect_restored(const char *hit)
{
    const struct pst_restore_result result = restore_past_damage();
    CU_ASSERT_STRING_EQUAL(named, hit);
    CU_ASSERT_EQUAL(result.objects + result.failed, made.objects_count);
    expect_target();
}

/* ---- tests ---- */

static void what_is_hit_is_lost_alone(void)
{
    static const struct {
        off_t offsets[2];
        const char *verified, *restored;
    } cases[] = {
        {{PAYLOAD, 0}, " a", " a"},
        {{PAYLOAD + 999, 0}, " a", " a"},
        {{PAYLOAD + 1000, 0}, " b", " b link to b"},
        {{PAYLOAD + 1999, PAYLOAD + 1000}, " b", " b link to b"},
        {{PAYLOAD + 2000, 0}, " c", " c"},
        {{PAYLOAD + 2299, PAYLOAD}, " a c", " a c"},
        {{PAYLOAD + 2300, 0}, " split", " split"},
        {{PADDING - 1, PAYLOAD + 1}, " a split", " a split"},
        {{PADDING, 0}, "", ""},
        {{PADDING + 800, PAYLOAD + 1}, " a", " a"},
        {{HEADER + 200, 0}, " a b c split", " a b c split link to b"},
        {{HEADER + 200, PAYLOAD}, " a b c split", " a b c split link to b"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        for (uint32_t j = 0; j < 2 && cases[i].offsets[j]; j++)
            flip(FIRST, cases[i].offsets[j]);
        expect_verified(1, cases[i].verified);
        expect_restored(cases[i].restored);
        remove_place(&place);
    }
}

/* The one piece is in a damaged chunk, the other in a whole one, or both are in damaged ones. */
static void a_file_in_two_damaged_chunks_is_judged_by_both(void)
{
    begin();
    flip(FIRST, PAYLOAD);
    flip(SECOND, PAYLOAD);
    expect_verified(2, " a f");
    expect_restored(" a f");
    remove_place(&place);
    begin();
    flip(FIRST, PAYLOAD);
    flip(SECOND, PAYLOAD + 1000);
    expect_verified(2, " a split");
    expect_restored(" a split");
    CU_ASSERT_EQUAL(access(place_below(&place, "target/split.damaged").path, F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(place_below(&place, "target/a.damaged").path, F_OK), 0);
    remove_place(&place);
}

/* Those of one part are damaged: none of the node's say anything. */
static void without_whole_checksums_all_of_the_chunk_is_lost(void)
{
    static const char *const parts[] = {FIRST, SECOND};
    for (size_t i = 0; i < 2; i++) {
        begin();
        flip(parts[i], sums_of(parts[i]) + 40);
        flip(FIRST, PAYLOAD);
        expect_verified(2, " a b c split");
        expect_restored(" a b c split link to b");
        remove_place(&place);
    }
    begin();
    remove_place(&place);
    place = make_place();
    made.no_object_sums = true;
    make_backup(place.path, &made);
    flip(FIRST, PAYLOAD);
    expect_verified(1, " a b c split");
    expect_restored(" a b c split link to b");
    remove_place(&place);
}

static off_t bytes_of(const char *name)
{
    struct stat status;
    CU_ASSERT_EQUAL_FATAL(stat(place_below(&place, name).path, &status), 0);
    return status.st_size;
}

/* Of the trailer, and of the INDEX chunk before it, which is the only one: backwards from the end.
 */
static void what_only_says_where_chunks_are_costs_nothing(void)
{
    static const off_t offsets[] = {4000, 3900, 1, 4096 + 1, 4096 + 4000, 8192 + 1, 8192 + 4000};
    static const char *const parts[] = {FIRST, SECOND};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        begin();
        for (size_t j = 0; j <= i % 2; j++)
            flip(parts[j], bytes_of(parts[j]) - offsets[i]);
        expect_restored("");
        remove_place(&place);
    }
    /* what was hit besides is lost, and no more than that */
    begin();
    flip(FIRST, bytes_of(FIRST) - 1);
    flip(SECOND, PAYLOAD);
    expect_restored(" f split");
    remove_place(&place);
    begin();
    flip(FIRST, bytes_of(FIRST) - 1);
    flip(FIRST, HEADER + 200);
    (void)restore_past_damage();
    CU_ASSERT_PTR_NOT_NULL(strstr(named, " a"));
    CU_ASSERT_PTR_NULL(strstr(named, " f"));
    CU_ASSERT_TRUE(is_whole(&objects[6]));
    remove_place(&place);
}

/* As an interrupted copy leaves it: what lies before the cut comes back, and nothing false. */
static void a_part_that_has_lost_its_end_still_has_its_beginning(void)
{
    uint64_t before = 0;
    off_t bytes = 0;
    do {
        begin();
        CU_ASSERT_EQUAL(truncate(place_below(&place, FIRST).path, bytes), 0);
        const struct pst_restore_result result = restore_past_damage();
        CU_ASSERT_TRUE(result.objects >= before);
        before = result.objects;
        for (uint32_t i = 1; i < made.objects_count; i++) {
            char name[64];
            snprintf(name, sizeof(name), "target/%s", objects[i].path);
            if (objects[i].type == PST_OBJECT_FILE &&
                access(place_below(&place, name).path, F_OK) == 0)
                CU_ASSERT_TRUE(is_whole(&objects[i]));
        }
        remove_place(&place);
        bytes += 2048;
    } while (before < made.objects_count && bytes < (1 << 20));
    CU_ASSERT_EQUAL(before, made.objects_count);
}

/* Checksums by the rule of before are none, and no damage. */
static void older_checksums_count_as_none(void)
{
    const struct pst_verify_options options = {.crew = {.workers = 2}};
    struct pst_verify_result result;
    begin();
    remove_place(&place);
    place = make_place();
    made.sums_magic = "PSTKSUMS";
    make_backup(place.path, &made);
    CU_ASSERT_EQUAL(verify_backup(place.path, &options, &result), 0);
    CU_ASSERT_EQUAL(result.damages, 0);
    CU_ASSERT_EQUAL(result.warnings, 1);
    expect_restored("");
    remove_place(&place);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what is hit is lost alone", what_is_hit_is_lost_alone},
        {"a file in two damaged chunks is judged by both",
         a_file_in_two_damaged_chunks_is_judged_by_both},
        {"without whole checksums all of the chunk is lost",
         without_whole_checksums_all_of_the_chunk_is_lost},
        {"what only says where chunks are costs nothing",
         what_only_says_where_chunks_are_costs_nothing},
        {"a part that has lost its end still has its beginning",
         a_part_that_has_lost_its_end_still_has_its_beginning},
        {"older checksums count as none", older_checksums_count_as_none},
        CU_TEST_INFO_NULL,
    };
    return suite_run("salvage", tests);
}
