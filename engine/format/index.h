/*
 * Index of a part: one entry for each DATA and CATALOGUE chunk, in INDEX chunks that are chained
 * backwards from the trailer, so that a writer needs one buffer however large the part is.
 *
 * Pure, no allocation, any thread. Writers of parts: use part.h, which drives the builder.
 */
#ifndef PST_ENGINE_FORMAT_INDEX_H
#define PST_ENGINE_FORMAT_INDEX_H

#include <stdbool.h>

#include "engine/format/chunk.h"

enum pst_chunk_location {
    PST_LOCATION_HERE = 0,    /* in this part, at file_offset */
    PST_LOCATION_EARLIER = 1, /* in an earlier backup: origin_… */
};

enum pst_hash_kind {
    PST_HASH_NONE = 0,
    PST_HASH_OBJECT = 1,  /* of a reference: the sum of an object's digests, sums.h */
    PST_HASH_SHA_256 = 2, /* of the bytes of an only piece */
};

struct pst_index_entry {
    uint64_t chunk;
    uint64_t file_offset;
    uint32_t raw_bytes;
    uint32_t stored_bytes;
    uint16_t type; /* enum pst_chunk_type */
    uint8_t codec;
    uint8_t cipher;
    uint16_t pieces_count;
    uint8_t location;           /* enum pst_chunk_location */
    uint8_t hash_kind;          /* enum pst_hash_kind */
    struct pst_digest checksum; /* the chunk header's, which covers the payload's */
    uint8_t hash[32];           /* of the contents, of hash_kind; zero for none */
    uint8_t origin_uid[PST_UID_BYTES];
    uint64_t origin_chunk; /* of PST_HASH_SHA_256, here: object_offset of the piece */
    uint16_t origin_node;
    uint16_t origin_part;
    uint32_t reserved;
    uint64_t object_first; /* lowest and highest object id in the chunk; 0, 0: none */
    uint64_t object_last;
};

/* Begins the payload of an INDEX chunk; the entries follow. */
struct pst_index_head {
    struct pst_index_link previous;
    uint32_t entries_count;
    uint32_t entry_bytes; /* sizeof(struct pst_index_entry) */
    uint8_t reserved[16];
};

_Static_assert(sizeof(struct pst_index_entry) == 128, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, file_offset) == 8, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, raw_bytes) == 16, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, stored_bytes) == 20, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, type) == 24, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, pieces_count) == 28, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, location) == 30, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, hash_kind) == 31, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, checksum) == 32, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, hash) == 48, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, origin_uid) == 80, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, origin_chunk) == 96, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, origin_node) == 104, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, object_first) == 112, "docs/format.md");
_Static_assert(offsetof(struct pst_index_entry, object_last) == 120, "docs/format.md");
_Static_assert(sizeof(struct pst_index_head) == 64, "docs/format.md");

#define PST_INDEX_ENTRIES(chunk_bytes)                                                             \
    (((chunk_bytes) - (uint32_t)sizeof(struct pst_index_head)) /                                   \
     (uint32_t)sizeof(struct pst_index_entry))

struct pst_index_builder {
    struct pst_sealed *sealed; /* by which it is sealed; NULL: it is not */
    void *buffer;              /* the caller's: 4096 + chunk_bytes */
    uint32_t entries_count;
    uint32_t entries_max;
    uint64_t index_chunks;      /* sealed so far */
    struct pst_index_link last; /* the last one sealed */
};

/* Starts the index of a part; a buffer is attached next. */
void format_index_init(struct pst_index_builder *builder);

/* Gives the builder a buffer of 4096 + chunk_bytes for the next INDEX chunk. The builder uses it
 * until the next format_index_seal, the caller writes it then. Only after init or seal. */
void format_index_attach(struct pst_index_builder *builder, void *buffer, uint32_t chunk_bytes);

bool format_index_is_full(const struct pst_index_builder *builder);

/* Makes the entry of a chunk, as far as its header alone says it: nothing of its objects. */
void pst_index_entry_fill(struct pst_index_entry *entry, const struct pst_chunk_header *header);

/* Adds the entry of a sealed DATA or CATALOGUE chunk. payload: its raw one, raw_bytes long. The
 * index must not be full. */
void format_index_add(struct pst_index_builder *builder, const void *chunk, const void *payload);

/* Enters the hash of the only piece of the chunk that was added last. */
void format_index_note_hash(struct pst_index_builder *builder, const uint8_t hash[32],
                            uint64_t object_offset);

/* Takes an INDEX chunk, checked, that a writer of the part has sealed of the entries that were
 * added, in place of sealing it: the buffer stays, and is empty. -PST_E_CORRUPT: it is of others.
 */
int format_index_adopt(struct pst_index_builder *builder, const void *chunk) PST_MUST_USE;

/* Seals the INDEX chunk in the builder's buffer and detaches it; returns the bytes to write. An
 * index without entries is legal (an empty part has one). */
uint64_t format_index_seal(struct pst_index_builder *builder,
                           const struct pst_part_identity *identity, uint64_t chunk,
                           uint64_t file_offset);

/* The contents of an INDEX chunk; points into the chunk's buffer. */
struct pst_index_view {
    const struct pst_index_head *head;
    const struct pst_index_entry *entries;
    uint32_t entries_count;
};

/* Reads the index in a chunk that pst_chunk_check has passed. Each entry is checked alone (ranges,
 * alignment, type) and against the next one: ascending, the chunks of one INDEX chunk adjoin each
 * other and it. -PST_E_CORRUPT, -PST_E_NEWER; *damage is relative to the buffer. */
int pst_index_read(const void *buffer, struct pst_index_view *view,
                   struct pst_damage *damage) PST_MUST_USE;

/* pst_chunk_check of the chunk that an entry, or a link, names, and whether it is that very chunk:
 * another one of the same number, though intact, is -PST_E_CORRUPT. */
int pst_index_check_chunk(const struct pst_index_entry *entry, const void *buffer, uint64_t bytes,
                          const struct pst_part_identity *identity,
                          struct pst_damage *damage) PST_MUST_USE;
/* The same of its first 4096 bytes, the header, alone. */
int pst_index_check_header(const struct pst_index_entry *entry, const void *buffer, uint64_t bytes,
                           const struct pst_part_identity *identity,
                           struct pst_damage *damage) PST_MUST_USE;
int pst_index_check_link(const struct pst_index_link *link, const void *buffer, uint64_t bytes,
                         const struct pst_part_identity *identity,
                         struct pst_damage *damage) PST_MUST_USE;

#endif
