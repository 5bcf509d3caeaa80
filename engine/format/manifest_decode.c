/* Manifests from JSON, every field checked. Called by the archive thread, and by whoever lists,
 * verifies or restores backups. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/format/block.h"
#include "engine/format/manifest.h"
#include "engine/format/manifest_internal.h"
#include "engine/format/object.h"
#include "engine/json/json_build.h"
#include "engine/json/json_read.h"

/* Reads fields one after the other; the first that is missing or illegal is kept, later ones are
 * not looked at any more. */
struct reader {
    const char *wrong; /* name of that field, or NULL */
    bool newer;
    bool has_no_memory;
};

static json_t *take(struct reader *reader, json_t *object, const char *key)
{
    json_t *value = reader->wrong ? NULL : json_object_get(object, key);
    if (!value && !reader->wrong)
        reader->wrong = key;
    return value;
}

static uint64_t take_integer(struct reader *reader, json_t *object, const char *key, uint64_t least,
                             uint64_t most)
{
    json_t *value = take(reader, object, key);
    if (!value)
        return 0;
    const json_int_t integer = json_integer_value(value);
    if (!json_is_integer(value) || integer < 0 || (uint64_t)integer < least ||
        (uint64_t)integer > most) {
        reader->wrong = key;
        return 0;
    }
    return (uint64_t)integer;
}

static uint64_t take_count(struct reader *reader, json_t *object, const char *key)
{
    return take_integer(reader, object, key, 0, INT64_MAX);
}

/* Never NULL. A string of the document has no NUL inside: the reader refuses \u0000. */
static const char *take_string(struct reader *reader, json_t *object, const char *key)
{
    json_t *value = take(reader, object, key);
    if (!value)
        return "";
    if (!json_is_string(value)) {
        reader->wrong = key;
        return "";
    }
    return json_string_value(value);
}

/* The field itself, an object or an array; NULL if it is not. */
static json_t *take_container(struct reader *reader, json_t *object, const char *key,
                              json_type type)
{
    json_t *value = take(reader, object, key);
    if (value && json_typeof(value) != type) {
        reader->wrong = key;
        return NULL;
    }
    return value;
}

static struct pst_digest take_digest(struct reader *reader, json_t *object, const char *key)
{
    struct pst_digest digest = {{0}};
    const char *text = take_string(reader, object, key);
    if (!reader->wrong && !format_digest_parse(text, strlen(text), &digest))
        reader->wrong = key;
    return digest;
}

static struct pst_part_sums take_sums(struct reader *reader, json_t *object)
{
    json_t *sums = take_container(reader, object, "sums", JSON_OBJECT);
    return (struct pst_part_sums){
        .source_bytes = take_count(reader, sums, "source_bytes"),
        .stored_bytes = take_count(reader, sums, "stored_bytes"),
        .objects = take_count(reader, sums, "objects"),
        .chunks = take_count(reader, sums, "chunks"),
        .unreadable = take_count(reader, sums, "unreadable"),
    };
}

static struct pst_manifest_version take_version(struct reader *reader, json_t *object)
{
    json_t *version = take_container(reader, object, "version", JSON_OBJECT);
    const struct pst_manifest_version found = {
        .compatible = (uint32_t)take_integer(reader, version, "compatible", 0, UINT32_MAX),
        .read_only_compatible =
            (uint32_t)take_integer(reader, version, "read_only_compatible", 0, UINT32_MAX),
        .incompatible = (uint32_t)take_integer(reader, version, "incompatible", 0, UINT32_MAX),
    };
    if (!reader->wrong && (found.incompatible & ~PST_FORMAT_INCOMPATIBLE_KNOWN)) {
        reader->newer = true;
        reader->wrong = "incompatible";
    }
    return found;
}

static void take_uid(struct reader *reader, json_t *object, uint8_t uid[PST_UID_BYTES])
{
    const char *text = take_string(reader, object, "uid");
    if (!reader->wrong && !pst_hex_decode(text, strlen(text), uid, PST_UID_BYTES))
        reader->wrong = "uid";
}

