/*
 * Reads the chunks of many parts in parallel. chunk_reading_run() is called on the thread of a
 * verify or restore; all else runs on the crew's threads.
 */
#include "engine/restore/chunk_reader.h"

#include <errno.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/own_error.h"
#include "engine/format/sums.h"
#include "engine/repository/part_tail.h"
#include "engine/restore/chunk_worker.h"
#include "engine/restore/read_pace.h"

static const struct pst_part_map *part_of(const struct worker *worker)
{
    return &worker->reading->set->parts[worker->claim.part];
}

static void damaged(struct worker *worker, uint64_t base, const struct pst_damage *damage,
                    int error)
{
    struct chunk_reading *reading = worker->reading;
    const struct pst_file_name file = pst_backup_part_file(part_of(worker), &base);
    pst_findings_add_damage(reading->findings, &file, base, damage, error);
    if ((reading->stop_at_damage || pst_is_own_error(error)) && worker->error == 0)
        worker->error = error;
}

static void report_lost(struct worker *worker, const struct pst_index_entry *entry,
                        const struct pst_chunk_header *header)
{
    struct chunk_reading *reading = worker->reading;
    if (reading->lost)
        reading->lost(reading->context, part_of(worker), entry, header);
}

/* The header of a chunk that is damaged elsewhere; NULL: it is damaged itself. */
static const struct pst_chunk_header *whole_header(const struct slot *slot, int result)
{
    struct pst_damage damage;
    if (result < 0 || pst_index_check_header(slot->entry, slot->buffer, (uint64_t)result,
                                             &part_of(slot->worker)->identity, &damage) != 0)
        return NULL;
    return pst_chunk_header_of(slot->buffer);
}

static bool must_stop(struct worker *worker)
{
    if (worker->error == 0 && crew_is_cancelled(worker->reading->crew))
        worker->error = -ECANCELED;
    if (worker->error)
        atomic_store(&worker->reading->stop, true);
    return atomic_load(&worker->reading->stop);
}

static uint32_t bytes_of(const struct slot *slot)
{
    return slot->is_header ? PST_CHUNK_HEADER_BYTES
                           : (uint32_t)pst_chunk_file_bytes(slot->entry->stored_bytes);
}

static int check_header(const struct slot *slot, int result, struct pst_sealed *sealed,
                        const void **chunk, struct pst_damage *damage)
{
    int error = pst_index_check_header(slot->entry, slot->buffer, (uint64_t)result,
                                       &part_of(slot->worker)->identity, damage);
    if (error || !sealed)
        return error;
    *chunk = slot->worker->header;
    return pst_chunk_open_header(sealed, slot->buffer, slot->worker->header, damage);
}

/* *chunk: what is handed on, the payload decoded. */
static int check(const struct slot *slot, int result, const void **chunk, struct pst_damage *damage)
{
    struct worker *worker = slot->worker;
    const struct pst_part_identity *identity = &part_of(worker)->identity;
    struct pst_sealed *sealed = NULL;
    *chunk = slot->buffer;
    if (result < 0)
        return result;
    int error = pst_opener_use(&worker->reader.opener, part_of(worker), &sealed);
    if (error)
        return error;
    if (slot->is_header)
        return check_header(slot, result, sealed, chunk, damage);
    error = pst_index_check_chunk(slot->entry, slot->buffer, (uint64_t)result, identity, damage);
    if (error)
        return error;
    return decoded_chunk_take(&worker->decoded, sealed, worker->reading->set->chunk_bytes,
                              slot->buffer, chunk, damage);
}

/* Whether the pieces of a damaged chunk can be told apart: all of it was read, and lies raw. */
static bool can_salvage(const struct slot *slot, const struct pst_chunk_header *header, int result)
{
    return slot->worker->reading->salvage && header && pst_digests_are_of_bytes(header) &&
           !pst_chunk_is_encoded(header) &&
           (uint64_t)result >= pst_chunk_file_bytes(header->stored_bytes);
}

