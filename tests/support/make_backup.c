/* Writes a small backup byte by byte with the encoders of engine/format; any test's main thread
 * calls it.
 */
#include "tests/support/make_backup.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/repository/layout.h"

#define BUFFER_BYTES (PST_BLOCK_BYTES + PST_CHUNK_BYTES_MIN)

uint8_t made_byte(uint64_t object, uint64_t offset)
{
    return (uint8_t)(object * 31 + offset * 7 + offset / 251 + 1);
}

#define SUMS_BACKUPS 8u
#define SUMS_OBJECTS 32u

/* Of each object of the backups with low numbers that were made last: what refers to it needs it.
 */
static struct pst_object_sum known_sums[SUMS_BACKUPS][SUMS_OBJECTS];

struct writer {
    const struct made_backup *made;
    struct pst_part part;
    uint8_t *buffer;
    uint8_t *index;
    uint8_t *sums;
    uint32_t pieces; /* in the buffer */
    uint32_t payload_bytes;
    uint32_t chunks; /* since the last INDEX chunk */
    int fd;
};

static void *new_buffer(void)
{
    void *buffer = aligned_alloc(PST_BLOCK_BYTES, BUFFER_BYTES);
    assert(buffer != NULL);
    return buffer;
}

static void put(struct writer *writer, const void *buffer, struct pst_part_place place)
{
    ssize_t wrote = pwrite(writer->fd, buffer, place.bytes, (off_t)place.file_offset);
    assert(wrote == (ssize_t)place.bytes);
}

/* Seals the chunk in vain, so that the checksums of its objects are taken, and then what is made of
 * it, whose own are not. */
static struct pst_part_place seal_spoilt(struct writer *writer)
{
    struct pst_part *part = &writer->part;
    const struct pst_part before = *part;
    uint8_t header[PST_CHUNK_HEADER_BYTES];
    memcpy(header, writer->buffer, sizeof(header));
    pst_part_seal_chunk(part, writer->buffer, writer->payload_bytes);
    memcpy(writer->buffer, header, sizeof(header));
    writer->made->spoil_chunk(writer->buffer);
    struct format_sums sums = part->object_sums;
    *part = before;
    part->object_sums.buffer = NULL;
    const struct pst_part_place place =
        pst_part_seal_chunk(part, writer->buffer, writer->payload_bytes);
    part->object_sums = sums;
    return place;
}

static void seal_chunk(struct writer *writer)
{
    if (writer->payload_bytes == 0)
        return;
    bool is_spoilt = writer->made->spoil_chunk && writer->pieces > 0;
    const struct pst_part_place place =
        is_spoilt ? seal_spoilt(writer)
                  : pst_part_seal_chunk(&writer->part, writer->buffer, writer->payload_bytes);
    put(writer, writer->buffer, place);
    writer->payload_bytes = writer->pieces = 0;
    if (++writer->chunks != writer->made->chunks_per_index)
        return;
    const struct pst_part_place index = pst_part_seal_index(&writer->part);
    put(writer, writer->index, index);
    pst_part_attach_index(&writer->part, writer->index);
    writer->chunks = 0;
}

static void put_data(struct writer *writer, const struct made_data *data)
{
    assert(data->bytes <= PST_CHUNK_BYTES_MIN);
    if (writer->payload_bytes + data->bytes > PST_CHUNK_BYTES_MIN)
        seal_chunk(writer);
    if (writer->payload_bytes == 0)
        pst_chunk_begin(writer->buffer, PST_CHUNK_DATA);
    const struct pst_chunk_piece piece = {data->object, data->offset, writer->payload_bytes,
                                          data->bytes};
    int error = pst_chunk_add_piece(writer->buffer, &piece);
    assert(!error);
    uint8_t *payload = writer->buffer + PST_BLOCK_BYTES + writer->payload_bytes;
    for (uint32_t i = 0; i < data->bytes; i++)
        payload[i] = writer->made->contents ? writer->made->contents[data->object][data->offset + i]
                                            : made_byte(data->object, data->offset + i);
    writer->payload_bytes += data->bytes;
    writer->pieces++;
}

