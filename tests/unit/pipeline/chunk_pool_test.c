/* The buffers of an LDM: where each is at any time, and what comes of it in the part. */
#include <errno.h>
#include <string.h>

#include "engine/pipeline/chunk_pool.h"
#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/unit/pipeline/rig.h"

#define DEPTH 4u
#define BUFFERS (DEPTH + 3)

static struct rig rig;
static struct chunk_pool *pool;
static struct pst_pace_share share;

/* comparing: NULL: chunks are not compared with a base. */
static void open_pool_of(uint32_t depth, const struct chunk_comparing *comparing)
{
    rig_open(&rig, chunk_pool_memory_bytes(RIG_CHUNK_BYTES, depth));
    const struct chunk_pool_config config = {.ring = rig.ring,
                                             .memory = rig.memory,
                                             .chunk_bytes = RIG_CHUNK_BYTES,
                                             .depth = depth,
                                             .comparing = comparing,
                                             .file = &rig.file,
                                             .pace = &share};
    CU_ASSERT_EQUAL_FATAL(chunk_pool_create(&config, &pool), 0);
    CU_ASSERT_EQUAL(chunk_pool_buffers(pool), depth + 3);
}

static void open_pool(void)
{
    open_pool_of(DEPTH, NULL);
}

static void begin_part(void)
{
    const struct pst_part_identity identity = rig_identity();
    rig_create_part(&rig);
    chunk_pool_begin_part(pool, &identity, 1, 0);
    CU_ASSERT_FALSE(chunk_pool_is_idle(pool));
    pst_ring_drain(rig.ring);
    CU_ASSERT_TRUE(chunk_pool_is_idle(pool));
}

static void end_part(struct chunk_pool_end *end)
{
    *end = (struct chunk_pool_end){.start_gci = 1, .stop_gci = 1};
    chunk_pool_end_part(pool, end);
    pst_ring_drain(rig.ring);
    CU_ASSERT_TRUE(chunk_pool_is_idle(pool));
    chunk_pool_forget_part(pool);
    rig_finish_part(&rig);
}

static void close_pool(void)
{
    chunk_pool_check(pool);
    chunk_pool_destroy(pool);
    rig_close(&rig);
}

static void put(struct chunk *chunk, uint64_t object, uint64_t offset, uint32_t bytes)
{
    uint8_t *end = chunk_end(chunk);
    for (uint32_t i = 0; i < bytes; i++)
        end[i] = rig_byte(object, offset + i);
    chunk_add_piece(chunk, false, object, offset, bytes);
}

static int error_of(const char **step)
{
    return chunk_pool_take_error(pool, step);
}

static void a_part_comes_out_whole(void)
{
    enum { CHUNKS = PST_INDEX_ENTRIES(RIG_CHUNK_BYTES) + 100 };
    struct chunk_pool_end end;
    struct rig_part part;
    open_pool();
    begin_part();
    for (uint32_t i = 0; i < CHUNKS; i++) {
        struct chunk *chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
        while (!chunk) {
            pst_ring_wait(rig.ring, -1);
            chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
        }
        put(chunk, 7, i * 100, 100);
        chunk_pool_flush(pool);
        CU_ASSERT_EQUAL(chunk_pool_check(pool), 0);
    }
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(chunk_pool_sums(pool).source_bytes, CHUNKS * 100);
    end_part(&end);
    CU_ASSERT_TRUE(rig_read_part(&rig, RIG_PART, &part));
    CU_ASSERT_EQUAL(part.index_chunks, 2);
    CU_ASSERT_EQUAL(part.encoded, 0);
    CU_ASSERT_TRUE(rig_part_has(&part, 7, CHUNKS * 100, 7));
    CU_ASSERT_EQUAL(part.trailer.file_bytes, end.file_bytes);
    CU_ASSERT_EQUAL(chunk_pool_sums(pool).chunks, 0);
    rig_release_part(&part);
    close_pool();
}

static uint32_t fill_all(void)
{
    uint32_t filled = 0;
    for (struct chunk *chunk; (chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1)); filled++)
        put(chunk, 1, filled * RIG_CHUNK_BYTES, RIG_CHUNK_BYTES);
    return filled;
}

/* By its pace a pool is as if it had been made with that depth; and it grows again. */
static void a_pace_limits_the_depth(void)
{
    struct pst_pace pace;
    const struct pst_pace_setting setting = {.mode = PST_PACE_AUTO};
    pst_pace_init(&pace, &setting, DEPTH);
    pst_pace_share_open(&share, &pace);
    open_pool();
    begin_part();
    atomic_store(&pace.depth, PST_DEPTH_MIN);
    CU_ASSERT_EQUAL(fill_all(), PST_DEPTH_MIN + 1);
    atomic_store(&pace.depth, DEPTH - 1);
    CU_ASSERT_EQUAL(fill_all(), DEPTH - 1 - PST_DEPTH_MIN);
    atomic_store(&pace.depth, UINT32_MAX);
    CU_ASSERT_EQUAL(fill_all(), 1);
    chunk_pool_drop(pool);
    pst_ring_drain(rig.ring);
    chunk_pool_forget_part(pool);
    rig_finish_part(&rig);
    close_pool();
    pst_pace_share_close(&share);
    pst_pace_release(&pace);
}