/* The error of a disk that cannot read what it has; other blocks may be whole. */
static bool is_refusal(int result)
{
    return result == -EIO || result == -ENODATA || result == -EILSEQ || result == -EBADMSG;
}

/* A header that is whole, with pieces that can be seen; or NULL. */
static const struct pst_chunk_header *opened_header(const struct slot *slot,
                                                    const struct pst_chunk_header *header)
{
    struct worker *worker = slot->worker;
    struct pst_sealed *sealed = NULL;
    struct pst_damage damage;
    if (!header || pst_opener_use(&worker->reader.opener, part_of(worker), &sealed) != 0)
        return NULL;
    if (!sealed || pst_chunk_open_header(sealed, header, worker->header, &damage))
        return sealed ? NULL : header;
    return worker->header;
}

/* A taker gets the slot's chunk. */
static void take_slot(struct worker *worker, struct slot *slot, const void *chunk)
{
    worker->taken = slot;
    worker->is_decoded = chunk == worker->decoded.buffer;
}

static void lose(struct slot *slot, int result)
{
    struct worker *worker = slot->worker;
    const struct pst_chunk_header *header = whole_header(slot, result);
    if (!can_salvage(slot, header, result)) {
        report_lost(worker, slot->entry, opened_header(slot, header));
        return;
    }
    take_slot(worker, slot, slot->buffer);
    int error = worker->reading->salvage(worker->reading->context, worker->number, part_of(worker),
                                         slot->buffer);
    if (error && worker->error == 0)
        worker->error = error;
}

static void count(struct slot *slot)
{
    struct chunk_reading *reading = slot->worker->reading;
    atomic_fetch_add(&reading->bytes_done, bytes_of(slot));
    atomic_fetch_add(&reading->chunks_done, 1);
}

/* Whether the chunk was taken. What is wrong with one that is not is found by its checksums. */
static bool deliver_proven(struct slot *slot, int result)
{
    struct worker *worker = slot->worker;
    struct chunk_reading *reading = worker->reading;
    if (!reading->take_proven || slot->is_header || slot->entry->type != PST_CHUNK_DATA ||
        result < (int)bytes_of(slot))
        return false;
    const struct pst_chunk_header *header = whole_header(slot, result);
    if (!header || !pst_digests_are_of_bytes(header) || pst_chunk_is_encoded(header) ||
        !pst_chunk_gaps_are_zero(header))
        return false;
    take_slot(worker, slot, slot->buffer);
    int taken = reading->take_proven(reading->context, worker->number, part_of(worker), header);
    if (taken < 0 && worker->error == 0)
        worker->error = taken;
    if (taken > 0)
        count(slot);
    return taken != 0;
}

static void deliver(struct slot *slot, int result)
{
    struct worker *worker = slot->worker;
    struct chunk_reading *reading = worker->reading;
    const struct pst_index_entry *entry = slot->entry;
    if (deliver_proven(slot, result))
        return;
    struct pst_damage damage = {.bytes = bytes_of(slot), .what = "read error"};
    const void *chunk;
    int error = check(slot, result, &chunk, &damage);
    if (error) {
        damaged(worker, entry->file_offset, &damage, error);
        lose(slot, result);
        return;
    }
    take_slot(worker, slot, chunk);
    if (!slot->is_header || !reading->needs)
        error = reading->take(reading->context, worker->number, part_of(worker), chunk);
    if (error && worker->error == 0)
        worker->error = error;
    count(slot);
}

static void end_read(struct slot *slot);
static void read_done(struct pst_io_op *op, int result);

static void start_read(struct slot *slot)
{
    struct worker *worker = slot->worker;
    slot->op.done = read_done;
    pst_io_read(worker->reader.ring, &slot->op, &worker->file, slot->buffer, bytes_of(slot),
                slot->entry->file_offset, -1);
}

