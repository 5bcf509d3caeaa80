/* Manifests into JSON. Called by the archive thread, which stores them. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/utf8.h"
#include "engine/format/manifest.h"
#include "engine/format/manifest_internal.h"
#include "engine/format/object.h"
#include "engine/json/json_build.h"
#include "engine/json/json_read.h"
#include "penstock/source.h"

/* All names of unreadable objects together, as JSON; so that they never crowd out the rest, sealed
 * neither, which takes twice as much. */
#define UNREADABLE_BYTES_MAX (256u << 10)

/* Text of any bytes as UTF-8: what is not becomes \xHH, and a backslash \\. malloc'd, or NULL. */
static char *escape(const char *bytes)
{
    size_t length = strlen(bytes);
    char *text = malloc(4 * length + 1);
    if (!text)
        return NULL;
    char *out = text;
    for (size_t i = 0; i < length;) {
        uint32_t point;
        size_t run = pst_utf8_decode(bytes + i, length - i, &point);
        if (run == 0 || point < ' ' || point == 0x7F) {
            out += sprintf(out, "\\x%02x", (unsigned char)bytes[i++]);
            continue;
        }
        if (bytes[i] == '\\')
            *out++ = '\\';
        memcpy(out, bytes + i, run);
        out += run;
        i += run;
    }
    *out = '\0';
    return text;
}

static json_t *escaped_string(const char *bytes)
{
    char *text = escape(bytes);
    json_t *string = text ? json_string(text) : NULL;
    free(text);
    return string;
}

static json_t *hex_string(const uint8_t *data, size_t bytes)
{
    char text[2 * 16 + 1];
    pst_hex_encode(data, bytes, text);
    return json_string(text);
}

static json_t *digest_string(const struct pst_digest *digest)
{
    char text[PST_DIGEST_TEXT_BYTES];
    return json_string(pst_digest_text(digest, text));
}

static json_t *integer(uint64_t value)
{
    return value <= INT64_MAX ? json_integer((json_int_t)value) : NULL;
}

static json_t *sums_object(const struct pst_part_sums *sums)
{
    return json_pack("{so,so,so,so,so}", "source_bytes", integer(sums->source_bytes),
                     "stored_bytes", integer(sums->stored_bytes), "objects", integer(sums->objects),
                     "chunks", integer(sums->chunks), "unreadable", integer(sums->unreadable));
}

static json_t *common_object(const struct pst_manifest_common *common, const char *kind)
{
    return json_pack(
        "{ss,s{si,si,si},so,so,so,so,so,so,so,so}", "penstock", kind, "version", "compatible", 0,
        "read_only_compatible", 0, "incompatible", (int)common->version.incompatible, "uid",
        hex_string(common->uid, sizeof(common->uid)), "number", integer(common->number), "cluster",
        integer(common->cluster_id), "start_gci", integer(common->start_gci), "stop_gci",
        integer(common->stop_gci), "started_unix_ns", integer(common->started_unix_ns),
        "finished_unix_ns", integer(common->finished_unix_ns), "sums", sums_object(&common->sums));
}

/* NULL, and ENOMEM in errno where that is the reason. */
static json_t *details_object(const char *text)
{
    json_t *details;
    int error = pst_json_read(text, strlen(text), &details, NULL);
    if (error == -ENOMEM)
        errno = ENOMEM;
    return details;
}

bool pst_manifest_takes_details(const char *text)
{
    errno = 0;
    json_t *details = details_object(text);
    bool is_short = strlen(text) < PST_SOURCE_DETAILS_BYTES;
    bool is_taken = is_short && (details ? json_is_object(details) : errno == ENOMEM);
    json_decref(details);
    return is_taken;
}

static json_t *sources_array(const struct pst_node_manifest *manifest)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < manifest->sources_count; i++) {
        const struct pst_manifest_source *source = &manifest->sources[i];
        json_t *item =
            json_pack("{ss,so,so}", "name", source->name, "spec", escaped_string(source->spec),
                      "instance", integer(source->instance));
        if (source->details)
            pst_json_set(&item, "details", details_object(source->details));
        if (source->path)
            pst_json_set(&item, "path", escaped_string(source->path));
        if (source->choice)
            pst_json_set(&item, "choice", json_string(source->choice));
        pst_json_append(&array, item);
    }
    return array;
}