static void take_common(struct reader *reader, json_t *object, struct pst_manifest_common *common)
{
    common->version = take_version(reader, object);
    take_uid(reader, object, common->uid);
    common->number = (uint32_t)take_integer(reader, object, "number", 1, PST_BACKUP_NUMBER_MAX);
    common->cluster_id = (uint32_t)take_integer(reader, object, "cluster", 0, UINT32_MAX);
    common->start_gci = take_count(reader, object, "start_gci");
    common->stop_gci = take_count(reader, object, "stop_gci");
    common->started_unix_ns = take_count(reader, object, "started_unix_ns");
    common->finished_unix_ns = take_count(reader, object, "finished_unix_ns");
    common->sums = take_sums(reader, object);
}

static bool source_is_new(const struct pst_node_manifest *manifest,
                          const struct pst_manifest_source *source)
{
    for (uint32_t i = 0; i < manifest->sources_count; i++) {
        if (manifest->sources[i].instance == source->instance ||
            strcmp(manifest->sources[i].name, source->name) == 0)
            return false;
    }
    return true;
}

/* A string that may be missing: NULL. */
static const char *take_optional(struct reader *reader, json_t *object, const char *key,
                                 size_t bytes_max)
{
    json_t *value = reader->wrong ? NULL : json_object_get(object, key);
    if (!value)
        return NULL;
    if (!json_is_string(value) || json_string_length(value) > bytes_max) {
        reader->wrong = key;
        return NULL;
    }
    return json_string_value(value);
}

/* The text of an object that may be missing; it lives in the document, in the object's place. */
static const char *take_details(struct reader *reader, json_t *item)
{
    json_t *details = reader->wrong ? NULL : json_object_get(item, "details");
    char *text = NULL;
    if (!details)
        return NULL;
    int error = json_is_object(details) ? pst_json_text(details, &text, NULL) : -EINVAL;
    if (!error)
        error = pst_json_put(item, "details", json_string(text));
    free(text);
    if (!error)
        return json_string_value(json_object_get(item, "details"));
    reader->wrong = "details";
    reader->has_no_memory = error == -ENOMEM;
    return NULL;
}

static void take_sources(struct reader *reader, json_t *object, struct pst_node_manifest *manifest)
{
    json_t *array = take_container(reader, object, "sources", JSON_ARRAY);
    size_t count = json_array_size(array);
    if (count > PST_SOURCES_MAX)
        reader->wrong = "sources";
    for (size_t i = 0; i < count && !reader->wrong; i++) {
        json_t *item = json_array_get(array, i);
        struct pst_manifest_source source = {
            .name = take_string(reader, item, "name"),
            .spec = take_string(reader, item, "spec"),
            .instance = (uint32_t)take_integer(reader, item, "instance", 0, PST_SOURCES_MAX - 1),
            .details = take_details(reader, item),
            .path = take_optional(reader, item, "path", PST_SOURCE_PATH_BYTES_MAX),
            .choice = take_optional(reader, item, "choice", PST_SOURCE_CHOICE_BYTES_MAX),
        };
        if (!reader->wrong &&
            (!pst_object_name_is_safe(source.name) || strlen(source.name) >= PST_SOURCE_NAME_MAX ||
             !source_is_new(manifest, &source)))
            reader->wrong = "name";
        manifest->sources[manifest->sources_count++] = source;
    }
}

static uint64_t take_optional_count(struct reader *reader, json_t *object, const char *key)
{
    return !reader->wrong && json_object_get(object, key) ? take_count(reader, object, key) : 0;
}

static void take_parts(struct reader *reader, json_t *object, struct pst_node_manifest *manifest)
{
    json_t *array = take_container(reader, object, "parts", JSON_ARRAY);
    size_t count = json_array_size(array);
    if (!reader->wrong && (count < 1 || count > PST_LDMS_MAX))
        reader->wrong = "parts";
    for (size_t i = 0; i < count && !reader->wrong; i++) {
        json_t *item = json_array_get(array, i);
        struct pst_manifest_part *part = &manifest->parts[i];
        part->part = (uint32_t)take_integer(reader, item, "part", i + 1, i + 1);
        part->ldm = (uint32_t)take_integer(reader, item, "ldm", 1, PST_LDMS_MAX);
        part->file_bytes = take_count(reader, item, "bytes");
        part->digest = take_digest(reader, item, "digest");
        part->sums = take_sums(reader, item);
        part->lz4_chunks = take_optional_count(reader, item, "lz4_chunks");
        part->zstd_chunks = take_optional_count(reader, item, "zstd_chunks");
        part->tail_at = take_optional_count(reader, item, "tail_at");
        if (!pst_manifest_part_is_legal(part, manifest->common.version.incompatible))
            reader->wrong = "tail_at";
        manifest->parts_count++;
    }
}