/* Whether the header that was read is not enough. */
static bool needs_payload(const struct slot *slot, int result)
{
    const struct chunk_reading *reading = slot->worker->reading;
    if (!slot->is_header || (reading->extent == CHUNK_HEADER && !reading->needs))
        return false;
    const struct pst_chunk_header *header = whole_header(slot, result);
    if (!reading->needs)
        return header && pst_digests_are_of_bytes(header);
    header = opened_header(slot, header);
    return header && reading->needs(reading->context, part_of(slot->worker), header);
}

static void report_refused(struct slot *slot)
{
    const struct pst_damage damage = {slot->refused, slot->block - slot->refused, "read error"};
    if (slot->block > slot->refused)
        damaged(slot->worker, slot->entry->file_offset, &damage, slot->refusal);
}

static void block_done(struct pst_io_op *op, int result);

static void read_block(struct slot *slot)
{
    slot->op.done = block_done;
    pst_io_read(slot->worker->reader.ring, &slot->op, &slot->worker->file,
                (uint8_t *)slot->buffer + slot->block, PST_BLOCK_BYTES,
                slot->entry->file_offset + slot->block, -1);
}

/* Where blocks are missing, which were named, the chunk is damaged. */
static void end_blocks(struct slot *slot)
{
    report_refused(slot);
    if (slot->refusal)
        lose(slot, (int)slot->block);
    else
        deliver(slot, (int)slot->block);
    end_read(slot);
}

static void block_done(struct pst_io_op *op, int result)
{
    struct slot *slot = PST_IO_OP_OF(op, struct slot, op);
    bool is_refused = is_refusal(result);
    if (!is_refused && result < (int)PST_BLOCK_BYTES) { /* the file ends, or an error of our own */
        deliver(slot, result < 0 ? result : (int)slot->block);
        end_read(slot);
        return;
    }
    if (is_refused) {
        memset((uint8_t *)slot->buffer + slot->block, 0, PST_BLOCK_BYTES);
        slot->refusal = result;
    } else {
        report_refused(slot);
        slot->refused = slot->block + PST_BLOCK_BYTES;
    }
    slot->block += PST_BLOCK_BYTES;
    if (slot->block == bytes_of(slot))
        end_blocks(slot);
    else if (!must_stop(slot->worker))
        read_block(slot);
}

/* One bad block of a disk is not to cost all that the chunk has. */
static void read_by_blocks(struct slot *slot)
{
    slot->block = slot->refused = 0;
    slot->refusal = 0;
    read_block(slot);
}

static void read_done(struct pst_io_op *op, int result)
{
    struct slot *slot = PST_IO_OP_OF(op, struct slot, op);
    if (is_refusal(result) && !slot->is_header) {
        read_by_blocks(slot);
        return;
    }
    if (needs_payload(slot, result)) {
        slot->is_header = false;
        start_read(slot);
        return;
    }
    deliver(slot, result);
    end_read(slot);
}

static bool is_wanted(const struct worker *worker, const struct pst_index_entry *entry)
{
    const struct chunk_reading *reading = worker->reading;
    bool is_sums = entry->type == PST_CHUNK_DATA && entry->pieces_count == 0;
    return (reading->types & 1u << (is_sums ? CHUNK_SUMS : entry->type)) != 0 &&
           (!reading->wants || reading->wants(reading->context, part_of(worker), entry));
}

/* A chunk longer than the part's chunk size would not fit the slots. */
static bool entries_fit(struct worker *worker)
{
    for (uint32_t i = worker->claim.first; i < worker->claim.end; i++) {
        const struct pst_index_entry *entry = &worker->view.entries[i];
        if (!is_wanted(worker, entry) || entry->stored_bytes <= part_of(worker)->chunk_bytes)
            continue;
        const struct pst_damage damage = {.bytes = pst_chunk_file_bytes(entry->stored_bytes),
                                          .what = "chunk longer than the part's chunk size"};
        damaged(worker, entry->file_offset, &damage, -PST_E_CORRUPT);
        return false;
    }
    return true;
}

/* Goes on to the next chunks of the same index, so that reads do not end with each claim. */
static bool extend_claim(struct worker *worker)
{
    if (must_stop(worker) || !chunk_claim_more(worker->reading, &worker->claim))
        return false;
    bool fit = entries_fit(worker);
    if (!fit)
        report_lost(worker, NULL, NULL);
    worker->next = fit ? worker->claim.first : worker->claim.end;
    return true;
}

