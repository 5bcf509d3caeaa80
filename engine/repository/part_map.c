/* Where the chunks of a backup's parts are, read by io_uring. Whoever lists, verifies or restores.
 */
#include "engine/repository/part_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/repository/layout.h"
#include "engine/repository/part_salvage.h"
#include "engine/repository/part_tail.h"

static struct pst_part_map map_of(const struct pst_backup *backup, uint32_t node_index, uint32_t i,
                                  uint32_t directory)
{
    const struct pst_node_manifest *node = &backup->nodes[node_index];
    struct pst_part_map map = {
        .identity =
            {
                .number = backup->number,
                .cluster_id = node->common.cluster_id,
                .node = (uint16_t)node->node,
                .part = (uint16_t)node->parts[i].part,
                .parts = (uint16_t)node->parts_count,
            },
        .node_index = node_index,
        .chunk_bytes = node->chunk_bytes,
        .file_bytes = node->parts[i].file_bytes,
        .digest = node->parts[i].digest,
        .sums = node->parts[i].sums,
        .tail_at = node->parts[i].tail_at,
        .key = backup->is_sealed[node_index] ? &backup->keys[node_index] : NULL,
    };
    memcpy(map.identity.uid, node->common.uid, sizeof(map.identity.uid));
    map.file = backup_file_name(
        backup, directory,
        layout_part(backup->number, node->node, node->parts[i].part, node->parts_count).text);
    /* one that is nowhere is missed where the first directory is looked into */
    if (directory == PST_DIRECTORIES_MAX)
        directory = backup_next_in(backup, 0);
    map.repository = &backup->directories->repositories[directory];
    bool has_descriptors = map.repository->features & PST_REPOSITORY_HAS_DESCRIPTORS;
    map.from_fd = has_descriptors ? map.repository->root : -1;
    return map;
}

static int add(struct pst_part_set *set, const struct pst_part_map *map)
{
    if ((set->count & (set->count - 1)) == 0) {
        size_t room = set->count ? 2 * (size_t)set->count : 1;
        struct pst_part_map *parts = realloc(set->parts, room * sizeof(*parts));
        if (!parts)
            return -ENOMEM;
        set->parts = parts;
    }
    set->parts[set->count++] = *map;
    set->file_bytes += map->file_bytes;
    if (map->chunk_bytes > set->chunk_bytes)
        set->chunk_bytes = map->chunk_bytes;
    return 0;
}

/* A part, and the copies of it. */
static int add_part(const struct pst_backup *backup, uint32_t node_index, uint32_t part,
                    struct pst_part_set *set, struct pst_part_set *copies)
{
    bool found = false;
    int error = 0;
    for (uint32_t i = backup_next_in(backup, 0);
         !error && i < PST_DIRECTORIES_MAX && (!found || copies);
         i = backup_next_in(backup, i + 1)) {
        const struct pst_part_map map = map_of(backup, node_index, part, i);
        int has = repository_has(map.repository, map.repository->root, map.file.text);
        if (has == 0 || has == -ENOTDIR)
            continue;
        error = add(found ? copies : set, &map);
        found = true;
    }
    if (error || found)
        return error;
    const struct pst_part_map map = map_of(backup, node_index, part, PST_DIRECTORIES_MAX);
    return add(set, &map);
}

int pst_backup_parts_make(const struct pst_backup *backup, struct pst_part_set *set,
                          struct pst_part_set *copies)
{
    int error = 0;
    *set = (struct pst_part_set){.chunk_bytes = PST_CHUNK_BYTES_MIN};
    if (copies)
        *copies = *set;
    for (uint32_t i = 0; !error && i < backup->cluster.nodes_count; i++) {
        for (uint32_t j = 0; !error && j < backup->nodes[i].parts_count; j++)
            error = add_part(backup, i, j, set, copies);
    }
    if (error)
        pst_backup_parts_free(set);
    if (error && copies)
        pst_backup_parts_free(copies);
    return error;
}

void pst_backup_parts_free(struct pst_part_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        free(set->parts[i].links);
        free(set->parts[i].salvaged);
    }
    free(set->parts);
    *set = (struct pst_part_set){0};
}

struct pst_part_title part_title(const struct pst_part_map *part)
{
    struct pst_part_title title;
    snprintf(title.text, sizeof(title.text), "part %u of node %u", part->identity.part,
             part->identity.node);
    return title;
}

