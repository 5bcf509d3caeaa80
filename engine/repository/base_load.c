/* Reads of a base what a new backup compares its files with: catalogues first, then checksums of
 * objects and references. Called by base.c on the archive's thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/repository/backup_keys.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/base.h"
#include "engine/repository/part_map.h"
#include "engine/repository/part_tail.h"

#define NS_PER_S UINT64_C(1000000000)
#define LAYER_SHIFT 56

_Static_assert((uint64_t)PST_SOURCES_MAX << 48 <= UINT64_C(1) << LAYER_SHIFT &&
                   PST_BASE_LAYERS_MAX <= 1u << (64 - LAYER_SHIFT),
               "the ids of objects of several layers differ");

struct load {
    struct pst_base *base;
    const struct pst_base_layer *layer;
    /* Of the layer alone, with ids of its own: origin 0 is its backup, any other is one too high.
     */
    struct base_files files;
    struct base_runs runs;
    const char *sources[PST_SOURCES_MAX]; /* names, by instance; NULL: none */
    uint64_t started_unix_ns;
    struct pst_part_set set;
    struct pst_reader reader;
    struct pst_file file; /* of the part that is read */
    const struct pst_part_map *part;
    struct pst_sealed *sealed; /* of it; NULL: it is not */
    void *index, *chunk, *decoded;
    struct pst_damage damage;
};

/* A chunk that is whole, decoded. */
typedef int chunk_taker(struct load *load, const void *chunk);

/* ---- what chunks say ---- */

/* A file may have changed after it was read, with the times that it had: base_age.h. */
static bool is_old_enough(const struct load *load, const struct pst_object_identity *identity)
{
    uint64_t latest_ns = load->started_unix_ns - load->base->trust_after_ns;
    if (load->started_unix_ns < load->base->trust_after_ns || identity->ctime_sec < 0 ||
        (uint64_t)identity->ctime_sec > INT64_MAX / NS_PER_S - 1)
        return false;
    return (uint64_t)identity->ctime_sec * NS_PER_S + identity->ctime_nsec <= latest_ns;
}

/* Of what was cut off, bytes may be missing: it shows by their number alone. */
static bool may_be_whole(const struct load *load, const struct pst_object *object)
{
    uint64_t bytes;
    return load->layer->backup->state != PST_BACKUP_CUT_OFF ||
           pst_object_data_bytes(object, &bytes);
}

static int take_large(struct load *load, const struct pst_object *object)
{
    const char *source = load->sources[pst_object_source(object->id)];
    return source && base_runs_want(object) ? base_runs_add_object(&load->runs, source, object) : 0;
}

static int take_file(struct load *load, const struct pst_object *object)
{
    struct pst_object_identity identity = {0};
    struct base_files *files = &load->files;
    const char *source = load->sources[pst_object_source(object->id)];
    if (object->type != PST_OBJECT_FILE || object->size == 0 || !source)
        return 0;
    bool is_known =
        pst_object_identity(object, &identity) && object->flags == 0 && may_be_whole(load, object);
    bool is_young = is_known && !is_old_enough(load, &identity);
    const struct pst_digest key = base_files_key(files, source, object, &identity);
    load->base->young += is_young;
    return base_files_add(files, &key, object, is_known && !is_young);
}

static int take_catalogue(struct load *load, const void *chunk)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const uint8_t *payload = pst_chunk_payload_of(chunk);
    int error = 0;
    for (size_t offset = 0; !error && offset < header->raw_bytes;) {
        struct pst_object object;
        error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
        if (!error)
            error = take_file(load, &object);
        if (!error)
            error = take_large(load, &object);
    }
    return error;
}

static int take_sums(struct load *load, const void *chunk)
{
    const struct pst_object_sum *sums;
    uint32_t count;
    int error = pst_sums_read(chunk, &sums, &count, &load->damage);
    for (uint32_t i = 0; !error && i < count; i++)
        base_files_add_sum(&load->files, &sums[i]);
    return error;
}

