/* Fragments into chunks: files, literals and rows arrive whole, with their entries; what cannot be
 * read is marked; what is stopped leaves nothing behind. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/format/object.h"
#include "engine/pipeline/fragment_scan.h"
#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/unit/pipeline/rig.h"

#define DEPTH 4u
#define LARGE_BYTES (5 * RIG_CHUNK_BYTES + 123)
#define VERY_LARGE_BYTES ((1u << 20) + 2 * RIG_CHUNK_BYTES + 123)

static struct rig rig;
static struct chunk_pool *pool;
static struct fragment_scans *scans;
static struct pst_unreadable unreadable;
static struct pst_fragment_descriptor *fragment;

static int produce_error; /* after the first rows */

/* A source of rows: the bytes of object 9. */
static int produce(struct pst_source *source, const struct pst_fragment_descriptor *of,
                   struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                   size_t *produced_bytes)
{
    uint8_t *out = buffer;
    (void)source, (void)of;
    size_t bytes = 0;
    if (cursor->words[0] > 0 && produce_error)
        return produce_error;
    for (; bytes < capacity_bytes && cursor->words[0] < LARGE_BYTES; bytes++)
        out[bytes] = rig_byte(9, cursor->words[0]++);
    *produced_bytes = bytes;
    return 0;
}

static struct pst_source source = {.struct_bytes = sizeof(struct pst_source),
                                   .abi_version = PST_SOURCE_ABI_VERSION,
                                   .name = "test",
                                   .produce = produce};

static void begin(enum pst_fragment_kind kind)
{
    rig_open(&rig, chunk_pool_memory_bytes(RIG_CHUNK_BYTES, DEPTH));
    const struct chunk_pool_config of_pool = {.ring = rig.ring,
                                              .memory = rig.memory,
                                              .chunk_bytes = RIG_CHUNK_BYTES,
                                              .depth = DEPTH,
                                              .file = &rig.file};
    CU_ASSERT_EQUAL_FATAL(chunk_pool_create(&of_pool, &pool), 0);
    pst_unreadable_init(&unreadable);
    const struct fragment_scans_config config = {
        .ring = rig.ring, .pool = pool, .unreadable = &unreadable};
    CU_ASSERT_EQUAL_FATAL(fragment_scans_create(&config, &scans), 0);
    source.root_fd = rig.dirfd;
    fragment = aligned_alloc(64, sizeof(*fragment));
    pst_fragment_init(fragment, kind);
    const struct pst_part_identity identity = rig_identity();
    rig_create_part(&rig);
    chunk_pool_begin_part(pool, &identity, 1, 0);
    fragment_scans_begin_part(scans);
    pst_ring_drain(rig.ring);
}

static void end(void)
{
    fragment_scans_check(scans, chunk_pool_check(pool));
    fragment_scans_destroy(scans);
    chunk_pool_forget_part(pool);
    chunk_pool_destroy(pool);
    free(fragment);
    rig_close(&rig);
}

static void end_part(struct rig_part *part)
{
    struct chunk_pool_end trailer = {.start_gci = 1, .stop_gci = 1};
    chunk_pool_flush(pool);
    pst_ring_drain(rig.ring);
    chunk_pool_end_part(pool, &trailer);
    pst_ring_drain(rig.ring);
    rig_finish_part(&rig);
    CU_ASSERT_TRUE(rig_read_part(&rig, RIG_PART, part));
}

static void add_entry(const struct pst_object *object)
{
    uint8_t entry[PST_OBJECT_BYTES_MAX];
    size_t bytes = 0;
    CU_ASSERT_EQUAL_FATAL(pst_object_encode(object, entry, sizeof(entry), &bytes), 0);
    CU_ASSERT_EQUAL_FATAL(pst_fragment_add_entry(fragment, entry, bytes, true), 0);
}

/* A file of the scratch directory, its object and its one extent. */
static void add_file(const char *name, uint64_t id, uint32_t bytes, uint32_t flags)
{
    struct pst_fragment_file listed;
    rig_write_file(&rig, name, bytes, id, &listed);
    listed.flags = flags;
    const struct pst_object object = {
        .id = id, .type = PST_OBJECT_FILE, .path = name, .size = bytes, .mode = 0600};
    add_entry(&object);
    CU_ASSERT_EQUAL_FATAL(pst_fragment_add_file(fragment, &listed), 0);
    CU_ASSERT_EQUAL_FATAL(pst_fragment_add_extent(fragment, 0, bytes, NULL), 0);
}

