/* Gathers references into chunks, in an order that readers ask for. Called by fragment_scan.c, on
 * the LDM's thread. */
#include "engine/pipeline/reference_chunks.h"

#include <assert.h>

/* A chunk that has begun, with room for another record. NULL: no buffer is free. */
static struct chunk *have_chunk(struct chunk_pool *pool, const struct pst_base *base, uint32_t room)
{
    struct chunk *chunk = chunk_pool_fill(pool, PST_CHUNK_REFERENCES, room);
    if (chunk && chunk_payload_bytes(chunk) == 0) {
        void *payload = chunk_end(chunk);
        pst_references_begin(payload, base->origins, base->origins_count);
        chunk_add(chunk, pst_references_bytes(payload));
    }
    return chunk;
}

/* Chunks that are read side by side end in an order that is nearly theirs. */
#define NEAR 64u

static bool add(struct chunk *chunk, const struct pst_reference *reference, uint32_t moved_max)
{
    uint32_t bytes = chunk_payload_bytes(chunk);
    uint8_t *payload = (uint8_t *)chunk_end(chunk) - bytes;
    uint32_t room = bytes + chunk_room(chunk);
    if (!pst_references_add(payload, room, reference) &&
        !pst_references_insert(payload, room, reference, moved_max))
        return false;
    chunk_add(chunk, sizeof(*reference));
    return true;
}

static bool put(struct chunk_pool *pool, struct pst_base *base,
                const struct pst_reference *reference, uint32_t moved_max)
{
    struct chunk *chunk = have_chunk(pool, base, sizeof(*reference));
    if (chunk && !add(chunk, reference, moved_max)) {
        /* Of several sources by turns: it goes back, and so into a chunk of its own. */
        chunk = have_chunk(pool, base, chunk_room(chunk) + 1);
        if (chunk) {
            bool is_added = add(chunk, reference, 0);
            assert(is_added);
        }
    }
    if (!chunk)
        return false;
    pst_base_note_use(base, reference);
    return true;
}

bool references_put_run(struct chunk_pool *pool, struct pst_base *base,
                        const struct pst_reference *reference)
{
    return put(pool, base, reference, UINT32_MAX);
}

/* At a time. */
#define SOME 256u

uint32_t references_put_some(struct chunk_pool *pool, struct pst_base *const *base,
                             const struct pst_fragment_descriptor *fragment,
                             struct references_done *done)
{
    uint32_t count = 0;
    while (done->files < fragment->files_count && count < SOME) {
        const struct pst_fragment_file *file = &fragment->files[done->files];
        struct pst_reference reference;
        uint64_t next = done->references;
        if ((file->flags & PST_FRAGMENT_FILE_IN_BASE) == 0 ||
            !pst_base_next_reference(*base, file->inode, file->object, &next, &reference)) {
            done->files++;
            done->references = 0;
            continue;
        }
        if (!put(pool, *base, &reference, NEAR))
            break;
        done->references = next;
        count++;
    }
    return count;
}
