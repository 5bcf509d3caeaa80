/*
 * Gathers the pieces of all objects, and adds up what they hold. Any thread of the crew adds; the
 * thread of the verify or restore checks.
 */
#include "engine/restore/contents.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/format/sums.h"
#include "engine/restore/object_order.h"

struct contents_part {
    atomic_uint_least64_t source_bytes; /* in pieces, of objects that are left out too */
    atomic_uint_least64_t sums;         /* records read */
};

struct contents_piece {
    struct object_record *record;
    uint64_t offset;
    uint64_t bytes;
};

int contents_init(struct contents *contents, const struct pst_backup *backup,
                  const struct pst_part_set *set, struct objects *objects)
{
    *contents = (struct contents){.backup = backup, .set = set, .objects = objects};
    contents->parts = calloc(set->count + 1, sizeof(*contents->parts));
    pthread_mutex_init(&contents->mutex, NULL);
    return contents->parts ? 0 : -ENOMEM;
}

void contents_release(struct contents *contents)
{
    free(contents->parts);
    free(contents->pieces);
    pthread_mutex_destroy(&contents->mutex);
}

static struct contents_part *part_of(struct contents *contents, const struct pst_part_map *part)
{
    return &contents->parts[part - contents->set->parts];
}

/* What an origin has is counted where the backup that is read has it: origins_check(). */
static void count_bytes(struct contents *contents, const struct pst_part_map *part, uint64_t bytes)
{
    if (part->origin == 0)
        atomic_fetch_add(&part_of(contents, part)->source_bytes, bytes);
}

bool contents_have_sums(const struct contents *contents, uint32_t node_index)
{
    for (uint32_t i = 0; i < contents->set->count; i++) {
        const struct pst_part_map *part = &contents->set->parts[i];
        if (part->node_index == node_index && (part->object_sums > 0 || part->references > 0))
            return true;
    }
    return false;
}

bool contents_sums_are_whole(const struct contents *contents, uint32_t node_index)
{
    for (uint32_t i = 0; i < contents->set->count; i++) {
        const struct pst_part_map *part = &contents->set->parts[i];
        if (part->node_index == node_index &&
            (!part->is_mapped || atomic_load(&contents->parts[i].sums) != part->object_sums))
            return false;
    }
    return contents_have_sums(contents, node_index);
}

/* ---- what is there ---- */

int contents_add_sums(struct contents *contents, const struct pst_part_map *part, const void *chunk,
                      struct pst_damage *damage)
{
    const struct pst_object_sum *records;
    const struct object_page *near = NULL;
    uint32_t count;
    int error = pst_sums_read(chunk, &records, &count, damage);
    if (error)
        return error;
    for (uint32_t i = 0; i < count; i++) {
        if (!objects_want(contents->objects, part->node_index, records[i].object))
            continue;
        struct object_record *record =
            objects_find_near(contents->objects, part->node_index, records[i].object, &near);
        if (!record) {
            damage->what = "checksum of an object that no catalogue has";
            damage->offset = (uint64_t)((const uint8_t *)&records[i] - (const uint8_t *)chunk);
            damage->bytes = sizeof(records[i]);
            error = -PST_E_INCONSISTENT;
            continue;
        }
        atomic_fetch_add(&record->summed_bytes, records[i].bytes);
        atomic_fetch_add(&record->summed[0], records[i].sum[0]);
        atomic_fetch_add(&record->summed[1], records[i].sum[1]);
    }
    atomic_fetch_add(&part_of(contents, part)->sums, count);
    return error;
}

static int keep_piece(struct contents *contents, struct object_record *record,
                      const struct pst_chunk_piece *piece)
{
    int error = 0;
    pthread_mutex_lock(&contents->mutex);
    if (contents->pieces_count == contents->pieces_room) {
        size_t room = contents->pieces_room ? 2 * contents->pieces_room : 1024;
        struct contents_piece *pieces = realloc(contents->pieces, room * sizeof(*pieces));
        error = pieces ? 0 : -ENOMEM;
        contents->pieces = pieces ? pieces : contents->pieces;
        contents->pieces_room = pieces ? room : contents->pieces_room;
    }
    if (!error)
        contents->pieces[contents->pieces_count++] =
            (struct contents_piece){record, piece->object_offset, piece->bytes};
    pthread_mutex_unlock(&contents->mutex);
    return error;
}

bool contents_has_bytes(const struct object_record *record, const struct pst_chunk_piece *piece)
{
    uint64_t size = object_size(record);
    return piece->bytes <= size && piece->object_offset <= size - piece->bytes;
}