static json_t *parts_array(const struct pst_node_manifest *manifest)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < manifest->parts_count; i++) {
        const struct pst_manifest_part *part = &manifest->parts[i];
        json_t *item = json_pack("{so,so,so,so,so}", "part", integer(part->part), "ldm",
                                 integer(part->ldm), "bytes", integer(part->file_bytes), "digest",
                                 digest_string(&part->digest), "sums", sums_object(&part->sums));
        if (part->lz4_chunks > 0)
            pst_json_set(&item, "lz4_chunks", integer(part->lz4_chunks));
        if (part->zstd_chunks > 0)
            pst_json_set(&item, "zstd_chunks", integer(part->zstd_chunks));
        if (part->tail_at > 0)
            pst_json_set(&item, "tail_at", integer(part->tail_at));
        pst_json_append(&array, item);
    }
    return array;
}

static json_t *ids_array(const uint32_t *ids, uint32_t count)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; i++)
        pst_json_append(&array, integer(ids[i]));
    return array;
}

static json_t *unreadable_array(const struct pst_node_manifest *manifest)
{
    json_t *array = json_array();
    size_t bytes = 0;
    for (uint32_t i = 0; array && i < manifest->unreadable_names_count; i++) {
        json_t *name = escaped_string(manifest->unreadable_names[i]);
        char *written;
        size_t length = 0;
        if (pst_json_text(name, &written, &length)) {
            json_decref(name);
            name = NULL; /* which ends the array */
        }
        free(written);
        bytes += length;
        if (bytes > UNREADABLE_BYTES_MAX) {
            json_decref(name);
            break;
        }
        pst_json_append(&array, name);
    }
    return array;
}

/* object NULL: there was no memory. */
static void set_origins(json_t **object, const struct pst_manifest_origin *origins, uint32_t count)
{
    json_t *array = count > 0 ? json_array() : NULL;
    for (uint32_t i = 0; i < count; i++)
        pst_json_append(&array,
                        json_pack("{so,so,so,so}", "uid",
                                  hex_string(origins[i].uid, sizeof(origins[i].uid)), "number",
                                  integer(origins[i].number), "bytes", integer(origins[i].bytes),
                                  "objects", integer(origins[i].objects)));
    if (count > 0)
        pst_json_set(object, "origins", array);
}

static json_t *nodes_array(const struct pst_cluster_manifest *manifest)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < manifest->nodes_count; i++) {
        const struct pst_manifest_node *node = &manifest->nodes[i];
        pst_json_append(&array,
                        json_pack("{so,so,so,so}", "node", integer(node->node), "bytes",
                                  integer(node->file_bytes), "digest", digest_string(&node->digest),
                                  "sums", sums_object(&node->sums)));
    }
    return array;
}

int format_manifest_finish(char *line, struct pst_manifest_text *text)
{
    size_t line_bytes = strlen(line) + 1;
    size_t bytes = line_bytes + PST_MANIFEST_LINE2_BYTES;
    if (bytes > PST_MANIFEST_BYTES_MAX) {
        free(line);
        return -E2BIG;
    }
    char *whole = realloc(line, bytes + 1);
    if (!whole) {
        free(line);
        return -ENOMEM;
    }
    whole[line_bytes - 1] = '\n';
    text->digest = pst_digest_of(whole, line_bytes, 0);
    char *out = whole + line_bytes;
    memcpy(out, PST_MANIFEST_LINE2_BEGIN, sizeof(PST_MANIFEST_LINE2_BEGIN) - 1);
    out += sizeof(PST_MANIFEST_LINE2_BEGIN) - 1;
    pst_hex_encode(text->digest.bytes, sizeof(text->digest.bytes), out);
    memcpy(out + 32, PST_MANIFEST_LINE2_END, sizeof(PST_MANIFEST_LINE2_END));
    text->text = whole;
    text->bytes = bytes;
    return 0;
}

