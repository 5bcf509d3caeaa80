/*
 * Reads rows in their order with a ring of its own, some chunks ahead of the one that is needed.
 * Called by shares.c, on the thread of the crew that opened the reading.
 */
#include "engine/restore/row_reading.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/repository/part_tail.h"
#include "engine/restore/read_pace.h"

/* A chunk that is read ahead; slots are used in turn. */
struct row_slot {
    struct pst_io_op op;
    uint32_t chunk; /* index in the map */
    bool is_done;
    int result;
    uint8_t *buffer;
};

/* Where a run stands: chunks from first on are in the slots, in the order they are needed. */
struct row_run {
    struct row_reading *reading;
    size_t ahead; /* piece whose chunk is read next */
    size_t end;
    uint64_t started; /* slots used so far */
    uint64_t taken;   /* of these, done with */
};

static struct row_slot *slot_at(const struct row_reading *reading, uint64_t number)
{
    return &reading->slots[number % reading->slots_count];
}

static void release(struct row_reading *reading)
{
    pst_arena_destroy(&reading->arena);
    free(reading->is_open);
    free(reading->files);
    free(reading->slots);
}

int row_reading_open(struct row_reading *reading)
{
    size_t bytes = PST_CHUNK_HEADER_BYTES + (size_t)reading->set->chunk_bytes;
    uint32_t count = crew_depth(reading->crew);
    reading->slots_count = count;
    reading->slots = calloc(count, sizeof(*reading->slots));
    reading->files = calloc(reading->set->count, sizeof(*reading->files));
    reading->is_open = calloc(reading->set->count, sizeof(*reading->is_open));
    int error = pst_arena_reserve(count * bytes, true, &reading->arena);
    if (!error && (!reading->slots || !reading->files || !reading->is_open))
        error = -ENOMEM;
    if (!error)
        error = pst_reader_open(&reading->reader, count);
    if (error) {
        release(reading);
        return error;
    }
    for (uint32_t i = 0; i < count; i++)
        reading->slots[i].buffer = (uint8_t *)reading->arena.base + i * bytes;
    pst_pace_share_open(&reading->pace, crew_pace(reading->crew));
    pst_thread_bind(&reading->owner);
    return 0;
}

void row_reading_close(struct row_reading *reading)
{
    PST_CHECK_THREAD(&reading->owner);
    for (uint32_t i = 0; i < reading->set->count; i++) {
        if (reading->is_open[i])
            pst_reader_close_file(&reading->reader, &reading->files[i]);
    }
    pst_reader_close(&reading->reader);
    pst_pace_share_close(&reading->pace);
    decoded_chunk_release(&reading->decoded);
    release(reading);
}

static int damaged(struct row_reading *reading, const struct row_chunk *chunk,
                   const struct pst_damage *damage, int error)
{
    reading->found_damage = true;
    pst_findings_add_damage(reading->findings, &reading->set->parts[chunk->part].file,
                            chunk->file_offset, damage, error);
    return error;
}

static void note_done(struct pst_io_op *op, int result)
{
    struct row_slot *slot = PST_IO_OP_OF(op, struct row_slot, op);
    slot->result = result;
    slot->is_done = true;
}

static int open_part(struct row_reading *reading, uint32_t part)
{
    if (reading->is_open[part])
        return 0;
    const struct pst_part_map *map = &reading->set->parts[part];
    int error = pst_backup_open_part(&reading->reader, map, &reading->files[part]);
    reading->is_open[part] = !error;
    return error;
}

/* Starts reading the next chunk that is needed, if there is one. */
static int start_next(struct row_run *run)
{
    struct row_reading *reading = run->reading;
    const struct row_piece *pieces = reading->map->pieces;
    uint32_t index = pieces[run->ahead].chunk;
    const struct row_chunk *chunk = &reading->map->chunks[index];
    while (run->ahead < run->end && pieces[run->ahead].chunk == index)
        run->ahead++;
    int error = open_part(reading, chunk->part);
    if (error) {
        const struct pst_damage damage = {.what = "part"};
        return damaged(reading, chunk, &damage, error);
    }
    struct row_slot *slot = slot_at(reading, run->started++);
    slot->chunk = index;
    slot->is_done = false;
    slot->op.done = note_done;
    pst_pace_spend(&reading->pace, pst_chunk_file_bytes(chunk->stored_bytes));
    pst_io_read(reading->reader.ring, &slot->op, &reading->files[chunk->part], slot->buffer,
                (uint32_t)pst_chunk_file_bytes(chunk->stored_bytes), chunk->file_offset, -1);
    return 0;
}

