/* References, from a backup to the backups that hold the bytes. Any thread of the crew takes them
 * and looks them up; the thread of the verify or restore opens the origins in between. */
#include "engine/restore/origins.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/digest.h"
#include "engine/format/sums.h"
#include "engine/restore/chunk_reader.h"
#include "engine/restore/origin_parts.h"

/* What was taken out of a part. */
struct origin_taken {
    atomic_uint_least64_t records;
    atomic_uint_least64_t bytes;
};

/* What a node wrote of an origin, as a node here refers to it. */
struct origin_node {
    struct pst_origin origin;
    uint32_t node_index; /* of the node here */
    uint64_t bytes;      /* referred to, by all objects of that */
};

/* A reference, turned round. */
struct origin_use {
    uint64_t object; /* there */
    uint64_t offset; /* in both */
    uint64_t bytes;
    struct object_record *record; /* here */
    const uint8_t *hash;          /* SHA-256 of a run of bytes; NULL: the whole object */
    uint32_t node;                /* index */
};

/* Bits of the types that have bytes to refer to. */
#define REFERRING_TYPES                                                                            \
    (1u << PST_OBJECT_FILE | 1u << PST_OBJECT_ENVIRONMENT | 1u << PST_OBJECT_BLOCK_IMAGE)

bool origins_may_be(const struct pst_backup *backup)
{
    return (backup->cluster.common.version.incompatible & PST_FORMAT_REFERS) != 0;
}

int origins_init(struct origins *origins, const struct pst_backup *backup,
                 const struct pst_part_set *own, struct objects *objects)
{
    *origins = (struct origins){.backup = backup, .own = own, .objects = objects};
    origins->set.chunk_bytes = own->chunk_bytes;
    origins->taken = calloc(own->count + 1, sizeof(*origins->taken));
    pthread_mutex_init(&origins->mutex, NULL);
    return origins->taken ? 0 : -ENOMEM;
}

void origins_release(struct origins *origins)
{
    pst_backup_parts_free(&origins->set);
    free(origins->taken);
    free(origins->nodes);
    free(origins->uses);
    pthread_mutex_destroy(&origins->mutex);
}

/* ---- taking references ---- */

static int refuse(struct pst_damage *damage, const void *chunk, const void *at, size_t bytes,
                  const char *what)
{
    *damage =
        (struct pst_damage){(uint64_t)((const uint8_t *)at - (const uint8_t *)chunk), bytes, what};
    return -PST_E_INCONSISTENT;
}

static bool is_named(const struct pst_node_manifest *node, const struct pst_origin *origin)
{
    for (uint32_t i = 0; i < node->origins_count; i++) {
        if (memcmp(node->origins[i].uid, origin->uid, sizeof(origin->uid)) == 0)
            return node->origins[i].number == origin->number;
    }
    return false;
}

/* What a node may not refer to; NULL: nothing is wrong. */
static const char *fault_of_origin(const struct origins *origins, uint32_t node_index,
                                   const struct pst_origin *origin)
{
    const struct pst_manifest_common *common = &origins->backup->cluster.common;
    if (memcmp(origin->uid, common->uid, sizeof(origin->uid)) == 0)
        return "a reference of the backup to itself";
    if (origin->cluster_id != common->cluster_id)
        return "a reference to a backup of another cluster";
    if (!is_named(&origins->backup->nodes[node_index], origin))
        return "a reference to a backup that the manifest does not name";
    return NULL;
}

static bool is_same(const struct origin_node *node, uint32_t node_index,
                    const struct pst_origin *origin)
{
    return node->node_index == node_index && node->origin.node == origin->node &&
           memcmp(node->origin.uid, origin->uid, sizeof(origin->uid)) == 0;
}