/* References that are being gathered take no chunk away from what a pace leaves: at the lowest
 * depth that would be the last one, and nothing would be read ever again. */
static void a_pace_leaves_references_alone(void)
{
    const struct chunk_comparing comparing = {.refer = NULL};
    const struct pst_pace_setting setting = {.mode = PST_PACE_AUTO};
    struct pst_pace pace;
    pst_pace_init(&pace, &setting, DEPTH);
    pst_pace_share_open(&share, &pace);
    open_pool_of(DEPTH + 1, &comparing);
    begin_part();
    atomic_store(&pace.depth, PST_DEPTH_MIN);
    struct chunk *references = chunk_pool_fill(pool, PST_CHUNK_REFERENCES, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(references);
    uint32_t filled = fill_all();
    CU_ASSERT_EQUAL(filled, PST_DEPTH_MIN + 1);
    chunk_pool_drop(pool);
    pst_ring_drain(rig.ring);
    chunk_pool_forget_part(pool);
    rig_finish_part(&rig);
    close_pool();
    pst_pace_share_close(&share);
    pst_pace_release(&pace);
}

/* Two buffers are the index's. Full chunks are on their way; what is left is the limit. */
static void buffers_are_all_that_there_is(void)
{
    open_pool();
    begin_part();
    uint32_t filled = 0;
    for (struct chunk *chunk; (chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1)); filled++) {
        CU_ASSERT_TRUE(chunk_number(chunk) < BUFFERS);
        put(chunk, 1, filled * RIG_CHUNK_BYTES, RIG_CHUNK_BYTES);
    }
    CU_ASSERT_EQUAL(filled, BUFFERS - 2);
    CU_ASSERT_PTR_NULL(chunk_pool_fill(pool, PST_CHUNK_CATALOGUE, 1));
    chunk_pool_check(pool);
    pst_ring_drain(rig.ring);
    CU_ASSERT_TRUE(chunk_pool_is_idle(pool));
    CU_ASSERT_PTR_NOT_NULL(chunk_pool_fill(pool, PST_CHUNK_CATALOGUE, 1));
    chunk_pool_flush(pool); /* an empty chunk is given back */
    CU_ASSERT_TRUE(chunk_pool_is_idle(pool));
    close_pool();
}

static void a_chunk_is_closed_when_room_or_pieces_end(void)
{
    open_pool();
    begin_part();
    struct chunk *chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
    put(chunk, 1, 0, RIG_CHUNK_BYTES - 10);
    CU_ASSERT_PTR_EQUAL(chunk_pool_fill(pool, PST_CHUNK_DATA, 10), chunk);
    CU_ASSERT_PTR_NOT_EQUAL(chunk_pool_fill(pool, PST_CHUNK_DATA, 11), chunk);
    chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
    for (uint32_t i = 0; i < PST_CHUNK_PIECES_MAX; i++) {
        CU_ASSERT_PTR_EQUAL(chunk_pool_fill(pool, PST_CHUNK_DATA, 1), chunk);
        put(chunk, 2, i, 1);
    }
    CU_ASSERT_PTR_NOT_EQUAL(chunk_pool_fill(pool, PST_CHUNK_DATA, 1), chunk);
    chunk_pool_drop(pool);
    pst_ring_drain(rig.ring);
    close_pool();
}

static void a_chunk_waits_for_its_reads(void)
{
    struct chunk_pool_end end;
    struct rig_part part;
    open_pool();
    begin_part();
    struct chunk *chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
    put(chunk, 3, 0, 100);
    put(chunk, 3, 100, 50);
    chunk_begin_read(chunk);
    chunk_begin_read(chunk);
    chunk_pool_flush(pool);
    CU_ASSERT_EQUAL(chunk_pool_check(pool), 2);
    pst_ring_drain(rig.ring);
    CU_ASSERT_FALSE(chunk_pool_is_idle(pool));
    chunk_end_read(chunk, 0, 100);
    CU_ASSERT_EQUAL(chunk_pool_sums(pool).source_bytes, 0);
    chunk_end_read(chunk, 1, 20); /* the file has shrunk */
    CU_ASSERT_EQUAL(chunk_pool_sums(pool).source_bytes, 120);
    CU_ASSERT_EQUAL(chunk_pool_check(pool), 0);
    pst_ring_drain(rig.ring);
    end_part(&end);
    CU_ASSERT_TRUE(rig_read_part(&rig, RIG_PART, &part));
    CU_ASSERT_TRUE(rig_part_has(&part, 3, 120, 3));
    rig_release_part(&part);
    close_pool();
}