static void start(uint64_t id)
{
    const struct pst_work work = {.type = PST_WORK_SCAN, .fragment = id};
    fragment_scans_start(scans, &work, &source, fragment);
}

static void slice(int stop)
{
    if (!fragment_scans_slice(scans, stop))
        pst_ring_wait(rig.ring, pst_ring_in_flight(rig.ring) > 0 ? -1 : 0);
    fragment_scans_check(scans, chunk_pool_check(pool));
}

static struct pst_work_result run(int stop)
{
    struct pst_work_result result;
    while (!fragment_scans_take_ended(scans, &result))
        slice(stop);
    return result;
}

/* Whether the first chunk with pieces says that it has nothing but rows. */
static bool says_rows(const struct rig_part *part)
{
    uint32_t i = 0;
    while (pst_chunk_pieces_count(part->chunks[i]) == 0)
        i++;
    return pst_chunk_header_of(part->chunks[i])->flags == PST_CHUNK_ROWS;
}

static void files_and_literals_arrive_whole(void)
{
    static uint8_t literal[3000];
    struct rig_part part;
    struct pst_object object;
    begin(PST_FRAGMENT_EXTENTS);
    for (uint32_t i = 0; i < sizeof(literal); i++)
        literal[i] = rig_byte(3, i);
    add_file("large", 1, LARGE_BYTES, 0);
    add_file("small", 2, 10, 0);
    const struct pst_fragment_file made = {.object = 3};
    CU_ASSERT_EQUAL(pst_fragment_add_file(fragment, &made), 0);
    CU_ASSERT_EQUAL(pst_fragment_add_extent(fragment, 0, sizeof(literal), literal), 0);
    start(17);
    const struct pst_work_result result = run(0);
    CU_ASSERT_EQUAL(result.type, PST_WORK_SCAN);
    CU_ASSERT_EQUAL(result.error, 0);
    CU_ASSERT_EQUAL(result.fragment, 17);
    CU_ASSERT_EQUAL(result.sums.objects, 2);
    CU_ASSERT_EQUAL(result.sums.source_bytes, LARGE_BYTES + 10 + sizeof(literal));
    CU_ASSERT_EQUAL(fragment_scans_sums(scans).source_bytes, result.sums.source_bytes);
    CU_ASSERT_TRUE(fragment_scans_are_idle(scans));
    end_part(&part);
    CU_ASSERT_TRUE(rig_part_has(&part, 1, LARGE_BYTES, 1));
    CU_ASSERT_TRUE(rig_part_has(&part, 2, 10, 2));
    CU_ASSERT_TRUE(rig_part_has(&part, 3, sizeof(literal), 3));
    CU_ASSERT_FALSE(says_rows(&part));
    CU_ASSERT_EQUAL(rig_part_entries(&part, 1, &object), 1);
    CU_ASSERT_EQUAL(object.flags, 0);
    rig_release_part(&part);
    end();
}

/* Pages of the file that are cached; -1: the kernel does not answer. */
static int count_cached(const char *name, bool drops)
{
    const uint64_t all[2] = {0, 2 * VERY_LARGE_BYTES};
    uint64_t pages[5];
    int fd = openat(rig.dirfd, name, O_RDONLY);
    CU_ASSERT_EQUAL(fsync(fd), 0);
    if (drops)
        CU_ASSERT_EQUAL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    long error = syscall(451 /* cachestat */, fd, all, pages, 0u);
    (void)close(fd);
    return error ? -1 : (int)pages[0];
}

static bool gaps_are_zero(const struct rig_part *part)
{
    for (uint32_t i = 0; i < part->chunks_count; i++) {
        const struct pst_chunk_header *header = pst_chunk_header_of(part->chunks[i]);
        const uint8_t *payload = pst_chunk_payload_of(part->chunks[i]);
        for (uint32_t piece = 0, at = 0; piece < header->pieces_count; piece++) {
            for (; at < header->pieces[piece].payload_offset; at++) {
                if (payload[at] != 0)
                    return false;
            }
            at += header->pieces[piece].bytes;
        }
    }
    return true;
}

