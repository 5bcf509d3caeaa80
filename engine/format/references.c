/* REFERENCES chunks: records gathered by the pipeline's chunk pool, on an LDM's thread; read by
 * readers of parts, on any. */
#include "engine/format/references.h"

#include <assert.h>
#include <string.h>

#include "engine/format/block.h"
#include "engine/transform/aes_gcm/sha_256.h"

void pst_references_begin(void *payload, const struct pst_origin *origins, uint32_t origins_count)
{
    struct pst_references_head *head = payload;
    assert(origins_count >= 1 && origins_count <= PST_ORIGINS_MAX);
    *head = (struct pst_references_head){.origins_count = origins_count};
    memcpy(head->magic, PST_REFERENCES_MAGIC, sizeof(head->magic));
    memcpy(head + 1, origins, origins_count * sizeof(*origins));
}

uint32_t pst_references_bytes(const void *payload)
{
    const struct pst_references_head *head = payload;
    return (uint32_t)(sizeof(*head) + head->origins_count * sizeof(struct pst_origin) +
                      head->records_count * sizeof(struct pst_reference));
}

/* A record of the whole object is the only one that it has. */
static bool follows(const struct pst_reference *last, const struct pst_reference *next)
{
    if (last->object != next->object)
        return last->object < next->object;
    return last->hash_kind != PST_HASH_OBJECT && next->hash_kind != PST_HASH_OBJECT &&
           last->object_offset + last->bytes <= next->object_offset;
}

bool pst_references_add(void *payload, uint32_t payload_bytes,
                        const struct pst_reference *reference)
{
    struct pst_references_head *head = payload;
    struct pst_reference *next =
        (struct pst_reference *)((uint8_t *)payload + pst_references_bytes(payload));
    assert(reference->origin < head->origins_count && reference->bytes > 0);
    if (payload_bytes - pst_references_bytes(payload) < sizeof(*next) ||
        (head->records_count > 0 && !follows(next - 1, reference)))
        return false;
    *next = *reference;
    head->records_count++;
    return true;
}

bool pst_references_insert(void *payload, uint32_t payload_bytes,
                           const struct pst_reference *reference, uint32_t moved_max)
{
    struct pst_references_head *head = payload;
    struct pst_reference *records =
        (struct pst_reference *)(uintptr_t)pst_references_records(payload);
    uint32_t at = head->records_count;
    uint32_t least = at > moved_max ? at - moved_max : 0;
    if (payload_bytes - pst_references_bytes(payload) < sizeof(*records))
        return false;
    while (at > least && follows(reference, &records[at - 1]))
        at--;
    if (at > 0 && !follows(&records[at - 1], reference))
        return false;
    memmove(&records[at + 1], &records[at], (head->records_count - at) * sizeof(*records));
    records[at] = *reference;
    head->records_count++;
    return true;
}

static int damaged(struct pst_damage *damage, const void *payload, const void *at, size_t bytes,
                   const char *what)
{
    uint64_t offset = (uint64_t)((const uint8_t *)at - (const uint8_t *)payload);
    return format_damage_set(damage, PST_CHUNK_HEADER_BYTES + offset, bytes, what, -PST_E_CORRUPT);
}

static bool origin_is_legal(const struct pst_origin *origin)
{
    return origin->number >= 1 && origin->node >= 1 && origin->node <= PST_NODES_MAX;
}

/* The sum of an object fills half of the field. */
static bool hash_is_legal(const struct pst_reference *record)
{
    static const uint8_t zeros[16];
    return record->hash_kind != PST_HASH_OBJECT ||
           (record->object_offset == 0 &&
            memcmp(record->hash + sizeof(zeros), zeros, sizeof(zeros)) == 0);
}

static bool record_is_legal(const struct pst_reference *record, uint32_t origins_count)
{
    return record->object != 0 && record->origin_object != 0 && record->origin < origins_count &&
           record->hash_kind != PST_HASH_NONE && record->bytes >= 1 && record->bytes <= INT64_MAX &&
           record->object_offset <= (uint64_t)INT64_MAX - record->bytes && hash_is_legal(record);
}

static int check_records(const void *payload, const struct pst_references_view *view,
                         struct pst_damage *damage)
{
    for (uint32_t i = 0; i < view->records_count; i++) {
        const struct pst_reference *record = &view->records[i];
        if (!record_is_legal(record, view->origins_count) ||
            (i > 0 && !follows(record - 1, record)))
            return damaged(damage, payload, record, sizeof(*record), "reference out of its range");
        if (record->hash_kind > PST_HASH_SHA_256) {
            damaged(damage, payload, record, sizeof(*record), "reference: kind of hash");
            return -PST_E_NEWER;
        }
    }
    return 0;
}

int pst_references_read(const void *payload, uint32_t payload_bytes,
                        struct pst_references_view *view, struct pst_damage *damage)
{
    const struct pst_references_head *head = payload;
    if (payload_bytes < sizeof(*head) ||
        memcmp(head->magic, PST_REFERENCES_MAGIC, sizeof(head->magic)) != 0)
        return damaged(damage, payload, payload, payload_bytes, "not references");
    uint64_t origins_bytes = head->origins_count * sizeof(struct pst_origin);
    uint64_t records_bytes = head->records_count * sizeof(struct pst_reference);
    if (head->origins_count < 1 || head->origins_count > PST_ORIGINS_MAX ||
        sizeof(*head) + origins_bytes + records_bytes != payload_bytes)
        return damaged(damage, payload, head, sizeof(*head), "references: numbers of records");
    const struct pst_origin *origins = (const struct pst_origin *)(head + 1);
    const struct pst_references_view found = {
        .origins = origins,
        .records = pst_references_records(payload),
        .origins_count = head->origins_count,
        .records_count = head->records_count,
    };
    for (uint32_t i = 0; i < found.origins_count; i++) {
        if (!origin_is_legal(&origins[i]))
            return damaged(damage, payload, &origins[i], sizeof(*origins), "origin");
    }
    int error = check_records(payload, &found, damage);
    if (!error)
        *view = found;
    return error;
}

_Static_assert(PST_REFERENCE_HASH_BYTES == PST_SHA_256_BYTES, "a hash fills it");

int pst_reference_hash(const void *bytes, uint32_t size, uint8_t hash[PST_REFERENCE_HASH_BYTES])
{
    return pst_sha_256(bytes, size, hash);
}
