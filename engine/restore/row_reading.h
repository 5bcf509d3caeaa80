/*
 * Reads pieces of rows in a given order, some chunks ahead, each checked as a whole. Private to
 * engine/restore/; one thread.
 */
#ifndef PST_ENGINE_RESTORE_ROW_READING_H
#define PST_ENGINE_RESTORE_ROW_READING_H

#include "engine/base/check.h"
#include "engine/restore/crew.h"
#include "engine/restore/decoded_chunk.h"
#include "engine/restore/row_map.h"
#include "numa/place.h"

struct row_slot;

struct row_reading {
    /* The caller's, set before open. */
    const struct crew *crew; /* depth, pace, cancel */
    const struct pst_part_set *set;
    const struct row_map *map;         /* sorted */
    struct pst_findings *findings;     /* takes what is damaged */
    atomic_uint_least64_t *bytes_done; /* grows by what is read; may be NULL */

    bool found_damage; /* set when a damage was added to findings; cleared by the caller */

    /* Its own. */
    struct pst_thread_owner owner;
    struct pst_reader reader;
    struct pst_pace_share pace;
    uint64_t busy_since_ns; /* in a run: it has noted what was in flight until then */
    struct pst_file *files; /* one for each part */
    bool *is_open;
    struct pst_arena arena; /* of the slots' buffers */
    struct decoded_chunk decoded;
    struct row_slot *slots;
    uint32_t slots_count;
};

/* Opens a ring and takes (depth) × (chunk size + 4 KiB). */
PST_MUST_USE int row_reading_open(struct row_reading *reading);
void row_reading_close(struct row_reading *reading);

/* Hands the pieces first … end - 1 of the map to take, in this order. The error of take, of the
 * first damage (which has gone to findings), or -ECANCELED. */
PST_MUST_USE int row_reading_run(struct row_reading *reading, size_t first, size_t end,
                                 int (*take)(void *context, const struct row_piece *piece,
                                             const void *data),
                                 void *context);

#endif