/* Whether a node's share of an earlier backup can be read, and by all who open the new one. */
static bool is_readable(const struct pst_backup *backup, uint32_t node_index)
{
    bool is_whole = pst_backup_is_usable(backup->state) || backup->state == PST_BACKUP_SPLIT ||
                    backup->state == PST_BACKUP_CUT_OFF;
    return is_whole && backup->nodes[node_index].parts_count > 0 &&
           !backup->is_elsewhere[node_index] && backup_opens_to_all(backup, node_index);
}

/* Whether what the node wrote of an earlier backup is at hand. */
static bool is_there(const struct load *load, const struct pst_origin *origin)
{
    const struct pst_backup_list *list = &load->base->list;
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *backup = list->backups[i];
        if (!backup->has_uid || backup->number != origin->number || !backup->nodes ||
            backup->verified.is_damaged ||
            memcmp(backup->uid, origin->uid, sizeof(origin->uid)) != 0 ||
            backup_suspected_by(list, backup))
            continue;
        for (uint32_t j = 0; j < backup->cluster.nodes_count; j++) {
            if (backup->cluster.nodes[j].node == origin->node && is_readable(backup, j))
                return true;
        }
    }
    return false;
}

/* Its index among the base's origins and 1, for 0 is the layer's own; UINT16_MAX: it is not there,
 * or there is no room. */
static uint16_t index_of(struct load *load, const struct pst_origin *origin)
{
    struct pst_base *base = load->base;
    for (uint32_t i = 0; i < base->origins_count; i++) {
        if (memcmp(&base->origins[i], origin, sizeof(*origin)) == 0)
            return i == load->layer->own ? UINT16_MAX : (uint16_t)(i + 1);
    }
    if (base->origins_count == PST_ORIGINS_MAX || !is_there(load, origin))
        return UINT16_MAX;
    base->origins[base->origins_count] = *origin;
    return (uint16_t)++base->origins_count;
}

/* It lies where the base's lies. */
static int add_referred_run(struct load *load, const struct pst_reference *reference,
                            uint16_t origin)
{
    struct base_run run = {.object = reference->object,
                           .offset = reference->object_offset,
                           .bytes = reference->bytes,
                           .origin_object = reference->origin_object,
                           .origin = origin};
    memcpy(run.hash, reference->hash, sizeof(run.hash));
    return base_runs_add(&load->runs, &run);
}

/* A run that the base itself has. */
static int add_own_run(struct load *load, const struct pst_index_entry *entry)
{
    struct base_run run = {.object = entry->object_first,
                           .offset = entry->origin_chunk,
                           .bytes = entry->raw_bytes,
                           .origin_object = entry->object_first};
    memcpy(run.hash, entry->hash, sizeof(run.hash));
    return base_runs_add(&load->runs, &run);
}

static int take_references(struct load *load, const void *chunk)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    uint16_t indexes[PST_ORIGINS_MAX];
    struct pst_references_view view;
    int error =
        pst_references_read(pst_chunk_payload_of(chunk), header->raw_bytes, &view, &load->damage);
    for (uint32_t i = 0; !error && i < view.origins_count; i++)
        indexes[i] = index_of(load, &view.origins[i]);
    for (uint32_t i = 0; !error && i < view.records_count; i++) {
        uint16_t origin = indexes[view.records[i].origin];
        base_files_add_reference(&load->files, &view.records[i], origin);
        if (view.records[i].hash_kind == PST_HASH_SHA_256 && origin != UINT16_MAX)
            error = add_referred_run(load, &view.records[i], origin);
    }
    return error;
}

static int take_places(struct load *load, const void *chunk)
{
    return pst_chunk_header_of(chunk)->type == PST_CHUNK_REFERENCES ? take_references(load, chunk)
                                                                    : take_sums(load, chunk);
}

/* ---- reading ---- */