/* With the mutex. */
static int enter_origin(struct origins *origins, uint32_t node_index,
                        const struct pst_origin *origin, uint32_t *index)
{
    *index = 0;
    while (*index < origins->nodes_count && !is_same(&origins->nodes[*index], node_index, origin))
        ++*index;
    if (*index < origins->nodes_count)
        return 0;
    struct origin_node *nodes =
        realloc(origins->nodes, (origins->nodes_count + (size_t)1) * sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    origins->nodes = nodes;
    nodes[origins->nodes_count++] =
        (struct origin_node){.origin = *origin, .node_index = node_index};
    return 0;
}

/* A REFERENCES chunk that is being taken. */
struct taking {
    struct origins *origins;
    uint32_t node_index;
    const void *chunk;
    struct pst_references_view view;
    bool is_used[PST_ORIGINS_MAX];   /* by index in the chunk: a record names it */
    uint32_t nodes[PST_ORIGINS_MAX]; /* likewise: the index in origins->nodes */
    uint64_t bytes[PST_ORIGINS_MAX];
    struct origin_use *uses;
    size_t uses_count;
    uint8_t (*hashes)[PST_REFERENCE_HASH_BYTES];
    uint64_t used_bytes;
};

/* Those that records name; others may stand in the table. */
static int enter_origins(struct taking *taking, struct pst_damage *damage)
{
    const struct pst_references_view *view = &taking->view;
    int error = 0;
    for (uint32_t i = 0; i < view->records_count; i++)
        taking->is_used[view->records[i].origin] = true;
    for (uint32_t i = 0; i < view->origins_count; i++) {
        const char *fault = fault_of_origin(taking->origins, taking->node_index, &view->origins[i]);
        if (fault && taking->is_used[i])
            return refuse(damage, taking->chunk, &view->origins[i], sizeof(view->origins[i]),
                          fault);
    }
    pthread_mutex_lock(&taking->origins->mutex);
    for (uint32_t i = 0; !error && i < view->origins_count; i++) {
        if (taking->is_used[i])
            error = enter_origin(taking->origins, taking->node_index, &view->origins[i],
                                 &taking->nodes[i]);
    }
    pthread_mutex_unlock(&taking->origins->mutex);
    return error;
}

static bool lies_in(const struct pst_reference *reference, const struct object_record *record)
{
    uint64_t size = object_size(record);
    return reference->bytes <= size && reference->object_offset <= size - reference->bytes;
}

/* What the object of the reference is to have, as far as sums tell it: of a run its hash does. */
static void add_sum(struct object_record *record, const struct pst_reference *reference)
{
    uint64_t sum[2];
    memcpy(sum, reference->hash, sizeof(sum));
    atomic_fetch_add(&record->summed_bytes, reference->bytes);
    if (reference->hash_kind != PST_HASH_OBJECT)
        return;
    atomic_fetch_add(&record->summed[0], sum[0]);
    atomic_fetch_add(&record->summed[1], sum[1]);
}

static int take_one(struct taking *taking, const struct pst_reference *reference,
                    struct pst_damage *damage)
{
    const struct objects *objects = taking->origins->objects;
    taking->bytes[reference->origin] += reference->bytes;
    if (!objects_want(objects, taking->node_index, reference->object))
        return 0;
    struct object_record *record = objects_find(objects, taking->node_index, reference->object);
    if (!record && objects->is_partial)
        return 0;
    if (!record)
        return refuse(damage, taking->chunk, reference, sizeof(*reference),
                      "reference of an object that no catalogue has");
    if (!(REFERRING_TYPES >> object_type(record) & 1) || !lies_in(reference, record))
        return refuse(damage, taking->chunk, reference, sizeof(*reference),
                      "reference for bytes that its object does not have");
    struct origin_use *use = &taking->uses[taking->uses_count];
    *use = (struct origin_use){.object = reference->origin_object,
                               .offset = reference->object_offset,
                               .bytes = reference->bytes,
                               .record = record,
                               .node = taking->nodes[reference->origin]};
    if (reference->hash_kind == PST_HASH_SHA_256)
        use->hash =
            memcpy(taking->hashes[taking->uses_count], reference->hash, PST_REFERENCE_HASH_BYTES);
    add_sum(record, reference);
    taking->uses_count++;
    taking->used_bytes += reference->bytes;
    return 0;
}

/* With the mutex: makes room for as many as may come. */
static int make_room(struct origins *origins, size_t more)
{
    size_t room = origins->uses_room ? origins->uses_room : 1024;
    while (room < origins->uses_count + more)
        room *= 2;
    if (room == origins->uses_room)
        return 0;
    struct origin_use *uses = realloc(origins->uses, room * sizeof(*uses));
    if (!uses)
        return -ENOMEM;
    origins->uses = uses;
    origins->uses_room = room;
    return 0;
}

static int enter_uses(struct taking *taking)
{
    struct origins *origins = taking->origins;
    pthread_mutex_lock(&origins->mutex);
    int error = make_room(origins, taking->uses_count);
    if (!error) {
        memcpy(&origins->uses[origins->uses_count], taking->uses,
               taking->uses_count * sizeof(*taking->uses));
        origins->uses_count += taking->uses_count;
        origins->bytes += taking->used_bytes;
        for (uint32_t i = 0; i < taking->view.origins_count; i++) {
            if (taking->is_used[i])
                origins->nodes[taking->nodes[i]].bytes += taking->bytes[i];
        }
    }
    pthread_mutex_unlock(&origins->mutex);
    return error;
}

/* Room for what may be taken; hashes last as long as the objects. */
static int prepare(struct taking *taking)
{
    const struct pst_references_view *view = &taking->view;
    struct origins *origins = taking->origins;
    size_t runs = 0;
    for (uint32_t i = 0; i < view->records_count; i++)
        runs += view->records[i].hash_kind == PST_HASH_SHA_256;
    if (runs > 0) {
        pthread_mutex_lock(&origins->objects->mutex);
        taking->hashes = objects_take_memory(origins->objects, (size_t)view->records_count *
                                                                   PST_REFERENCE_HASH_BYTES);
        origins->has_runs = true;
        pthread_mutex_unlock(&origins->objects->mutex);
    }
    taking->uses = calloc(view->records_count + (size_t)1, sizeof(*taking->uses));
    return taking->uses && (runs == 0 || taking->hashes) ? 0 : -ENOMEM;
}

static int take_all(struct taking *taking, struct origin_taken *taken, struct pst_damage *damage)
{
    const struct pst_references_view *view = &taking->view;
    struct pst_damage unused;
    int result = prepare(taking);
    if (!result)
        result = enter_origins(taking, damage);
    if (result)
        return result;
    for (uint32_t i = 0; i < view->records_count; i++) {
        int error = take_one(taking, &view->records[i], result ? &unused : damage);
        result = result ? result : error;
        atomic_fetch_add(&taken->bytes, view->records[i].bytes);
    }
    atomic_fetch_add(&taken->records, view->records_count);
    int error = enter_uses(taking);
    return error ? error : result;
}

int origins_take(struct origins *origins, const struct pst_part_map *part, const void *chunk,
                 struct pst_damage *damage)
{
    struct taking *taking = calloc(1, sizeof(*taking));
    if (!taking)
        return -ENOMEM;
    taking->origins = origins;
    taking->node_index = part->node_index;
    taking->chunk = chunk;
    int error = pst_references_read(pst_chunk_payload_of(chunk),
                                    pst_chunk_header_of(chunk)->raw_bytes, &taking->view, damage);
    if (!error)
        error = take_all(taking, &origins->taken[part - origins->own->parts], damage);
    free(taking->uses);
    free(taking);
    return error;
}

/* ---- whether they are all ---- */

static uint64_t bytes_of(const struct origins *origins, uint32_t node_index, const uint8_t *uid)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < origins->nodes_count; i++) {
        const struct origin_node *node = &origins->nodes[i];
        if (node->node_index == node_index && memcmp(node->origin.uid, uid, PST_UID_BYTES) == 0)
            bytes += node->bytes;
    }
    return bytes;
}

