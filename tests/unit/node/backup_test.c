/*
 * Whole backups in this process, of every shape, each read back with engine/format and compared
 * with its source.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "tests/support/decoded.h"
#include "tests/support/node_rig.h"
#include "tests/support/pause.h"

static char disk[SCRATCH_PATH_BYTES];
static char shm[SCRATCH_PATH_BYTES];
static char tree[SCRATCH_PATH_BYTES];

static int start(void)
{
    make_scratch(disk, ".");
    make_scratch(shm, "/dev/shm");
    make_scratch(tree, ".");
    make_sample_tree(tree);
    return 0;
}

static int stop(void)
{
    remove_tree(disk);
    remove_tree(shm);
    remove_tree(tree);
    return 0;
}

struct shape {
    const char *to;
    uint32_t ldms;
    uint32_t chunk_bytes;
    uint32_t depth;
    bool single_threaded;
};

static void set_shape(struct rig *rig, const struct shape *shape)
{
    rig->options.node.chunk_bytes = shape->chunk_bytes;
    rig->options.node.depth = shape->depth;
    rig->options.single_threaded = shape->single_threaded;
}

/* Runs it, and opens what came of it. */
static bool run_and_decode(struct rig *rig, struct decoded *decoded)
{
    CU_ASSERT_EQUAL_FATAL(rig_run(rig), 0);
    CU_ASSERT_NOT_EQUAL(rig->report->number, 0);
    bool whole = decoded_open(decoded, rig->options.node.directory, rig->report->number);
    CU_ASSERT_TRUE(whole);
    uint32_t parts = rig->options.single_threaded ? 1 : rig->plan->ldms;
    if (whole)
        CU_ASSERT_EQUAL(decoded->node->parts_count, parts);
    return whole;
}

static void run_shape(const struct shape *shape, const char *const *specs, uint32_t count,
                      const char *const *trees)
{
    struct rig rig;
    struct decoded decoded;
    rig_open(&rig, shape->to, shape->ldms, specs, count);
    set_shape(&rig, shape);
    unsigned fds = count_open_fds();
    bool whole = run_and_decode(&rig, &decoded);
    for (uint32_t i = 0; whole && i < count; i++) {
        bool same = trees[i] ? decoded_is_tree(&decoded, i, trees[i])
                             : decoded_is_rows(&decoded, rig.sources[i]);
        CU_ASSERT_TRUE(same);
    }
    decoded_close(&decoded);
    CU_ASSERT_EQUAL(count_open_fds(), fds);
    remove_tree(join(shape->to, "BACKUP-1"));
    rig_close(&rig);
}

static void test_shapes(void)
{
    const struct shape shapes[] = {
        {disk, 1, 64 * KIB, 2, false},  {disk, 2, 64 * KIB, 4, false},
        {disk, 3, 256 * KIB, 8, false}, {disk, 4, MIB, 3, false},
        {shm, 1, 4 * MIB, 2, false},    {shm, 2, 64 * KIB, 32, false},
        {shm, 4, 64 * KIB, 2, false},   {shm, 4, 128 * KIB, 5, true},
        {disk, 2, 512 * KIB, 2, true},  {shm, 1, 68 * KIB, 2, true},
    };
    char spec[2 * SCRATCH_PATH_BYTES];
    snprintf(spec, sizeof(spec), "a=dir:%s", tree);
    const char *const specs[] = {spec, "b=synthetic:rows=30011,row-bytes=200,seed=3",
                                 "c=synthetic:rows=3,row-bytes=7"};
    const char *const trees[] = {tree, NULL, NULL};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        run_shape(&shapes[i], specs, 3, trees);
}

/* More than 511 chunks of 64 KiB in a part: several INDEX chunks, written while others are. */
static void test_full_indexes(void)
{
    const char *const specs[] = {"s=synthetic:rows=9000,row-bytes=20000,compressibility=50"};
    const char *const trees[] = {NULL};
    for (uint32_t depth = 2; depth <= 8; depth *= 4) {
        struct rig rig;
        struct decoded decoded;
        rig_open(&rig, shm, 2, specs, 1);
        rig.options.node.depth = depth;
        if (run_and_decode(&rig, &decoded)) {
            CU_ASSERT_TRUE(decoded.index_chunks >= 6);
            CU_ASSERT_TRUE(decoded_is_rows(&decoded, rig.sources[0]));
        }
        decoded_close(&decoded);
        remove_tree(join(shm, "BACKUP-1"));
        rig_close(&rig);
    }
    run_shape(&(struct shape){disk, 1, 64 * KIB, 3, false}, specs, 1, trees);
}

