/*
 * Chunks of parts, decoded and checked, of which the ones that were used last are kept: for whoever
 * reads here and there. Private to engine/restore/; one thread, which waits for each read.
 *
 * Memory: CHUNK_CACHE_BYTES, or that of CHUNK_CACHE_SLOTS_MIN chunks, if they are larger.
 */
#ifndef PST_ENGINE_RESTORE_CHUNK_CACHE_H
#define PST_ENGINE_RESTORE_CHUNK_CACHE_H

#include "engine/repository/part_map.h"
#include "engine/restore/decoded_chunk.h"

#define CHUNK_CACHE_BYTES (64u << 20)
#define CHUNK_CACHE_SLOTS_MIN 8u
#define CHUNK_CACHE_SLOTS_MAX 64u
#define CHUNK_CACHE_FILES 64u
#define CHUNK_CACHE_DEPTH 32u /* headers that are read at a time */

struct cached_chunk {
    const struct pst_part_map *part; /* NULL: it holds nothing */
    uint64_t file_offset;
    uint64_t used; /* when, as chunk_cache.uses counts */
    struct decoded_chunk chunk;
    struct pst_index_view view; /* of an INDEX chunk */
};

/* An open part. */
struct cached_file {
    const struct pst_part_map *part; /* NULL: none */
    uint64_t used;
    struct pst_file file;
};

/* A header that is being read. */
struct cached_header {
    struct pst_io_op op;
    bool is_done;
    int result;
};

struct chunk_cache {
    struct pst_reader reader;
    uint64_t uses;
    uint64_t read_bytes;
    uint32_t slots_count;
    struct decoded_chunk spare; /* that the next chunk is decoded into */
    struct cached_chunk slots[CHUNK_CACHE_SLOTS_MAX];
    struct cached_file files[CHUNK_CACHE_FILES];
    struct cached_header reads[CHUNK_CACHE_DEPTH];
    uint8_t *headers;                /* as they are read: CHUNK_CACHE_DEPTH of them */
    struct pst_chunk_header *opened; /* one that was sealed */
};

/* chunk_bytes: the largest of the backup's own. -errno, or -PST_E_NO_RING. */
PST_MUST_USE int chunk_cache_open(struct chunk_cache *cache, uint32_t chunk_bytes);
void chunk_cache_close(struct chunk_cache *cache);

/* The chunk of an entry of the part's index, which lasts until the next call. An error is one of
 * the damage, which goes to findings. */
PST_MUST_USE int chunk_cache_read(struct chunk_cache *cache, const struct pst_part_map *part,
                                  const struct pst_index_entry *entry,
                                  struct pst_findings *findings, const void **chunk);

/* The same of an INDEX chunk. */
PST_MUST_USE int chunk_cache_index(struct chunk_cache *cache, const struct pst_part_map *part,
                                   const struct pst_part_link *link, struct pst_findings *findings,
                                   const struct pst_index_view **view);

/* Hands the headers of the chunks of so many entries of the part, opened, to take; an error of it
 * ends that. */
PST_MUST_USE int chunk_cache_headers(struct chunk_cache *cache, const struct pst_part_map *part,
                                     const struct pst_index_entry *entries, uint32_t count,
                                     struct pst_findings *findings,
                                     int (*take)(void *context, const struct pst_part_map *part,
                                                 const struct pst_index_entry *entry,
                                                 const struct pst_chunk_header *header),
                                     void *context);

#endif
