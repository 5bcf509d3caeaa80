/*
 * Whether the pieces that lie in the parts are the contents of the objects: inside them, not
 * overlapping, none missing, as many bytes and with the checksums that were written down. What
 * verify and restore both ask. Private to engine/restore/.
 *
 * Memory: 24 bytes for each piece that is not all of its object.
 */
#ifndef PST_ENGINE_RESTORE_CONTENTS_H
#define PST_ENGINE_RESTORE_CONTENTS_H

#include "engine/repository/part_map.h"
#include "engine/restore/crew.h"
#include "engine/restore/objects.h"
#include "engine/restore/origins.h"

struct contents_part;
struct contents_piece;

struct contents {
    /* The caller's, unchanged. */
    const struct pst_backup *backup;
    const struct pst_part_set *set;
    const struct origins *origins; /* of parts that are not in the set; NULL: there are none */
    struct objects *objects;       /* listed; sorted where something is wrong with some */

    /* Its own. */
    pthread_mutex_t mutex;
    struct contents_part *parts; /* as in the set */
    struct contents_piece *pieces;
    size_t pieces_count;
    size_t pieces_room;
};

/* -ENOMEM. */
PST_MUST_USE int contents_init(struct contents *contents, const struct pst_backup *backup,
                               const struct pst_part_set *set, struct objects *objects);
void contents_release(struct contents *contents);

/* Takes the checksums of objects out of an intact DATA chunk without pieces. Any thread.
 * -PST_E_CORRUPT, with *damage, relative to the chunk. */
PST_MUST_USE int contents_add_sums(struct contents *contents, const struct pst_part_map *part,
                                   const void *chunk, struct pst_damage *damage);

/* Takes the pieces of an intact DATA chunk, decoded, of which at least what CHUNK_DIGESTS reads is
 * there. Any thread. -PST_E_CORRUPT, with *damage: one belongs to no object, or lies outside of it,
 * and was not taken; the others were. -ENOMEM. */
PST_MUST_USE int contents_add(struct contents *contents, const struct pst_part_map *part,
                              const void *chunk, struct pst_damage *damage);

/* The same of one of several pieces and a damaged payload, as it was read: contents_check() takes
 * an object for hit unless its checksum holds, or if it is rows, which no one reads past damage. */
PST_MUST_USE int contents_add_damaged(struct contents *contents, const struct pst_part_map *part,
                                      const void *chunk, struct pst_damage *damage);

/* Takes the pieces of a DATA chunk as chunk_reading.take_proven: 1, where each is all of its object
 * and as the checksums have it, which were all taken before; 0: none was taken. */
PST_MUST_USE int contents_add_proven(struct contents *contents, const struct pst_part_map *part,
                                     const void *chunk);

/* Whether a piece that is all of the object has the bytes that were written; once the checksums of
 * the node are known to be whole. */
bool contents_vouch_for(const struct object_record *record, const void *chunk, uint32_t piece);

/* Whether the piece lies inside of the object. */
bool contents_has_bytes(const struct object_record *record, const struct pst_chunk_piece *piece);

/* Bytes in the pieces that were added. */
uint64_t contents_bytes(const struct object_record *record);

/* Forgets the pieces, so that they can be added once more. */
void contents_forget(struct contents *contents);

/* What is wrong, once all pieces were added, goes to findings. Where these have damages already,
 * the objects that are not whole are named, but not counted as further damages. An error keeps the
 * crew from working, or is -ENOMEM. */
PST_MUST_USE int contents_check(struct contents *contents, struct crew *crew,
                                struct pst_findings *findings);

/* Whether a part of the node has checksums of objects. Versions that write them do so for all. */
bool contents_have_sums(const struct contents *contents, uint32_t node_index);

/* Whether it has, and all of them were read: else they say nothing about an object. */
bool contents_sums_are_whole(const struct contents *contents, uint32_t node_index);

#endif