/* It stands between two small ones, and grows after it was listed, so that its last block holds
 * more than what is read of it. */
static void a_large_file_is_not_left_in_the_page_cache(bool is_cached)
{
    struct rig_part part;
    begin(PST_FRAGMENT_EXTENTS);
    add_file("first", 1, 10, 0);
    add_file("large", 2, VERY_LARGE_BYTES, 0);
    add_file("last", 3, 3000, 0);
    int fd = openat(rig.dirfd, "large", O_WRONLY | O_APPEND);
    CU_ASSERT_EQUAL(write(fd, "more", 4), 4);
    (void)close(fd);
    int cached = count_cached("large", !is_cached);
    start(1);
    CU_ASSERT_EQUAL(run(0).error, 0);
    CU_ASSERT_EQUAL(unreadable.count, 1); /* it has changed */
    CU_ASSERT_EQUAL(count_cached("large", false), cached);
    end_part(&part);
    CU_ASSERT_TRUE(rig_part_has(&part, 1, 10, 1));
    CU_ASSERT_TRUE(rig_part_has(&part, 2, VERY_LARGE_BYTES, 2));
    CU_ASSERT_TRUE(rig_part_has(&part, 3, 3000, 3));
    CU_ASSERT_TRUE(gaps_are_zero(&part));
    rig_release_part(&part);
    end();
}

static void a_large_file_is_read_past_the_page_cache(void)
{
    a_large_file_is_not_left_in_the_page_cache(false);
    a_large_file_is_not_left_in_the_page_cache(true);
}

static void rows_of_unknown_length_get_their_entry_last(void)
{
    struct rig_part part;
    struct pst_object object;
    begin(PST_FRAGMENT_ROWS);
    const struct pst_object table = {
        .id = 9, .type = PST_OBJECT_TABLE, .path = "rows", .mode = 0600};
    const struct pst_fragment_file made = {.object = 9};
    add_entry(&table);
    CU_ASSERT_EQUAL(pst_fragment_add_file(fragment, &made), 0);
    pst_fragment_add_rows(fragment, LARGE_BYTES, NULL);
    start(1);
    CU_ASSERT_EQUAL(run(0).error, 0);
    end_part(&part);
    CU_ASSERT_TRUE(rig_part_has(&part, 9, LARGE_BYTES, 9));
    CU_ASSERT_EQUAL(rig_part_entries(&part, 9, &object), 1);
    CU_ASSERT_EQUAL(object.size, LARGE_BYTES);
    CU_ASSERT_TRUE(says_rows(&part));
    rig_release_part(&part);
    end();
}

static void an_error_of_its_rows_ends_a_scan(void)
{
    struct rig_part part;
    begin(PST_FRAGMENT_ROWS);
    const struct pst_object object = {
        .id = 9, .type = PST_OBJECT_TABLE, .path = "rows", .size = LARGE_BYTES};
    const struct pst_fragment_file listed = {.object = 9};
    add_entry(&object);
    CU_ASSERT_EQUAL(pst_fragment_add_file(fragment, &listed), 0);
    CU_ASSERT_EQUAL(pst_fragment_add_extent(fragment, 0, LARGE_BYTES, NULL), 0);
    produce_error = -EIO;
    start(1);
    CU_ASSERT_EQUAL(run(0).error, -EIO);
    produce_error = 0;
    end_part(&part);
    rig_release_part(&part);
    end();
}