/* A large file is many fragments: several LDMs read it. */
static void test_split_file(void)
{
    char source[SCRATCH_PATH_BYTES], spec[2 * SCRATCH_PATH_BYTES];
    make_scratch(source, "/dev/shm");
    make_file(source, "huge", 200 * MIB + 5, 9);
    snprintf(spec, sizeof(spec), "dir:%s/huge", source);
    const char *const specs[] = {spec};
    struct rig rig;
    struct decoded decoded;
    rig_open(&rig, shm, 2, specs, 1);
    rig.options.node.chunk_bytes = MIB;
    if (run_and_decode(&rig, &decoded)) {
        CU_ASSERT_EQUAL_FATAL(decoded.objects_count, 1);
        CU_ASSERT_EQUAL(decoded_parts_of(&decoded, decoded.objects[0].object.id), 2);
        CU_ASSERT_EQUAL(decoded.objects[0].parts, 2);
        CU_ASSERT_EQUAL(decoded.node->common.sums.source_bytes, 200 * MIB + 5);
    }
    decoded_close(&decoded);
    remove_tree(join(shm, "BACKUP-1"));
    rig_close(&rig);
    remove_tree(source);
}

static void backup_tree_named(const char *source)
{
    char spec[2 * SCRATCH_PATH_BYTES];
    snprintf(spec, sizeof(spec), "x=dir:%s", source);
    const char *const specs[] = {spec};
    const char *const trees[] = {source};
    for (uint32_t ldms = 1; ldms <= 3; ldms += 2)
        run_shape(&(struct shape){shm, ldms, 64 * KIB, 2, false}, specs, 1, trees);
}

static void test_next_to_nothing(void)
{
    char source[SCRATCH_PATH_BYTES];
    make_scratch(source, "/dev/shm");
    backup_tree_named(source);
    make_file(source, "empty", 0, 0);
    backup_tree_named(source);
    remove_tree(source);
}

/* Full tables of pieces, and entries that fill catalogue chunks. */
static void test_many_tiny_files(void)
{
    char source[SCRATCH_PATH_BYTES], name[300];
    make_scratch(source, "/dev/shm");
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "%0200u", i);
        make_file(source, name, 1 + i % 9, i);
    }
    backup_tree_named(source);
    remove_tree(source);
}

/* What is stored of a sparse file are its data. */
static void test_holes_are_not_stored(void)
{
    char source[SCRATCH_PATH_BYTES], spec[2 * SCRATCH_PATH_BYTES];
    make_scratch(source, ".");
    make_file(source, "sparse", 64 * KIB, 1);
    CU_ASSERT_EQUAL(truncate(join(source, "sparse"), 64l << 20), 0);
    snprintf(spec, sizeof(spec), "x=dir:%s", source);
    const char *const specs[] = {spec};
    struct rig rig;
    struct decoded decoded;
    rig_open(&rig, shm, 2, specs, 1);
    if (run_and_decode(&rig, &decoded)) {
        CU_ASSERT_EQUAL(decoded.node->common.sums.source_bytes, 64 * KIB);
        CU_ASSERT_TRUE(decoded_is_tree(&decoded, 0, source));
    }
    decoded_close(&decoded);
    remove_tree(join(shm, "BACKUP-1"));
    rig_close(&rig);
    remove_tree(source);
}

/* The same file systems to read from as to write to; overlayfs is what containers stand on. */
static void test_file_seen_in_the_far_future(void)
{
    char source[SCRATCH_PATH_BYTES];
    make_scratch(source, "/dev/shm");
    make_file(source, "far", 100, 1);
    struct timespec times[2] = {{.tv_sec = INT64_C(13000000000)}, {.tv_sec = INT64_C(13000000000)}};
    if (utimensat(-1, join(source, "far"), times, 0) == 0)
        backup_tree_named(source);
    remove_tree(source);
}

