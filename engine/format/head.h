/*
 * What each block of a part begins with, and what a check of one reports. docs/format.md is the
 * specification; the structs here lie in memory as on disk. chunk.h has the rest.
 */
#ifndef PST_ENGINE_FORMAT_HEAD_H
#define PST_ENGINE_FORMAT_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "engine/format/digest.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structs lie in memory as on disk");

#define PST_UID_BYTES 16u

/* Bits of the version mask `incompatible` that this code knows. A file with any other is refused;
 * unknown bits of the two other masks do not matter to a reader. */
#define PST_FORMAT_SEALED 1u /* version 1: part header and manifest of what a key must open */
#define PST_FORMAT_REFERS 2u /* part header and manifests of a backup that may refer to others */
#define PST_FORMAT_TAILS 4u  /* manifests of what has tails (tail.h), and of what refers to it */
#define PST_FORMAT_INCOMPATIBLE_KNOWN (PST_FORMAT_SEALED | PST_FORMAT_REFERS | PST_FORMAT_TAILS)

#define PST_ORIGINS_MAX 1000u /* backups that one may refer to */

/* Which part of which backup a file is. */
struct pst_part_identity {
    uint8_t uid[PST_UID_BYTES];
    uint32_t number;     /* 1… */
    uint32_t cluster_id; /* 0: a node of its own */
    uint16_t node;       /* 1…PST_NODES_MAX */
    uint16_t part;       /* 1…parts */
    uint16_t parts;      /* 1…PST_LDMS_MAX: parts that this node writes */
    uint16_t reserved;   /* 0 */
};

/* Begins the part header, every chunk header and the trailer. */
struct pst_block_head {
    uint8_t magic[8];
    uint32_t compatible;
    uint32_t read_only_compatible;
    uint32_t incompatible;
    uint32_t reserved;
    struct pst_digest checksum; /* of the 4096 bytes of this block, this field zero */
    struct pst_part_identity identity;
    uint64_t chunk; /* number in the part, from 0; part header: 0; trailer: chunks in the part */
};

_Static_assert(sizeof(struct pst_part_identity) == 32, "docs/format.md");
_Static_assert(sizeof(struct pst_block_head) == 80, "docs/format.md");
_Static_assert(offsetof(struct pst_block_head, compatible) == 8, "docs/format.md");
_Static_assert(offsetof(struct pst_block_head, read_only_compatible) == 12, "docs/format.md");
_Static_assert(offsetof(struct pst_block_head, incompatible) == 16, "docs/format.md");
_Static_assert(offsetof(struct pst_block_head, checksum) == 24, "docs/format.md");
_Static_assert(offsetof(struct pst_block_head, identity) == 40, "docs/format.md");
_Static_assert(offsetof(struct pst_block_head, chunk) == 72, "docs/format.md");
_Static_assert(offsetof(struct pst_part_identity, number) == 16, "docs/format.md");
_Static_assert(offsetof(struct pst_part_identity, cluster_id) == 20, "docs/format.md");
_Static_assert(offsetof(struct pst_part_identity, node) == 24, "docs/format.md");
_Static_assert(offsetof(struct pst_part_identity, part) == 26, "docs/format.md");
_Static_assert(offsetof(struct pst_part_identity, parts) == 28, "docs/format.md");

/* What a check found: the damage lies in [offset, offset + bytes) of the memory that was checked, a
 * range as narrow as can be known. what: static text, never NULL after a failed check. */
struct pst_damage {
    uint64_t offset;
    uint64_t bytes;
    const char *what;
};

#endif