/* What looking through one part needs. */
struct look {
    struct pst_part_map *part;
    struct pst_reader *reader;
    struct pst_file file;
    void *buffer;
    struct pst_findings *findings;
    uint64_t *checked_bytes;
    struct pst_digest header_checksum;
    bool header_is_whole;
    bool lacks_tail;                 /* so that nothing there can be opened */
    struct pst_sealed *sealed;       /* NULL: it is not sealed, or its key is not known */
    struct pst_part_trailer trailer; /* once it is known to be whole */
    struct pst_index_link at;        /* the INDEX chunk that was looked at last */
};

static void report(struct look *look, uint64_t base, const struct pst_damage *damage, int error)
{
    const struct pst_file_name file = pst_backup_part_file(look->part, &base);
    pst_findings_add_damage(look->findings, &file, base, damage, error);
}

/* Reads into the buffer; false, with a finding, where that fails. Fewer bytes: the check finds it.
 */
static bool read_at(struct look *look, uint64_t offset, uint32_t bytes, uint32_t *got)
{
    int result = pst_reader_read(look->reader, &look->file, look->buffer, bytes, offset);
    *got = result < 0 ? 0 : (uint32_t)result;
    if (result >= 0)
        return true;
    const struct pst_damage damage = {.bytes = bytes, .what = "read error"};
    report(look, offset, &damage, result);
    return false;
}

/* False where the part is too short to go on. */
static bool check_size(struct look *look)
{
    uint64_t found = look->file.size_bytes, wanted = look->part->file_bytes;
    if (found > wanted) {
        const struct pst_damage damage = {wanted, found - wanted, "bytes after the trailer"};
        report(look, 0, &damage, -PST_E_CORRUPT);
    }
    if (found < wanted) {
        const struct pst_damage damage = {found, wanted - found, "part"};
        report(look, 0, &damage, -PST_E_TRUNCATED);
    }
    return found >= wanted && wanted >= 2 * PST_BLOCK_BYTES && wanted % PST_BLOCK_BYTES == 0;
}

/* A manifest that was sealed names no part that is not, and no other key than its own. */
static int check_sealing(const struct pst_part_map *part, const struct pst_part_header *header,
                         struct pst_damage *damage)
{
    bool is_sealed = header->cipher != PST_CIPHER_NONE;
    if (is_sealed != (part->key != NULL)) {
        *damage = (struct pst_damage){offsetof(struct pst_part_header, cipher), 1,
                                      is_sealed ? "sealed, and its manifest is not"
                                                : "not sealed, and its manifest is"};
        return -PST_E_CORRUPT;
    }
    if (is_sealed && part->key->secret &&
        memcmp(header->data_key, part->key->id, sizeof(header->data_key)) != 0) {
        *damage = (struct pst_damage){offsetof(struct pst_part_header, data_key),
                                      sizeof(header->data_key), "sealed with another data key"};
        return -PST_E_CORRUPT;
    }
    return 0;
}

static void take_sealing(struct pst_part_map *part, const struct pst_part_header *header)
{
    part->is_sealed = header->cipher != PST_CIPHER_NONE;
    memcpy(part->bound, (const uint8_t *)header + PST_PART_BOUND_AT, sizeof(part->bound));
}

static void look_at_header(struct look *look)
{
    uint32_t got;
    if (!read_at(look, 0, PST_BLOCK_BYTES, &got))
        return;
    struct pst_damage damage;
    int error = pst_part_header_check(look->buffer, got, &look->part->identity, &damage);
    const struct pst_part_header *header = look->buffer;
    if (!error && header->chunk_bytes != look->part->chunk_bytes) {
        damage = (struct pst_damage){offsetof(struct pst_part_header, chunk_bytes), 4,
                                     "chunk size is not the manifest's"};
        error = -PST_E_CORRUPT;
    }
    if (!error)
        error = check_sealing(look->part, header, &damage);
    if (error) {
        report(look, 0, &damage, error);
        return;
    }
    take_sealing(look->part, header);
    look->header_checksum = header->head.checksum;
    look->header_is_whole = true;
    *look->checked_bytes += PST_BLOCK_BYTES;
}

static int check_tail(const struct pst_part_map *part, const void *block, uint32_t bytes,
                      struct pst_damage *damage)
{
    int error = pst_tail_check(block, bytes, &part->identity, damage);
    const struct pst_tail_header *header = block;
    if (error || header->file_offset == part->tail_at)
        return error;
    *damage = (struct pst_damage){offsetof(struct pst_tail_header, file_offset), 8,
                                  "place of the tail is not the manifest's"};
    return -PST_E_CORRUPT;
}

/* The chunks before it are found without it by who looks for them; for others there is no index. */
static void do_without_tail(struct look *look)
{
    if (!look->part->salvages) {
        look->lacks_tail = true;
        return;
    }
    reader_close_rest(look->reader, &look->file);
    if (look->file.size_bytes > look->part->tail_at)
        look->file.size_bytes = look->part->tail_at;
    look->part->tail_at = 0;
}