void origins_check(const struct origins *origins, struct pst_findings *findings)
{
    const struct pst_damage counts = {offsetof(struct pst_part_trailer, references), 16,
                                      "the trailer counts other references than there are"};
    for (uint32_t i = 0; i < origins->own->count; i++) {
        const struct pst_part_map *part = &origins->own->parts[i];
        if (atomic_load(&origins->taken[i].records) != part->references ||
            atomic_load(&origins->taken[i].bytes) != part->referenced_bytes)
            pst_findings_add_damage(findings, &part->file, part->file_bytes - PST_BLOCK_BYTES,
                                    &counts, -PST_E_INCONSISTENT);
    }
    for (uint32_t i = 0; i < origins->backup->cluster.nodes_count; i++) {
        const struct pst_node_manifest *node = &origins->backup->nodes[i];
        bool is_right = true;
        for (uint32_t j = 0; j < node->origins_count; j++)
            is_right &= bytes_of(origins, i, node->origins[j].uid) == node->origins[j].bytes;
        if (!is_right)
            pst_findings_add_node(findings, origins->backup, i,
                                  "it counts other references than there are");
    }
}

/* ---- opening the origins ---- */

static int by_place(const struct origin_use *left, uint32_t node, uint64_t object, bool is_run,
                    uint64_t offset)
{
    if (left->node != node)
        return left->node < node ? -1 : 1;
    if (left->object != object)
        return left->object < object ? -1 : 1;
    bool left_is_run = left->hash;
    if (left_is_run != is_run)
        return is_run ? -1 : 1;
    return (left->offset > offset) - (left->offset < offset);
}

