/* Makes whole parts of what a backup that was cut off has left. Called by archive_draft.c, on the
 * archive's thread. */
#include "engine/repository/gather.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/activity.h"
#include "engine/base/clock.h"
#include "engine/base/fault_point.h"
#include "engine/base/own_error.h"
#include "engine/format/object.h"
#include "engine/format/part.h"
#include "engine/format/tail.h"
#include "engine/repository/layout.h"
#include "engine/repository/reader.h"

/* Read at once, beside a whole chunk. */
#define WINDOW_BYTES (4u << 20)

struct gather {
    struct pst_repository *repository;
    int backup; /* its directory */
    struct pst_node_manifest *draft;
    uint64_t limit_ns;
    struct pst_reader reader;
    struct pst_pace_share pace;
    size_t chunk_room; /* header and payload of the longest chunk */
    uint8_t *window;
    void *decoded, *index, *sums;
    uint8_t *tail;        /* with room for its header in front */
    uint64_t data_chunks; /* of all parts */

    /* Of what is sealed. The key of a part opens it, and never seals anything: whoever was cut off
     * may have sealed other bytes under the numbers that come next. */
    const struct pst_data_key *key; /* NULL: it is not */
    struct pst_sealed opening, sealing;
    uint8_t *derived; /* a key, until it is set */

    /* The part in work. */
    struct pst_repository_path path;
    struct pst_file file;
    bool is_open;
    struct pst_part part;
    uint8_t bound[PST_PART_BOUND_BYTES]; /* of its header, if it is sealed */
    uint64_t window_at;                  /* where in the file the window lies */
    uint32_t window_has;
    uint64_t tail_at; /* likewise, what is written behind the chunks */
    size_t tail_bytes;
    uint8_t block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
};

static int make_buffers(struct gather *gather)
{
    gather->chunk_room = PST_CHUNK_HEADER_BYTES + (size_t)gather->draft->chunk_bytes;
    gather->window = aligned_alloc(PST_BLOCK_BYTES, gather->chunk_room + WINDOW_BYTES);
    gather->decoded = aligned_alloc(PST_BLOCK_BYTES, gather->chunk_room);
    gather->index = aligned_alloc(PST_BLOCK_BYTES, gather->chunk_room);
    gather->sums = aligned_alloc(PST_BLOCK_BYTES, gather->chunk_room);
    /* a header, the part's, an index that is full, sums, the last index, the trailer */
    gather->tail = malloc(3 * gather->chunk_room + (size_t)3 * PST_BLOCK_BYTES);
    return gather->window && gather->decoded && gather->index && gather->sums && gather->tail
               ? 0
               : -ENOMEM;
}

static int make_keys(struct gather *gather)
{
    if (!gather->key)
        return 0;
    gather->derived = pst_secret_make(PST_KEY_BYTES);
    if (!gather->derived)
        return -ENOMEM;
    int error = pst_sealed_open(&gather->opening, NULL, NULL, NULL);
    return error ? error : pst_sealed_open(&gather->sealing, NULL, NULL, NULL);
}

static void free_keys(struct gather *gather)
{
    if (gather->opening.gcm)
        pst_sealed_close(&gather->opening);
    if (gather->sealing.gcm)
        pst_sealed_close(&gather->sealing);
    pst_secret_free(gather->derived);
}

static void free_buffers(struct gather *gather)
{
    free(gather->window);
    free(gather->decoded);
    free(gather->index);
    free(gather->sums);
    free(gather->tail);
}

/* ---- reading ---- */

/* What the window has from an offset on; NULL: not so many bytes. */
static const void *look_at(const struct gather *gather, uint64_t offset, uint64_t bytes)
{
    if (offset < gather->window_at || offset + bytes > gather->window_at + gather->window_has)
        return NULL;
    return gather->window + (offset - gather->window_at);
}

static void keep_pace(struct gather *gather)
{
    const struct pst_ring_transfers ended = pst_ring_take_transfers(gather->reader.ring);
    (void)pst_pace_keep(&gather->pace, gather->reader.ring, &ended, pst_monotonic_ns());
}

/* Sleeps until the pace has room for some of so many bytes: as many as are returned, whole blocks
 * if these are. */
static uint32_t wait_for_room(struct gather *gather, uint32_t wanted)
{
    uint32_t room;
    keep_pace(gather);
    while ((room = pst_pace_room(&gather->pace, wanted)) == 0) {
        pst_activity_rest(true);
        pst_ring_wait(gather->reader.ring, pst_pace_sleep_ns(&gather->pace, pst_monotonic_ns()));
        pst_activity_rest(false);
        keep_pace(gather);
    }
    return room & ~(PST_BLOCK_BYTES - 1);
}

