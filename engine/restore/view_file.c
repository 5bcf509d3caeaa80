/*
 * Reads from files of a view at any place. Called on the thread of whoever shows the view.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/grow.h"
#include "engine/restore/origin_parts.h"
#include "engine/restore/origins.h"
#include "engine/restore/view_state.h"

struct file_chunk {
    const struct pst_part_map *part;
    struct pst_index_entry entry;
};

/* Bytes of the file that lie in a chunk. */
struct file_piece {
    uint64_t offset; /* in the file */
    uint32_t bytes;
    uint32_t payload_offset;
    size_t chunk; /* index */
};

struct pst_view_file {
    uint64_t size;
    bool has_holes; /* what has no piece is zeros; else it is missing */
    struct file_chunk *chunks;
    size_t chunks_count;
    size_t chunks_room;
    struct file_piece *pieces; /* sorted */
    size_t pieces_count;
    size_t pieces_room;
};

/* A reference of the file's, and what it is to. */
struct file_reference {
    struct pst_reference reference;
    struct pst_origin origin;
};

/* While the pieces of a file are found. */
struct finding_pieces {
    struct pst_view *view;
    const struct pst_view_node *node;
    struct pst_view_file *file;
    struct pst_findings findings;
    uint64_t object; /* whose pieces they are, there */
    struct file_reference *references;
    size_t references_count;
    size_t references_room;
    const struct file_reference *wanted; /* those to this object; NULL: all of it is wanted */
    size_t wanted_count;
    uint64_t referred_bytes; /* found of what references are to */
};

bool pst_view_has_contents(const struct pst_object *object)
{
    return LOOK_CONTENTS_TYPES >> object->type & 1;
}

/* ---- pieces ---- */

static int add_chunk(struct pst_view_file *file, const struct pst_part_map *part,
                     const struct pst_index_entry *entry)
{
    void *chunks = file->chunks;
    int error = pst_grow(&chunks, file->chunks_count, &file->chunks_room, sizeof(*file->chunks));
    file->chunks = chunks;
    if (!error)
        file->chunks[file->chunks_count++] = (struct file_chunk){part, *entry};
    return error;
}

static int add_piece(struct pst_view_file *file, const struct pst_chunk_piece *piece)
{
    void *pieces = file->pieces;
    int error = pst_grow(&pieces, file->pieces_count, &file->pieces_room, sizeof(*file->pieces));
    file->pieces = pieces;
    if (!error)
        file->pieces[file->pieces_count++] =
            (struct file_piece){.offset = piece->object_offset,
                                .bytes = piece->bytes,
                                .payload_offset = piece->payload_offset,
                                .chunk = file->chunks_count - 1};
    return error;
}