static int read_at(struct load *load, uint64_t offset, void *buffer, uint64_t bytes)
{
    int got = pst_reader_read(&load->reader, &load->file, buffer, (uint32_t)bytes, offset);
    if (got >= 0 && (uint64_t)got < bytes)
        return -PST_E_TRUNCATED;
    return got < 0 ? got : 0;
}

static int read_index(struct load *load, const struct pst_index_link *link,
                      struct pst_index_view *view)
{
    int error = read_at(load, link->file_offset, load->index, link->file_bytes);
    if (!error)
        error = pst_index_check_link(link, load->index, link->file_bytes, &load->part->identity,
                                     &load->damage);
    if (!error)
        error = pst_index_open(load->sealed, load->index, &load->damage);
    return error ? error : pst_index_read(load->index, view, &load->damage);
}

static int read_chunk(struct load *load, const struct pst_index_entry *entry, chunk_taker *take)
{
    uint64_t bytes = pst_chunk_file_bytes(entry->stored_bytes);
    const void *chunk = load->chunk;
    if (entry->stored_bytes > load->part->chunk_bytes)
        return -PST_E_CORRUPT;
    int error = read_at(load, entry->file_offset, load->chunk, bytes);
    if (!error)
        error =
            pst_index_check_chunk(entry, load->chunk, bytes, &load->part->identity, &load->damage);
    if (!error && (load->sealed || pst_chunk_is_encoded(load->chunk))) {
        chunk = load->decoded;
        error = load->sealed ? pst_chunk_open(load->sealed, load->chunk, load->decoded,
                                              load->part->chunk_bytes, &load->damage)
                             : pst_chunk_decode(load->chunk, load->decoded, load->part->chunk_bytes,
                                                &load->damage);
    }
    return error ? error : take(load, chunk);
}

/* Catalogues, or the rest of what is known of objects: each chunk in one of the two passes. */
static int read_part(struct load *load, chunk_taker *take)
{
    int error = pst_opener_use(&load->reader.opener, load->part, &load->sealed);
    for (uint32_t i = 0; !error && i < load->part->links_count; i++) {
        struct pst_index_view view;
        error = read_index(load, &load->part->links[i].link, &view);
        for (uint32_t j = 0; !error && j < view.entries_count; j++) {
            const struct pst_index_entry *entry = &view.entries[j];
            bool is_data = entry->type == PST_CHUNK_DATA && entry->pieces_count > 0;
            bool is_catalogue = entry->type == PST_CHUNK_CATALOGUE;
            if (is_catalogue != (take == take_catalogue))
                continue;
            if (!is_data)
                error = read_chunk(load, entry, take);
            else if (entry->hash_kind == PST_HASH_SHA_256)
                error = add_own_run(load, entry);
        }
    }
    return error;
}

static int read_parts(struct load *load, chunk_taker *take)
{
    int error = 0;
    for (uint32_t i = 0; !error && i < load->set.count; i++) {
        load->part = &load->set.parts[i];
        if (load->part->node_index != load->layer->node_index)
            continue;
        error = pst_backup_open_part(&load->reader, load->part, &load->file);
        if (error)
            return error;
        error = read_part(load, take);
        pst_reader_close_file(&load->reader, &load->file);
    }
    return error;
}

/* ---- all of it ---- */

static int map_parts(struct load *load, char *message)
{
    struct pst_findings findings;
    uint64_t bytes = 0;
    int error = 0;
    pst_findings_init(&findings, NULL, NULL);
    for (uint32_t i = 0; !error && i < load->set.count; i++) {
        if (load->set.parts[i].node_index == load->layer->node_index)
            error = pst_backup_map_part(&load->set.parts[i], &load->reader, load->chunk, &findings,
                                        &bytes);
    }
    if (!error && findings.damages > 0) {
        snprintf(message, PST_MESSAGE_BYTES, "%s", findings.first);
        error = findings.first_error < 0 ? findings.first_error : -PST_E_CORRUPT;
    }
    pthread_mutex_destroy(&findings.mutex);
    return error;
}