/* Fills the window from an offset on, after the time limit only as far as is needed. Bytes that it
 * has then, fewer only at the end of the file, or an error. */
static int fill_window(struct gather *gather, uint64_t offset, uint64_t needed)
{
    uint32_t most = (uint32_t)(gather->chunk_room + WINDOW_BYTES), has = 0;
    while (has < most && (has < needed || pst_monotonic_ns() < gather->limit_ns)) {
        uint32_t bytes = wait_for_room(gather, most - has);
        uint64_t began_ns = pst_monotonic_ns();
        int got = pst_reader_read(&gather->reader, &gather->file, gather->window + has, bytes,
                                  offset + has);
        if (got < 0)
            return got;
        pst_pace_note_wait(&gather->pace, pst_monotonic_ns() - began_ns);
        pst_pace_spend(&gather->pace, (uint64_t)got);
        has += (uint32_t)got;
        if ((uint32_t)got < bytes)
            break;
    }
    return (int)has;
}

/* The same, moved there where it has not. *at NULL: the file has not. */
static int have(struct gather *gather, uint64_t offset, uint64_t bytes, const void **at)
{
    *at = look_at(gather, offset, bytes);
    if (*at)
        return 0;
    int got = fill_window(gather, offset, bytes);
    if (got < 0)
        return got;
    gather->window_at = offset;
    gather->window_has = (uint32_t)got;
    *at = look_at(gather, offset, bytes);
    return 0;
}

/* A chunk in the window as it was before it was encoded and sealed; NULL: it was not, as it must.
 */
static const void *open_chunk(struct gather *gather, const void *chunk)
{
    uint32_t room = gather->part.chunk_bytes;
    struct pst_damage damage;
    int error;
    if (gather->key)
        error = pst_chunk_open(&gather->opening, (void *)(uintptr_t)chunk, gather->decoded, room,
                               &damage);
    else if (pst_chunk_is_encoded(chunk))
        error = pst_chunk_decode(chunk, gather->decoded, room, &damage);
    else
        return chunk;
    return error ? NULL : gather->decoded;
}

/* The next chunk of the part; NULL: what lies there is none, or not a whole one. */
static int next_chunk(struct gather *gather, const void **chunk)
{
    const struct pst_part *part = &gather->part;
    struct pst_damage damage;
    int error = have(gather, part->next_offset, PST_CHUNK_HEADER_BYTES, chunk);
    if (error || !*chunk)
        return error;
    bool is_whole = pst_chunk_check_header(*chunk, PST_CHUNK_HEADER_BYTES, &part->identity,
                                           part->next_chunk, part->next_offset, &damage) == 0;
    const struct pst_chunk_header *header = *chunk;
    is_whole = is_whole && header->stored_bytes <= part->chunk_bytes &&
               header->raw_bytes <= part->chunk_bytes;
    uint64_t bytes = is_whole ? pst_chunk_file_bytes(header->stored_bytes) : 0;
    if (is_whole)
        error = have(gather, part->next_offset, bytes, chunk);
    if (error)
        return error;
    is_whole = is_whole && *chunk &&
               pst_chunk_check(*chunk, bytes, &part->identity, part->next_chunk, part->next_offset,
                               &damage) == 0;
    *chunk = is_whole ? open_chunk(gather, *chunk) : NULL;
    return 0;
}

/* ---- what chunks say ---- */

static bool has_legal_entries(const struct pst_chunk_header *header, const void *payload)
{
    struct pst_object object;
    int error = 0;
    for (size_t offset = 0; !error && offset < header->raw_bytes;)
        error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
    return !error;
}

/* Counts what a record refers to; false: there are too many origins. */
static bool count_reference(struct pst_node_manifest *draft, const struct pst_origin *named,
                            const struct pst_reference *reference)
{
    uint32_t i = 0;
    while (i < draft->origins_count &&
           memcmp(draft->origins[i].uid, named->uid, sizeof(named->uid)) != 0)
        i++;
    if (i == PST_ORIGINS_MAX)
        return false;
    struct pst_manifest_origin *origin = &draft->origins[i];
    if (i == draft->origins_count) {
        *origin = (struct pst_manifest_origin){.number = named->number};
        memcpy(origin->uid, named->uid, sizeof(origin->uid));
        draft->origins_count++;
    }
    origin->bytes += reference->bytes;
    origin->objects++;
    return true;
}

