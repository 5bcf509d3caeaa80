/*
 * What a node costs: memory as pst_pipeline_memory_bytes() says and little beside, no allocation by
 * an LDM once the node has started, next to nothing while there is nothing to do. And that one node
 * takes backup after backup, whatever became of the last.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/key/keyring.h"
#include "engine/pipeline/pipeline.h"
#include "tests/support/child.h"
#include "tests/support/decoded.h"
#include "tests/support/node_rig.h"
#include "tests/support/pause.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define THREADS_MAX 64u

static char to[SCRATCH_PATH_BYTES];
static char tree[SCRATCH_PATH_BYTES];
static char tree_spec[2 * SCRATCH_PATH_BYTES];

static int start(void)
{
    make_scratch(to, "/dev/shm");
    make_scratch(tree, "/dev/shm");
    make_sample_tree(tree);
    snprintf(tree_spec, sizeof(tree_spec), "x=dir:%s", tree);
    return 0;
}

static int stop(void)
{
    remove_tree(to);
    remove_tree(tree);
    return 0;
}

/* ---- a client of a node that lives on ---- */

static struct pst_signal to_master(uint16_t gsn, uint64_t backup)
{
    return (struct pst_signal){.gsn = gsn,
                               .version = PST_SIGNAL_VERSION,
                               .length = pst_gsn_payload_bytes(gsn),
                               .sender_ref = pst_ref_make(1, PST_BLOCK_CLIENT, 0),
                               .receiver_ref = pst_ref_make(1, PST_BLOCK_BACKUP, 1),
                               .backup = backup};
}

static uint64_t ask_for_backup(struct pst_channel *channel, uint32_t flags)
{
    uint8_t uid[16];
    CU_ASSERT_EQUAL(getrandom(uid, sizeof(uid), 0), (ssize_t)sizeof(uid));
    struct pst_signal request = to_master(PST_BACKUP_REQ, pst_uid_low(uid));
    memcpy(request.payload.backup_req.uid, uid, sizeof(uid));
    request.payload.backup_req.flags = flags;
    request.sequence = 1;
    pst_channel_to_hub(channel, &request);
    return request.backup;
}

static void ask_for_abort(struct pst_channel *channel, uint64_t backup)
{
    struct pst_signal order = to_master(PST_ABORT_BACKUP_ORD, backup);
    order.payload.abort.master_ref = order.receiver_ref;
    order.payload.abort.request = PST_ABORT_CLIENT;
    order.payload.abort.error = PST_E_CLIENT_ABORT;
    order.payload.abort.where = order.sender_ref;
    pst_channel_to_hub(channel, &order);
}

/* The number of the backup, or minus the error. */
static int64_t await_end(struct pst_channel *channel, uint64_t backup)
{
    for (;;) {
        struct pst_signal signals[PST_CHANNEL_BURST];
        uint32_t count = pst_channel_from_hub(channel, signals);
        for (uint32_t i = 0; i < count; i++) {
            if (signals[i].backup != backup)
                continue;
            if (signals[i].gsn == PST_BACKUP_COMPLETE_REP)
                return signals[i].payload.complete.number;
            if (signals[i].gsn == PST_BACKUP_REF || signals[i].gsn == PST_BACKUP_ABORT_REP)
                return -(int64_t)signals[i].payload.ref.error;
        }
        if (count == 0)
            pause_ns(100000);
    }
}

static void test_backup_after_backup(void)
{
    const char *const specs[] = {tree_spec, "y=synthetic:rows=1000,row-bytes=20000"};
    struct rig rig;
    struct pst_node *node;
    rig_open(&rig, to, 3, specs, 2);
    CU_ASSERT_EQUAL_FATAL(pst_node_start(&rig.options.node, &node), 0);
    struct pst_channel *channel = node_client(node);
    srand(5);
    for (uint32_t i = 0; i < 24; i++) {
        uint64_t backup = ask_for_backup(channel, i % 3 == 2 ? PST_BACKUP_SINGLE_THREADED : 0);
        if (i % 2 == 0) {
            pause_ns((uint64_t)rand() % 60000000);
            ask_for_abort(channel, backup);
            ask_for_abort(channel, backup);
        }
        int64_t number = await_end(channel, backup);
        CU_ASSERT_TRUE(number > 0 || (i % 2 == 0 && number == -PST_E_CLIENT_ABORT));
        struct decoded decoded;
        if (number > 0) {
            CU_ASSERT_TRUE(decoded_open(&decoded, to, (uint32_t)number) &&
                           decoded_is_tree(&decoded, 0, tree));
            decoded_close(&decoded);
            remove_tree(join(to, "BACKUP-1"));
        }
        CU_ASSERT_TRUE(is_empty_directory(to));
    }
    pst_node_stop(node, rig.report->ldms);
    rig_close(&rig);
}