/* The header of a tail: without it, what is sealed there cannot be opened. */
static void look_at_tail(struct look *look)
{
    struct pst_part_map *part = look->part;
    struct pst_damage damage = {.bytes = PST_BLOCK_BYTES, .what = "read error"};
    uint64_t at = part->tail_at;
    int got = pst_reader_read(look->reader, look->file.rest, look->buffer, PST_BLOCK_BYTES, 0);
    int error = got < 0 ? got : check_tail(part, look->buffer, (uint32_t)got, &damage);
    if (error) {
        const struct pst_file_name file = pst_backup_part_file(part, &at);
        pst_findings_add_damage(look->findings, &file, 0, &damage, error);
        do_without_tail(look);
        return;
    }
    const struct pst_tail_header *header = look->buffer;
    part->tail_chunk = header->head.chunk;
    memcpy(part->tail_bound, (const uint8_t *)look->buffer + PST_TAIL_BOUND_AT,
           sizeof(part->tail_bound));
    *look->checked_bytes += PST_BLOCK_BYTES;
}

/* Whether the trailer is whole and the one that the manifest names. */
static bool look_at_trailer(struct look *look)
{
    uint64_t offset = look->part->file_bytes - PST_BLOCK_BYTES;
    uint32_t got;
    if (!read_at(look, offset, PST_BLOCK_BYTES, &got))
        return false;
    struct pst_damage damage;
    const struct pst_part_trailer *trailer = look->buffer;
    int error = pst_part_trailer_check(trailer, got, look->part->file_bytes, &look->part->identity,
                                       &damage);
    if (!error) {
        const struct pst_digest digest = pst_part_digest(trailer);
        damage = (struct pst_damage){0, PST_BLOCK_BYTES, "not the part that the manifest names"};
        error = pst_digest_equal(&digest, &look->part->digest) ? 0 : -PST_E_CORRUPT;
    }
    if (!error && look->sealed)
        error = pst_part_trailer_open(look->sealed, trailer, &damage);
    if (error) {
        report(look, offset, &damage, error);
        return false;
    }
    if (look->header_is_whole &&
        !pst_digest_equal(&trailer->header_checksum, &look->header_checksum)) {
        damage = (struct pst_damage){0, PST_BLOCK_BYTES, "not the header that the trailer names"};
        report(look, 0, &damage, -PST_E_CORRUPT);
    }
    look->trailer = *trailer;
    look->part->object_sums = trailer->object_sums;
    look->part->references = trailer->references;
    look->part->referenced_bytes = trailer->referenced_bytes;
    if (memcmp(&trailer->sums, &look->part->sums, sizeof(trailer->sums)) != 0) {
        damage = (struct pst_damage){offsetof(struct pst_part_trailer, sums), sizeof(trailer->sums),
                                     "sums are not the manifest's"};
        report(look, offset, &damage, -PST_E_INCONSISTENT);
    }
    *look->checked_bytes += PST_BLOCK_BYTES;
    return true;
}

static struct pst_part_link link_of(const struct pst_index_link *link,
                                    const struct pst_index_entry *entries, uint32_t count)
{
    struct pst_part_link made = {.link = *link, .entries_count = count, .object_first = UINT64_MAX};
    for (uint32_t i = 0; i < count; i++) {
        const struct pst_index_entry *entry = &entries[i];
        if (entry->object_last == 0 ||
            (entry->type != PST_CHUNK_DATA && entry->type != PST_CHUNK_REFERENCES))
            continue;
        if (entry->object_first < made.object_first)
            made.object_first = entry->object_first;
        if (entry->object_last > made.object_last)
            made.object_last = entry->object_last;
    }
    return made;
}

static int add_link(struct pst_part_map *part, const struct pst_index_link *link,
                    const struct pst_index_entry *entries, uint32_t count)
{
    if ((part->links_count & (part->links_count - 1)) == 0) {
        size_t room = part->links_count ? 2 * (size_t)part->links_count : 1;
        struct pst_part_link *links = realloc(part->links, room * sizeof(*links));
        if (!links)
            return -ENOMEM;
        part->links = links;
    }
    part->links[part->links_count++] = link_of(link, entries, count);
    return 0;
}

#define BEFORE_DAMAGE "the chunks before the damaged index or trailer were not checked"