static void take_unreadable(struct reader *reader, json_t *object,
                            struct pst_node_manifest *manifest)
{
    json_t *array = take_container(reader, object, "unreadable_names", JSON_ARRAY);
    size_t count = json_array_size(array);
    if (count > PST_UNREADABLE_NAMES_MAX)
        reader->wrong = "unreadable_names";
    for (size_t i = 0; i < count && !reader->wrong; i++) {
        json_t *item = json_array_get(array, i);
        if (!json_is_string(item))
            reader->wrong = "unreadable_names";
        else
            manifest->unreadable_names[manifest->unreadable_names_count++] =
                json_string_value(item);
    }
}

/* Nodes, ascending. */
static uint32_t take_ids(struct reader *reader, json_t *object, const char *key,
                         uint32_t ids[PST_NODES_MAX])
{
    json_t *array = take_container(reader, object, key, JSON_ARRAY);
    size_t count = json_array_size(array);
    uint32_t previous = 0;
    for (size_t i = 0; i < count && !reader->wrong; i++) {
        json_t *item = json_array_get(array, i);
        json_int_t node = json_integer_value(item);
        if (!json_is_integer(item) || node <= previous || node > PST_NODES_MAX) {
            reader->wrong = key;
            return 0;
        }
        ids[i] = previous = (uint32_t)node;
    }
    return reader->wrong ? 0 : (uint32_t)count;
}

static bool has_id(const uint32_t *ids, uint32_t count, uint32_t node)
{
    bool found = false;
    for (uint32_t i = 0; i < count; i++)
        found = found || ids[i] == node;
    return found;
}

/* Of one node, where they are missing. */
static void take_participants(struct reader *reader, json_t *object,
                              struct pst_node_manifest *manifest)
{
    if (reader->wrong)
        return;
    if (json_object_get(object, "participants") == NULL) {
        manifest->master_node = manifest->node;
        manifest->participants[manifest->participants_count++] = manifest->node;
        return;
    }
    manifest->master_node = (uint32_t)take_integer(reader, object, "master_node", 1, PST_NODES_MAX);
    uint32_t *ids = manifest->participants;
    uint32_t count = take_ids(reader, object, "participants", ids);
    manifest->participants_count = count;
    if (!reader->wrong &&
        (!has_id(ids, count, manifest->node) || !has_id(ids, count, manifest->master_node)))
        reader->wrong = "participants";
}

static bool origin_is_new(const struct pst_manifest_origin *origins, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        if (memcmp(origins[i].uid, origins[j].uid, sizeof(origins->uid)) == 0)
            return false;
    }
    return true;
}

/* May be missing; only what may refer to others has them. */
static uint32_t take_origins(struct reader *reader, json_t *object, uint32_t incompatible,
                             struct pst_manifest_origin *origins)
{
    if (reader->wrong || !json_object_get(object, "origins"))
        return 0;
    json_t *array = take_container(reader, object, "origins", JSON_ARRAY);
    size_t count = json_array_size(array);
    if (count > PST_ORIGINS_MAX || (incompatible & PST_FORMAT_REFERS) == 0)
        reader->wrong = "origins";
    for (uint32_t i = 0; i < count && !reader->wrong; i++) {
        json_t *item = json_array_get(array, i);
        take_uid(reader, item, origins[i].uid);
        origins[i].number =
            (uint32_t)take_integer(reader, item, "number", 1, PST_BACKUP_NUMBER_MAX);
        origins[i].bytes = take_count(reader, item, "bytes");
        origins[i].objects = take_count(reader, item, "objects");
        if (!reader->wrong && !origin_is_new(origins, i))
            reader->wrong = "origins";
    }
    return reader->wrong ? 0 : (uint32_t)count;
}

