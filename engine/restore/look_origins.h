/*
 * The contents of objects that lie in earlier backups, for whoever looks at them. Private to
 * engine/restore/; one thread.
 */
#ifndef PST_ENGINE_RESTORE_LOOK_ORIGINS_H
#define PST_ENGINE_RESTORE_LOOK_ORIGINS_H

#include "engine/restore/origins.h"
#include "engine/restore/row_map.h"

struct look_origins {
    /* The caller's, set before look_origins_add. */
    const struct pst_backup *backup;
    const struct pst_part_set *own;
    struct objects *objects;
    struct crew *crew;
    struct pst_findings *findings;
    struct row_map *map;  /* with the objects' own pieces, and which are wanted */
    uint64_t *read_bytes; /* grows */
    bool is_of_all;       /* objects; else that of this id and node */
    uint32_t node_index;
    uint64_t id;

    struct pst_part_set set; /* the parts of own, then those of the origins: what the map is of */

    /* Its own. */
    struct origins origins;
};

/* Adds the pieces that the objects refer to, and fills set; there may be none. Returns as
 * chunk_reading_run; look_origins_release() in any case. */
PST_MUST_USE int look_origins_add(struct look_origins *look);
void look_origins_release(struct look_origins *look);

#endif