/* Whether a reference to the object is to this piece: to all of the object, or to that run. */
static bool is_referred(const struct finding_pieces *finding, const struct pst_chunk_piece *piece)
{
    size_t low = 0, high = finding->wanted_count;
    if (!finding->wanted || finding->wanted[0].reference.hash_kind == PST_HASH_OBJECT)
        return true;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (finding->wanted[middle].reference.object_offset < piece->object_offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < finding->wanted_count &&
           finding->wanted[low].reference.object_offset == piece->object_offset &&
           finding->wanted[low].reference.bytes == piece->bytes;
}

static int outside(struct finding_pieces *finding, const struct pst_part_map *part,
                   const struct pst_index_entry *entry)
{
    const struct pst_damage damage = {.bytes = PST_CHUNK_HEADER_BYTES,
                                      .what = "piece of an object that has no such bytes"};
    pst_findings_add_damage(&finding->findings, &part->file, entry->file_offset, &damage,
                            -PST_E_CORRUPT);
    return -PST_E_CORRUPT;
}

static int take_header(void *context, const struct pst_part_map *part,
                       const struct pst_index_entry *entry, const struct pst_chunk_header *header)
{
    struct finding_pieces *finding = context;
    struct pst_view_file *file = finding->file;
    bool has_chunk = false;
    int error = 0;
    for (uint32_t i = 0; !error && i < header->pieces_count; i++) {
        const struct pst_chunk_piece *piece = &header->pieces[i];
        if (piece->object != finding->object || piece->bytes == 0 || !is_referred(finding, piece))
            continue;
        if (piece->bytes > file->size || piece->object_offset > file->size - piece->bytes)
            return outside(finding, part, entry);
        if (!has_chunk)
            error = add_chunk(file, part, entry);
        has_chunk = true;
        if (!error)
            error = add_piece(file, piece);
        if (finding->wanted)
            finding->referred_bytes += piece->bytes;
    }
    return error;
}

static bool may_have(const struct pst_index_entry *entry, enum pst_chunk_type type, uint64_t object)
{
    return entry->type == type && entry->object_first <= object && object <= entry->object_last &&
           (type != PST_CHUNK_DATA || entry->pieces_count > 0);
}

/* What one INDEX chunk names, or, where the index is damaged, what was found by its headers. */
static int read_link(struct finding_pieces *finding, const struct pst_part_map *part,
                     const struct pst_part_link *link, struct pst_index_view *index)
{
    const struct pst_index_view *read;
    *index =
        (struct pst_index_view){.entries = part->salvaged, .entries_count = part->salvaged_count};
    if (link->link.file_bytes == 0)
        return 0;
    int error = chunk_cache_index(&finding->view->cache, part, link, &finding->findings, &read);
    if (!error)
        *index = *read;
    return error;
}

/* Those of a link that may have something of the object: *entries, the caller's. */
static int find_entries(struct finding_pieces *finding, const struct pst_part_map *part,
                        const struct pst_part_link *link, enum pst_chunk_type type,
                        struct pst_index_entry **entries, uint32_t *count)
{
    struct pst_index_view index;
    *entries = NULL;
    *count = 0;
    if (finding->object < link->object_first || finding->object > link->object_last)
        return 0; /* without reading it, of the many that large backups have */
    int error = read_link(finding, part, link, &index);
    if (error)
        return error;
    uint32_t found = 0;
    for (uint32_t i = 0; i < index.entries_count; i++)
        found += may_have(&index.entries[i], type, finding->object);
    if (found == 0)
        return 0;
    *entries = malloc(found * sizeof(**entries));
    if (!*entries)
        return -ENOMEM;
    for (uint32_t i = 0; i < index.entries_count; i++) {
        if (may_have(&index.entries[i], type, finding->object))
            (*entries)[(*count)++] = index.entries[i];
    }
    return 0;
}

static int find_in_parts(struct finding_pieces *finding, const struct pst_part_set *set,
                         uint32_t node_index)
{
    int error = 0;
    for (uint32_t i = 0; !error && i < set->count; i++) {
        const struct pst_part_map *part = &set->parts[i];
        if (part->node_index != node_index)
            continue;
        for (uint32_t j = 0; !error && j < part->links_count; j++) {
            struct pst_index_entry *entries;
            uint32_t count;
            error = find_entries(finding, part, &part->links[j], PST_CHUNK_DATA, &entries, &count);
            if (!error && count > 0)
                error = chunk_cache_headers(&finding->view->cache, part, entries, count,
                                            &finding->findings, take_header, finding);
            free(entries);
        }
    }
    return error;
}

/* ---- references ---- */

static int take_references(struct finding_pieces *finding, const struct pst_part_map *part,
                           const struct pst_index_entry *entry, const void *chunk)
{
    struct pst_references_view view;
    struct pst_damage damage;
    int error = pst_references_read(pst_chunk_payload_of(chunk), entry->raw_bytes, &view, &damage);
    if (error) {
        pst_findings_add_damage(&finding->findings, &part->file, entry->file_offset, &damage,
                                error);
        return error;
    }
    for (uint32_t i = 0; !error && i < view.records_count; i++) {
        const struct pst_reference *record = &view.records[i];
        void *references = finding->references;
        if (record->object != finding->object)
            continue;
        error = pst_grow(&references, finding->references_count, &finding->references_room,
                         sizeof(*finding->references));
        finding->references = references;
        if (!error)
            finding->references[finding->references_count++] =
                (struct file_reference){*record, view.origins[record->origin]};
    }
    return error;
}

static int read_references(struct finding_pieces *finding, const struct pst_part_map *part,
                           const struct pst_part_link *link)
{
    struct pst_index_entry *entries;
    uint32_t count;
    int error = find_entries(finding, part, link, PST_CHUNK_REFERENCES, &entries, &count);
    for (uint32_t i = 0; !error && i < count; i++) {
        const void *chunk;
        error =
            chunk_cache_read(&finding->view->cache, part, &entries[i], &finding->findings, &chunk);
        if (!error)
            error = take_references(finding, part, &entries[i], chunk);
    }
    free(entries);
    return error;
}

static int by_origin(const void *a, const void *b)
{
    const struct file_reference *left = a, *right = b;
    int order = memcmp(left->origin.uid, right->origin.uid, sizeof(left->origin.uid));
    if (order == 0)
        order = left->origin.node - right->origin.node;
    if (order != 0)
        return order;
    if (left->reference.origin_object != right->reference.origin_object)
        return left->reference.origin_object < right->reference.origin_object ? -1 : 1;
    return (left->reference.object_offset > right->reference.object_offset) -
           (left->reference.object_offset < right->reference.object_offset);
}

static int refuse_origin(struct finding_pieces *finding, const char *what, int error)
{
    pst_findings_add_origin(&finding->findings, finding->view->look->backup, what, error);
    return error;
}

/* Finds and maps the parts of an origin, which the view keeps. */
static int map_origin(struct finding_pieces *finding, struct view_origin *origin)
{
    struct pst_view *view = finding->view;
    const struct pst_backup *found;
    uint32_t index;
    char what[PST_MESSAGE_BYTES];
    int error = origin_find(view->look->backup, &origin->origin, &found, &index, what);
    if (error)
        return refuse_origin(finding, what, error);
    origin->set.direct = view->look->set.direct;
    error = origin_add_parts(&origin->set, found, index, 1);
    if (!error)
        error = chunk_map_parts(view->look->crew, &origin->set, &finding->findings,
                                &view->cache.read_bytes, true);
    return error;
}

static int use_origin(struct finding_pieces *finding, const struct pst_origin *wanted,
                      struct view_origin **used)
{
    struct pst_view *view = finding->view;
    for (*used = view->origins; *used; *used = (*used)->next) {
        if ((*used)->origin.node == wanted->node &&
            memcmp((*used)->origin.uid, wanted->uid, sizeof(wanted->uid)) == 0)
            return 0;
    }
    struct view_origin *origin = calloc(1, sizeof(*origin));
    if (!origin)
        return -ENOMEM;
    origin->origin = *wanted;
    int error = map_origin(finding, origin);
    if (error) {
        pst_backup_parts_free(&origin->set);
        free(origin);
        return error;
    }
    origin->next = view->origins;
    view->origins = *used = origin;
    return 0;
}

/* Those that are to one object of an origin. */
static int find_referred(struct finding_pieces *finding, const struct file_reference *first,
                         size_t count)
{
    struct view_origin *origin;
    uint64_t bytes = 0;
    int error = use_origin(finding, &first->origin, &origin);
    if (error)
        return error;
    for (size_t i = 0; i < count; i++)
        bytes += first[i].reference.bytes;
    finding->object = first->reference.origin_object;
    finding->wanted = first;
    finding->wanted_count = count;
    finding->referred_bytes = 0;
    error = origin->set.count > 0
                ? find_in_parts(finding, &origin->set, origin->set.parts[0].node_index)
                : 0;
    if (!error && finding->referred_bytes != bytes)
        error =
            refuse_origin(finding, "it has other bytes than are referred to", -PST_E_INCONSISTENT);
    return error;
}

static int find_all_referred(struct finding_pieces *finding)
{
    struct file_reference *references = finding->references;
    size_t count = finding->references_count;
    int error = 0;
    if (count > 0)
        qsort(references, count, sizeof(*references), by_origin);
    for (size_t i = 0, end; !error && i < count; i = end) {
        end = i + 1;
        while (end < count &&
               references[end].reference.origin_object == references[i].reference.origin_object &&
               references[end].origin.node == references[i].origin.node &&
               memcmp(references[end].origin.uid, references[i].origin.uid, PST_UID_BYTES) == 0)
            end++;
        error = find_referred(finding, &references[i], end - i);
    }
    return error;
}

static int find_in_origins(struct finding_pieces *finding, uint32_t node_index)
{
    const struct pst_part_set *set = &finding->view->look->set;
    int error = 0;
    for (uint32_t i = 0; !error && i < set->count; i++) {
        const struct pst_part_map *part = &set->parts[i];
        for (uint32_t j = 0; !error && part->node_index == node_index && j < part->links_count; j++)
            error = read_references(finding, part, &part->links[j]);
    }
    return error ? error : find_all_referred(finding);
}

/* ---- files ---- */

static int by_offset(const void *a, const void *b)
{
    const struct file_piece *left = a, *right = b;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

/* Puts the pieces in order; whether what has none are holes: docs/format.md, *Catalogue*. */
static int settle(struct finding_pieces *finding, uint32_t node_index, char *message)
{
    struct pst_view_file *file = finding->file;
    const struct pst_object *object = &finding->node->object;
    uint64_t wanted, bytes = 0, end = 0;
    bool overlaps = false;
    if (file->pieces_count > 0)
        qsort(file->pieces, file->pieces_count, sizeof(*file->pieces), by_offset);
    for (size_t i = 0; i < file->pieces_count; i++) {
        overlaps |= file->pieces[i].offset < end;
        end = file->pieces[i].offset + file->pieces[i].bytes;
        bytes += file->pieces[i].bytes;
    }
    bool is_known = pst_object_data_bytes(object, &wanted);
    bool may_lack = !is_known && look_lacks_chunks(finding->view->look, node_index);
    bool is_whole = is_known ? bytes == wanted : object->flags == 0 && !may_lack;
    file->has_holes = is_whole;
    if (!overlaps && (is_whole || object->flags))
        return 0;
    return look_fail(message, -PST_E_CORRUPT, "%s",
                     overlaps   ? "two pieces of its contents overlap"
                     : is_known ? "pieces of its contents are missing"
                                : "pieces of its contents may be missing");
}

static int find_pieces(struct finding_pieces *finding, char *message)
{
    const struct pst_look *look = finding->view->look;
    uint32_t node_index = look->sources[finding->node->source].node_index;
    int error = find_in_parts(finding, &look->set, node_index);
    if (!error && origins_may_be(look->backup))
        error = find_in_origins(finding, node_index);
    free(finding->references);
    return error ? view_fail(&finding->findings, error, message)
                 : settle(finding, node_index, message);
}

int pst_view_open_file(struct pst_view *view, const struct pst_view_node *node,
                       struct pst_view_file **opened, char *message)
{
    struct pst_view_file *file = calloc(1, sizeof(*file));
    if (!file)
        return look_fail(message, -ENOMEM, "out of memory");
    file->size = node->object.size;
    struct finding_pieces finding = {
        .view = view, .node = node, .file = file, .object = node->object.id};
    pst_findings_init(&finding.findings, NULL, NULL);
    int error = file->size > 0 ? find_pieces(&finding, message) : 0;
    if (error) {
        pst_view_close_file(file);
        return error;
    }
    *opened = file;
    return 0;
}

void pst_view_close_file(struct pst_view_file *file)
{
    free(file->pieces);
    free(file->chunks);
    free(file);
}

/* Index of the first piece that ends behind the offset. */
static size_t piece_at(const struct pst_view_file *file, uint64_t offset)
{
    size_t low = 0, high = file->pieces_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->pieces[middle].offset + file->pieces[middle].bytes <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int copy_piece(struct pst_view *view, const struct pst_view_file *file,
                      const struct file_piece *piece, uint64_t offset, size_t bytes, void *data,
                      char *message)
{
    const struct file_chunk *chunk = &file->chunks[piece->chunk];
    struct pst_findings findings;
    const void *decoded;
    pst_findings_init(&findings, NULL, NULL);
    int error = chunk_cache_read(&view->cache, chunk->part, &chunk->entry, &findings, &decoded);
    if (error)
        return view_fail(&findings, error, message);
    memcpy(data,
           (const uint8_t *)pst_chunk_payload_of(decoded) + piece->payload_offset +
               (offset - piece->offset),
           bytes);
    return 0;
}

/* What lies before the next piece. */
static int copy_hole(const struct pst_view_file *file, size_t bytes, void *data, char *message)
{
    if (!file->has_holes)
        return look_fail(message, -PST_E_SCAN, "the backup could not read it wholly");
    memset(data, 0, bytes);
    return 0;
}

int pst_view_read(struct pst_view *view, const struct pst_view_file *file, uint64_t offset,
                  size_t bytes, void *data, char *message)
{
    int error = 0;
    for (size_t i = piece_at(file, offset); !error && bytes > 0;) {
        const struct file_piece *piece = i < file->pieces_count ? &file->pieces[i] : NULL;
        bool is_hole = !piece || piece->offset > offset;
        uint64_t end = !piece ? UINT64_MAX : is_hole ? piece->offset : piece->offset + piece->bytes;
        size_t part = end - offset < bytes ? (size_t)(end - offset) : bytes;
        error = is_hole ? copy_hole(file, part, data, message)
                        : copy_piece(view, file, piece, offset, part, data, message);
        i += !is_hole;
        offset += part;
        data = (uint8_t *)data + part;
        bytes -= part;
    }
    return error;
}