static bool count_references(struct pst_node_manifest *draft, const struct pst_chunk_header *header,
                             const void *payload)
{
    struct pst_references_view view;
    struct pst_damage damage;
    bool is_legal = (draft->common.version.incompatible & PST_FORMAT_REFERS) != 0 &&
                    pst_references_read(payload, header->raw_bytes, &view, &damage) == 0;
    for (uint32_t i = 0; is_legal && i < view.records_count; i++)
        is_legal = count_reference(draft, &view.origins[view.records[i].origin], &view.records[i]);
    return is_legal;
}

/* The hash by which a run is found again was to be in the index. */
static int note_hash(struct gather *gather, const struct pst_chunk_header *header,
                     const void *payload)
{
    uint8_t hash[PST_REFERENCE_HASH_BYTES];
    const struct pst_chunk_piece *piece = &header->pieces[0];
    if (header->pieces_count != 1 || (header->flags & PST_CHUNK_ROWS) != 0 ||
        piece->payload_offset != 0 || piece->bytes != header->raw_bytes)
        return 0;
    int error = pst_reference_hash(payload, header->raw_bytes, hash);
    if (!error)
        pst_part_note_hash(&gather->part, hash, piece->object_offset);
    return error;
}

/* *is_end: it is not what a writer of parts writes there. -ENOMEM. */
static int adopt(struct gather *gather, const void *chunk, bool *is_end)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const void *payload = pst_chunk_payload_of(chunk);
    if ((header->type == PST_CHUNK_CATALOGUE && !has_legal_entries(header, payload)) ||
        (header->type == PST_CHUNK_REFERENCES &&
         !count_references(gather->draft, header, payload))) {
        *is_end = true;
        return 0;
    }
    int error = header->type == PST_CHUNK_DATA ? note_hash(gather, header, payload) : 0;
    if (error)
        return error;
    *is_end = pst_part_adopt(&gather->part, chunk) != 0;
    gather->data_chunks += !*is_end && header->type == PST_CHUNK_DATA && header->pieces_count > 0;
    return 0;
}

static int adopt_chunks(struct gather *gather)
{
    bool is_end = false;
    while (!is_end && pst_monotonic_ns() < gather->limit_ns) {
        const void *chunk;
        int error = next_chunk(gather, &chunk);
        if (error && !pst_is_own_error(error))
            return 0; /* what the disk does not give is not there */
        if (!error && chunk)
            error = adopt(gather, chunk, &is_end);
        if (error)
            return error;
        is_end = is_end || !chunk;
    }
    return 0;
}

/* ---- the end of a part ---- */

static void put(struct gather *gather, const void *block, struct pst_part_place place)
{
    assert(place.file_offset == gather->tail_at + gather->tail_bytes);
    memcpy(gather->tail + PST_BLOCK_BYTES + gather->tail_bytes, block, place.bytes);
    gather->tail_bytes += place.bytes;
}

static void put_index(struct gather *gather)
{
    put(gather, gather->index, pst_part_seal_index(&gather->part));
}

/* Into a file of its own, in one step, whatever tail the part had; what was in flight behind its
 * chunks goes. */
static int write_apart(const struct gather *gather, int directory, const char *part_file)
{
    struct pst_repository *repository = gather->repository;
    const struct pst_node_manifest *draft = gather->draft;
    struct layout_name name = layout_tail_file(draft->common.number, draft->node);
    struct layout_name temporary = layout_temporary(name.text);
    (void)repository_remove(repository, directory, temporary.text);
    int error = repository_create(repository, directory, temporary.text, gather->tail,
                                  PST_BLOCK_BYTES + gather->tail_bytes);
    if (!error)
        error = repository_rename_durably(repository, directory, temporary.text, name.text, true);
    PST_FAULT_POINT("after", "TAIL_NAMED");
    return error ? error
                 : repository_end_file(repository, directory, part_file, gather->tail_at, NULL, 0);
}