bool contents_vouch_for(const struct object_record *record, const void *chunk, uint32_t piece)
{
    uint64_t digest[2];
    pst_piece_digest(pst_chunk_header_of(chunk), pst_chunk_payload_of(chunk), piece, digest);
    return atomic_load(&record->summed[0]) == digest[0] &&
           atomic_load(&record->summed[1]) == digest[1];
}

static void count_piece(struct object_record *record, uint64_t bytes, const uint64_t digest[2])
{
    atomic_fetch_add(&record->bytes, bytes);
    atomic_fetch_add(&record->sum[0], digest[0]);
    atomic_fetch_add(&record->sum[1], digest[1]);
}

uint64_t contents_bytes(const struct object_record *record)
{
    return atomic_load(&record->bytes) +
           (atomic_load(&record->is_proven) ? object_size(record) : 0);
}

/* A piece that is all of the object, and as summed. Nearly always it is the only one: what is added
 * up for any other is left as it is then. */
static void count_proven(struct object_record *record, uint64_t bytes, const uint64_t digest[2])
{
    if (atomic_exchange(&record->is_proven, true))
        count_piece(record, bytes, digest);
}

/* The lowest offset counts: of a file in several fragments each has such a piece. */
static void note_end(struct object_record *record, uint64_t offset)
{
    uint64_t cut = object_size(record) - offset, known = atomic_load(&record->cut);
    while (cut > known && !atomic_compare_exchange_weak(&record->cut, &known, cut))
        ;
}

/* digest: what it adds to the checksum of the object. */
static int add_to(struct contents *contents, struct object_record *record,
                  const struct pst_chunk_piece *piece, const uint64_t digest[2], bool is_damaged)
{
    bool is_rows = object_type(record) == PST_OBJECT_ROWS;
    if (is_damaged)
        atomic_store(is_rows ? &record->is_hit : &record->is_doubtful, true);
    count_piece(record, piece->bytes, digest);
    return piece->bytes == object_size(record) ? 0 : keep_piece(contents, record, piece);
}

/* A piece of an origin: to the objects here that have it. */
static int add_referred(struct contents *contents, const struct pst_part_map *part,
                        const void *chunk, uint32_t i, bool is_damaged)
{
    const struct pst_chunk_piece *piece = &pst_chunk_header_of(chunk)->pieces[i];
    struct origin_walk walk = origins_walk(contents->origins, part, piece);
    int result = 0;
    while (origins_next(contents->origins, &walk)) {
        uint64_t digest[2];
        int error = -PST_E_CORRUPT;
        if (contents_has_bytes(walk.record, piece))
            error = origins_prove(&walk, chunk, i, digest);
        if (!error)
            error = add_to(contents, walk.record, piece, digest, is_damaged);
        result = error == -ENOMEM || !result ? error : result;
    }
    return result;
}

static int add_piece(struct contents *contents, const struct pst_part_map *part, const void *chunk,
                     uint32_t i, bool is_damaged)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const struct pst_chunk_piece *piece = &header->pieces[i];
    uint64_t digest[2];
    if (part->origin > 0)
        return add_referred(contents, part, chunk, i, is_damaged);
    if (!objects_want(contents->objects, part->node_index, piece->object))
        return 0;
    struct object_record *record = objects_find(contents->objects, part->node_index, piece->object);
    if (!record && contents->objects->is_partial)
        return 0;
    if (!record || !contents_has_bytes(record, piece))
        return -PST_E_CORRUPT;
    if (piece->bytes == 0) {
        note_end(record, piece->object_offset);
        return 0;
    }
    pst_piece_digest(header, pst_chunk_payload_of(chunk), i, digest);
    return add_to(contents, record, piece, digest, is_damaged);
}

static int add_pieces(struct contents *contents, const struct pst_part_map *part, const void *chunk,
                      bool is_damaged, struct pst_damage *damage)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    uint64_t bytes = 0;
    int result = 0;
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        bytes += header->pieces[i].bytes;
        int error = add_piece(contents, part, chunk, i, is_damaged);
        if (error == -ENOMEM)
            return error;
        if (!error || result)
            continue;
        *damage = (struct pst_damage){
            offsetof(struct pst_chunk_header, pieces) + i * sizeof(header->pieces[0]),
            sizeof(header->pieces[0]), "piece of an object that has no such bytes"};
        result = error;
    }
    count_bytes(contents, part, bytes);
    return result;
}

int contents_add(struct contents *contents, const struct pst_part_map *part, const void *chunk,
                 struct pst_damage *damage)
{
    return add_pieces(contents, part, chunk, false, damage);
}