static void what_is_dropped_is_not_written(void)
{
    open_pool();
    begin_part();
    struct chunk *chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
    put(chunk, 3, 0, 100);
    chunk_begin_read(chunk);
    chunk_pool_drop(pool);
    CU_ASSERT_FALSE(chunk_pool_is_idle(pool));
    chunk_end_read(chunk, 0, 100);
    CU_ASSERT_TRUE(chunk_pool_is_idle(pool));
    CU_ASSERT_EQUAL(chunk_pool_sums(pool).chunks, 0);
    chunk_pool_forget_part(pool);
    close_pool();
}

static void an_error_is_fetched_once_and_ends_the_writing(void)
{
    const char *step;
    open_pool();
    begin_part();
    rig.fault.seen = 0;
    rig.fault.at = 1;
    rig.fault.error = EIO;
    CU_ASSERT_EQUAL(error_of(&step), 0);
    put(chunk_pool_fill(pool, PST_CHUNK_DATA, 1), 1, 0, 100);
    chunk_pool_flush(pool);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(error_of(&step), -EIO);
    CU_ASSERT_STRING_EQUAL(step, "write");
    CU_ASSERT_EQUAL(error_of(&step), 0);
    put(chunk_pool_fill(pool, PST_CHUNK_DATA, 1), 1, 100, 100);
    chunk_pool_flush(pool);
    CU_ASSERT_TRUE(chunk_pool_is_idle(pool));
    CU_ASSERT_EQUAL(chunk_pool_sums(pool).chunks, 1);
    chunk_pool_forget_part(pool);
    close_pool();
}

static void a_header_that_fails_is_named(void)
{
    const char *step;
    open_pool();
    rig_create_part(&rig);
    rig.fault = (struct pst_io_fault){.at = 1, .error = EDQUOT};
    const struct pst_part_identity identity = rig_identity();
    chunk_pool_begin_part(pool, &identity, 1, 0);
    pst_ring_drain(rig.ring);
    CU_ASSERT_EQUAL(error_of(&step), -EDQUOT);
    CU_ASSERT_STRING_EQUAL(step, "write the header");
    chunk_pool_forget_part(pool);
    close_pool();
}

static void in_memory_one_write_is_in_flight(void)
{
    open_pool();
    begin_part();
    rig.file.in_memory = true;
    put(chunk_pool_fill(pool, PST_CHUNK_DATA, 1), 1, 0, 100);
    chunk_pool_flush(pool);
    CU_ASSERT_PTR_NULL(chunk_pool_fill(pool, PST_CHUNK_DATA, 1));
    pst_ring_drain(rig.ring);
    CU_ASSERT_PTR_NOT_NULL(chunk_pool_fill(pool, PST_CHUNK_DATA, 1));
    chunk_pool_drop(pool);
    close_pool();
}

/* ---- misuse ---- */

static void end_no_read(void *context)
{
    (void)context;
    struct chunk *chunk = chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
    put(chunk, 1, 0, 10);
    chunk_end_read(chunk, 0, 10);
}

static void overfill(void *context)
{
    (void)context;
    chunk_add(chunk_pool_fill(pool, PST_CHUNK_CATALOGUE, 1), RIG_CHUNK_BYTES + 1);
}

static void read_more_than_pieces(void *context)
{
    (void)context;
    chunk_begin_read(chunk_pool_fill(pool, PST_CHUNK_DATA, 1));
    chunk_pool_check(pool);
}

static void forget_while_filling(void *context)
{
    (void)context;
    chunk_pool_fill(pool, PST_CHUNK_DATA, 1);
    chunk_pool_forget_part(pool);
}

static void begin_twice(void *context)
{
    const struct pst_part_identity identity = rig_identity();
    (void)context;
    chunk_pool_begin_part(pool, &identity, 1, 0);
}

static void misuse_aborts(void)
{
    open_pool();
    begin_part();
    CU_ASSERT_TRUE(child_aborts(end_no_read, NULL));
    CU_ASSERT_TRUE(child_aborts(overfill, NULL));
    CU_ASSERT_TRUE(child_aborts(read_more_than_pieces, NULL));
    CU_ASSERT_TRUE(child_aborts(forget_while_filling, NULL));
    CU_ASSERT_TRUE(child_aborts(begin_twice, NULL));
    close_pool();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a part comes out whole", a_part_comes_out_whole},
        {"a pace limits the depth", a_pace_limits_the_depth},
        {"a pace leaves references alone", a_pace_leaves_references_alone},
        {"buffers are all that there is", buffers_are_all_that_there_is},
        {"a chunk is closed when room or pieces end", a_chunk_is_closed_when_room_or_pieces_end},
        {"a chunk waits for its reads", a_chunk_waits_for_its_reads},
        {"what is dropped is not written", what_is_dropped_is_not_written},
        {"an error is fetched once and ends the writing",
         an_error_is_fetched_once_and_ends_the_writing},
        {"a header that fails is named", a_header_that_fails_is_named},
        {"in memory one write is in flight", in_memory_one_write_is_in_flight},
        {"misuse aborts", misuse_aborts},
        CU_TEST_INFO_NULL,
    };
    return suite_run("chunk_pool", tests);
}