/* Contents and name of the part, durably. */
static int write_tail(const struct gather *gather, const struct pst_manifest_part *named)
{
    struct pst_repository *repository = gather->repository;
    const struct pst_node_manifest *draft = gather->draft;
    struct layout_name name =
        layout_part_dir(draft->common.number, named->part, draft->parts_count);
    struct layout_name file = layout_part_file(draft->common.number, draft->node);
    int directory = repository_open(repository, gather->backup, name.text);
    if (directory < 0)
        return directory;
    int error = named->tail_at > 0
                    ? write_apart(gather, directory, file.text)
                    : repository_end_file(repository, directory, file.text, gather->tail_at,
                                          gather->tail + PST_BLOCK_BYTES, gather->tail_bytes);
    if (!error)
        error = repository_sync(repository, directory);
    repository_close(repository, directory);
    PST_FAULT_POINT("after", "PART_ENDED");
    return error;
}

/* What is sealed behind the chunks has a key that no other tail ever had. */
static void begin_tail(struct gather *gather, struct pst_manifest_part *named)
{
    struct pst_part *part = &gather->part;
    struct pst_tail_header *header = (struct pst_tail_header *)gather->tail;
    pst_tail_begin(header, &part->identity, part->next_chunk, part->next_offset);
    pst_data_key_begin_tail(gather->key, gather->bound, header, gather->derived);
    pst_tail_seal(header);
    pst_sealed_set_key(&gather->sealing, gather->derived);
    pst_part_begin_tail(part, &gather->sealing);
    named->tail_at = part->next_offset;
    gather->draft->common.version.incompatible |= PST_FORMAT_TAILS;
}

static int end_part(struct gather *gather, struct pst_manifest_part *named)
{
    struct pst_part *part = &gather->part;
    struct pst_node_manifest *draft = gather->draft;
    if (pst_part_has_sums(part)) {
        if (pst_part_index_is_full(part)) {
            put_index(gather);
            pst_part_attach_index(part, gather->index);
        }
        put(gather, gather->sums, pst_part_seal_sums(part));
    }
    put_index(gather);
    put(gather, gather->block,
        pst_part_seal_trailer(part, draft->common.start_gci, draft->common.stop_gci,
                              draft->common.finished_unix_ns, gather->block, &named->digest));
    named->file_bytes = gather->tail_at + gather->tail_bytes;
    named->sums = part->sums;
    named->lz4_chunks = part->codec_chunks[PST_CODEC_LZ4];
    named->zstd_chunks = part->codec_chunks[PST_CODEC_ZSTD];
    pst_part_sums_add(&draft->common.sums, &part->sums);
    return write_tail(gather, named);
}

/* ---- a part ---- */

static struct pst_part_identity identity_of(const struct pst_node_manifest *draft, uint32_t part)
{
    struct pst_part_identity identity = {
        .number = draft->common.number,
        .cluster_id = draft->common.cluster_id,
        .node = (uint16_t)draft->node,
        .part = (uint16_t)part,
        .parts = (uint16_t)draft->parts_count,
    };
    memcpy(identity.uid, draft->common.uid, sizeof(identity.uid));
    return identity;
}

/* Its key is a new one. */
static void seal_part(struct gather *gather)
{
    struct pst_part_header *header = (struct pst_part_header *)gather->block;
    pst_part_name_transform(&gather->part, &gather->sealing.named, gather->block);
    pst_data_key_begin_part(gather->key, header, gather->derived);
    pst_sealed_set_key(&gather->sealing, gather->derived);
    pst_part_begin_sealing(&gather->part, &gather->sealing, gather->block);
}

/* Begins the part anew, where what is there is not even its header. */
static void begin_part(struct gather *gather, const struct pst_part_identity *identity)
{
    const struct pst_node_manifest *draft = gather->draft;
    pst_part_begin(&gather->part, identity, draft->chunk_bytes, identity->part,
                   draft->common.started_unix_ns, gather->block);
    if (draft->common.version.incompatible & PST_FORMAT_REFERS)
        pst_part_note_base(&gather->part, gather->block);
    if (gather->key)
        seal_part(gather);
    const struct pst_part_place all = {.file_offset = 0, .bytes = PST_BLOCK_BYTES};
    put(gather, gather->block, all);
}

/* Why a file without the part's header is not overwritten; 0: nothing was written to it. */
static int refuse_other(const struct gather *gather)
{
    uint32_t bytes = gather->window_has < PST_BLOCK_BYTES ? gather->window_has : PST_BLOCK_BYTES;
    struct pst_damage damage;
    if (pst_part_is_blank(gather->window, bytes))
        return 0;
    bool is_part = pst_part_header_check(gather->window, bytes, NULL, &damage) == 0;
    return is_part ? -PST_E_MISPLACED : -PST_E_CORRUPT;
}

