/*
 * Reads pieces of rows in a given order, some chunks ahead, each checked as a whole. Private to
 * engine/restore/; one thread.
 */
#ifndef PST_ENGINE_RESTORE_ROW_READING_H
#define PST_ENGINE_RESTORE_ROW_READING_H

#include "engine/restore/crew.h"
#include "engine/restore/decoded_chunk.h"
#include "engine/restore/row_map.h"

struct pst_row_slot;

struct pst_row_reading {
    /* The caller's, set before open. */
    const struct pst_crew *crew; /* depth, cancel */
    const struct pst_part_set *set;
    const struct pst_row_map *map;     /* sorted */
    struct pst_findings *findings;     /* takes what is damaged */
    atomic_uint_least64_t *bytes_done; /* grows by what is read; may be NULL */

    bool found_damage; /* set where it told findings; cleared by the caller */

    /* Its own. */
    struct pst_reader reader;
    struct pst_file *files; /* one for each part */
    bool *is_open;
    uint8_t *memory;
    struct decoded_chunk decoded;
    struct pst_row_slot *slots;
    uint32_t slots_count;
};

/* Opens a ring and takes (depth) × (chunk size + 4 KiB). */
int pst_row_reading_open(struct pst_row_reading *reading) PST_MUST_USE;
void pst_row_reading_close(struct pst_row_reading *reading);

/* Hands the pieces first … end - 1 of the map to take, in this order. The error of take, of the
 * first damage (which has gone to findings), or -ECANCELED. */
int pst_row_reading_run(struct pst_row_reading *reading, size_t first, size_t end,
                        int (*take)(void *context, const struct pst_row_piece *piece,
                                    const void *data),
                        void *context) PST_MUST_USE;

#endif