static void keep_sums(const struct writer *writer)
{
    const struct pst_object_sum *records =
        (const void *)(writer->sums + PST_CHUNK_HEADER_BYTES + sizeof(struct pst_sums_head));
    for (uint32_t i = 0; i < writer->part.object_sums.records_count; i++) {
        uint32_t number = writer->made->number;
        if (number >= SUMS_BACKUPS || records[i].object >= SUMS_OBJECTS)
            continue;
        struct pst_object_sum *sum = &known_sums[number][records[i].object];
        sum->bytes += records[i].bytes;
        sum->sum[0] += records[i].sum[0];
        sum->sum[1] += records[i].sum[1];
    }
}

static struct pst_origin origin_of(const struct made_backup *made, uint32_t number)
{
    struct pst_origin origin = {.number = number, .cluster_id = made->cluster_ids[2], .node = 1};
    memset(origin.uid, (int)(0xB0 + number), sizeof(origin.uid));
    return origin;
}

static void put_hash(const struct made_reference *made, struct pst_reference *reference)
{
    static uint8_t bytes[PST_CHUNK_BYTES_MIN];
    if (!made->is_run) {
        const struct pst_object_sum *sum = &known_sums[made->origin][made->origin_object];
        memcpy(reference->hash, sum->sum, sizeof(sum->sum));
        return;
    }
    assert(made->bytes <= sizeof(bytes));
    for (uint32_t i = 0; i < made->bytes; i++)
        bytes[i] = made_byte(made->origin_object, made->offset + i);
    int error = pst_reference_hash(bytes, (uint32_t)made->bytes, reference->hash);
    assert(!error);
}

/* All of a part in one chunk, with an origin of its own for each. */
static void put_references(struct writer *writer, uint32_t part)
{
    const struct made_backup *made = writer->made;
    struct pst_origin origins[8];
    uint16_t count = 0;
    uint8_t *payload = writer->buffer + PST_CHUNK_HEADER_BYTES;
    assert(made->references_count <= sizeof(origins) / sizeof(origins[0]));
    for (uint32_t i = 0; i < made->references_count; i++)
        if (made->references[i].part == part)
            origins[count++] = origin_of(made, made->references[i].origin);
    if (count == 0)
        return;
    pst_chunk_begin(writer->buffer, PST_CHUNK_REFERENCES);
    pst_references_begin(payload, origins, count);
    count = 0;
    for (uint32_t i = 0; i < made->references_count; i++) {
        const struct made_reference *wanted = &made->references[i];
        if (wanted->part != part)
            continue;
        struct pst_reference reference = {.object = wanted->object,
                                          .object_offset = wanted->offset,
                                          .bytes = wanted->bytes,
                                          .origin_object = wanted->origin_object,
                                          .origin = count++,
                                          .hash_kind =
                                              wanted->is_run ? PST_HASH_SHA_256 : PST_HASH_OBJECT};
        put_hash(wanted, &reference);
        bool has_room = pst_references_add(payload, PST_CHUNK_BYTES_MIN, &reference);
        assert(has_room);
    }
    writer->payload_bytes = pst_references_bytes(payload);
    if (made->spoil_references)
        made->spoil_references(payload);
    seal_chunk(writer);
}

/* The checksums of objects, as made->sums_magic says. */
static void put_sums(struct writer *writer)
{
    struct pst_part *part = &writer->part;
    keep_sums(writer);
    if (!writer->made->sums_magic) {
        put(writer, writer->sums, pst_part_seal_sums(part));
        return;
    }
    uint32_t bytes = format_sums_end(&part->object_sums);
    part->object_sums.sealed = 0;
    memcpy(writer->sums + PST_CHUNK_HEADER_BYTES, writer->made->sums_magic,
           sizeof(((struct pst_sums_head *)NULL)->magic));
    put(writer, writer->sums, pst_part_seal_chunk(part, writer->sums, bytes));
}

static bool has_data_in(const struct made_backup *made, uint64_t object, uint32_t part, bool any)
{
    for (uint32_t i = 0; i < made->data_count; i++) {
        if (made->data[i].object == object && (any || made->data[i].part == part))
            return true;
    }
    for (uint32_t i = 0; i < made->references_count; i++) {
        if (made->references[i].object == object && (any || made->references[i].part == part))
            return true;
    }
    return false;
}