/* As many as the pace has room for. */
static int fill_slots(struct row_run *run)
{
    struct row_reading *reading = run->reading;
    int error = 0;
    read_pace_keep(&reading->pace, reading->reader.ring, &reading->busy_since_ns,
                   pst_monotonic_ns());
    uint32_t depth = pst_pace_depth(&reading->pace);
    uint32_t most = depth < reading->slots_count ? depth : reading->slots_count;
    while (!error && run->ahead < run->end && run->started - run->taken < most &&
           pst_pace_room(&reading->pace, 1) > 0)
        error = start_next(run);
    return error;
}

/* Until one chunk at least is being read. */
static int start_reading(struct row_run *run)
{
    struct row_reading *reading = run->reading;
    int error = fill_slots(run);
    while (!error && run->started == run->taken) {
        pst_activity_rest(true);
        pst_ring_wait(reading->reader.ring, pst_pace_sleep_ns(&reading->pace, pst_monotonic_ns()));
        pst_activity_rest(false);
        reading->busy_since_ns = pst_monotonic_ns();
        error = crew_is_cancelled(reading->crew) ? -ECANCELED : fill_slots(run);
    }
    return error;
}

static const struct pst_part_map *part_of(const struct row_reading *reading,
                                          const struct row_slot *slot)
{
    return &reading->set->parts[reading->map->chunks[slot->chunk].part];
}

/* The chunk must be the one whose header was read before. *data: it, decoded. */
static int check(struct row_reading *reading, const struct row_slot *slot, const void **data)
{
    const struct row_chunk *chunk = &reading->map->chunks[slot->chunk];
    struct pst_damage damage = {.bytes = pst_chunk_file_bytes(chunk->stored_bytes),
                                .what = "read error"};
    if (slot->result < 0)
        return damaged(reading, chunk, &damage, slot->result);
    int error = pst_chunk_check(slot->buffer, (uint64_t)slot->result,
                                &reading->set->parts[chunk->part].identity, chunk->chunk,
                                chunk->file_offset, &damage);
    if (!error &&
        !pst_digest_equal(&pst_chunk_header_of(slot->buffer)->head.checksum, &chunk->checksum)) {
        damage.what = "not the chunk that was there before";
        error = -PST_E_CORRUPT;
    }
    struct pst_sealed *sealed = NULL;
    if (!error)
        error = pst_opener_use(&reading->reader.opener, &reading->set->parts[chunk->part], &sealed);
    if (!error)
        error = decoded_chunk_take(&reading->decoded, sealed, reading->set->chunk_bytes,
                                   slot->buffer, data, &damage);
    return error ? damaged(reading, chunk, &damage, error) : 0;
}

/* Waits for the oldest chunk. *data: it, decoded. */
static int next_chunk(struct row_run *run, const struct row_slot **slot, const void **data)
{
    struct row_reading *reading = run->reading;
    if (crew_is_cancelled(reading->crew))
        return -ECANCELED;
    int error = start_reading(run);
    if (error)
        return error;
    *slot = slot_at(reading, run->taken);
    uint64_t began_ns = pst_monotonic_ns();
    while (!(*slot)->is_done)
        pst_reader_wait(&reading->reader, part_of(reading, *slot)->file.text);
    pst_pace_note_wait(&reading->pace, pst_monotonic_ns() - began_ns);
    error = check(reading, *slot, data);
    if (!error && reading->bytes_done)
        atomic_fetch_add(reading->bytes_done, (uint64_t)(*slot)->result);
    return error;
}

int row_reading_run(struct row_reading *reading, size_t first, size_t end,
                    int (*take)(void *context, const struct row_piece *piece, const void *data),
                    void *context)
{
    struct row_run run = {.reading = reading, .ahead = first, .end = end};
    int error = 0;
    PST_CHECK_THREAD(&reading->owner);
    assert(first <= end && end <= reading->map->pieces_count);
    reading->busy_since_ns = pst_monotonic_ns();
    for (size_t i = first; !error && i < end;) {
        const struct row_slot *slot;
        const void *chunk;
        error = next_chunk(&run, &slot, &chunk);
        if (error)
            break;
        const uint8_t *payload = pst_chunk_payload_of(chunk);
        for (; !error && i < end && reading->map->pieces[i].chunk == slot->chunk; i++)
            error = take(context, &reading->map->pieces[i],
                         payload + reading->map->pieces[i].payload_offset);
        run.taken++;
    }
    while (pst_ring_in_flight(reading->reader.ring) > 0)
        pst_reader_wait(&reading->reader, reading->reader.name);
    return error;
}
