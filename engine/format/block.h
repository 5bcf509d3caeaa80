/*
 * What part header, chunk header and trailer share: the head of a 4096-byte block. Private to
 * engine/format/.
 */
#ifndef PST_ENGINE_FORMAT_BLOCK_H
#define PST_ENGINE_FORMAT_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/limits.h"
#include "engine/format/head.h"
#include "penstock/error.h"

#define PST_MAGIC_PART "PSTKPART"
#define PST_MAGIC_CHUNK "PSTKCHNK"
#define PST_MAGIC_TRAILER "PSTKTRLR"
#define PST_MAGIC_TAIL "PSTKTAIL"

/* Fills in the head of a block and its checksum; the rest of the block is complete. */
void format_block_seal(void *block, const char *magic, const struct pst_part_identity *identity,
                       uint64_t chunk);

/* What a reader knows of a block before reading it. */
struct pst_block_expected {
    const char *magic;
    const char *what;                         /* names the damage: "chunk header" */
    const struct pst_part_identity *identity; /* NULL: not known */
    const uint64_t *chunk;                    /* NULL: not known */
    /* Writes the fields beyond the head that are known into a copy of the block. */
    void (*restore)(void *block, const void *context);
    const void *context;
};

/* Length, checksum, magic, version, identity, in this order. Errors as in chunk.h; a block with
 * another magic that fails its checksum too is -PST_E_NOT_BACKUP. */
int format_block_check(const void *block, uint64_t bytes, const struct pst_block_expected *expected,
                       struct pst_damage *damage) PST_MUST_USE;

/* Fills in *damage and returns error. */
int format_damage_set(struct pst_damage *damage, uint64_t offset, uint64_t bytes, const char *what,
                      int error);

/* The field of a struct that begins the checked memory. */
#define DAMAGED_FIELD(damage, type, field, what, error)                                            \
    format_damage_set(damage, offsetof(type, field), sizeof(((type *)0)->field), what, error)

/* Whether there is nothing but zeros; true for no bytes. */
bool format_is_zero(const void *bytes, size_t count);

bool format_identity_is_legal(const struct pst_part_identity *identity);

#endif