static void put_entry(struct writer *writer, uint32_t i)
{
    const struct made_backup *made = writer->made;
    if (PST_CHUNK_BYTES_MIN - writer->payload_bytes < pst_object_bytes(&made->objects[i])) {
        seal_chunk(writer);
        pst_chunk_begin(writer->buffer, PST_CHUNK_CATALOGUE);
    }
    size_t offset = writer->payload_bytes;
    int error = pst_object_encode(&made->objects[i], writer->buffer + PST_BLOCK_BYTES,
                                  PST_CHUNK_BYTES_MIN, &offset);
    assert(!error);
    if (made->unsafe_path && i == made->objects_count - 1)
        memcpy(writer->buffer + PST_BLOCK_BYTES + writer->payload_bytes + PST_OBJECT_FIXED_BYTES,
               made->unsafe_path, strlen(made->unsafe_path));
    writer->payload_bytes = (uint32_t)offset;
}

static void put_catalogue(struct writer *writer, uint32_t part)
{
    pst_chunk_begin(writer->buffer, PST_CHUNK_CATALOGUE);
    for (uint32_t i = 0; i < writer->made->objects_count; i++) {
        uint64_t id = writer->made->objects[i].id;
        if (has_data_in(writer->made, id, part, false) ||
            (part == 0 && !has_data_in(writer->made, id, part, true)))
            put_entry(writer, i);
    }
    seal_chunk(writer);
}

static struct pst_part_identity identity_of(const struct made_backup *made, uint32_t part)
{
    struct pst_part_identity identity = {
        .number = made->number,
        .cluster_id = made->cluster_ids[2],
        .node = 1,
        .part = (uint16_t)(part + 1),
        .parts = (uint16_t)made->parts,
    };
    memset(identity.uid, made->uid ? made->uid : (int)(0xB0 + made->number), sizeof(identity.uid));
    return identity;
}

/* An object is counted in the first part that has its entry. */
static uint64_t objects_of(const struct made_backup *made, uint32_t part)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < made->objects_count; i++) {
        uint32_t first = 0;
        uint64_t id = made->objects[i].id;
        while (has_data_in(made, id, first, true) && !has_data_in(made, id, first, false))
            first++;
        count += first == part;
    }
    return count;
}