/* ---- allocations: these functions take the place of the library's ---- */

static atomic_bool counts;
static atomic_uint threads_seen;
static atomic_uint allocations[THREADS_MAX];
static atomic_bool is_ldm[THREADS_MAX];
static _Thread_local unsigned thread_number; /* 0: none yet */

static unsigned own_number(void)
{
    if (thread_number == 0)
        thread_number = atomic_fetch_add(&threads_seen, 1) + 1;
    return thread_number % THREADS_MAX;
}

#if !SANITIZED
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);

static void count_allocation(void)
{
    if (atomic_load_explicit(&counts, memory_order_relaxed))
        atomic_fetch_add(&allocations[own_number()], 1);
}

void *malloc(size_t bytes)
{
    count_allocation();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    count_allocation();
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    count_allocation();
    return __libc_realloc(memory, bytes);
}
#endif

static int (*real_produce)(struct pst_source *source,
                           const struct pst_fragment_descriptor *fragment,
                           struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                           size_t *produced_bytes);

static unsigned count_ldms(void)
{
    unsigned ldms = 0;
    for (unsigned i = 0; i < THREADS_MAX; i++)
        ldms += is_ldm[i];
    return ldms;
}

/* Only LDMs call it: so they are told from the other threads. The first waits for the second, or it
 * might be done with all there is before that one wakes. */
static int produce_and_tell(struct pst_source *source,
                            const struct pst_fragment_descriptor *fragment,
                            struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                            size_t *produced_bytes)
{
    atomic_store(&is_ldm[own_number()], true);
    for (uint32_t i = 0; i < 10000 && count_ldms() < 2; i++)
        pause_ns(1000000);
    return real_produce(source, fragment, cursor, buffer, capacity_bytes, produced_bytes);
}

/* recipients: NULL: it is not sealed. */
static void check_allocations(const char *compress, const struct pst_keyring *recipients)
{
    const char *const specs[] = {tree_spec, "y=synthetic:rows=6000,row-bytes=20000"};
    struct rig rig;
    struct pst_node *node;
    memset(allocations, 0, sizeof(allocations));
    memset(is_ldm, 0, sizeof(is_ldm));
    rig_open(&rig, to, 2, specs, 2);
    CU_ASSERT_EQUAL(pst_compression_parse(compress, &rig.options.node.compression), 0);
    rig.options.node.recipients = recipients;
    real_produce = rig.sources[1]->produce;
    rig.sources[1]->produce = produce_and_tell;
    CU_ASSERT_EQUAL_FATAL(pst_node_start(&rig.options.node, &node), 0);
    atomic_store(&counts, true);
    uint64_t backup = ask_for_backup(node_client(node), recipients ? PST_BACKUP_SEALED : 0);
    CU_ASSERT_EQUAL(await_end(node_client(node), backup), 1);
    atomic_store(&counts, false);
    pst_node_stop(node, rig.report->ldms);
    unsigned by_ldms = 0, by_others = 0;
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        by_ldms += is_ldm[i] ? allocations[i] : 0;
        by_others += is_ldm[i] ? 0 : allocations[i];
    }
    CU_ASSERT_EQUAL(count_ldms(), 2);
    CU_ASSERT_EQUAL(by_ldms, 0);
    CU_ASSERT_TRUE(SANITIZED || by_others > 0); /* so it counts */
    printf("%s%s: LDMs %u, other threads %u; ", compress, recipients ? ", sealed" : "", by_ldms,
           by_others);
    remove_tree(join(to, "BACKUP-1"));
    rig_close(&rig);
}

