/*
 * The paths that an LDM or a hub takes for each signal, chunk, entry, extent and row, some hundred
 * times each, for callgrind to count their instructions: gate_test.sh runs it under valgrind. One
 * thread; no clock, no random number, no system call within a path.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/format/object.h"
#include "engine/format/part.h"
#include "engine/format/rows.h"
#include "engine/node/channel.h"
#include "engine/source/fragment_check.h"
#include "net/shm/shm_fabric.h"
#include "penstock/packer.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

#define LDMS 16u
#define BURST 16u
#define PIECES 16u
#define CHUNK_BYTES (1u << 20)
#define ROWS 500u
#define FILES 500u
#define ROW_BYTES 100u

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(PST_BLOCK_BYTES,
                                 (bytes + PST_BLOCK_BYTES - 1) / PST_BLOCK_BYTES * PST_BLOCK_BYTES);
    assert(memory);
    memset(memory, 0, bytes);
    return memory;
}

static struct pst_signal signal_of(uint32_t number)
{
    struct pst_signal signal = {.gsn = PST_BACKUP_FRAGMENT_REQ,
                                .version = PST_SIGNAL_VERSION,
                                .length = sizeof(struct pst_fragment),
                                .sequence = number};
    return signal;
}

/* ---- signals ---- */

static struct pst_signal_ring *ring;

static void ring_open(void)
{
    ring = pst_spsc_init(allocate(pst_spsc_bytes(64)), 64, 1);
}

/* A burst put, and taken. */
static void ring_pass(void)
{
    struct pst_signal signals[BURST];
    struct pst_signal signal = signal_of(1);
    for (uint32_t i = 0; i < BURST; i++) {
        int error = pst_spsc_put(ring, &signal);
        assert(!error);
    }
    int count = pst_spsc_get_burst(ring, signals, BURST);
    assert(count == (int)BURST);
}

static struct pst_fabric *fabrics[2];
static uint64_t now_ns;
static char directory[] = "/dev/shm/penstock-gate-XXXXXX";

/* Polls one of the two for a round; returns how many signals came, and adds the joins. */
static uint32_t fabric_poll(uint32_t node, uint32_t *joins)
{
    struct pst_fabric_event event;
    uint32_t signals = 0;
    int status;
    while ((status = pst_fabric_poll(fabrics[node], now_ns, &event)) > 0) {
        assert(event.type == PST_FABRIC_JOINED || event.type == PST_FABRIC_SIGNALS);
        if (event.type == PST_FABRIC_JOINED)
            (*joins)++;
        else
            signals += event.signals_count;
    }
    assert(status == 0);
    return signals;
}

static void fabric_open(void)
{
    char message[256] = "";
    uint32_t joins = 0;
    char *made = mkdtemp(directory);
    assert(made);
    for (uint32_t node = 0; node < 2; node++) {
        const struct pst_shm_config config = {
            .directory = directory,
            .memory = PST_SHM_NORMAL,
            .failure_ns = UINT64_C(3600000000000),
            .hello = {.cluster = "gate", .cluster_id = 1, .node = node + 1, .incarnation = 1}};
        int error =
            pst_shm_fabric_open(&config, &fabrics[node], message, (uint32_t)sizeof(message));
        if (error)
            (void)fprintf(stderr, "%s\n", message);
        assert(!error);
    }
    while (joins < 2) {
        now_ns = pst_monotonic_ns();
        for (uint32_t node = 0; node < 2; node++)
            (void)fabric_poll(node, &joins);
    }
}

/* A burst sent, published, and received, in a clock that stands still. */
static void fabric_pass(void)
{
    uint32_t joins = 0;
    struct pst_signal signal = signal_of(1);
    for (uint32_t i = 0; i < BURST; i++) {
        int error = pst_fabric_send(fabrics[0], 2, &signal);
        assert(!error);
    }
    (void)fabric_poll(0, &joins);
    uint32_t count = fabric_poll(1, &joins);
    assert(count == BURST);
}

