/*
 * The databases and tables of a logical backup, by its catalogue. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_TABLES_H
#define PST_ENGINE_RESTORE_TABLES_H

#include "engine/format/rows.h"
#include "engine/restore/objects.h"

struct table_shares {
    const struct object_record *const *shares; /* in their order */
    struct pst_share share;                    /* of the first: what is the table's */
    uint64_t bytes;                            /* of the streams */
};

struct database_tables {
    const struct object_record *record; /* the DATABASE object */
    const struct table_shares *tables;  /* the unnamed one first */
    size_t tables_count;
};

struct tables {
    struct database_tables *databases; /* by node and source */
    size_t databases_count;
    struct table_shares *tables; /* of all, in the same order */
    size_t tables_count;
    const struct object_record **shares; /* likewise */
    size_t shares_count;
};

/* Finds them among sorted objects, which must outlive it. -PST_E_CORRUPT: a share is missing, or
 * does not fit the others, or has no database; *clash is one of those. -ENOMEM. */
PST_MUST_USE int tables_make(const struct objects *objects, struct tables *tables,
                             const struct object_record **clash);
void tables_release(struct tables *tables);

#endif