/* dirfd: of the backup. */
static struct pst_manifest_part make_part(int dirfd, const struct made_backup *made, uint32_t part)
{
    struct writer writer = {
        .made = made, .buffer = new_buffer(), .index = new_buffer(), .sums = new_buffer()};
    const struct pst_part_identity identity = identity_of(made, part);
    const struct layout_name dir = layout_part_dir(made->number, part + 1, made->parts);
    const struct layout_name name = layout_part(made->number, 1, part + 1, made->parts);
    int error = mkdirat(dirfd, dir.text, 0700);
    assert(!error);
    writer.fd = openat(dirfd, name.text, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert(writer.fd >= 0);
    pst_part_begin(&writer.part, &identity, PST_CHUNK_BYTES_MIN, part + 1, 1000, writer.buffer);
    if (made->references_count > 0)
        pst_part_note_base(&writer.part, writer.buffer);
    put(&writer, writer.buffer, (struct pst_part_place){0, PST_BLOCK_BYTES});
    pst_part_attach_index(&writer.part, writer.index);
    if (!made->no_object_sums)
        pst_part_attach_sums(&writer.part, writer.sums, PST_CHUNK_BYTES_MIN);
    for (uint32_t i = 0; i < made->data_count; i++) {
        if (made->data[i].part == part)
            put_data(&writer, &made->data[i]);
    }
    seal_chunk(&writer);
    put_catalogue(&writer, part);
    put_references(&writer, part);
    if (pst_part_has_sums(&writer.part))
        put_sums(&writer);
    struct pst_part_place place = pst_part_seal_index(&writer.part);
    put(&writer, writer.index, place);
    struct pst_manifest_part described = {.part = part + 1, .ldm = part + 1};
    writer.part.sums.objects = objects_of(made, part);
    if (made->spoil_part)
        made->spoil_part(&writer.part);
    place = pst_part_seal_trailer(&writer.part, 5, 5, 2000, writer.buffer, &described.digest);
    put(&writer, writer.buffer, place);
    described.file_bytes = place.file_offset + place.bytes;
    described.sums = writer.part.sums;
    close(writer.fd);
    free(writer.buffer);
    free(writer.index);
    free(writer.sums);
    return described;
}

static void name_origins(const struct made_backup *made, struct pst_node_manifest *node)
{
    for (uint32_t i = 0; i < made->references_count; i++) {
        const struct pst_origin origin = origin_of(made, made->references[i].origin);
        uint32_t j = 0;
        while (j < node->origins_count && node->origins[j].number != origin.number)
            j++;
        struct pst_manifest_origin *named = &node->origins[j];
        if (j == node->origins_count)
            *named = (struct pst_manifest_origin){.number = origin.number};
        node->origins_count += j == node->origins_count;
        memcpy(named->uid, origin.uid, sizeof(named->uid));
        named->bytes += made->references[i].bytes;
        named->objects++;
    }
    if (made->references_count == 0)
        return;
    node->common.version.incompatible = PST_FORMAT_REFERS;
    node->base.number = node->origins[0].number;
    memcpy(node->base.uid, node->origins[0].uid, sizeof(node->base.uid));
}

static void put_text(int dirfd, struct layout_name name, struct pst_manifest_text *text)
{
    int fd = openat(dirfd, name.text, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert(fd >= 0);
    ssize_t wrote = write(fd, text->text, text->bytes);
    assert(wrote == (ssize_t)text->bytes);
    close(fd);
    free(text->text);
}

void make_backup(const char *to, const struct made_backup *made)
{
    if (made->number < SUMS_BACKUPS)
        memset(known_sums[made->number], 0, sizeof(known_sums[0]));
    static const char *const names[] = {"one", "two", "three"};
    static struct pst_node_manifest node;
    static struct pst_cluster_manifest cluster;
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", to, layout_backup(made->number).text);
    int error = mkdir(path, 0700);
    assert(!error);
    int dirfd = open(path, O_RDONLY | O_DIRECTORY);
    assert(dirfd >= 0);

    node = (struct pst_node_manifest){.node = 1, .chunk_bytes = PST_CHUNK_BYTES_MIN};
    node.master_node = node.participants[node.participants_count++] = 1;
    if (made->in_doubt)
        node.participants[node.participants_count++] = 9;
    node.common.number = made->number;
    node.common.cluster_id = made->cluster_ids[1];
    memcpy(node.common.uid, identity_of(made, 0).uid, sizeof(node.common.uid));
    node.sources_count = made->sources;
    for (uint32_t i = 0; i < made->sources; i++)
        node.sources[i] =
            (struct pst_manifest_source){.name = names[i], .spec = "dir:/somewhere", .instance = i};
    node.parts_count = made->parts;
    for (uint32_t i = 0; i < made->parts; i++) {
        node.parts[i] = make_part(dirfd, made, i);
        pst_part_sums_add(&node.common.sums, &node.parts[i].sums);
    }
    struct pst_manifest_text text;
    name_origins(made, &node);
    cluster =
        (struct pst_cluster_manifest){.common = node.common, .master_node = 1, .nodes_count = 1};
    cluster.origins_count = node.origins_count;
    memcpy(cluster.origins, node.origins, sizeof(cluster.origins));
    cluster.nodes[0] = (struct pst_manifest_node){.node = 1, .sums = node.common.sums};
    cluster.common.cluster_id = made->cluster_ids[0];
    if (made->spoil_manifests)
        made->spoil_manifests(&node, &cluster);
    error = pst_manifest_encode_node(&node, &text);
    assert(!error);
    cluster.nodes[0].file_bytes = text.bytes;
    cluster.nodes[0].digest = text.digest;
    put_text(dirfd, layout_node_manifest(made->number, 1), &text);
    if (!made->no_cluster_manifest) {
        error = pst_manifest_encode_cluster(&cluster, &text);
        assert(!error);
        put_text(dirfd, layout_cluster_manifest(made->number), &text);
    }
    close(dirfd);
}

static const struct pst_object tree_objects[] = {
    {.id = 1, .type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0750, .mtime_sec = 1000000001},
    {.id = 2, .type = PST_OBJECT_DIRECTORY, .path = "d", .mode = 0555, .mtime_sec = 1000000002},
    {.id = 3, .type = PST_OBJECT_DIRECTORY, .path = "d/e", .mode = 0700, .mtime_sec = -5},
    {.id = 4,
     .type = PST_OBJECT_FILE,
     .path = "d/small",
     .size = 100,
     .mode = 0444,
     .mtime_sec = 1000000004,
     .mtime_nsec = 123456789,
     .uid = 1234,
     .gid = 4321},
    {.id = 5, .type = PST_OBJECT_FILE, .path = "d/e/empty", .mode = 04755, .mtime_sec = 5},
    {.id = 6,
     .type = PST_OBJECT_FILE,
     .path = "sparse",
     .size = 10 << 20,
     .mode = 0600,
     .mtime_sec = 6},
    {.id = 7, .type = PST_OBJECT_FILE, .path = "hole", .size = 1 << 20, .mode = 0640, .gid = 4321},
    {.id = 8,
     .type = PST_OBJECT_SYMLINK,
     .path = "d/link",
     .link = "../../outside",
     .mode = 0777,
     .mtime_sec = 1000000008,
     .mtime_nsec = 8},
    {.id = 9, .type = PST_OBJECT_HARD_LINK, .path = "a hard link", .linked_object = 4},
    {.id = 10, .type = PST_OBJECT_HARD_LINK, .path = "d/e/symlink again", .linked_object = 8},
    {.id = 11, .type = PST_OBJECT_FIFO, .path = "d/fifo", .mode = 0620, .mtime_sec = 11},
    {.id = 12, .type = PST_OBJECT_TABLE, .path = "rows", .size = 3000, .mode = 0644, .uid = 1234},
    {.id = 13, .type = PST_OBJECT_FILE, .path = "large", .mode = 0600, .mtime_sec = 13},
};

#define TREE_OBJECTS (sizeof(tree_objects) / sizeof(tree_objects[0]))
#define LARGE_PIECES_MAX 1000u

struct made_backup made_tree(uint32_t large_bytes)
{
    static struct pst_object objects[TREE_OBJECTS];
    static struct made_data data[LARGE_PIECES_MAX + 8];
    memcpy(objects, tree_objects, sizeof(objects));
    objects[TREE_OBJECTS - 1].size = large_bytes;
    uint32_t count = 0;
    data[count++] = (struct made_data){0, 4, 0, 100};
    data[count++] = (struct made_data){0, 6, 5000, 10};
    data[count++] = (struct made_data){1, 6, (10 << 20) - 1000, 700};
    data[count++] = (struct made_data){1, 12, 0, 1000};
    data[count++] = (struct made_data){0, 12, 1000, 2000};
    for (uint32_t offset = 0; offset < large_bytes;) {
        uint32_t left = large_bytes - offset;
        uint32_t bytes = left < PST_CHUNK_BYTES_MIN ? left : PST_CHUNK_BYTES_MIN;
        assert(count < LARGE_PIECES_MAX);
        data[count] = (struct made_data){count % 2, 13, offset, bytes};
        count++;
        offset += bytes;
    }
    return (struct made_backup){
        .number = 1,
        .parts = 2,
        .sources = 1,
        .objects = objects,
        .objects_count = TREE_OBJECTS,
        .data = data,
        .data_count = count,
    };
}

void list_backups(const char *from, struct pst_backup_list *list)
{
    char message[PST_MESSAGE_BYTES];
    int error = pst_backup_list_read(&from, 1, list, message);
    assert(!error);
}

int verify_backup(const char *from, const struct pst_verify_options *options,
                  struct pst_verify_result *result)
{
    const struct pst_backup *backup;
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    int error = pst_backup_list_read(&from, 1, &list, message);
    if (error)
        return error;
    error = pst_backup_find(&list, "1", PST_PICK_DECIDED, &backup, message);
    if (!error)
        error = pst_verify(backup, options, result);
    pst_backup_list_release(&list);
    return error;
}