static void what_cannot_be_read_is_marked(void)
{
    struct rig_part part;
    struct pst_object object;
    begin(PST_FRAGMENT_EXTENTS);
    add_file("gone", 1, 1000, 0);
    add_file("there", 2, 1000, 0);
    unlinkat(rig.dirfd, "gone", 0);
    start(1);
    const struct pst_work_result result = run(0);
    CU_ASSERT_EQUAL(result.error, 0);
    CU_ASSERT_EQUAL(result.sums.unreadable, 1);
    CU_ASSERT_EQUAL(result.sums.source_bytes, 1000);
    CU_ASSERT_EQUAL(unreadable.count, 1);
    end_part(&part);
    CU_ASSERT_TRUE(rig_part_has(&part, 1, 0, 1));
    CU_ASSERT_TRUE(rig_part_has(&part, 2, 1000, 2));
    CU_ASSERT_EQUAL(rig_part_entries(&part, 1, &object), 2);
    CU_ASSERT_EQUAL(object.flags, PST_OBJECT_UNREADABLE);
    CU_ASSERT_EQUAL(rig_part_entries(&part, 2, &object), 1);
    CU_ASSERT_EQUAL(object.flags, 0);
    rig_release_part(&part);
    end();
}

/* The offset of the object's piece of no bytes; UINT64_MAX: it has none. */
static uint64_t end_of(const struct rig_part *part, uint64_t object)
{
    uint64_t end = UINT64_MAX;
    for (uint32_t i = 0; i < part->chunks_count; i++) {
        const struct pst_chunk_header *header = pst_chunk_header_of(part->chunks[i]);
        for (uint32_t j = 0; j < header->pieces_count; j++)
            if (header->pieces[j].object == object && header->pieces[j].bytes == 0)
                end = header->pieces[j].object_offset;
    }
    return end;
}

static void resize(const char *name, off_t bytes)
{
    int fd = openat(rig.dirfd, name, O_WRONLY);
    CU_ASSERT_EQUAL(ftruncate(fd, bytes), 0);
    close(fd);
}

static void where_a_file_was_cut_is_told(void)
{
    struct rig_part part;
    struct pst_object object;
    begin(PST_FRAGMENT_EXTENTS);
    add_file("cut", 1, 8192, 0);
    add_file("grown", 2, 8192, 0);
    fragment->extents[0].length = 1000; /* what follows is a hole */
    resize("cut", 5000);
    resize("grown", 9000);
    start(1);
    const struct pst_work_result result = run(0);
    CU_ASSERT_EQUAL(result.error, 0);
    CU_ASSERT_EQUAL(result.sums.source_bytes, 1000 + 8192);
    end_part(&part);
    CU_ASSERT_EQUAL(rig_part_entries(&part, 1, &object), 2);
    CU_ASSERT_EQUAL(object.flags, PST_OBJECT_CHANGED);
    CU_ASSERT_EQUAL(end_of(&part, 1), 5000);
    CU_ASSERT_EQUAL(end_of(&part, 2), UINT64_MAX);
    rig_release_part(&part);
    end();
}

/* Between files with extents, and at the end: of 100 more are open at once than may be. */
static void a_file_of_nothing_but_a_hole_is_looked_at(void)
{
    struct rig_part part;
    struct pst_object object;
    char name[16];
    begin(PST_FRAGMENT_EXTENTS);
    for (unsigned i = 1; i <= 100; i++) {
        snprintf(name, sizeof(name), "file %u", i);
        add_file(name, i, 8192, 0);
        fragment->extents_count -= i % 3 > 0;
        fragment->bytes -= i % 3 > 0 ? 8192 : 0;
    }
    resize("file 1", 5000);
    resize("file 50", 0);
    resize("file 80", 9000);
    unlinkat(rig.dirfd, "file 100", 0);
    start(1);
    const struct pst_work_result result = run(0);
    CU_ASSERT_EQUAL(result.error, 0);
    CU_ASSERT_EQUAL(result.sums.source_bytes, 33 * 8192);
    CU_ASSERT_EQUAL(result.sums.unreadable, 4);
    end_part(&part);
    CU_ASSERT_EQUAL(end_of(&part, 1), 5000);
    CU_ASSERT_EQUAL(end_of(&part, 2), UINT64_MAX);
    CU_ASSERT_EQUAL(end_of(&part, 50), 0);
    CU_ASSERT_EQUAL(rig_part_entries(&part, 2, &object), 1);
    CU_ASSERT_EQUAL(rig_part_entries(&part, 80, &object), 2);
    CU_ASSERT_EQUAL(object.flags, PST_OBJECT_CHANGED);
    CU_ASSERT_EQUAL(rig_part_entries(&part, 100, &object), 2);
    CU_ASSERT_EQUAL(object.flags, PST_OBJECT_UNREADABLE);
    rig_release_part(&part);
    end();
}