static int compare_uses(const void *a, const void *b)
{
    const struct origin_use *left = a, *right = b;
    return by_place(left, right->node, right->object, right->hash, right->offset);
}

/* Index of the first use from there on. */
static size_t find_use(const struct origins *origins, uint32_t node, uint64_t object, bool is_run,
                       uint64_t offset)
{
    size_t low = 0, high = origins->uses_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_place(&origins->uses[middle], node, object, is_run, offset) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Uses of what the node wrote, from first up to the one that is returned. */
static size_t uses_of(const struct origins *origins, uint32_t node, size_t *first)
{
    *first = find_use(origins, node, 0, false, 0);
    return find_use(origins, node + 1, 0, false, 0);
}

static void mark_lacking(const struct origins *origins, uint32_t node)
{
    size_t first, end = uses_of(origins, node, &first);
    for (size_t i = first; i < end; i++)
        origins->uses[i].record->lacks_origin = true;
}

static int open_origin(struct origins *origins, uint32_t node, struct pst_findings *findings)
{
    const struct pst_backup *found;
    uint32_t index;
    char what[PST_MESSAGE_BYTES];
    size_t first, end = uses_of(origins, node, &first);
    if (first == end)
        return 0;
    int error = origin_find(origins->backup, &origins->nodes[node].origin, &found, &index, what);
    if (!error)
        return origin_add_parts(&origins->set, found, index, node + 1);
    pst_findings_add_origin(findings, origins->backup, what, error);
    mark_lacking(origins, node);
    return 0;
}

int origins_open(struct origins *origins, struct crew *crew, struct pst_findings *findings,
                 uint64_t *bytes, bool stop_at_damage)
{
    uint64_t unverified = findings->unverified;
    uint8_t hash[PST_REFERENCE_HASH_BYTES]; /* of nothing: whether there can be any */
    int error = origins->has_runs ? pst_reference_hash("", 0, hash) : 0;
    if (origins->uses_count > 0)
        qsort(origins->uses, origins->uses_count, sizeof(*origins->uses), compare_uses);
    for (uint32_t i = 0; !error && i < origins->nodes_count; i++)
        error = open_origin(origins, i, findings);
    origins->unverified = findings->unverified - unverified;
    if (!error && stop_at_damage && findings->damages > 0)
        error = findings->first_error;
    origins->set.salvages = origins->own->salvages;
    origins->set.direct = origins->own->direct;
    return error ? error : chunk_map_parts(crew, &origins->set, findings, bytes, stop_at_damage);
}

/* ---- from there to here ---- */

/* Of an entry that says which run of which object its chunk has. */
static bool wants_run(const struct origins *origins, uint32_t node,
                      const struct pst_index_entry *entry)
{
    size_t i = find_use(origins, node, entry->object_first, true, entry->origin_chunk);
    if (i == origins->uses_count)
        return false;
    const struct origin_use *use = &origins->uses[i];
    return use->node == node && use->object == entry->object_first &&
           use->offset == entry->origin_chunk;
}

bool origins_want(const struct origins *origins, const struct pst_part_map *part,
                  const struct pst_index_entry *entry)
{
    uint32_t node = part->origin - 1;
    size_t first = find_use(origins, node, entry->object_first, false, 0);
    if (first == origins->uses_count)
        return false;
    const struct origin_use *use = &origins->uses[first];
    if (use->node != node || use->object > entry->object_last)
        return false;
    return entry->hash_kind != PST_HASH_SHA_256 || !use->hash || wants_run(origins, node, entry);
}

struct origin_walk origins_walk(const struct origins *origins, const struct pst_part_map *part,
                                const struct pst_chunk_piece *piece)
{
    return (struct origin_walk){
        .part = part,
        .piece = piece,
        .next = find_use(origins, part->origin - 1, piece->object, false, 0),
    };
}

bool origins_next(const struct origins *origins, struct origin_walk *walk)
{
    const struct pst_chunk_piece *piece = walk->piece;
    uint32_t node = walk->part->origin - 1;
    if (piece->bytes == 0)
        return false;
    while (walk->next < origins->uses_count) {
        const struct origin_use *use = &origins->uses[walk->next];
        if (use->node != node || use->object != piece->object)
            return false;
        if (use->hash && !walk->in_runs) {
            walk->in_runs = true;
            walk->next = find_use(origins, node, piece->object, true, piece->object_offset);
            continue;
        }
        if (use->hash && use->offset != piece->object_offset)
            return false;
        walk->next++;
        if (use->hash && use->bytes != piece->bytes)
            continue;
        walk->record = use->record;
        walk->hash = use->hash;
        return true;
    }
    return false;
}

int origins_prove(const struct origin_walk *walk, const void *chunk, uint32_t piece,
                  uint64_t digest[2])
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const uint8_t *payload = pst_chunk_payload_of(chunk);
    uint8_t hash[PST_REFERENCE_HASH_BYTES];
    if (!walk->hash) {
        pst_piece_digest(header, payload, piece, digest);
        return 0;
    }
    digest[0] = digest[1] = 0;
    int error = pst_reference_hash(payload + header->pieces[piece].payload_offset,
                                   header->pieces[piece].bytes, hash);
    if (error)
        return error;
    bool is_it = memcmp(hash, walk->hash, sizeof(hash)) == 0;
    if (!is_it)
        atomic_store(&walk->record->is_hit, true);
    return is_it ? 0 : -PST_E_CORRUPT;
}