/* Takes object. NULL: jansson did not take what it should hold, or memory is out, as errno says. */
static int encode(json_t *object, struct pst_manifest_text *text)
{
    char *line;
    if (!object)
        return errno == ENOMEM ? -ENOMEM : -EINVAL;
    int error = pst_json_text(object, &line, NULL);
    json_decref(object);
    return error ? error : format_manifest_finish(line, text);
}

/* Takes the text of what its own decoder did not take: there is none then. */
static int drop_text(struct pst_manifest_text *text, int error)
{
    free(text->text);
    text->text = NULL;
    return error == -ENOMEM ? error : -EINVAL;
}

/* What a decoder would refuse must not be written: the proof is to decode it. */
int pst_manifest_encode_node(const struct pst_node_manifest *manifest,
                             struct pst_manifest_text *text)
{
    if (manifest->sources_count > PST_SOURCES_MAX || manifest->parts_count > PST_LDMS_MAX ||
        manifest->participants_count > PST_NODES_MAX ||
        manifest->unreadable_names_count > PST_UNREADABLE_NAMES_MAX ||
        manifest->origins_count > PST_ORIGINS_MAX)
        return -EINVAL;
    errno = 0;
    json_t *object = common_object(&manifest->common, PST_MANIFEST_KIND_NODE);
    pst_json_merge(&object,
                   json_pack("{so,so,sb,so,so,so,so,so}", "node", integer(manifest->node),
                             "chunk_bytes", integer(manifest->chunk_bytes), "single_threaded",
                             (int)manifest->single_threaded, "master_node",
                             integer(manifest->master_node), "participants",
                             ids_array(manifest->participants, manifest->participants_count),
                             "sources", sources_array(manifest), "parts", parts_array(manifest),
                             "unreadable_names", unreadable_array(manifest)));
    if (manifest->base.number > 0)
        pst_json_set(&object, "base",
                     json_pack("{so,so}", "uid",
                               hex_string(manifest->base.uid, sizeof(manifest->base.uid)), "number",
                               integer(manifest->base.number)));
    set_origins(&object, manifest->origins, manifest->origins_count);
    if (manifest->host)
        pst_json_set(&object, "host", escaped_string(manifest->host));
    if (manifest->writer)
        pst_json_set(&object, "writer", escaped_string(manifest->writer));
    int error = encode(object, text);
    if (error)
        return error;

    struct pst_node_manifest *proof = malloc(sizeof(*proof));
    struct pst_damage damage;
    error =
        proof ? pst_manifest_decode_node(text->text, text->bytes, proof, NULL, &damage) : -ENOMEM;
    if (!error)
        pst_manifest_release_node(proof);
    free(proof);
    return error ? drop_text(text, error) : 0;
}

int pst_manifest_encode_cluster(const struct pst_cluster_manifest *manifest,
                                struct pst_manifest_text *text)
{
    if (manifest->nodes_count > PST_NODES_MAX || manifest->members_count > PST_NODES_MAX ||
        manifest->origins_count > PST_ORIGINS_MAX)
        return -EINVAL;
    errno = 0;
    json_t *object = common_object(&manifest->common, PST_MANIFEST_KIND_CLUSTER);
    pst_json_merge(&object, json_pack("{so,so}", "master_node", integer(manifest->master_node),
                                      "nodes", nodes_array(manifest)));
    if (manifest->copies > 0)
        pst_json_set(&object, "copies", integer(manifest->copies));
    if (manifest->members_count > 0)
        pst_json_set(&object, "members", ids_array(manifest->members, manifest->members_count));
    set_origins(&object, manifest->origins, manifest->origins_count);
    if (manifest->label[0])
        pst_json_set(&object, "label", json_string(manifest->label));
    int error = encode(object, text);
    if (error)
        return error;

    struct pst_cluster_manifest *proof = malloc(sizeof(*proof));
    struct pst_damage damage;
    error = proof ? pst_manifest_decode_cluster(text->text, text->bytes, proof, NULL, &damage)
                  : -ENOMEM;
    free(proof);
    return error ? drop_text(text, error) : 0;
}