int contents_add_damaged(struct contents *contents, const struct pst_part_map *part,
                         const void *chunk, struct pst_damage *damage)
{
    return add_pieces(contents, part, chunk, true, damage);
}

/* The object that a piece with bytes is of; NULL: none. *is_idle: and that is no fault, nor does
 * the piece matter. */
static struct object_record *owner_of(const struct contents *contents,
                                      const struct pst_part_map *part,
                                      const struct pst_chunk_piece *piece,
                                      const struct object_page **near, bool *is_idle)
{
    *is_idle = false;
    if (part->origin > 0)
        return origins_owner(contents->origins, part, piece, is_idle);
    return objects_want(contents->objects, part->node_index, piece->object)
               ? objects_find_near(contents->objects, part->node_index, piece->object, near)
               : NULL;
}

/* Whether the piece is idle, or all of *record and intact; else that is not known. */
static bool is_proven(const struct contents *contents, const struct pst_part_map *part,
                      const void *chunk, uint32_t i, const struct object_page **near,
                      struct object_record **owner, uint64_t digest[2])
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const struct pst_chunk_piece *piece = &header->pieces[i];
    bool is_idle = false;
    struct object_record *record = piece->bytes > 0 || part->origin > 0
                                       ? owner_of(contents, part, piece, near, &is_idle)
                                       : NULL;
    *owner = record;
    if (!record || piece->bytes != object_size(record) ||
        piece->bytes != atomic_load(&record->summed_bytes))
        return is_idle;
    pst_piece_digest(header, pst_chunk_payload_of(chunk), i, digest);
    bool is_intact = atomic_load(&record->summed[0]) == digest[0] &&
                     atomic_load(&record->summed[1]) == digest[1];
    return is_intact;
}

int contents_add_proven(struct contents *contents, const struct pst_part_map *part,
                        const void *chunk)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    struct object_record *records[PST_CHUNK_PIECES_MAX];
    const struct object_page *near = NULL;
    uint64_t digests[PST_CHUNK_PIECES_MAX][2], bytes = 0;
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        if (!is_proven(contents, part, chunk, i, &near, &records[i], digests[i]))
            return 0;
        bytes += header->pieces[i].bytes;
    }
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        if (records[i])
            count_proven(records[i], header->pieces[i].bytes, digests[i]);
    }
    count_bytes(contents, part, bytes);
    return 1;
}

void contents_forget(struct contents *contents)
{
    contents->pieces_count = 0;
    for (uint32_t i = 0; i < contents->set->count; i++)
        atomic_store(&contents->parts[i].source_bytes, 0);
    for (size_t i = 0; i < contents->objects->count; i++) {
        struct object_record *record = contents->objects->listed[i];
        atomic_store(&record->is_proven, false);
        atomic_store(&record->bytes, 0);
        atomic_store(&record->sum[0], 0);
        atomic_store(&record->sum[1], 0);
    }
}

/* ---- whether it is all ---- */