static bool has_entry(struct worker *worker)
{
    while (worker->next < worker->claim.end &&
           !is_wanted(worker, &worker->view.entries[worker->next]))
        worker->next++;
    return worker->next < worker->claim.end;
}

/* The next entry that is wanted; NULL: none is left to this worker, or the reading ends. */
static const struct pst_index_entry *next_entry(struct worker *worker)
{
    while (!has_entry(worker)) {
        if (!extend_claim(worker))
            return NULL;
    }
    return must_stop(worker) ? NULL : &worker->view.entries[worker->next++];
}

static bool may_read(struct worker *worker)
{
    uint32_t depth = pst_pace_depth(&worker->pace);
    uint32_t most = depth < worker->reads_max ? depth : worker->reads_max;
    return worker->free_count > 0 && worker->reads < most && pst_pace_room(&worker->pace, 1) > 0;
}

static void read_on(struct worker *worker)
{
    worker->pace.wait_ns = 0;
    while (may_read(worker)) {
        const struct pst_index_entry *entry = next_entry(worker);
        if (!entry)
            return;
        struct slot *slot = worker->free_slots[--worker->free_count];
        worker->reads++;
        slot->entry = entry;
        slot->is_header = worker->reading->extent != CHUNK_WHOLE;
        pst_pace_spend(&worker->pace, bytes_of(slot));
        start_read(slot);
    }
}

/* The chunk was taken, or is lost. */
static void end_read(struct slot *slot)
{
    slot->worker->reads--;
    if (slot->hold.count == 0)
        chunk_slot_free(slot);
    read_on(slot->worker);
}

static void close_file(struct worker *worker)
{
    if (worker->file_is_open)
        pst_reader_close_file(&worker->reader, &worker->file);
    worker->file_is_open = false;
    worker->index_is_read = false;
}

static int open_file(struct worker *worker)
{
    if (worker->file_is_open)
        return 0;
    int error = pst_backup_open_part(&worker->reader, part_of(worker), &worker->file);
    worker->file_is_open = !error;
    return error;
}

/* Of what was found without an index, the entries are in memory. */
static void use_salvaged(struct worker *worker)
{
    const struct pst_part_map *part = part_of(worker);
    worker->view =
        (struct pst_index_view){.entries = part->salvaged, .entries_count = part->salvaged_count};
    worker->index_is_read = true;
}

/* Checks it again, though it was whole when the part was looked through. */
static int read_index(struct worker *worker, struct pst_damage *damage)
{
    if (worker->index_is_read)
        return 0;
    const struct pst_part_link *known = &part_of(worker)->links[worker->claim.link];
    const struct pst_index_link *link = &known->link;
    if (link->file_bytes == 0) {
        use_salvaged(worker);
        return 0;
    }
    *damage = (struct pst_damage){.what = "read error"};
    int got = pst_reader_read(&worker->reader, &worker->file, worker->index_buffer,
                              link->file_bytes, link->file_offset);
    if (got < 0)
        return got;
    atomic_fetch_add(&worker->reading->index_bytes, (uint64_t)got);
    int error = pst_index_check_link(link, worker->index_buffer, (uint64_t)got,
                                     &part_of(worker)->identity, damage);
    struct pst_sealed *sealed = NULL;
    if (!error)
        error = pst_opener_use(&worker->reader.opener, part_of(worker), &sealed);
    if (!error)
        error = pst_index_open(sealed, worker->index_buffer, damage);
    if (!error)
        error = pst_index_read(worker->index_buffer, &worker->view, damage);
    if (!error &&
        worker->view.entries_count != known->entries_count) { /* claims are of that many */
        *damage = (struct pst_damage){.what = "index that changed while it was read"};
        error = -PST_E_CORRUPT;
    }
    worker->index_is_read = !error;
    return error;
}

