/*
 * Reads the chunks of many parts in parallel: workers claim a run of chunks at a time, so that all
 * end together. chunk_reading_run() is called on the thread of a verify or restore; all else runs
 * on the crew's threads.
 */
#include "engine/restore/chunk_reader.h"

#include <assert.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "engine/base/own_error.h"
#include "engine/format/sums.h"
#include "engine/restore/decoded_chunk.h"
#include "numa/place.h"

/* Chunks that a worker takes at a time: small enough that all end together. */
#define CHUNKS_PER_CLAIM 64u

/* Chunks of one INDEX chunk of one part. */
struct claim {
    uint32_t part;
    uint32_t link;
    uint32_t first;
    uint32_t end;
};

struct slot {
    struct pst_io_op op;
    struct worker *worker;
    const struct pst_index_entry *entry;
    bool is_header; /* that is all that is read of it, so far */
    /* Read a block at a time, because the disk refused all of it at once: */
    uint32_t block;   /* offset of the one that is being read */
    uint32_t refused; /* of the first of those before it that were refused and not yet named */
    int refusal;      /* of the last one, negative; 0: none was refused */
    void *buffer;
};

/* What a thread of the crew keeps (crew_own), and the reading that it is at. */
struct worker {
    struct chunk_reading *reading;
    uint32_t number;
    uint32_t chunk_bytes; /* that the buffers hold */
    struct pst_reader reader;
    struct claim claim;
    struct pst_file file; /* of claim.part, if file_is_open */
    bool file_is_open;
    bool index_is_read; /* of claim.link */
    void *index_buffer;
    struct pst_index_view view;
    uint32_t next; /* entry of the claim to be started next */
    int error;
    struct decoded_chunk decoded;
    struct pst_chunk_header *header; /* one that was sealed, opened; of the arena */
    struct pst_arena arena;          /* of the buffers */
    uint32_t slots_count;
    struct slot slots[PST_DEPTH_MAX];
};

/* Takes the next chunks; false at the end. */
static bool take_claim(struct chunk_reading *reading, struct claim *claim)
{
    bool found = false;
    pthread_mutex_lock(&reading->mutex);
    while (!found && reading->next_part < reading->set->count) {
        const struct pst_part_map *part = &reading->set->parts[reading->next_part];
        if (reading->next_link == part->links_count) {
            reading->next_part++;
            reading->next_link = reading->next_entry = 0;
            continue;
        }
        uint32_t entries = part->links[reading->next_link].entries_count;
        if (reading->next_entry == entries) {
            reading->next_link++;
            reading->next_entry = 0;
            continue;
        }
        uint32_t left = entries - reading->next_entry;
        *claim = (struct claim){
            .part = reading->next_part,
            .link = reading->next_link,
            .first = reading->next_entry,
            .end = reading->next_entry + (left < CHUNKS_PER_CLAIM ? left : CHUNKS_PER_CLAIM),
        };
        reading->next_entry = claim->end;
        found = true;
    }
    pthread_mutex_unlock(&reading->mutex);
    return found;
}

static const struct pst_part_map *part_of(const struct worker *worker)
{
    return &worker->reading->set->parts[worker->claim.part];
}

static void damaged(struct worker *worker, uint64_t base, const struct pst_damage *damage,
                    int error)
{
    struct chunk_reading *reading = worker->reading;
    pst_findings_add_damage(reading->findings, &part_of(worker)->file, base, damage, error);
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

static void lose(struct slot *slot, int result)
{
    struct worker *worker = slot->worker;
    const struct pst_chunk_header *header = whole_header(slot, result);
    if (!can_salvage(slot, header, result)) {
        report_lost(worker, slot->entry, opened_header(slot, header));
        return;
    }
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
    error = reading->take(reading->context, worker->number, part_of(worker), chunk);
    if (error && worker->error == 0)
        worker->error = error;
    count(slot);
}

static void start_next(struct slot *slot);
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
    if (!slot->is_header || slot->worker->reading->extent == CHUNK_HEADER)
        return false;
    const struct pst_chunk_header *header = whole_header(slot, result);
    return header && pst_digests_are_of_bytes(header);
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
    start_next(slot);
}