/* Nothing is begun anew in the place of one that is sealed otherwise. */
static int take_sealed(struct gather *gather, const struct pst_part_header *header,
                       bool *has_header)
{
    if (header->chunk_bytes != gather->draft->chunk_bytes || header->cipher == PST_CIPHER_NONE ||
        memcmp(header->data_key, gather->key->id, sizeof(header->data_key)) != 0)
        return -PST_E_CORRUPT;
    memcpy(gather->bound, (const uint8_t *)header + PST_PART_BOUND_AT, sizeof(gather->bound));
    pst_data_key_part(gather->key, gather->bound, gather->derived);
    pst_sealed_set_key(&gather->opening, gather->derived);
    pst_part_resume(&gather->part, header);
    *has_header = true;
    return 0;
}

/* Whether the part has its header; then the part is taken up. -PST_E_MISPLACED, -PST_E_CORRUPT: the
 * file is another part, or none. */
static int take_header(struct gather *gather, const struct pst_part_identity *identity,
                       bool *has_header)
{
    const void *block = NULL;
    struct pst_damage damage;
    *has_header = false;
    int error = gather->is_open ? have(gather, 0, PST_BLOCK_BYTES, &block) : 0;
    if (error)
        return error;
    if (!block || pst_part_header_check(block, PST_BLOCK_BYTES, identity, &damage) != 0)
        return refuse_other(gather);
    const struct pst_part_header *header = block;
    bool is_sealed = header->cipher != PST_CIPHER_NONE;
    if (gather->key)
        return take_sealed(gather, header, has_header);
    *has_header = header->chunk_bytes == gather->draft->chunk_bytes && !is_sealed;
    if (*has_header)
        pst_part_resume(&gather->part, header);
    return 0;
}

static int gather_part(struct gather *gather, struct pst_manifest_part *named)
{
    const struct pst_part_identity identity = identity_of(gather->draft, named->part);
    bool has_header;
    gather->window_at = gather->tail_at = 0;
    gather->window_has = 0;
    gather->tail_bytes = 0;
    int error = take_header(gather, &identity, &has_header);
    if (error)
        return error;
    if (!has_header)
        begin_part(gather, &identity);
    pst_part_attach_index(&gather->part, gather->index);
    pst_part_attach_sums(&gather->part, gather->sums, gather->draft->chunk_bytes);
    if (has_header) {
        error = adopt_chunks(gather);
        gather->tail_at = gather->part.next_offset;
    }
    if (!error && has_header && gather->key)
        begin_tail(gather, named);
    return error ? error : end_part(gather, named);
}

static int open_and_gather(struct gather *gather, struct pst_manifest_part *named)
{
    const struct pst_node_manifest *draft = gather->draft;
    gather->path = pst_repository_part_path(draft->common.number, draft->node, named->part,
                                            draft->parts_count);
    int error = pst_reader_open_file(&gather->reader, gather->repository->root, gather->path.text,
                                     PST_DIRECT_AUTO, &gather->file);
    gather->is_open = !error;
    if (error && error != -ENOENT)
        return error;
    error = gather_part(gather, named);
    if (gather->is_open)
        pst_reader_close_file(&gather->reader, &gather->file);
    return error;
}

int gather_parts(struct pst_repository *repository, int backup, struct pst_node_manifest *draft,
                 const struct pst_data_key *key, uint64_t limit_ns, struct pst_pace *pace,
                 struct pst_repository_path *failed)
{
    struct gather gather = {.repository = repository,
                            .backup = backup,
                            .draft = draft,
                            .key = key,
                            .limit_ns = limit_ns};
    draft->common.finished_unix_ns = pst_unix_ns();
    pst_pace_share_open(&gather.pace, pace);
    int error = make_buffers(&gather);
    if (!error)
        error = make_keys(&gather);
    if (!error)
        error = pst_reader_open(&gather.reader, 4);
    for (uint32_t i = 0; !error && i < draft->parts_count; i++)
        error = open_and_gather(&gather, &draft->parts[i]);
    *failed = gather.path;
    if (gather.reader.ring)
        pst_reader_close(&gather.reader);
    pst_pace_share_close(&gather.pace);
    free_buffers(&gather);
    free_keys(&gather);
    return !error && gather.data_chunks == 0 ? -ENOENT : error;
}

bool gather_is_done(const struct pst_node_manifest *draft)
{
    for (uint32_t i = 0; i < draft->parts_count; i++) {
        if (draft->parts[i].file_bytes == 0)
            return false;
    }
    return true;
}