static void a_pinned_file_ends_the_scan(void)
{
    begin(PST_FRAGMENT_EXTENTS);
    add_file("gone", 1, 1000, PST_FRAGMENT_FILE_PINNED);
    unlinkat(rig.dirfd, "gone", 0);
    start(1);
    const struct pst_work_result result = run(0);
    CU_ASSERT_EQUAL(result.error, -ENOENT);
    CU_ASSERT_EQUAL(unreadable.count, 0);
    chunk_pool_drop(pool);
    end();
}

/* As a block device that is pulled out; but of an environment only the extents are known. */
static void the_listed_end_of_a_pinned_file_is_reached(void)
{
    for (unsigned is_listed = 0; is_listed < 2; is_listed++) {
        begin(PST_FRAGMENT_EXTENTS);
        add_file("cut", 1, 8192, PST_FRAGMENT_FILE_PINNED);
        fragment->files[0].size_bytes = is_listed ? 8192 : 0;
        resize("cut", 4096);
        start(1);
        const struct pst_work_result result = run(0);
        CU_ASSERT_EQUAL(result.error, is_listed ? -PST_E_CHANGED : 0);
        chunk_pool_drop(pool);
        end();
    }
}

/* After any number of slices a stop ends both scans, and nothing is left open or in flight. */
static void a_stop_ends_all_scans(void)
{
    for (uint32_t slices = 0; slices < 8; slices++) {
        struct pst_work_result result;
        begin(PST_FRAGMENT_EXTENTS);
        add_file("large", 1, LARGE_BYTES, 0);
        add_file("small", 2, 100, 0);
        start(1);
        start(2);
        for (uint32_t i = 0; i < slices; i++) {
            fragment_scans_slice(scans, 0);
            pst_ring_submit(rig.ring);
        }
        uint32_t ended = 0;
        while (fragment_scans_take_ended(scans, &result))
            ended++;
        for (; ended < 2; ended++)
            CU_ASSERT_EQUAL(run(-EDQUOT).error, -EDQUOT);
        CU_ASSERT_TRUE(fragment_scans_are_idle(scans));
        chunk_pool_drop(pool);
        pst_ring_drain(rig.ring);
        CU_ASSERT_TRUE(chunk_pool_is_idle(pool));
        end();
    }
}

static void start_a_third(void *context)
{
    (void)context;
    for (uint32_t i = 0; i <= PST_FRAGMENTS_AHEAD; i++)
        start(i);
}

static void lose_a_read(void *context)
{
    (void)context;
    fragment_scans_check(scans, 1);
}

static void begin_during_a_scan(void *context)
{
    (void)context;
    start(1);
    fragment_scans_begin_part(scans);
}

static void misuse_aborts(void)
{
    begin(PST_FRAGMENT_EXTENTS);
    add_file("small", 2, 100, 0);
    CU_ASSERT_TRUE(child_aborts(start_a_third, NULL));
    CU_ASSERT_TRUE(child_aborts(lose_a_read, NULL));
    CU_ASSERT_TRUE(child_aborts(begin_during_a_scan, NULL));
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"files and literals arrive whole", files_and_literals_arrive_whole},
        {"a large file is read past the page cache", a_large_file_is_read_past_the_page_cache},
        {"rows of unknown length get their entry last",
         rows_of_unknown_length_get_their_entry_last},
        {"an error of its rows ends a scan", an_error_of_its_rows_ends_a_scan},
        {"what cannot be read is marked", what_cannot_be_read_is_marked},
        {"where a file was cut is told", where_a_file_was_cut_is_told},
        {"a file of nothing but a hole is looked at", a_file_of_nothing_but_a_hole_is_looked_at},
        {"a pinned file ends the scan", a_pinned_file_ends_the_scan},
        {"the listed end of a pinned file is reached", the_listed_end_of_a_pinned_file_is_reached},
        {"a stop ends all scans", a_stop_ends_all_scans},
        {"misuse aborts", misuse_aborts},
        CU_TEST_INFO_NULL,
    };
    return suite_run("fragment_scan", tests);
}