/* Without its index a chunk is found by a restore that goes on past damage alone. */
static void warn_unchecked(struct look *look, const char *what)
{
    if (look->part->salvages)
        return;
    const struct pst_finding finding = {
        .directory = look->part->file.directory,
        .file = look->part->file.text,
        .what = what,
        .warning = true,
    };
    findings_add(look->findings, &finding);
}

/* What the index chunks add up to. */
struct counted {
    uint64_t chunks;
    uint64_t stored_bytes;
    uint64_t lz4_chunks;
    uint64_t zstd_chunks;
};

static void add_entries(struct counted *found, const struct pst_index_view *view)
{
    found->chunks += view->entries_count + 1;
    for (uint32_t i = 0; i < view->entries_count; i++) {
        found->stored_bytes += view->entries[i].stored_bytes;
        found->lz4_chunks += view->entries[i].codec == PST_CODEC_LZ4;
        found->zstd_chunks += view->entries[i].codec == PST_CODEC_ZSTD;
    }
}

static void check_sums(struct look *look, const struct counted *found)
{
    const struct pst_part_trailer *trailer = &look->trailer;
    if (found->chunks == trailer->sums.chunks &&
        found->stored_bytes == trailer->sums.stored_bytes &&
        found->lz4_chunks == trailer->lz4_chunks && found->zstd_chunks == trailer->zstd_chunks &&
        look->part->links_count == trailer->index_chunks)
        return;
    const struct pst_damage damage = {offsetof(struct pst_part_trailer, sums),
                                      sizeof(trailer->sums),
                                      "the trailer counts other chunks than there are"};
    report(look, look->part->file_bytes - PST_BLOCK_BYTES, &damage, -PST_E_INCONSISTENT);
}

/* A chunk in the buffer, of which so many bytes are there: its length in the file; 0: it cannot be
 * told. */
static uint64_t walk_chunk(struct look *look, const void *chunk, uint64_t bytes, uint64_t number,
                           uint64_t offset)
{
    const struct pst_part_identity *identity = &look->part->identity;
    const struct pst_index_link *last = &look->trailer.last_index;
    struct pst_damage damage;
    int error = pst_chunk_check(chunk, bytes, identity, number, offset, &damage);
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    if (!error && number == last->chunk &&
        !pst_digest_equal(&header->head.checksum, &last->checksum)) {
        damage = (struct pst_damage){0, PST_BLOCK_BYTES, "not the index that is named"};
        error = -PST_E_CORRUPT;
    }
    if (!error) {
        look->part->walked++;
        *look->checked_bytes += pst_chunk_file_bytes(header->stored_bytes);
        return pst_chunk_file_bytes(header->stored_bytes);
    }
    report(look, offset, &damage, error);
    if (pst_chunk_check_header(chunk, bytes, identity, number, offset, &damage))
        return 0;
    return pst_chunk_file_bytes(header->stored_bytes);
}

/* Whether a chunk lies in so many bytes whole, or its header is damaged: so that it is to be looked
 * at. */
static bool is_there(const struct look *look, const void *chunk, uint64_t bytes, uint64_t number,
                     uint64_t offset)
{
    struct pst_damage damage;
    if (bytes < PST_CHUNK_HEADER_BYTES)
        return false;
    return pst_chunk_check_header(chunk, bytes, &look->part->identity, number, offset, &damage) !=
               0 ||
           pst_chunk_file_bytes(pst_chunk_header_of(chunk)->stored_bytes) <= bytes;
}

/* Without the key no index can be read: each chunk is found behind the one before it. */
static void walk_chunks(struct look *look)
{
    uint64_t offset = PST_BLOCK_BYTES, end = look->part->file_bytes - PST_BLOCK_BYTES, number = 0;
    while (offset < end) {
        uint64_t most = PST_CHUNK_HEADER_BYTES + (uint64_t)look->part->chunk_bytes;
        uint32_t got, at = 0;
        if (!read_at(look, offset, (uint32_t)(end - offset < most ? end - offset : most), &got))
            break;
        while (at < got && (at == 0 || is_there(look, (const char *)look->buffer + at, got - at,
                                                number, offset))) {
            uint64_t bytes =
                walk_chunk(look, (const char *)look->buffer + at, got - at, number++, offset);
            if (bytes == 0 || bytes > got - at) {
                warn_unchecked(look, "the chunks behind the damaged one were not checked");
                return;
            }
            at += (uint32_t)bytes;
            offset += bytes;
        }
    }
    if (offset != end || number != look->trailer.sums.chunks)
        warn_unchecked(look, "its chunks are not those that its trailer counts");
}

