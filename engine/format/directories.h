/*
 * Which directories a CATALOGUE chunk may have something of: a Bloom filter in its header, where a
 * DATA chunk has its pieces, so that whoever looks for one directory reads few of the catalogues.
 * docs/format.md has the bytes. Pure, no allocation, any thread.
 */
#ifndef PST_ENGINE_FORMAT_DIRECTORIES_H
#define PST_ENGINE_FORMAT_DIRECTORIES_H

#include <stdbool.h>

#include "engine/format/chunk.h"

#define PST_DIRECTORIES_MAGIC "PSTKDIRS"
#define PST_DIRECTORIES_BITS (8u * 3928u)

/* Bytes 128… of the header of a CATALOGUE chunk; another magic: there is no filter. */
struct pst_directories_filter {
    uint8_t magic[8]; /* PST_DIRECTORIES_MAGIC */
    uint8_t bits[PST_DIRECTORIES_BITS / 8];
};

_Static_assert(sizeof(struct pst_directories_filter) == 3936, "docs/format.md");

/* The filter of the legal entries in a payload: of each the directory that it lies in, and itself
 * if it is one. */
void format_directories_of(const void *payload, size_t payload_bytes,
                           struct pst_directories_filter *filter);

/* Writes it into the header of a CATALOGUE chunk that is about to be sealed. */
void format_directories_note(void *chunk, uint32_t payload_bytes);

/* Whether a CATALOGUE chunk, of which the header is whole and opened, may have the directory at
 * path_bytes of path in this source, or something that lies directly in it; "": the root. */
bool pst_directories_may_have(const struct pst_chunk_header *header, uint32_t source,
                              const char *path, size_t path_bytes);

/* Whether the filter of a whole chunk, decoded, is that of its payload, or there is none. */
bool pst_directories_are_right(const void *chunk);

#endif