static void test_numbers_follow(void)
{
    const char *const specs[] = {"synthetic:rows=10"};
    struct rig rig;
    rig_open(&rig, shm, 2, specs, 1);
    for (uint32_t i = 1; i <= 3; i++) {
        CU_ASSERT_EQUAL(rig_run(&rig), 0);
        CU_ASSERT_EQUAL(rig.report->number, i);
    }
    rig.options.number = 40;
    CU_ASSERT_EQUAL(rig_run(&rig), 0);
    CU_ASSERT_EQUAL(rig.report->number, 40);
    rig.options.number = 0;
    CU_ASSERT_EQUAL(rig_run(&rig), 0);
    CU_ASSERT_EQUAL(rig.report->number, 41);
    rig_close(&rig);
    remove_tree(shm);
    CU_ASSERT_EQUAL(mkdir(shm, 0700), 0);
}

/* ---- a source that lists slowly ---- */

static struct slow {
    int (*list)(struct pst_source *source, struct pst_fragment_sink *sink,
                struct pst_source_listing *listing);
    struct pst_fragment_sink sink;
    struct pst_fragment_sink *real;
    _Atomic uint64_t listed_ns; /* the first fragment; 0: none yet */
    atomic_uint noted;          /* waits that began before that */
} slow;

static int slow_acquire(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **slot)
{
    (void)sink;
    return slow.real->acquire(slow.real, slot);
}

static int slow_emit(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot)
{
    (void)sink;
    if (atomic_load(&slow.listed_ns) == 0) {
        pause_ns(100000000);
        atomic_store(&slow.listed_ns, pst_monotonic_ns());
    }
    return slow.real->emit(slow.real, slot);
}

static int list_slowly(struct pst_source *source, struct pst_fragment_sink *sink,
                       struct pst_source_listing *listing)
{
    slow.real = sink;
    slow.sink = (struct pst_fragment_sink){.acquire = slow_acquire, .emit = slow_emit};
    return slow.list(source, &slow.sink, listing);
}

void __real_pst_compression_note_wait(struct pst_compression *compression, uint64_t waited_ns);
void __wrap_pst_compression_note_wait(struct pst_compression *compression, uint64_t waited_ns);

void __wrap_pst_compression_note_wait(struct pst_compression *compression, uint64_t waited_ns)
{
    uint64_t listed_ns = atomic_load(&slow.listed_ns);
    if (listed_ns == 0 || pst_monotonic_ns() - waited_ns < listed_ns)
        atomic_fetch_add(&slow.noted, 1);
    __real_pst_compression_note_wait(compression, waited_ns);
}

/* Until there is something to read the LDM waits, but has no time to spare: who lists may want its
 * CPU. */
static void test_auto_takes_no_wait_for_a_listing_as_time(void)
{
    const char *const specs[] = {"s=synthetic:rows=4000,row-bytes=20000,compressibility=90"};
    struct rig rig;
    rig_open(&rig, shm, 1, specs, 1);
    CU_ASSERT_EQUAL(pst_compression_parse("auto", &rig.options.node.compression), 0);
    slow.list = rig.sources[0]->list;
    rig.sources[0]->list = list_slowly;
    CU_ASSERT_EQUAL(rig_run(&rig), 0);
    CU_ASSERT_TRUE(atomic_load(&slow.listed_ns) > 0);
    CU_ASSERT_EQUAL(atomic_load(&slow.noted), 0);
    remove_tree(join(shm, "BACKUP-1"));
    rig_close(&rig);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"every shape", test_shapes},
        {"full indexes", test_full_indexes},
        {"a file over several LDMs", test_split_file},
        {"an empty directory, an empty file", test_next_to_nothing},
        {"many tiny files", test_many_tiny_files},
        {"holes", test_holes_are_not_stored},
        {"a time after 2262", test_file_seen_in_the_far_future},
        {"auto takes no wait for a listing as time", test_auto_takes_no_wait_for_a_listing_as_time},
        {"numbers", test_numbers_follow},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "backup", .pInitFunc = start, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return run_suites(suites);
}
