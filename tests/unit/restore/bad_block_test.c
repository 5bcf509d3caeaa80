/* A disk that cannot read some blocks: verify and restore name these, and what lies in others is
 * restored. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/restore/restore.h"
#include "engine/restore/verify.h"
#include "io/request.h"
#include "tests/suite.h"
#include "tests/support/make_backup.h"

#define FILE_BYTES 5000u
#define FILES 6u
#define PAYLOAD ((uint64_t)PST_BLOCK_BYTES + PST_CHUNK_HEADER_BYTES)

/* ---- the disk ---- */

static uint64_t bad_from, bad_end; /* of every file */
static uint32_t largest_bytes;     /* of a read that succeeds */

void __real_request_complete(struct pst_ring *ring, struct pst_io_op *op, int result);
void __wrap_request_complete(struct pst_ring *ring, struct pst_io_op *op, int result);

void __wrap_request_complete(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    bool is_read = op->kind == KIND_READ && result > 0;
    uint64_t end = op->transfer.offset + op->transfer.bytes;
    if (is_read &&
        ((op->transfer.offset < bad_end && end > bad_from) || op->transfer.bytes > largest_bytes)) {
        memset(op->transfer.data, 0xee, op->transfer.bytes);
        result = -EIO;
    }
    __real_request_complete(ring, op, result);
}

/* ---- a backup of one chunk ---- */

static struct pst_object objects[FILES + 1];
static struct made_data data[FILES];
static char paths[FILES][8];
static struct made_backup made;
static struct made_place place;

static void begin(void)
{
    objects[0] =
        (struct pst_object){.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755};
    for (uint32_t i = 0; i < FILES; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%u", i);
        objects[i + 1] = (struct pst_object){
            .id = i + 2, .type = PST_OBJECT_FILE, .path = paths[i], .size = FILE_BYTES};
        data[i] = (struct made_data){0, i + 2, 0, FILE_BYTES};
    }
    made = (struct made_backup){
        .number = 1,
        .parts = 1,
        .sources = 1,
        .objects = objects,
        .objects_count = FILES + 1,
        .data = data,
        .data_count = FILES,
    };
    bad_from = bad_end = 0;
    largest_bytes = UINT32_MAX;
    place = make_place();
    make_backup(place.path, &made);
}

/* ---- what comes of it ---- */

static char ranges[256], names[64];

static void note(void *context, const struct pst_finding *finding)
{
    size_t used = strlen(ranges), named = strlen(names);
    (void)context;
    if (finding->object) {
        snprintf(names + named, sizeof(names) - named, " %s", finding->object + strlen("one/"));
        return;
    }
    snprintf(ranges + used, sizeof(ranges) - used, " %llu+%llu",
             (unsigned long long)finding->offset, (unsigned long long)finding->bytes);
}

static void expect_verified(uint64_t damages, const char *bad_ranges, const char *hit)
{
    const struct pst_verify_options options = {.crew = {.workers = 2}, .found = note};
    struct pst_verify_result result;
    ranges[0] = names[0] = '\0';
    CU_ASSERT_EQUAL(verify_backup(place.path, &options, &result), damages ? -PST_E_CORRUPT : 0);
    CU_ASSERT_EQUAL(result.damages, damages);
    CU_ASSERT_STRING_EQUAL(ranges, bad_ranges);
    CU_ASSERT_STRING_EQUAL(names, hit);
}

static void expect_restored(uint32_t missing_from, uint32_t missing_end)
{
    const struct pst_restore_options options = {.crew = {.workers = 2}, .keep_going = true};
    struct pst_restore_result result;
    struct pst_backup_list list;
    const struct pst_backup *backup;
    char message[PST_MESSAGE_BYTES];
    const struct made_place target = place_below(&place, "target");
    list_backups(place.path, &list);
    CU_ASSERT_EQUAL_FATAL(pst_backup_find(&list, "1", PST_PICK_COMPLETE, &backup, message), 0);
    CU_ASSERT_EQUAL(pst_restore(backup, target.path, &options, &result), 0);
    CU_ASSERT_EQUAL(result.failed, missing_end - missing_from);
    for (uint32_t i = 0; i < FILES; i++) {
        bool is_there = access(place_below(&target, paths[i]).path, F_OK) == 0;
        CU_ASSERT_EQUAL(is_there, i < missing_from || i >= missing_end);
    }
    pst_backup_list_release(&list);
}

static void a_bad_block_costs_what_lies_in_it(void)
{
    begin(); /* the third block of the payload, with the end of 1 and most of 2 */
    bad_from = PAYLOAD + 2 * PST_BLOCK_BYTES + 1000;
    bad_end = bad_from + 100;
    expect_verified(1, " 16384+4096", " 1 2");
    expect_restored(1, 3);
    remove_place(&place);
}

static void bad_blocks_in_a_row_are_one_range(void)
{
    begin();
    bad_from = PAYLOAD;
    bad_end = PAYLOAD + PST_BLOCK_BYTES + 1;
    expect_verified(1, " 8192+8192", " 0 1");
    expect_restored(0, 2);
    remove_place(&place);
}

/* Which objects it has is not known then. */
static void a_bad_header_costs_all(void)
{
    begin();
    bad_from = PST_BLOCK_BYTES;
    bad_end = bad_from + 1;
    expect_verified(1, " 4096+4096", " 0 1 2 3 4 5");
    expect_restored(0, FILES);
    remove_place(&place);
}

static void what_can_be_read_by_blocks_is_whole(void)
{
    begin();
    largest_bytes = PST_BLOCK_BYTES * 2; /* so that a catalogue can */
    expect_verified(0, "", "");
    expect_restored(0, 0);
    remove_place(&place);
}

/* Chunks of whole files alone, which their own checksums prove: of a byte that is no file's they
 * say nothing. */
static void a_flipped_bit_costs_what_it_is_in(void)
{
    static const struct {
        off_t offset;
        const char *range, *hit;
    } flips[] = {
        {PAYLOAD + 7000, " 8192+32768", " 1"},
        {PAYLOAD + FILES * FILE_BYTES + 10, " 38202+1", ""},
    };
    for (size_t i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
        begin();
        const char *part = "BACKUP-1/BACKUP-1-PART-1-OF-1/BACKUP-1.1.data";
        flip_bit(place_below(&place, part).path, flips[i].offset);
        expect_verified(1, flips[i].range, flips[i].hit);
        remove_place(&place);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a bad block costs what lies in it", a_bad_block_costs_what_lies_in_it},
        {"bad blocks in a row are one range", bad_blocks_in_a_row_are_one_range},
        {"a bad header costs all", a_bad_header_costs_all},
        {"a flipped bit costs what it is in", a_flipped_bit_costs_what_it_is_in},
        {"what can be read by blocks is whole", what_can_be_read_by_blocks_is_whole},
        CU_TEST_INFO_NULL,
    };
    return suite_run("bad block", tests);
}
