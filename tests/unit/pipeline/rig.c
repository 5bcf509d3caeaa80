#include "tests/unit/pipeline/rig.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/format/object.h"
#include "io/beneath.h"

static int last_result;

static void note_result(struct pst_part_file *file, int result)
{
    (void)file;
    last_result = result;
}

void rig_open(struct rig *rig, size_t memory_bytes)
{
    *rig =
        (struct rig){.directory = "./penstock-pipeline-XXXXXX", .file = {.file = PST_FILE_CLOSED}};
    const char *made = mkdtemp(rig->directory);
    assert(made);
    rig->dirfd = open(rig->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(rig->dirfd >= 0);
    const struct pst_ring_options options = {.entries = 64, .files_max = 8, .fault = &rig->fault};
    int error = pst_ring_open(&rig->ring, &options);
    if (error) {
        printf("cannot run here: no io_uring: %s\n", pst_error_text(error));
        exit(77);
    }
    rig->memory = aligned_alloc(PST_BLOCK_BYTES, memory_bytes);
    assert(rig->memory);
    memset(rig->memory, 0xEE, memory_bytes);
}

void rig_close(struct rig *rig)
{
    rig->fault.at = 0;
    if (rig->file.file.fd >= 0)
        pst_io_part_abandon(&rig->file, note_result);
    pst_ring_drain(rig->ring);
    pst_ring_close(rig->ring);
    free(rig->memory);
    close(rig->dirfd);
    int error = pst_beneath_remove(AT_FDCWD, rig->directory + 2, PST_BENEATH_SAME_OWNER);
    assert(!error);
}

void rig_create_part(struct rig *rig)
{
    pst_io_part_create(&rig->file, rig->ring, rig->dirfd, RIG_PART, PST_DIRECT_AUTO, note_result);
    pst_ring_drain(rig->ring);
    assert(last_result == 0);
}

void rig_finish_part(struct rig *rig)
{
    pst_io_part_finish(&rig->file, note_result);
    pst_ring_drain(rig->ring);
    assert(last_result == 0);
}

uint8_t rig_byte(uint64_t seed, uint64_t offset)
{
    uint64_t word =
        offset / 64 * UINT64_C(0x9E3779B97F4A7C15) + seed * UINT64_C(0xD1B54A32D192ED03);
    return (uint8_t)(word >> 40); /* runs of 64 */
}

void rig_write_file(struct rig *rig, const char *name, uint64_t bytes, uint64_t seed,
                    struct pst_fragment_file *listed)
{
    uint8_t *data = malloc(bytes + 1);
    assert(data);
    for (uint64_t i = 0; i < bytes; i++)
        data[i] = rig_byte(seed, i);
    int fd = openat(rig->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t wrote = write(fd, data, bytes);
    assert(wrote == (ssize_t)bytes);
    struct stat status;
    int error = fstat(fd, &status);
    assert(!error);
    close(fd);
    free(data);
    *listed = (struct pst_fragment_file){
        .object = seed,
        .path = name,
        .device = status.st_dev,
        .inode = status.st_ino,
        .size_bytes = bytes,
        .mtime_ns = status.st_mtim.tv_sec * INT64_C(1000000000) + status.st_mtim.tv_nsec,
    };
}

struct pst_part_identity rig_identity(void)
{
    return (struct pst_part_identity){
        .uid = {0xAB}, .number = 1, .cluster_id = 0, .node = 1, .part = 1, .parts = 1};
}

/* ---- reading a part ---- */

static uint8_t *read_all(const struct rig *rig, const char *path, uint64_t *bytes)
{
    struct stat status;
    int fd = openat(rig->dirfd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    int error = fstat(fd, &status);
    assert(!error);
    uint8_t *data = aligned_alloc(PST_BLOCK_BYTES, (size_t)status.st_size);
    assert(data);
    ssize_t got = read(fd, data, (size_t)status.st_size);
    assert(got == status.st_size);
    close(fd);
    *bytes = (uint64_t)got;
    return data;
}

static int take_chunk(struct rig_part *part, const uint8_t *chunk)
{
    struct pst_damage damage;
    uint8_t *copy = malloc(PST_CHUNK_HEADER_BYTES + RIG_CHUNK_BYTES);
    assert(copy);
    part->chunks = realloc(part->chunks, (part->chunks_count + 1) * sizeof(*part->chunks));
    part->chunks[part->chunks_count++] = copy;
    if (!pst_chunk_is_encoded(chunk)) {
        memcpy(copy, chunk, PST_CHUNK_HEADER_BYTES + pst_chunk_header_of(chunk)->raw_bytes);
        return 0;
    }
    part->encoded++;
    return pst_chunk_decode(chunk, copy, RIG_CHUNK_BYTES, &damage);
}

static int take_index(struct rig_part *part, const uint8_t *file, uint64_t bytes,
                      struct pst_index_link *link)
{
    struct pst_damage damage;
    struct pst_index_view view;
    const uint8_t *index = file + link->file_offset;
    const struct pst_part_identity identity = part->header.head.identity;
    int error = pst_index_check_link(link, index, bytes - link->file_offset, &identity, &damage);
    if (!error)
        error = pst_index_read(index, &view, &damage);
    for (uint32_t i = 0; !error && i < view.entries_count; i++) {
        const uint8_t *chunk = file + view.entries[i].file_offset;
        error = pst_index_check_chunk(&view.entries[i], chunk, bytes - view.entries[i].file_offset,
                                      &identity, &damage);
        if (!error)
            error = take_chunk(part, chunk);
    }
    part->index_chunks++;
    if (!error)
        *link = view.head->previous;
    return error;
}

bool rig_read_part(const struct rig *rig, const char *path, struct rig_part *part)
{
    struct pst_damage damage;
    uint64_t bytes = 0;
    uint8_t *file = read_all(rig, path, &bytes);
    *part = (struct rig_part){0};
    if (!file || bytes < 2 * PST_BLOCK_BYTES)
        return false;
    memcpy(&part->header, file, sizeof(part->header));
    memcpy(&part->trailer, file + bytes - PST_BLOCK_BYTES, sizeof(part->trailer));
    const struct pst_part_identity identity = part->header.head.identity;
    int error = pst_part_header_check(file, bytes, NULL, &damage);
    if (!error)
        error = pst_part_trailer_check(file + bytes - PST_BLOCK_BYTES, PST_BLOCK_BYTES, bytes,
                                       &identity, &damage);
    struct pst_index_link link = part->trailer.last_index;
    while (!error && link.file_offset != 0)
        error = take_index(part, file, bytes, &link);
    if (error)
        printf("    %s: %s: %s\n", path, damage.what, pst_error_text(error));
    free(file);
    return !error && part->trailer.sums.chunks == part->chunks_count + (uint64_t)part->index_chunks;
}

void rig_release_part(struct rig_part *part)
{
    for (uint32_t i = 0; i < part->chunks_count; i++)
        free(part->chunks[i]);
    free(part->chunks);
}

static bool piece_is_right(const uint8_t *chunk, const struct pst_chunk_piece *piece, uint64_t seed)
{
    const uint8_t *data = chunk + PST_CHUNK_HEADER_BYTES + piece->payload_offset;
    for (uint32_t i = 0; i < piece->bytes; i++) {
        if (data[i] != rig_byte(seed, piece->object_offset + i))
            return false;
    }
    return true;
}

bool rig_part_has(const struct rig_part *part, uint64_t object, uint64_t bytes, uint64_t seed)
{
    uint64_t found = 0;
    for (uint32_t i = 0; i < part->chunks_count; i++) {
        const struct pst_chunk_header *header = pst_chunk_header_of(part->chunks[i]);
        for (uint32_t j = 0; j < header->pieces_count; j++) {
            const struct pst_chunk_piece *piece = &header->pieces[j];
            if (piece->object != object)
                continue;
            if (piece->object_offset + piece->bytes > bytes ||
                !piece_is_right(part->chunks[i], piece, seed))
                return false;
            found += piece->bytes;
        }
    }
    return found == bytes;
}

uint32_t rig_part_entries(const struct rig_part *part, uint64_t object, struct pst_object *found)
{
    uint32_t entries = 0;
    uint32_t flags = 0;
    for (uint32_t i = 0; i < part->chunks_count; i++) {
        const struct pst_chunk_header *header = pst_chunk_header_of(part->chunks[i]);
        for (size_t offset = 0;
             header->type == PST_CHUNK_CATALOGUE && offset < header->raw_bytes;) {
            struct pst_object entry;
            int error =
                pst_object_decode(pst_chunk_payload_of(header), header->raw_bytes, &offset, &entry);
            assert(!error);
            if (entry.id != object)
                continue;
            entries++;
            flags |= entry.flags;
            *found = entry;
        }
    }
    if (entries > 0)
        found->flags = flags;
    return entries;
}