static void take_base(struct reader *reader, json_t *object, struct pst_node_manifest *manifest)
{
    bool may_refer = (manifest->common.version.incompatible & PST_FORMAT_REFERS) != 0;
    if (reader->wrong ||
        (!may_refer && !json_object_get(object, "base") && !json_object_get(object, "origins")))
        return;
    json_t *base = take_container(reader, object, "base", JSON_OBJECT);
    take_uid(reader, base, manifest->base.uid);
    manifest->base.number =
        (uint32_t)take_integer(reader, base, "number", 1, PST_BACKUP_NUMBER_MAX);
    if (!reader->wrong && !may_refer)
        reader->wrong = "base";
    manifest->origins_count =
        take_origins(reader, object, manifest->common.version.incompatible, manifest->origins);
}

static void take_node(struct reader *reader, json_t *object, struct pst_node_manifest *manifest)
{
    take_common(reader, object, &manifest->common);
    manifest->node = (uint32_t)take_integer(reader, object, "node", 1, PST_NODES_MAX);
    manifest->chunk_bytes = (uint32_t)take_integer(reader, object, "chunk_bytes",
                                                   PST_CHUNK_BYTES_MIN, PST_CHUNK_BYTES_MAX);
    if (!reader->wrong && manifest->chunk_bytes % PST_BLOCK_BYTES != 0)
        reader->wrong = "chunk_bytes";
    json_t *single = take(reader, object, "single_threaded");
    if (single && !json_is_boolean(single))
        reader->wrong = "single_threaded";
    manifest->single_threaded = json_is_true(single);
    take_participants(reader, object, manifest);
    take_sources(reader, object, manifest);
    take_parts(reader, object, manifest);
    take_unreadable(reader, object, manifest);
    take_base(reader, object, manifest);
    manifest->host = take_optional(reader, object, "host", PST_HOST_BYTES_MAX);
    manifest->writer = take_optional(reader, object, "writer", PST_HOST_BYTES_MAX);
}

/* What older manifests do not have. */
static void take_membership(struct reader *reader, json_t *object,
                            struct pst_cluster_manifest *manifest)
{
    manifest->copies = 1;
    if (!reader->wrong && json_object_get(object, "copies"))
        manifest->copies = (uint32_t)take_integer(reader, object, "copies", 1, UINT32_MAX);
    if (!reader->wrong && json_object_get(object, "members"))
        manifest->members_count = take_ids(reader, object, "members", manifest->members);
}

static void take_cluster(struct reader *reader, json_t *object,
                         struct pst_cluster_manifest *manifest)
{
    take_common(reader, object, &manifest->common);
    manifest->master_node = (uint32_t)take_integer(reader, object, "master_node", 1, PST_NODES_MAX);
    json_t *array = take_container(reader, object, "nodes", JSON_ARRAY);
    size_t count = json_array_size(array);
    if (!reader->wrong && (count < 1 || count > PST_NODES_MAX))
        reader->wrong = "nodes";
    uint32_t previous = 0;
    for (size_t i = 0; i < count && !reader->wrong; i++) {
        json_t *item = json_array_get(array, i);
        struct pst_manifest_node *node = &manifest->nodes[i];
        node->node = (uint32_t)take_integer(reader, item, "node", previous + 1, PST_NODES_MAX);
        node->file_bytes =
            take_integer(reader, item, "bytes", PST_MANIFEST_LINE2_BYTES, PST_MANIFEST_BYTES_MAX);
        node->digest = take_digest(reader, item, "digest");
        node->sums = take_sums(reader, item);
        previous = node->node;
        manifest->nodes_count++;
    }
    take_membership(reader, object, manifest);
    manifest->origins_count =
        take_origins(reader, object, manifest->common.version.incompatible, manifest->origins);
    const char *label = take_optional(reader, object, "label", PST_LABEL_BYTES_MAX);
    if (label)
        memcpy(manifest->label, label, strlen(label) + 1);
}

/* ---- copies ---- */

/* All that stands before the arrays. */
#define NODE_HEAD_BYTES offsetof(struct pst_node_manifest, participants)
#define CLUSTER_HEAD_BYTES offsetof(struct pst_cluster_manifest, nodes)

