/*
 * What of a backup's contents lies in earlier backups, its origins: the references of its parts,
 * turned round into a map from the pieces that lie there to the objects here. What verify and
 * restore both ask. docs/adr/0043-reading-references.md has the reasons. Private to
 * engine/restore/.
 *
 * Memory: 48 bytes for each reference, 32 more for one of a run of bytes.
 */
#ifndef PST_ENGINE_RESTORE_ORIGINS_H
#define PST_ENGINE_RESTORE_ORIGINS_H

#include "engine/format/references.h"
#include "engine/repository/part_map.h"
#include "engine/restore/crew.h"
#include "engine/restore/objects.h"

struct origin_taken;
struct origin_node;
struct origin_use;

struct origins {
    /* The caller's, unchanged. */
    const struct pst_backup *backup; /* its node manifests are loaded */
    const struct pst_part_set *own;  /* its parts */
    struct objects *objects;         /* listed before the first reference is taken */

    struct pst_part_set set; /* parts of origins: .origin is set in each */
    uint64_t bytes;          /* referred to by objects that are wanted */
    uint64_t unverified;     /* findings of origins that are not there */
    bool has_runs;           /* which are proven by SHA-256 */

    /* Its own. */
    pthread_mutex_t mutex;
    struct origin_taken *taken; /* as the parts in own */
    struct origin_node *nodes;
    uint32_t nodes_count;
    struct origin_use *uses; /* sorted once the origins were opened */
    size_t uses_count;
    size_t uses_room;
};

/* Whether the backup may have any. */
bool origins_may_be(const struct pst_backup *backup);

/* -ENOMEM. */
PST_MUST_USE int origins_init(struct origins *origins, const struct pst_backup *backup,
                              const struct pst_part_set *own, struct objects *objects);
void origins_release(struct origins *origins);

/* Takes the references in an intact REFERENCES chunk, decoded, of the objects that are wanted; adds
 * them to what their checksums of objects say. Any thread. -PST_E_…, with *damage, relative to the
 * chunk: one means nothing, and was not taken. -ENOMEM. */
PST_MUST_USE int origins_take(struct origins *origins, const struct pst_part_map *part,
                              const void *chunk, struct pst_damage *damage);

/* Once those of all objects were taken, and nothing of them was damaged: whether they are as many
 * as the trailers and the manifests say. What is wrong goes to findings. */
void origins_check(const struct origins *origins, struct pst_findings *findings);

/* Finds the origins in the directories of the backup, and lists and maps the parts there that are
 * needed. What is wrong with one goes to findings, and the objects that refer to it are marked
 * (lacks_origin). Returns as chunk_map_parts. */
PST_MUST_USE int origins_open(struct origins *origins, struct crew *crew,
                              struct pst_findings *findings, uint64_t *bytes, bool stop_at_damage);

/* Whether an object here refers to what a DATA chunk of a part of the set has: chunk_reading.wants.
 */
bool origins_want(const struct origins *origins, const struct pst_part_map *part,
                  const struct pst_index_entry *entry);

/* Goes through the objects here that have a piece of a part of the set:
 *     for (struct origin_walk walk = origins_walk(o, part, piece); origins_next(o, &walk);)
 */
struct origin_walk {
    const struct pst_part_map *part;
    const struct pst_chunk_piece *piece;
    size_t next;
    bool in_runs;
    struct object_record *record; /* in which it lies at the same offset */
    const uint8_t *hash;          /* of the piece, SHA-256; NULL: the sum of the object proves it */
};
struct origin_walk origins_walk(const struct origins *origins, const struct pst_part_map *part,
                                const struct pst_chunk_piece *piece);
bool origins_next(const struct origins *origins, struct origin_walk *walk);

/* Whether the piece, of a decoded chunk that is read, is what the walk's reference wants, as far as
 * that shows here; digest: what it adds to the checksum of the object, which shows the rest.
 * -PST_E_CORRUPT: it is not, and the object is marked; -ENOMEM. */
PST_MUST_USE int origins_prove(const struct origin_walk *walk, const void *chunk, uint32_t piece,
                               uint64_t digest[2]);

/* The object here that alone refers to all of the object there that a piece is of; NULL: there is
 * no such one. *is_idle: nothing here refers to the piece. */
struct object_record *origins_owner(const struct origins *origins, const struct pst_part_map *part,
                                    const struct pst_chunk_piece *piece, bool *is_idle);

/* Marks the objects here that a lost chunk of a part of the set has data of: as its header names
 * them; where header is NULL, all that it may be: entry NULL: any chunk of the part. */
void origins_note_lost(const struct origins *origins, const struct pst_part_map *part,
                       const struct pst_index_entry *entry, const struct pst_chunk_header *header);

#endif