static void test_no_allocation(void)
{
    struct pst_keyring recipients = {.count = 1, .keys[0].kind = PST_KEY_FILE};
    recipients.keys[0].secret = pst_secret_make(PST_KEY_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(recipients.keys[0].secret);
    check_allocations("none", NULL);
    check_allocations("lz4", NULL);
    check_allocations("zstd:9", NULL);
    check_allocations("auto", NULL);
    check_allocations("none", &recipients);
    check_allocations("zstd", &recipients);
    pst_secret_free(recipients.keys[0].secret);
}

/* ---- memory ---- */

/* Beside the buffers: rings, queues, stacks that are touched, tables for each buffer, slots of
 * fragments, the manifests. Of a node, of an LDM, and of a buffer. */
#define NODE_BYTES_MAX (2 * MIB)
#define LDM_BYTES_MAX (512 * KIB)
#define BUFFER_BYTES_MAX (40 * KIB)

static uint64_t status_bytes(const char *field)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, field, strlen(field)) == 0)
            sscanf(line + strlen(field), ": %llu", &kib);
    }
    if (file)
        fclose(file);
    return kib * KIB;
}

struct memory_case {
    uint32_t ldms;
    uint32_t chunk_bytes;
    uint32_t depth;
};

/* In a process of its own, for the peak is the process's. */
static int measure_memory(void *context)
{
    const struct memory_case *memory_case = context;
    const char *const specs[] = {tree_spec, "y=synthetic:rows=20000,row-bytes=20000"};
    struct rig rig;
    rig_open(&rig, to, memory_case->ldms, specs, 2);
    rig.options.node.chunk_bytes = memory_case->chunk_bytes;
    rig.options.node.depth = memory_case->depth;
    uint64_t before = status_bytes("VmRSS");
    if (rig_run(&rig) != 0)
        return 1;
    uint64_t grown = status_bytes("VmHWM") - before;
    uint64_t ldm_buffers = pst_pipeline_memory_bytes(memory_case->chunk_bytes, memory_case->depth);
    uint64_t buffers = memory_case->ldms * ldm_buffers;
    for (uint32_t i = 0; i < memory_case->ldms; i++)
        grown += rig.report->ldms[i].arena_hugepages ? ldm_buffers : 0; /* no part of the RSS */
    uint64_t slots = 2ull * PST_FRAGMENTS_LISTED_MIN * PST_FRAGMENT_SLOT_BYTES;
    uint64_t limit =
        buffers + slots + NODE_BYTES_MAX +
        (uint64_t)memory_case->ldms * (LDM_BYTES_MAX + (memory_case->depth + 3) * BUFFER_BYTES_MAX);
    printf("%u LDMs, %4u KiB, depth %3u: buffers %6.1f MiB, grown by %6.1f MiB, allowed %6.1f\n",
           memory_case->ldms, memory_case->chunk_bytes / KIB, memory_case->depth,
           (double)buffers / MIB, (double)grown / MIB, (double)limit / MIB);
    rig_close(&rig);
    bool fits = grown <= limit; /* it is less where buffers are not used */
    remove_tree(join(to, "BACKUP-1"));
    return !fits;
}

static void test_memory(void)
{
    struct memory_case cases[] = {
        {1, 64 * KIB, 2}, {2, 64 * KIB, 4}, {2, MIB, 8}, {4, MIB, 8}, {2, 256 * KIB, 128}};
    if (SANITIZED) {
        printf("not with a sanitizer: the memory is its own; ");
        return;
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CU_ASSERT_EQUAL(child_wait(child_start(measure_memory, &cases[i])), 0);
    }
}

/* ---- idle ---- */

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Measured and printed: timings never decide. */
static void test_idle(void)
{
    const char *const specs[] = {tree_spec, "y=synthetic:rows=10"};
    struct rig rig;
    struct pst_node *node;
    rig_open(&rig, to, 4, specs, 2);
    CU_ASSERT_EQUAL_FATAL(pst_node_start(&rig.options.node, &node), 0);
    pause_ns(100000000);
    double before = cpu_seconds();
    pause_ns(5000000000);
    printf("idle: %.3f %% of a core; ", (cpu_seconds() - before) / 5 * 100);
    pst_node_stop(node, NULL);
    rig_close(&rig);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"backup after backup", test_backup_after_backup},
        {"no allocation by an LDM", test_no_allocation},
        {"memory", test_memory},
        {"idle", test_idle},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "cost", .pInitFunc = start, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return run_suites(suites);
}