static int by_place(const void *a, const void *b)
{
    const struct contents_piece *left = a, *right = b;
    if (left->record != right->record)
        return (uintptr_t)left->record < (uintptr_t)right->record ? -1 : 1;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

/* Marks the objects of which two pieces have a byte in common. */
static void mark_overlaps(struct contents *contents)
{
    if (contents->pieces_count > 0)
        qsort(contents->pieces, contents->pieces_count, sizeof(*contents->pieces), by_place);
    for (size_t i = 1; i < contents->pieces_count; i++) {
        const struct contents_piece *before = &contents->pieces[i - 1];
        const struct contents_piece *piece = &contents->pieces[i];
        if (before->record == piece->record && before->offset + before->bytes > piece->offset)
            piece->record->overlaps = true;
    }
}

static bool is_as_summed(const struct object_record *record)
{
    if (atomic_load(&record->is_proven))
        return atomic_load(&record->bytes) == 0;
    return atomic_load(&record->bytes) == atomic_load(&record->summed_bytes) &&
           atomic_load(&record->sum[0]) == atomic_load(&record->summed[0]) &&
           atomic_load(&record->sum[1]) == atomic_load(&record->summed[1]);
}

/* Whether nothing is wrong, as far as that shows without decoding the entry: so with nearly all. */
static bool is_plainly_whole(const struct object_record *record, bool has_sums)
{
    return contents_bytes(record) == object_size(record) && !record->has_holes &&
           !record->overlaps && !atomic_load(&record->is_hit) &&
           !atomic_load(&record->is_doubtful) && (!has_sums || is_as_summed(record));
}

/* What is wrong with the contents of an object; NULL: nothing. What is marked unreadable or changed
 * may have less than was listed. */
static const char *fault_of(const struct object_record *record, bool has_sums)
{
    static const char damaged[] = "some of its contents are damaged";
    if (is_plainly_whole(record, has_sums))
        return NULL;
    const struct pst_object object = object_of(record);
    uint64_t bytes = contents_bytes(record), wanted;
    bool is_known = pst_object_data_bytes(&object, &wanted);
    if (object.type == PST_OBJECT_ROWS) {
        is_known = true;
        wanted = object.size;
    }
    if (record->overlaps || bytes > object.size)
        return "pieces of its contents overlap";
    if (is_known && bytes < wanted && object.flags == 0)
        return "pieces of its contents are missing";
    if (is_known && bytes > wanted)
        return "it has more contents than were listed";
    if (has_sums && bytes < atomic_load(&record->summed_bytes))
        return "pieces of its contents are missing";
    bool is_doubtful = atomic_load(&record->is_doubtful);
    if (has_sums && !is_as_summed(record))
        return is_doubtful ? damaged : "its contents and their checksum differ";
    return atomic_load(&record->is_hit) || (is_doubtful && !has_sums) ? damaged : NULL;
}

struct objects_check {
    struct contents *contents;
    bool has_sums[PST_NODES_MAX];
    atomic_bool has_fault;
};

static void look_for_faults(void *context, size_t from, size_t end)
{
    struct objects_check *check = context;
    for (size_t i = from; i < end; i++) {
        const struct object_record *record = check->contents->objects->listed[i];
        if (fault_of(record, check->has_sums[record->node]))
            atomic_store(&check->has_fault, true);
    }
}

static int name_faults(const struct objects_check *check, struct pst_findings *findings)
{
    const struct object_record *clash;
    struct objects *objects = check->contents->objects;
    bool is_damaged = findings->damages > 0;
    int error = objects_sort(objects, &clash);
    for (size_t i = 0; !error && i < objects->count; i++) {
        struct object_record *record = objects->listed[i];
        const char *what = fault_of(record, check->has_sums[record->node]);
        /* what could not be read is not known to be missing; which objects an origin that is not
         * there concerns is known */
        bool is_known_hit = atomic_load(&record->is_hit) || atomic_load(&record->is_doubtful);
        const struct origins *origins = check->contents->origins;
        uint64_t others = origins && !record->lacks_origin ? origins->unverified : 0;
        bool is_unread = findings->unverified > others;
        if (!what || (is_unread && !is_known_hit))
            continue;
        atomic_store(&record->is_hit, true);
        const struct pst_object object = object_of(record);
        pst_findings_add_object(findings, check->contents->backup, record->node, &object, what,
                                !is_damaged);
    }
    return error;
}

/* All threads look whether there is any fault; if so, this one names all of them in their order. */
static int check_objects(struct contents *contents, struct crew *crew,
                         struct pst_findings *findings)
{
    struct objects_check check = {.contents = contents};
    for (uint32_t i = 0; i < contents->backup->cluster.nodes_count; i++)
        check.has_sums[i] = contents_sums_are_whole(contents, i);
    mark_overlaps(contents);
    int error = crew_each(crew, contents->objects->count, look_for_faults, &check);
    if (!error && atomic_load(&check.has_fault))
        error = name_faults(&check, findings);
    return error;
}

static void check_part(struct contents *contents, uint32_t i, struct pst_findings *findings)
{
    const struct pst_part_map *part = &contents->set->parts[i];
    struct pst_damage damage = {offsetof(struct pst_part_trailer, sums.source_bytes), 8,
                                "the trailer counts other bytes of objects than there are"};
    if (atomic_load(&contents->parts[i].source_bytes) != part->sums.source_bytes)
        pst_findings_add_damage(findings, &part->file, part->file_bytes - PST_BLOCK_BYTES, &damage,
                                -PST_E_INCONSISTENT);
    damage = (struct pst_damage){offsetof(struct pst_part_trailer, object_sums), 8,
                                 "the trailer counts other checksums of objects than there are"};
    if (atomic_load(&contents->parts[i].sums) != part->object_sums)
        pst_findings_add_damage(findings, &part->file, part->file_bytes - PST_BLOCK_BYTES, &damage,
                                -PST_E_INCONSISTENT);
}

int contents_check(struct contents *contents, struct crew *crew, struct pst_findings *findings)
{
    bool has_all = findings->damages == 0 && !contents->objects->is_partial;
    int error = check_objects(contents, crew, findings);
    for (uint32_t i = 0; !error && has_all && i < contents->set->count; i++)
        check_part(contents, i, findings);
    return error;
}