void pst_manifest_clear_node(struct pst_node_manifest *manifest)
{
    memset(manifest, 0, NODE_HEAD_BYTES);
}

void pst_manifest_clear_cluster(struct pst_cluster_manifest *manifest)
{
    memset(manifest, 0, CLUSTER_HEAD_BYTES);
}

#define COPY_ARRAY(to, from, array)                                                                \
    memcpy((to)->array, (from)->array, (from)->array##_count * sizeof((from)->array[0]))

void pst_manifest_copy_node(struct pst_node_manifest *to, const struct pst_node_manifest *from)
{
    memcpy(to, from, NODE_HEAD_BYTES);
    COPY_ARRAY(to, from, participants);
    COPY_ARRAY(to, from, sources);
    COPY_ARRAY(to, from, parts);
    COPY_ARRAY(to, from, unreadable_names);
    COPY_ARRAY(to, from, origins);
}

void pst_manifest_copy_cluster(struct pst_cluster_manifest *to,
                               const struct pst_cluster_manifest *from)
{
    memcpy(to, from, CLUSTER_HEAD_BYTES);
    COPY_ARRAY(to, from, nodes);
    COPY_ARRAY(to, from, members);
    COPY_ARRAY(to, from, origins);
}

/* Line 2, which begins at `from`. */
static int check_line2(const uint8_t *bytes, uint64_t from, uint64_t size,
                       struct pst_digest *digest, struct pst_damage *damage)
{
    const uint8_t *line = bytes + from;
    uint64_t length = size - from;
    static const char whole[] =
        PST_MANIFEST_LINE2_BEGIN "00000000000000000000000000000000" PST_MANIFEST_LINE2_END;
    _Static_assert(sizeof(whole) - 1 == PST_MANIFEST_LINE2_BYTES, "32 digits");
    uint64_t digits = sizeof(PST_MANIFEST_LINE2_BEGIN) - 1;
    for (uint64_t i = 0; i < length && i < sizeof(whole) - 1; i++) {
        bool is_digit = i >= digits && i < digits + 32;
        uint8_t value;
        char pair[2] = {'0', (char)line[i]};
        if (is_digit ? !pst_hex_decode(pair, 2, &value, 1) : line[i] != (uint8_t)whole[i])
            return format_damage_set(damage, from + i, 1, "checksum line", -PST_E_CORRUPT);
    }
    if (length < sizeof(whole) - 1)
        return format_damage_set(damage, size, sizeof(whole) - 1 - length, "checksum line",
                                 -PST_E_TRUNCATED);
    if (length > sizeof(whole) - 1)
        return format_damage_set(damage, from + sizeof(whole) - 1, length - (sizeof(whole) - 1),
                                 "bytes after the checksum line", -PST_E_CORRUPT);
    bool parsed =
        pst_hex_decode((const char *)line + digits, 32, digest->bytes, sizeof(digest->bytes));
    return parsed ? 0 : format_damage_set(damage, from, length, "checksum line", -PST_E_CORRUPT);
}

/* A newline too few or too many, where line 2 is at the end nevertheless. */
static bool find_stray_newline(const uint8_t *bytes, uint64_t size, struct pst_damage *damage)
{
    if (size <= PST_MANIFEST_LINE2_BYTES)
        return false;
    uint64_t line1_bytes = size - PST_MANIFEST_LINE2_BYTES;
    if (memcmp(bytes + line1_bytes, PST_MANIFEST_LINE2_BEGIN,
               sizeof(PST_MANIFEST_LINE2_BEGIN) - 1) != 0)
        return false;
    uint64_t at = line1_bytes - 1;
    if (bytes[at] == '\n')
        at = (uint64_t)((const uint8_t *)memchr(bytes, '\n', line1_bytes) - bytes);
    else if (memchr(bytes, '\n', line1_bytes) != NULL)
        return false;
    if (bytes[at] == '\n' && at == line1_bytes - 1)
        return false;
    format_damage_set(damage, at, 1, "end of line", 0);
    return true;
}

/* Both lines as text: form and checksum. *line_bytes: of line 1, with its newline. */
static int check_text(const uint8_t *bytes, uint64_t size, uint64_t *line_bytes,
                      struct pst_digest *digest, struct pst_damage *damage)
{
    if (size > PST_MANIFEST_BYTES_MAX)
        return format_damage_set(damage, PST_MANIFEST_BYTES_MAX, size - PST_MANIFEST_BYTES_MAX,
                                 "longer than a manifest can be", -PST_E_CORRUPT);
    if (find_stray_newline(bytes, size, damage))
        return -PST_E_CORRUPT;
    const uint8_t *newline = size ? memchr(bytes, '\n', size) : NULL;
    if (!newline)
        return format_damage_set(damage, size, PST_MANIFEST_LINE2_BYTES, "manifest",
                                 -PST_E_TRUNCATED);
    *line_bytes = (uint64_t)(newline - bytes) + 1;
    int error = check_line2(bytes, *line_bytes, size, digest, damage);
    if (error)
        return error;
    const struct pst_digest found = pst_digest_of(bytes, *line_bytes, 0);
    if (!pst_digest_equal(&found, digest))
        return format_damage_set(damage, 0, size, "manifest", -PST_E_CORRUPT);
    return 0;
}

/* 0 and *object, which the caller releases. */
static int parse(const uint8_t *bytes, uint64_t size, const char *kind, json_t **object,
                 struct pst_digest *digest, struct pst_damage *damage)
{
    uint64_t line_bytes = 0;
    int error = check_text(bytes, size, &line_bytes, digest, damage);
    if (error)
        return error;
    struct pst_json_fault fault;
    json_t *found;
    error = pst_json_read((const char *)bytes, line_bytes, &found, &fault);
    if (error == -ENOMEM)
        return error;
    uint64_t at = fault.offset < line_bytes ? fault.offset : 0;
    if (error)
        return format_damage_set(damage, at, line_bytes - at, "JSON", -PST_E_CORRUPT);

    const char *found_kind = json_string_value(json_object_get(found, "penstock"));
    if (!found_kind || strcmp(found_kind, kind) != 0) {
        json_decref(found);
        return format_damage_set(damage, 0, line_bytes, "kind of file", -PST_E_NOT_BACKUP);
    }
    *object = found;
    return 0;
}

static int reader_error(const struct reader *reader, uint64_t size, struct pst_damage *damage)
{
    if (!reader->wrong)
        return 0;
    if (reader->has_no_memory)
        return -ENOMEM;
    return format_damage_set(damage, 0, size - PST_MANIFEST_LINE2_BYTES, reader->wrong,
                             reader->newer ? -PST_E_NEWER : -PST_E_CORRUPT);
}

int pst_manifest_decode_node(const void *bytes, uint64_t size, struct pst_node_manifest *manifest,
                             struct pst_digest *digest, struct pst_damage *damage)
{
    json_t *object;
    struct pst_digest found_digest;
    int error = parse(bytes, size, PST_MANIFEST_KIND_NODE, &object, &found_digest, damage);
    if (error)
        return error;
    struct pst_node_manifest found;
    pst_manifest_clear_node(&found);
    struct reader reader = {0};
    take_node(&reader, object, &found);
    error = reader_error(&reader, size, damage);
    if (error) {
        json_decref(object);
    } else {
        found.owner = object;
        pst_manifest_copy_node(manifest, &found);
        if (digest)
            *digest = found_digest;
    }
    return error;
}

void pst_manifest_release_node(struct pst_node_manifest *manifest)
{
    json_decref(manifest->owner);
    manifest->owner = NULL;
}

int pst_manifest_decode_cluster(const void *bytes, uint64_t size,
                                struct pst_cluster_manifest *manifest, struct pst_digest *digest,
                                struct pst_damage *damage)
{
    json_t *object;
    struct pst_digest found_digest;
    int error = parse(bytes, size, PST_MANIFEST_KIND_CLUSTER, &object, &found_digest, damage);
    if (error)
        return error;
    struct pst_cluster_manifest found;
    pst_manifest_clear_cluster(&found);
    struct reader reader = {0};
    take_cluster(&reader, object, &found);
    json_decref(object);
    error = reader_error(&reader, size, damage);
    if (!error) {
        pst_manifest_copy_cluster(manifest, &found);
        if (digest)
            *digest = found_digest;
    }
    return error;
}