static void fabric_close(void)
{
    char path[128];
    for (uint32_t node = 0; node < 2; node++) {
        pst_fabric_close(fabrics[node]);
        (void)snprintf(path, sizeof(path), "%s/node-%u.lock", directory, node + 1);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

static struct pst_doorbell hub_bell;
static struct pst_channel channels[LDMS];

static void channels_open(void)
{
    int error = pst_doorbell_open(&hub_bell);
    for (uint32_t i = 0; i < LDMS && !error; i++)
        error = pst_channel_open(&channels[i], &hub_bell, 64, 1);
    assert(!error);
}

static void deliver(void *context, const struct pst_signal *signal)
{
    (void)context;
    pst_channel_to_peer(&channels[pst_ref_instance(signal->receiver_ref) - 1], signal);
}

/* What a hub sends to each of its LDMs, and the answer of each. */
static void fan_out_pass(void)
{
    struct pst_signal signals[PST_CHANNEL_BURST];
    struct pst_send send = {.signal = signal_of(1), .route = PST_ROUTE_LDMS};
    for (uint32_t i = 0; i < LDMS; i++)
        pst_set_add(&send.targets, i);
    pst_send_each(&send, deliver, NULL);
    for (uint32_t i = 0; i < LDMS; i++) {
        uint32_t count = pst_channel_from_hub(&channels[i], signals);
        assert(count == 1);
        pst_channel_to_hub(&channels[i], &signals[0]);
        count = pst_channel_from_peer(&channels[i], signals);
        assert(count == 1);
    }
}

/* ---- chunks ---- */

static struct pst_part part;
static struct pst_index_builder builder;
static void *chunk;
static uint32_t payload_bytes;

static const struct pst_part_identity identity = {
    .uid = "gate", .number = 1, .node = 1, .part = 1, .parts = 1};

static void fill_chunk(void)
{
    pst_chunk_begin(chunk, PST_CHUNK_DATA);
    for (uint32_t i = 0; i < PIECES; i++) {
        const struct pst_chunk_piece piece = {.object = i + 1,
                                              .bytes = payload_bytes / PIECES,
                                              .payload_offset = i * (payload_bytes / PIECES)};
        int error = pst_chunk_add_piece(chunk, &piece);
        assert(!error);
    }
}

static void part_open(void)
{
    payload_bytes = 64u << 10;
    chunk = allocate(PST_BLOCK_BYTES + CHUNK_BYTES);
    pst_part_begin(&part, &identity, CHUNK_BYTES, 1, 1, allocate(PST_BLOCK_BYTES));
    pst_part_attach_index(&part, allocate(PST_BLOCK_BYTES + CHUNK_BYTES));
    pst_part_attach_sums(&part, allocate(PST_BLOCK_BYTES + CHUNK_BYTES), CHUNK_BYTES);
    format_index_init(&builder);
    format_index_attach(&builder, allocate(PST_BLOCK_BYTES + CHUNK_BYTES), CHUNK_BYTES);
}

/* One in which the bytes themselves count for less. */
static void small_chunk_open(void)
{
    payload_bytes = 4u << 10;
}

/* A chunk in 16 pieces, filled in, checksummed, and entered in index and sums. */
static void seal_pass(void)
{
    fill_chunk();
    struct pst_part_place place = pst_part_seal_chunk(&part, chunk, payload_bytes);
    assert(place.bytes == PST_BLOCK_BYTES + payload_bytes);
}

static void index_pass(void)
{
    format_index_add(&builder, chunk, pst_chunk_payload_of(chunk));
}

/* ---- catalogue, extents ---- */

static uint8_t *catalogue;
static size_t catalogue_bytes, catalogue_read;

/* Where the linker puts it must not matter: strlen(3) takes another way across a page. */
static const char object_path[] __attribute__((aligned(64))) =
    "var/lib/app/segments/0001/00000012.segment";

static struct pst_object object_of(uint64_t id)
{
    return (struct pst_object){.id = id,
                               .type = PST_OBJECT_FILE,
                               .path = object_path,
                               .size = 3000,
                               .mtime_sec = 1700000000,
                               .mode = 0644,
                               .uid = 1000,
                               .gid = 1000};
}

static void catalogue_open(void)
{
    catalogue = allocate(CHUNK_BYTES);
}

static void catalogue_pass(void)
{
    struct pst_object object = object_of(1);
    int error = pst_object_encode(&object, catalogue, CHUNK_BYTES, &catalogue_bytes);
    assert(!error);
}

static void catalogue_read_pass(void)
{
    struct pst_object object;
    int error = pst_object_decode(catalogue, catalogue_bytes, &catalogue_read, &object);
    assert(!error);
}

static struct pst_packer *packer;
static struct pst_source_listing listing;
static struct pst_fragment_descriptor *slot;

static int take_slot(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **taken)
{
    (void)sink;
    *taken = slot;
    return 0;
}

static int drop_slot(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *full)
{
    (void)sink;
    (void)full;
    return 0;
}

static struct pst_fragment_sink sink = {.acquire = take_slot, .emit = drop_slot};

static void packer_open(void)
{
    slot = allocate(sizeof(*slot));
    packer = allocate(sizeof(*packer));
    pst_packer_init(packer, &sink, &listing);
}

/* A small file: its entry, its path, its extent. */
static void extent_pass(void)
{
    struct pst_object object = object_of(listing.objects + 1);
    const struct pst_fragment_file file = {
        .object = object.id, .path = object.path, .size_bytes = object.size};
    int error = pst_packer_object(packer, &object, &file);
    if (!error)
        error = pst_packer_extent(packer, 0, object.size);
    assert(!error);
}

/* What the thread of a source does with a fragment of small files that it hands over. */
static void check_open(void)
{
    packer_open();
    listing = (struct pst_source_listing){.fragments = PST_PACKER_DOUBLINGS};
    for (uint32_t i = 0; i < FILES; i++)
        extent_pass();
    assert(slot->files_count == FILES);
}

static void check_pass(void)
{
    const struct pst_source source = {.instance = pst_object_source(slot->files[0].object)};
    const struct pst_fragment_limits limits = {.ldms = LDMS};
    const char *fault = pst_fragment_fault(&source, &limits, slot);
    assert(!fault);
}

/* ---- rows ---- */

static uint8_t *stream;
static size_t stream_bytes;

static void rows_open(void)
{
    stream = allocate(ROWS * 256u);
}

/* All rows of a stream, and its end. */
static void rows_pass(void)
{
    uint8_t value[ROW_BYTES] = {0};
    stream_bytes = 0;
    for (uint64_t key = 0; key < ROWS; key++) {
        const struct pst_row row = {&key, value, sizeof(key), sizeof(value)};
        stream_bytes += pst_row_copy(&row, 0, stream + stream_bytes, 256);
    }
    uint64_t bytes = stream_bytes;
    stream_bytes += pst_rows_end_copy(ROWS, bytes, 0, stream + stream_bytes, PST_ROWS_END_BYTES);
}

static int take_row(void *context, const struct pst_row *row)
{
    *(uint64_t *)context += row->value_bytes;
    return 0;
}

static void rows_read_pass(void)
{
    uint64_t bytes = 0;
    struct pst_rows_reader reader = {.size = stream_bytes};
    int error = pst_rows_feed(&reader, stream, stream_bytes, take_row, &bytes);
    if (!error)
        error = pst_rows_finish(&reader);
    assert(!error && bytes == (uint64_t)ROWS * ROW_BYTES);
    pst_rows_release(&reader);
}

/* ---- the paths ---- */

static const struct path {
    const char *name;
    void (*open)(void); /* NULL: what it needs was opened, or made, by the path before it */
    void (*pass)(void);
    void (*close)(void);
    uint32_t passes; /* that are counted */
    uint32_t units;  /* of a pass */
} paths[] = {
    {"signal-ring", ring_open, ring_pass, NULL, 50, BURST},
    {"signal-shm", fabric_open, fabric_pass, fabric_close, 50, BURST},
    {"fan-out-16", channels_open, fan_out_pass, NULL, 50, 1},
    {"seal-chunk-64K", part_open, seal_pass, NULL, 20, 1},
    {"seal-chunk-4K", small_chunk_open, seal_pass, NULL, 20, 1},
    {"index-entry", NULL, index_pass, NULL, 200, 1},
    {"catalogue-entry", catalogue_open, catalogue_pass, NULL, 500, 1},
    {"catalogue-entry-read", NULL, catalogue_read_pass, NULL, 400, 1},
    {"extent", packer_open, extent_pass, NULL, 2000, 1},
    {"fragment-check", check_open, check_pass, NULL, 4, FILES},
    {"row", rows_open, rows_pass, NULL, 4, ROWS},
    {"row-read", NULL, rows_read_pass, NULL, 4, ROWS},
};

int main(void)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s %u", paths[i].name,
                       paths[i].passes * paths[i].units);
        if (paths[i].open)
            paths[i].open();
        paths[i].pass(); /* what is bound or touched at the first time is not counted */
        CALLGRIND_ZERO_STATS;
        for (uint32_t pass = 0; pass < paths[i].passes; pass++)
            paths[i].pass();
        CALLGRIND_DUMP_STATS_AT(name);
        if (paths[i].close)
            paths[i].close();
    }
    printf("gcc %s\n", __VERSION__);
    return 0;
}
