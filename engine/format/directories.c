/* Filters of directories. Written by part.c, on an LDM's thread; read by readers of parts, on any.
 */
#include "engine/format/directories.h"

#include <assert.h>
#include <string.h>

#include "engine/format/object.h"

#define HASHES 4u

static const struct pst_directories_filter *filter_of(const struct pst_chunk_header *header)
{
    return (const struct pst_directories_filter *)header->pieces;
}

static void find_bits(uint32_t source, const char *path, size_t path_bytes, uint32_t bits[HASHES])
{
    const struct pst_digest digest = pst_digest_of(path, path_bytes, source);
    uint64_t halves[2];
    memcpy(halves, digest.bytes, sizeof(halves));
    for (uint32_t i = 0; i < HASHES; i++)
        bits[i] = (uint32_t)((halves[0] + i * halves[1]) % PST_DIRECTORIES_BITS);
}

static void add(struct pst_directories_filter *filter, uint32_t source, const char *path,
                size_t path_bytes)
{
    uint32_t bits[HASHES];
    find_bits(source, path, path_bytes, bits);
    for (uint32_t i = 0; i < HASHES; i++)
        filter->bits[bits[i] / 8] |= (uint8_t)(1u << bits[i] % 8);
}

static size_t parent_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

void format_directories_of(const void *payload, size_t payload_bytes,
                           struct pst_directories_filter *filter)
{
    const char *last = NULL; /* the directory that the entry before lies in */
    size_t last_bytes = 0;
    uint32_t last_source = 0;
    *filter = (struct pst_directories_filter){0};
    memcpy(filter->magic, PST_DIRECTORIES_MAGIC, sizeof(filter->magic));
    for (size_t offset = 0; offset < payload_bytes;) {
        const uint8_t *entry = (const uint8_t *)payload + offset;
        const struct pst_object object = pst_object_of_legal(entry);
        uint32_t source = pst_object_source(object.id), entry_bytes;
        size_t bytes = parent_bytes(object.path);
        bool is_same = last && source == last_source && bytes == last_bytes &&
                       memcmp(object.path, last, bytes) == 0;
        if (!is_same)
            add(filter, source, object.path, bytes);
        if (object.type == PST_OBJECT_DIRECTORY)
            add(filter, source, object.path, strlen(object.path));
        last = object.path;
        last_bytes = bytes;
        last_source = source;
        memcpy(&entry_bytes, entry, sizeof(entry_bytes));
        offset += entry_bytes;
    }
}

void format_directories_note(void *chunk, uint32_t payload_bytes)
{
    struct pst_chunk_header *header = chunk;
    assert(header->type == PST_CHUNK_CATALOGUE && header->pieces_count == 0);
    format_directories_of(pst_chunk_payload_of(chunk), payload_bytes,
                          (struct pst_directories_filter *)header->pieces);
}

static bool has_filter(const struct pst_chunk_header *header)
{
    return memcmp(filter_of(header)->magic, PST_DIRECTORIES_MAGIC,
                  sizeof(filter_of(header)->magic)) == 0;
}

bool pst_directories_may_have(const struct pst_chunk_header *header, uint32_t source,
                              const char *path, size_t path_bytes)
{
    uint32_t bits[HASHES];
    if (!has_filter(header))
        return true;
    find_bits(source, path, path_bytes, bits);
    for (uint32_t i = 0; i < HASHES; i++) {
        if ((filter_of(header)->bits[bits[i] / 8] >> bits[i] % 8 & 1) == 0)
            return false;
    }
    return true;
}

bool pst_directories_are_right(const void *chunk)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    struct pst_directories_filter filter;
    if (!has_filter(header))
        return true;
    format_directories_of(pst_chunk_payload_of(chunk), header->raw_bytes, &filter);
    return memcmp(&filter, filter_of(header), sizeof(filter)) == 0;
}
