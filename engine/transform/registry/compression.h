/*
 * What --compress asks for, and the contexts of one LDM that do it: which codec, if any, the next
 * chunk is encoded with. Everything lies in memory of the LDM's; nothing is allocated later.
 *
 * The thread that calls pst_compression_init(), the LDM's; parse and memory_bytes are for any.
 */
#ifndef PST_ENGINE_TRANSFORM_REGISTRY_COMPRESSION_H
#define PST_ENGINE_TRANSFORM_REGISTRY_COMPRESSION_H

#include <stddef.h>

#include "engine/transform/transform.h"
#include "penstock/error.h"

enum pst_compression_mode {
    PST_COMPRESSION_NONE,
    PST_COMPRESSION_LZ4,
    PST_COMPRESSION_ZSTD,
    PST_COMPRESSION_AUTO, /* as much as costs no time */
};

struct pst_compression_choice {
    enum pst_compression_mode mode;
    uint32_t level; /* of zstd */
};

/* "auto", "none", "lz4", "zstd" or "zstd:LEVEL", what penstock/run.h says. -EINVAL. */
PST_MUST_USE int pst_compression_parse(const char *text, struct pst_compression_choice *choice);

struct pst_compression;

/* 0 with NONE. SIZE_MAX: there is no memory to find out. */
size_t pst_compression_memory_bytes(const struct pst_compression_choice *choice,
                                    uint32_t chunk_bytes);

/* Not with NONE. memory: bytes of it, so many or more, aligned to 64; it is all that there is to
 * release. */
struct pst_compression *pst_compression_init(const struct pst_compression_choice *choice,
                                             uint32_t chunk_bytes, void *memory, size_t bytes);

/* That a part's header names. */
const struct pst_transform *pst_compression_transform(const struct pst_compression *compression);

/* For the next payload; NULL: it is not worth encoding. context: a struct pst_compression. */
const struct pst_transform *pst_compression_choose(void *context, const void *raw,
                                                   uint32_t raw_bytes);

/* That which decodes what the codec has made here; NULL: it makes nothing of it. */
const struct pst_transform *pst_compression_decoder(const struct pst_compression *compression,
                                                    uint8_t codec);

/* The LDM begins to scan: what it did before has nothing to say about that. */
void pst_compression_begin_scan(struct pst_compression *compression);

/* The LDM had a fragment in hand, and waited for a disk or for its pace for so long. */
void pst_compression_note_wait(struct pst_compression *compression, uint64_t waited_ns);

#endif