struct object_record *origins_owner(const struct origins *origins, const struct pst_part_map *part,
                                    const struct pst_chunk_piece *piece, bool *is_idle)
{
    struct origin_walk walk = origins_walk(origins, part, piece);
    *is_idle = !origins_next(origins, &walk);
    if (*is_idle || walk.hash)
        return NULL;
    struct object_record *record = walk.record;
    return origins_next(origins, &walk) ? NULL : record;
}

static void hit_piece(const struct origins *origins, const struct pst_part_map *part,
                      const struct pst_chunk_piece *piece)
{
    for (struct origin_walk walk = origins_walk(origins, part, piece);
         origins_next(origins, &walk);)
        atomic_store(&walk.record->is_hit, true);
}

void origins_note_lost(const struct origins *origins, const struct pst_part_map *part,
                       const struct pst_index_entry *entry, const struct pst_chunk_header *header)
{
    for (uint32_t i = 0; header && i < header->pieces_count; i++)
        hit_piece(origins, part, &header->pieces[i]);
    if (header)
        return;
    size_t first, end = uses_of(origins, part->origin - 1, &first);
    for (size_t i = first; i < end; i++) {
        const struct origin_use *use = &origins->uses[i];
        if (!entry || (use->object >= entry->object_first && use->object <= entry->object_last))
            atomic_store(&use->record->is_doubtful, true);
    }
}