static void block_done(struct pst_io_op *op, int result)
{
    struct slot *slot = PST_IO_OP_OF(op, struct slot, op);
    bool is_refused = is_refusal(result);
    if (!is_refused && result < (int)PST_BLOCK_BYTES) { /* the file ends, or an error of our own */
        deliver(slot, result < 0 ? result : (int)slot->block);
        start_next(slot);
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
    start_next(slot);
}

static bool is_wanted(const struct worker *worker, const struct pst_index_entry *entry)
{
    bool is_sums = entry->type == PST_CHUNK_DATA && entry->pieces_count == 0;
    return (worker->reading->types & 1u << (is_sums ? CHUNK_SUMS : entry->type)) != 0;
}

static void start_next(struct slot *slot)
{
    struct worker *worker = slot->worker;
    while (worker->next < worker->claim.end &&
           !is_wanted(worker, &worker->view.entries[worker->next]))
        worker->next++;
    if (worker->next == worker->claim.end || must_stop(worker))
        return;
    slot->entry = &worker->view.entries[worker->next++];
    slot->is_header = worker->reading->extent != CHUNK_WHOLE;
    start_read(slot);
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
    int error = pst_reader_open_file(&worker->reader, part_of(worker)->from_fd,
                                     part_of(worker)->file.text, &worker->file);
    worker->file_is_open = !error;
    return error;
}

/* Checks it again, though it was whole when the part was looked through. */
static int read_index(struct worker *worker, struct pst_damage *damage)
{
    if (worker->index_is_read)
        return 0;
    const struct pst_part_link *known = &part_of(worker)->links[worker->claim.link];
    const struct pst_index_link *link = &known->link;
    *damage = (struct pst_damage){.what = "read error"};
    int got = pst_reader_read(&worker->reader, &worker->file, worker->index_buffer,
                              link->file_bytes, link->file_offset);
    if (got < 0)
        return got;
    int error = pst_index_check_link(link, worker->index_buffer, (uint64_t)got,
                                     &part_of(worker)->identity, damage);
    struct pst_sealed *sealed = NULL;
    if (!error)
        error = pst_opener_use(&worker->reader.opener, part_of(worker), &sealed);
    if (!error && sealed)
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
    for (uint32_t i = 0; i < worker->slots_count; i++)
        start_next(&worker->slots[i]);
    while (pst_ring_in_flight(worker->reader.ring) > 0)
        pst_reader_wait(&worker->reader, part_of(worker)->file.text);
}

static void work_all(struct worker *worker)
{
    struct claim claim;
    while (!must_stop(worker) && take_claim(worker->reading, &claim)) {
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

/* On tmpfs a read is a copy: several at once would push each other out of the cache, and no disk
 * gains by hugepages, which cost the more to clear. */
static bool is_in_memory(const struct pst_part_set *set)
{
    struct statfs attributes;
    return set->count > 0 && set->parts[0].from_fd >= 0 &&
           fstatfs(set->parts[0].from_fd, &attributes) == 0 && attributes.f_type == TMPFS_MAGIC;
}

static int make_buffers(struct worker *worker, uint32_t depth, bool in_memory)
{
    size_t bytes = PST_CHUNK_HEADER_BYTES + (size_t)worker->chunk_bytes;
    worker->slots_count = in_memory ? 1 : depth;
    assert(worker->slots_count <= PST_DEPTH_MAX);
    int error = pst_arena_reserve((worker->slots_count + 1) * bytes + PST_CHUNK_HEADER_BYTES,
                                  !in_memory, &worker->arena);
    if (error)
        return error;
    uint8_t *memory = worker->arena.base;
    for (uint32_t i = 0; i < worker->slots_count; i++)
        worker->slots[i] = (struct slot){.worker = worker, .buffer = memory + i * bytes};
    worker->index_buffer = memory + worker->slots_count * bytes;
    worker->header = (struct pst_chunk_header *)(memory + (worker->slots_count + 1) * bytes);
    return 0;
}

static void release_worker(void *data)
{
    struct worker *worker = data;
    decoded_chunk_release(&worker->decoded);
    pst_reader_close(&worker->reader);
    pst_arena_destroy(&worker->arena);
    free(worker);
}

/* On the pinned thread: its memory comes to lie near it by first touch. */
static int make_worker(uint32_t depth, const struct pst_part_set *set, struct worker **made)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->chunk_bytes = set->chunk_bytes;
    int error = make_buffers(worker, depth, is_in_memory(set));
    if (error)
        goto err_after_alloc;
    error = pst_reader_open(&worker->reader, worker->slots_count);
    if (error)
        goto err_after_buffers;
    *made = worker;
    return 0;
err_after_buffers:
    pst_arena_destroy(&worker->arena);
err_after_alloc:
    free(worker);
    return error;
}

/* What the calling thread of the crew has, or gets now. */
static int find_worker(struct crew *crew, uint32_t number, const struct pst_part_set *set,
                       struct worker **found)
{
    struct crew_own *own = crew_own(crew, number);
    *found = own->data;
    if (*found && (*found)->chunk_bytes >= set->chunk_bytes)
        return 0;
    if (*found)
        release_worker(*found);
    own->data = NULL;
    int error = make_worker(crew_depth(crew), set, found);
    if (!error)
        *own = (struct crew_own){.data = *found, .release = release_worker};
    return error;
}

static int work(void *context, uint32_t number)
{
    struct chunk_reading *reading = context;
    struct worker *worker;
    int error = find_worker(reading->crew, number, reading->set, &worker);
    if (error)
        return error;
    worker->reading = reading;
    worker->number = number;
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

int chunk_worker_make(struct crew *crew, uint32_t number, const struct pst_part_set *set,
                      struct pst_reader **reader, void **buffer)
{
    struct worker *worker;
    int error = find_worker(crew, number, set, &worker);
    if (error)
        return error;
    *reader = &worker->reader;
    *buffer = worker->slots[0].buffer;
    return 0;
}