static void keep_pace(struct worker *worker, uint64_t now_ns)
{
    read_pace_keep(&worker->pace, worker->reader.ring, &worker->busy_since_ns, now_ns);
}

/* There may be nothing in flight. */
static void wait_for_pace(struct worker *worker)
{
    struct pst_ring *ring = worker->reader.ring;
    bool is_asleep = pst_ring_in_flight(ring) == 0;
    keep_pace(worker, pst_monotonic_ns());
    pst_activity_rest(is_asleep);
    pst_ring_wait(ring, pst_pace_sleep_ns(&worker->pace, worker->busy_since_ns));
    pst_activity_rest(false);
    if (is_asleep)
        worker->busy_since_ns = pst_monotonic_ns();
    keep_pace(worker, pst_monotonic_ns());
    read_on(worker);
    if (must_stop(worker))
        worker->pace.wait_ns = 0;
}

static void wait_for_one(struct worker *worker)
{
    const struct chunk_reading *reading = worker->reading;
    const struct pst_io_op *oldest = pst_ring_oldest(worker->reader.ring);
    bool is_own = oldest->file == &worker->file || oldest->file == worker->file.rest;
    if (is_own || !reading->watch) {
        pst_reader_wait(&worker->reader, part_of(worker)->file.text);
        return;
    }
    reading->watch(reading->context, oldest);
    while (pst_ring_wait(worker->reader.ring, -1) == 0)
        continue; /* it was interrupted */
    pst_activity_end();
}

static void work_claim(struct worker *worker)
{
    struct pst_damage damage = {.what = "part"};
    int error = open_file(worker);
    if (error) {
        damaged(worker, 0, &damage, error);
        report_lost(worker, NULL, NULL);
        return;
    }
    error = read_index(worker, &damage);
    if (error) {
        damaged(worker, part_of(worker)->links[worker->claim.link].link.file_offset, &damage,
                error);
        report_lost(worker, NULL, NULL);
        return;
    }
    if (!entries_fit(worker)) {
        report_lost(worker, NULL, NULL);
        return;
    }
    worker->next = worker->claim.first;
    worker->busy_since_ns = pst_monotonic_ns();
    keep_pace(worker, worker->busy_since_ns);
    read_on(worker);
    while (pst_ring_in_flight(worker->reader.ring) > 0 || worker->pace.wait_ns != 0) {
        if (worker->pace.wait_ns != 0) {
            wait_for_pace(worker);
            continue;
        }
        wait_for_one(worker);
        uint64_t now_ns = pst_monotonic_ns();
        pst_pace_note_wait(&worker->pace, now_ns - worker->busy_since_ns);
        keep_pace(worker, now_ns);
    }
}

static void work_all(struct worker *worker)
{
    struct claim claim;
    while (!must_stop(worker) && chunk_claim(worker->reading, &claim)) {
        if (claim.part != worker->claim.part)
            close_file(worker);
        if (claim.link != worker->claim.link)
            worker->index_is_read = false;
        worker->claim = claim;
        work_claim(worker);
    }
    must_stop(worker);
    close_file(worker);
}

static int work(void *context, uint32_t number)
{
    struct chunk_reading *reading = context;
    struct worker *worker;
    int error = chunk_worker_find(reading->crew, number, reading->set, &worker);
    if (error)
        return error;
    worker->reading = reading;
    worker->number = number;
    worker->read_on = read_on;
    chunk_worker_reset(worker);
    worker->claim = (struct claim){0};
    worker->error = 0;
    work_all(worker);
    return worker->error;
}

static void tick(void *context)
{
    struct chunk_reading *reading = context;
    if (reading->tick)
        reading->tick(reading->context);
}

int chunk_reading_run(struct chunk_reading *reading)
{
    pthread_mutex_init(&reading->mutex, NULL);
    reading->next_part = reading->next_link = reading->next_entry = 0;
    atomic_init(&reading->stop, false);
    int error = crew_run(reading->crew, CREW_ALL, work, tick, reading);
    pthread_mutex_destroy(&reading->mutex);
    return error;
}
