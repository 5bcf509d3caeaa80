/*
 * The databases and tables of a logical backup, by its catalogue. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_TABLES_H
#define PST_ENGINE_RESTORE_TABLES_H

#include "engine/format/rows.h"
#include "engine/restore/objects.h"

struct pst_table_shares {
    const struct pst_object_record *const *shares; /* in their order */
    struct pst_share share;                        /* of the first: what is the table's */
    uint64_t bytes;                                /* of the streams */
};

struct pst_database_tables {
    const struct pst_object_record *record; /* the DATABASE object */
    const struct pst_table_shares *tables;  /* the unnamed one first */
    size_t tables_count;
};

struct pst_tables {
    struct pst_database_tables *databases; /* by node and source */
    size_t databases_count;
    struct pst_table_shares *tables; /* of all, in the same order */
    size_t tables_count;
    const struct pst_object_record **shares; /* likewise */
    size_t shares_count;
};

/* Finds them among sorted objects, which must outlive it. -PST_E_CORRUPT: a share is missing, or
 * does not fit the others, or has no database; *clash is one of those. -ENOMEM. */
int pst_tables_make(const struct pst_objects *objects, struct pst_tables *tables,
                    const struct pst_object_record **clash) PST_MUST_USE;
void pst_tables_release(struct pst_tables *tables);

#endif