/* Follows the chain, which ends because every link lies before the one that names it. */
static int look_at_indexes(struct look *look)
{
    struct pst_index_link link = look->trailer.last_index;
    struct counted found = {0};
    while (link.file_offset != 0) {
        struct pst_index_view view;
        struct pst_damage damage = {.what = "index chunk longer than a chunk can be"};
        uint32_t got;
        look->at = link;
        if (link.file_bytes > PST_CHUNK_HEADER_BYTES + look->part->chunk_bytes) {
            report(look, link.file_offset, &damage, -PST_E_CORRUPT);
            warn_unchecked(look, BEFORE_DAMAGE);
            return 0;
        }
        if (!read_at(look, link.file_offset, link.file_bytes, &got)) {
            warn_unchecked(look, BEFORE_DAMAGE);
            return 0;
        }
        int error = pst_index_check_link(&link, look->buffer, got, &look->part->identity, &damage);
        if (!error)
            error = pst_index_open(look->sealed, look->buffer, &damage);
        if (!error)
            error = pst_index_read(look->buffer, &view, &damage);
        if (error) {
            report(look, link.file_offset, &damage, error);
            warn_unchecked(look, BEFORE_DAMAGE);
            return 0;
        }
        error = add_link(look->part, &link, view.entries, view.entries_count);
        if (error)
            return error;
        *look->checked_bytes += link.file_bytes;
        add_entries(&found, &view);
        link = view.head->previous;
    }
    look->part->is_mapped = true;
    check_sums(look, &found);
    return 0;
}

/* Of a part whose header is damaged nothing that is sealed can be opened. */
static bool is_open(const struct look *look)
{
    const struct pst_data_key *key = look->part->key;
    return !key || (key->secret && look->header_is_whole && !look->lacks_tail);
}

/* In place of the links to the INDEX chunks there is one to all that was found. */
static int salvage(struct look *look, struct pst_reader *reader, void *buffer,
                   struct pst_findings *findings)
{
    const struct pst_index_link none = {0};
    struct pst_part_map *part = look->part;
    int error = part_salvage(part, reader, &look->file, &look->at, buffer, findings);
    part->links_count = 0;
    if (error || part->salvaged_count == 0)
        return error;
    return add_link(part, &none, part->salvaged, part->salvaged_count);
}

static int look_behind_header(struct look *look)
{
    struct pst_part_map *part = look->part;
    int error = 0;
    if (is_open(look))
        error = pst_opener_use(&look->reader->opener, part, &look->sealed);
    if (error)
        return error;
    if (!look_at_trailer(look)) {
        warn_unchecked(look, BEFORE_DAMAGE);
        return 0;
    }
    if (is_open(look))
        return look_at_indexes(look);
    walk_chunks(look);
    return 0;
}

static int open_tail(struct look *look, const struct pst_damage *damage)
{
    struct pst_part_map *part = look->part;
    int error = backup_open_tail(look->reader, part, &look->file);
    bool is_own = pst_is_own_error(error);
    if (error && !is_own)
        report(look, part->tail_at, damage, error);
    if (error && !is_own && part->salvages) {
        do_without_tail(look);
        return 0;
    }
    if (error)
        pst_reader_close_file(look->reader, &look->file);
    return error;
}

/* The part, and its tail; which of them cannot be opened goes to findings. */
static int open_files(struct look *look)
{
    struct pst_part_map *part = look->part;
    const struct pst_part_title title = part_title(part);
    const struct pst_damage damage = {.what = title.text};
    int error = pst_reader_open_file(look->reader, part->from_fd, part->file.text, part->direct,
                                     &look->file);
    if (!error) {
        if (part->direct == PST_DIRECT_UNLESS_CACHED)
            part->direct = look->file.direct ? PST_DIRECT_AUTO : PST_DIRECT_OFF;
        return open_tail(look, &damage);
    }
    if (!pst_is_own_error(error))
        report(look, 0, &damage, error);
    return error;
}

int pst_backup_map_part(struct pst_part_map *part, struct pst_reader *reader, void *buffer,
                        struct pst_findings *findings, uint64_t *checked_bytes)
{
    struct look look = {
        .part = part,
        .reader = reader,
        .buffer = buffer,
        .findings = findings,
        .checked_bytes = checked_bytes,
    };
    int error = open_files(&look);
    if (error)
        return pst_is_own_error(error) ? error : 0;
    if (look.file.rest)
        look_at_tail(&look);
    bool has_size = check_size(&look);
    if (has_size || part->salvages)
        look_at_header(&look);
    if (has_size)
        error = look_behind_header(&look);
    if (!error && part->salvages && !part->is_mapped && is_open(&look))
        error = salvage(&look, reader, buffer, findings);
    pst_reader_close_file(reader, &look.file);
    return error;
}
