/*
 * Makes and keeps what a thread of the crew reads chunks with, and lets takers of chunks hold them.
 * Workers claim a run of chunks at a time, so that all end together. Runs on the crew's threads.
 */
#include "engine/restore/chunk_worker.h"

#include <assert.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>

/* Chunks that a worker takes at a time: small enough that all end together. */
#define CHUNKS_PER_CLAIM 64u

/* With the mutex, where there are entries left: the next of the link that is at hand. */
static struct claim cut_claim(struct chunk_reading *reading, uint32_t entries)
{
    uint32_t first = reading->next_entry, left = entries - first;
    reading->next_entry += left < CHUNKS_PER_CLAIM ? left : CHUNKS_PER_CLAIM;
    return (struct claim){reading->next_part, reading->next_link, first, reading->next_entry};
}

bool chunk_claim(struct chunk_reading *reading, struct claim *claim)
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
        *claim = cut_claim(reading, entries);
        found = true;
    }
    pthread_mutex_unlock(&reading->mutex);
    return found;
}

bool chunk_claim_more(struct chunk_reading *reading, struct claim *claim)
{
    const struct pst_part_map *part = &reading->set->parts[claim->part];
    uint32_t entries = part->links[claim->link].entries_count;
    pthread_mutex_lock(&reading->mutex);
    bool found = reading->next_part == claim->part && reading->next_link == claim->link &&
                 reading->next_entry < entries;
    if (found)
        *claim = cut_claim(reading, entries);
    pthread_mutex_unlock(&reading->mutex);
    return found;
}

/* ---- slots ---- */

void chunk_slot_free(struct slot *slot)
{
    slot->worker->free_slots[slot->worker->free_count++] = slot;
}

void chunk_worker_reset(struct worker *worker)
{
    worker->reads = worker->free_count = 0;
    for (uint32_t i = worker->slots_count; i > 0; i--) {
        assert(worker->slots[i - 1].hold.count == 0);
        chunk_slot_free(&worker->slots[i - 1]);
    }
}

static struct worker *worker_of(struct crew *crew, uint32_t number)
{
    return crew_own(crew, number)->data;
}

struct pst_ring *chunk_ring(struct crew *crew, uint32_t worker)
{
    return worker_of(crew, worker)->reader.ring;
}

/* A chunk that was decoded takes its buffer along; the next one gets another. */
struct chunk_hold *chunk_hold(struct crew *crew, uint32_t number)
{
    struct worker *worker = worker_of(crew, number);
    struct chunk_hold *hold = &worker->taken->hold;
    if (hold->count++ == 0 && worker->is_decoded) {
        hold->decoded = worker->decoded;
        worker->decoded = (struct decoded_chunk){0};
    }
    return hold;
}

void chunk_release(struct chunk_hold *hold, int error)
{
    struct worker *worker = hold->slot->worker;
    if (error && worker->error == 0)
        worker->error = error;
    if (--hold->count > 0)
        return;
    if (worker->decoded.buffer)
        decoded_chunk_release(&hold->decoded);
    else
        worker->decoded = hold->decoded;
    hold->decoded = (struct decoded_chunk){0};
    chunk_slot_free(hold->slot);
    worker->read_on(worker);
}

/* ---- buffers ---- */

/* On tmpfs a read is a copy: several at once would push each other out of the cache, and no disk
 * gains by hugepages, which cost the more to clear. Further slots are for chunks that are held. */
static bool is_in_memory(const struct pst_part_set *set)
{
    struct statfs attributes;
    return set->count > 0 && set->parts[0].from_fd >= 0 &&
           fstatfs(set->parts[0].from_fd, &attributes) == 0 && attributes.f_type == TMPFS_MAGIC;
}

static int make_buffers(struct worker *worker, uint32_t depth, bool in_memory)
{
    size_t bytes = PST_CHUNK_HEADER_BYTES + (size_t)worker->chunk_bytes;
    worker->slots_count = depth;
    worker->reads_max = in_memory ? 1 : depth;
    assert(worker->slots_count <= PST_DEPTH_MAX);
    int error = pst_arena_reserve((worker->slots_count + 1) * bytes + PST_CHUNK_HEADER_BYTES,
                                  !in_memory, &worker->arena);
    if (error)
        return error;
    uint8_t *memory = worker->arena.base;
    for (uint32_t i = 0; i < worker->slots_count; i++)
        worker->slots[i] = (struct slot){
            .worker = worker, .hold = {.slot = &worker->slots[i]}, .buffer = memory + i * bytes};
    worker->index_buffer = memory + worker->slots_count * bytes;
    worker->header = (struct pst_chunk_header *)(memory + (worker->slots_count + 1) * bytes);
    return 0;
}

static void release_worker(void *data)
{
    struct worker *worker = data;
    pst_pace_share_close(&worker->pace);
    decoded_chunk_release(&worker->decoded);
    pst_reader_close(&worker->reader);
    pst_arena_destroy(&worker->arena);
    free(worker);
}

/* On the pinned thread: its memory comes to lie near it by first touch. */
static int make_worker(struct crew *crew, const struct pst_part_set *set, struct worker **made)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->chunk_bytes = set->chunk_bytes;
    int error = make_buffers(worker, crew_depth(crew), is_in_memory(set));
    if (error)
        goto err_after_alloc;
    error = pst_reader_open(&worker->reader, worker->slots_count);
    if (error)
        goto err_after_buffers;
    pst_pace_share_open(&worker->pace, crew_pace(crew));
    *made = worker;
    return 0;
err_after_buffers:
    pst_arena_destroy(&worker->arena);
err_after_alloc:
    free(worker);
    return error;
}

int chunk_worker_find(struct crew *crew, uint32_t number, const struct pst_part_set *set,
                      struct worker **found)
{
    struct crew_own *own = crew_own(crew, number);
    *found = own->data;
    if (*found && (*found)->chunk_bytes >= set->chunk_bytes)
        return 0;
    if (*found)
        release_worker(*found);
    own->data = NULL;
    int error = make_worker(crew, set, found);
    if (!error)
        *own = (struct crew_own){.data = *found, .release = release_worker};
    return error;
}

int chunk_worker_make(struct crew *crew, uint32_t number, const struct pst_part_set *set,
                      struct pst_reader **reader, void **buffer)
{
    struct worker *worker;
    int error = chunk_worker_find(crew, number, set, &worker);
    if (error)
        return error;
    *reader = &worker->reader;
    *buffer = worker->slots[0].buffer;
    return 0;
}
