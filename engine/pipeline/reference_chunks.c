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

static bool add(struct chunk *chunk, const struct pst_reference *reference)
{
    uint32_t bytes = chunk_payload_bytes(chunk);
    uint8_t *payload = (uint8_t *)chunk_end(chunk) - bytes;
    uint32_t room = bytes + chunk_room(chunk);
    if (!pst_references_add(payload, room, reference) &&
        !pst_references_insert(payload, room, reference))
        return false;
    chunk_add(chunk, sizeof(*reference));
    return true;
}

bool references_put(struct chunk_pool *pool, struct pst_base *base,
                    const struct pst_reference *reference)
{
    struct chunk *chunk = have_chunk(pool, base, sizeof(*reference));
    if (chunk && !add(chunk, reference)) {
        /* Of several sources by turns: it goes back, and so into a chunk of its own. */
        chunk = have_chunk(pool, base, chunk_room(chunk) + 1);
        if (chunk) {
            bool is_added = add(chunk, reference);
            assert(is_added);
        }
    }
    if (!chunk)
        return false;
    pst_base_note_use(base, reference);
    return true;
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
        if (!references_put(pool, *base, &reference))
            break;
        done->references = next;
        count++;
    }
    return count;
}
