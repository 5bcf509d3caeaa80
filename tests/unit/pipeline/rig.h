/*
 * What the tests of engine/pipeline share: a scratch directory, a ring that can fail, a part file,
 * and a reader of parts that knows engine/format alone. Whatever cannot be set up ends the program.
 */
#ifndef PST_TESTS_PIPELINE_RIG_H
#define PST_TESTS_PIPELINE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/format/part.h"
#include "io/fault.h"
#include "io/part_file.h"
#include "penstock/fragment.h"

#define RIG_CHUNK_BYTES PST_CHUNK_BYTES_MIN
#define RIG_PART "part"

struct rig {
    char directory[64];
    int dirfd;
    struct pst_io_fault fault;
    struct pst_ring *ring;
    struct pst_part_file file; /* RIG_PART, from rig_create_part on */
    void *memory;
};

/* memory_bytes: of rig->memory. */
void rig_open(struct rig *rig, size_t memory_bytes);
void rig_close(struct rig *rig);

void rig_create_part(struct rig *rig);
void rig_finish_part(struct rig *rig);

/* A file in the scratch directory; its byte at offset is rig_byte(seed, offset). Fills *listed as a
 * source would. name must stay. */
uint8_t rig_byte(uint64_t seed, uint64_t offset);
void rig_write_file(struct rig *rig, const char *name, uint64_t bytes, uint64_t seed,
                    struct pst_fragment_file *listed);

struct pst_part_identity rig_identity(void);

/* A finished part: all of it checked, its chunks decoded. */
struct rig_part {
    struct pst_part_header header;
    struct pst_part_trailer trailer;
    uint8_t **chunks; /* DATA and CATALOGUE, each with its header */
    uint32_t chunks_count;
    uint32_t index_chunks;
    uint32_t encoded; /* of the chunks */
};

bool rig_read_part(const struct rig *rig, const char *path, struct rig_part *part);
void rig_release_part(struct rig_part *part);

/* Whether pieces of the object cover [0, bytes) with rig_byte(seed, …), and nothing more. */
bool rig_part_has(const struct rig_part *part, uint64_t object, uint64_t bytes, uint64_t seed);

/* Catalogue entries of an object, all flags joined; 0: none. */
uint32_t rig_part_entries(const struct rig_part *part, uint64_t object, struct pst_object *found);

#endif