static int read_all(struct load *load, char *message)
{
    struct base_files *files = &load->files;
    int error = map_parts(load, message);
    if (!error)
        error = read_parts(load, take_catalogue);
    base_files_sort(files);
    if (!error)
        error = read_parts(load, take_places);
    base_runs_settle(&load->runs);
    base_files_settle(files, &load->runs);
    if (error && !message[0])
        snprintf(message, PST_MESSAGE_BYTES, "%s: %s", load->part ? load->part->file.text : "",
                 pst_is_own_error(error) || !load->damage.what ? pst_error_text(error)
                                                               : load->damage.what);
    return error;
}

static struct pst_origin own_origin(const struct pst_backup *backup,
                                    const struct pst_node_manifest *manifest)
{
    struct pst_origin origin = {
        .number = backup->number,
        .cluster_id = manifest->common.cluster_id,
        .node = (uint16_t)manifest->node,
    };
    memcpy(origin.uid, backup->uid, sizeof(origin.uid));
    return origin;
}

static int begin(struct load *load, struct pst_base_layer *layer)
{
    struct pst_base *base = load->base;
    const struct pst_node_manifest *manifest = &layer->backup->nodes[layer->node_index];
    const struct pst_origin own = own_origin(layer->backup, manifest);
    for (uint32_t i = 0; i < manifest->sources_count; i++)
        load->sources[manifest->sources[i].instance] = manifest->sources[i].name;
    load->started_unix_ns = manifest->common.started_unix_ns;
    base->young = 0;
    load->files.seed = load->runs.seed = base->files.seed;
    layer->own = 0;
    while (layer->own < base->origins_count &&
           memcmp(&base->origins[layer->own], &own, sizeof(own)) != 0)
        layer->own++;
    if (layer->own == PST_ORIGINS_MAX)
        return -E2BIG;
    if (layer->own == base->origins_count)
        base->origins[base->origins_count++] = own;
    return 0;
}

static int make_buffers(struct load *load)
{
    size_t bytes = PST_CHUNK_HEADER_BYTES + (size_t)load->set.chunk_bytes;
    load->index = aligned_alloc(PST_BLOCK_BYTES, bytes);
    load->chunk = aligned_alloc(PST_BLOCK_BYTES, bytes);
    load->decoded = aligned_alloc(PST_BLOCK_BYTES, bytes);
    return load->index && load->chunk && load->decoded ? 0 : -ENOMEM;
}

/* The ids of sources leave these bits to the layers. */
static int join(struct load *load)
{
    struct pst_base *base = load->base;
    uint64_t layer = (uint64_t)(load->layer - base->layers) << LAYER_SHIFT;
    int error = base_files_join(&base->files, &load->files, layer, (uint16_t)load->layer->own);
    return error ? error
                 : base_runs_join(&base->runs, &load->runs, layer, (uint16_t)load->layer->own);
}

static int load_layer(struct load *load, char *message)
{
    int error = pst_backup_parts_make(load->layer->backup, &load->set, NULL);
    if (!error)
        error = make_buffers(load);
    if (!error)
        error = pst_reader_open(&load->reader, 4);
    if (error)
        return error;
    error = read_all(load, message);
    pst_reader_close(&load->reader);
    return error ? error : join(load);
}

int base_load(struct pst_base *base, char *message)
{
    struct pst_base_layer *layer = &base->layers[base->layers_count - 1];
    struct load load = {.base = base, .layer = layer};
    message[0] = '\0';
    int error = begin(&load, layer);
    if (!error)
        error = load_layer(&load, message);
    free(load.index);
    free(load.chunk);
    free(load.decoded);
    base_files_free(&load.files);
    base_runs_free(&load.runs);
    pst_backup_parts_free(&load.set);
    if (error && !message[0])
        snprintf(message, PST_MESSAGE_BYTES, "%s", pst_error_text(error));
    return error;
}
