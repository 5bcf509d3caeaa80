/* Small valid samples of everything on disk, made with the real encoders. */
#ifndef PST_TESTS_UNIT_FORMAT_SAMPLE_H
#define PST_TESTS_UNIT_FORMAT_SAMPLE_H

#include "engine/format/manifest.h"
#include "engine/format/object.h"
#include "engine/format/part.h"

struct pst_part_identity sample_identity(void);

/* i = 0…SAMPLE_OBJECTS - 1: one of each kind, ids ascending. */
#define SAMPLE_OBJECTS 12u
struct pst_object sample_object(uint32_t i);

/* All sample objects, encoded; returns the bytes. */
size_t sample_catalogue(void *payload, size_t payload_bytes);

/* Sealed chunks in a buffer of SAMPLE_BUFFER_BYTES, 4096-aligned; number and offset as given. */
#define SAMPLE_BUFFER_BYTES (PST_BLOCK_BYTES + PST_CHUNK_BYTES_MIN)
void *sample_buffer(void);
uint64_t sample_data_chunk(void *buffer, uint64_t chunk, uint64_t file_offset);
uint64_t sample_catalogue_chunk(void *buffer, uint64_t chunk, uint64_t file_offset);

/* A payload of references; returns the bytes. */
#define SAMPLE_REFERENCES 3u
uint32_t sample_references(void *payload);

/* A whole part in memory: `data_chunks` DATA chunks and a CATALOGUE chunk; an INDEX chunk after
 * every `per_index` of them. The caller frees. */
struct sample_part {
    uint8_t *bytes;
    uint64_t size;
    struct pst_digest digest;
    struct pst_part_sums sums;
};
struct sample_part sample_part(uint32_t data_chunks, uint32_t per_index);

/* Too large for a stack: static, the same one each time. */
const struct pst_node_manifest *sample_node_manifest(void);
const struct pst_cluster_manifest *sample_cluster_manifest(void);

#endif
