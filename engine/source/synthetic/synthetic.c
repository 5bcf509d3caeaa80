/*
 * Rows that are made, not read. Called by the registry and through the methods of pst_source: list
 * on the source's thread, produce by any LDM.
 */
#include "engine/source/synthetic/synthetic.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/object.h"

/* A row is made of cells, each random at its beginning and padded with spaces, as short strings in
 * wide columns are: so a chunk's compressibility is a row's. */
#define CELL_BYTES 256u
#define PADDING ' '

#define FRAGMENT_BYTES (16u << 20)
_Static_assert(SYNTHETIC_ROW_BYTES_MAX <= FRAGMENT_BYTES, "a fragment holds whole rows");
_Static_assert(FRAGMENT_BYTES <= PST_FRAGMENT_BYTES_MAX, "a fragment is legal");

struct synthetic_source {
    struct pst_source source; /* first */
    struct synthetic synthetic;
};

/* ---- content ---- */

/* The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
 * 2014): a bijection of good avalanche, so that a counter becomes a stream with random access. */
static inline uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static inline uint64_t random_word(uint64_t row_key, uint64_t word)
{
    return htole64(mix(row_key + (word + 1) * UINT64_C(0x9e3779b97f4a7c15)));
}

/* Bytes first … first + bytes - 1 of a row's random stream. */
static void fill_random(uint64_t row_key, uint64_t first, uint8_t *out, size_t bytes)
{
    uint64_t word = first / 8;
    size_t skipped = first % 8;
    if (skipped) {
        uint64_t value = random_word(row_key, word++);
        size_t head = 8 - skipped < bytes ? 8 - skipped : bytes;
        memcpy(out, (uint8_t *)&value + skipped, head);
        out += head;
        bytes -= head;
    }
    for (; bytes >= 8; bytes -= 8, out += 8) {
        uint64_t value = random_word(row_key, word++);
        memcpy(out, &value, 8);
    }
    if (bytes) {
        uint64_t value = random_word(row_key, word);
        memcpy(out, &value, bytes);
    }
}

static inline uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Bytes first … first + bytes - 1 of one row. */
static void fill_row(const struct synthetic *synthetic, uint64_t row, uint64_t first, uint8_t *out,
                     size_t bytes)
{
    uint64_t key = mix(synthetic->seed ^ mix(row + 1));
    while (bytes > 0) {
        uint64_t cell = first - first % CELL_BYTES;
        uint64_t cell_bytes = smaller(CELL_BYTES, synthetic->row_bytes - cell);
        uint64_t padding_at = cell + cell_bytes * (100 - synthetic->compressibility) / 100;
        size_t taken = (size_t)smaller(cell + cell_bytes - first, bytes);
        size_t random = first < padding_at ? (size_t)smaller(padding_at - first, taken) : 0;
        fill_random(key, first, out, random);
        memset(out + random, PADDING, taken - random);
        first += taken;
        out += taken;
        bytes -= taken;
    }
}

void synthetic_fill(const struct synthetic *synthetic, uint64_t offset, void *buffer, size_t bytes)
{
    uint8_t *out = buffer;
    uint64_t row = offset / synthetic->row_bytes;
    uint64_t first = offset % synthetic->row_bytes;
    while (bytes > 0) {
        size_t taken = (size_t)smaller(synthetic->row_bytes - first, bytes);
        fill_row(synthetic, row, first, out, taken);
        out += taken;
        bytes -= taken;
        row++;
        first = 0;
    }
}

/* ---- fragments ---- */

static int add_table(const struct pst_source *source, const struct synthetic *synthetic,
                     struct pst_fragment_descriptor *slot, bool first)
{
    const struct pst_object object = {
        .id = pst_source_object_id(source, 1),
        .type = PST_OBJECT_TABLE,
        .path = SYNTHETIC_PATH,
        .size = synthetic->rows * synthetic->row_bytes,
        .mode = 0600,
    };
    uint8_t entry[PST_OBJECT_FIXED_BYTES + 64];
    size_t entry_bytes = 0;
    int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    if (error)
        return error;
    return pst_fragment_add_entry(slot, entry, entry_bytes, first);
}

/* One fragment of rows, or of the table's entry alone if there are none. */
static int emit_rows(struct pst_source *source, struct pst_fragment_sink *sink, uint64_t offset,
                     uint64_t length)
{
    const struct synthetic *synthetic = &((struct synthetic_source *)source)->synthetic;
    struct pst_fragment_descriptor *slot;
    int error = sink->acquire(sink, &slot);
    if (error)
        return error;
    pst_fragment_init(slot, length ? PST_FRAGMENT_ROWS : PST_FRAGMENT_EXTENTS);
    error = add_table(source, synthetic, slot, offset == 0);
    const struct pst_fragment_file file = {
        .object = pst_source_object_id(source, 1),
        .size_bytes = synthetic->rows * synthetic->row_bytes,
    };
    if (!error && length)
        error = pst_fragment_add_file(slot, &file);
    if (!error && length)
        error = pst_fragment_add_extent(slot, offset, length, NULL);
    return error ? error : sink->emit(sink, slot);
}

static int synthetic_list(struct pst_source *source, struct pst_fragment_sink *sink,
                          struct pst_source_listing *listing)
{
    const struct synthetic *synthetic = &((struct synthetic_source *)source)->synthetic;
    uint64_t total = synthetic->rows * synthetic->row_bytes;
    uint64_t step = FRAGMENT_BYTES - FRAGMENT_BYTES % synthetic->row_bytes;
    uint64_t offset = 0;
    do {
        uint64_t length = smaller(step, total - offset);
        int error = emit_rows(source, sink, offset, length);
        if (error)
            return error;
        listing->objects = 1;
        listing->fragments++;
        listing->bytes += length;
        offset += length;
    } while (offset < total);
    return 0;
}

static int synthetic_produce(struct pst_source *source,
                             const struct pst_fragment_descriptor *fragment,
                             struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                             size_t *produced_bytes)
{
    const struct synthetic *synthetic = &((struct synthetic_source *)source)->synthetic;
    const struct pst_fragment_extent *extent = &fragment->extents[0];
    size_t bytes = (size_t)smaller(capacity_bytes, extent->length - cursor->words[0]);
    synthetic_fill(synthetic, extent->offset + cursor->words[0], buffer, bytes);
    cursor->words[0] += bytes;
    *produced_bytes = bytes;
    return 0;
}

static void synthetic_close(struct pst_source *source)
{
    free(source);
}

int pst_synthetic_open(const char *argument, struct pst_source **source, char *error_text,
                       size_t error_bytes)
{
    struct synthetic parsed;
    int error = synthetic_parse(argument, &parsed, error_text, error_bytes);
    if (error)
        return error;
    struct synthetic_source *opened = calloc(1, sizeof(*opened));
    if (!opened) {
        snprintf(error_text, error_bytes, "source synthetic: out of memory");
        return -ENOMEM;
    }
    opened->synthetic = parsed;
    opened->source = (struct pst_source){
        .struct_bytes = sizeof(struct pst_source),
        .abi_version = PST_SOURCE_ABI_VERSION,
        .flags = PST_SOURCE_ANY_LDM | PST_SOURCE_CAN_SNAPSHOT,
        .root_fd = -1,
        .type = "synthetic",
        .list = synthetic_list,
        .produce = synthetic_produce,
        .close = synthetic_close,
    };
    *source = &opened->source;
    return 0;
}
