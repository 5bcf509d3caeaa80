/*
 * Where the rows of a logical backup go: struct pst_table_sink, one for each database restored or
 * exported. An implementation embeds it at the start of a struct of its own.
 *
 *     open ─▶ (begin ─▶ row … ─▶ end) … ─▶ finish ─▶ close
 *
 * One thread calls it, which may block in it. Tables come whole, one after the other, in an order
 * that is the backup's; the unnamed table, where there is one, comes first. Rows come in the order
 * that they were scanned in, which is that of the table. After the first error only close is
 * called. All that is passed is borrowed for the call.
 *
 * The struct is public ABI: it begins with its size and the ABI version; methods are only ever
 * added at the end.
 */
#ifndef PENSTOCK_TABLE_SINK_H
#define PENSTOCK_TABLE_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PST_TABLE_SINK_ABI_VERSION 1u
#define PST_TABLE_SINK_TEXT_BYTES 256u

/* What the backup holds of a database beside its rows. */
struct pst_database {
    const char *kind; /* of the source that it was: "lmdb", … */
    /* Of its file; a legal file name. Where an older file stays until this one is whole
     * (pst_restore_job.keep_going, force), another one, and the file is renamed in the end. */
    const char *name;
    /* The source's own bytes, for a sink of the same kind; NULL with details_bytes 0. */
    const void *details;
    uint32_t details_bytes;
    uint32_t tables; /* that will come */
    uint64_t rows;   /* in all of them */
    uint64_t bytes;  /* of all keys and values, and of 8 for each row */
};

struct pst_table {
    const void *name; /* any bytes, not terminated; name_bytes 0: the unnamed table */
    uint32_t name_bytes;
    uint32_t flags; /* the source's own; of lmdb: those of mdb_dbi_open */
    uint64_t rows;
};

struct pst_table_sink {
    uint32_t struct_bytes; /* sizeof(struct pst_table_sink) of whoever filled it */
    uint32_t abi_version;  /* PST_TABLE_SINK_ABI_VERSION of the same */
    /* After an error: what it means here and what to do, for people; may be "". */
    char error_text[PST_TABLE_SINK_TEXT_BYTES];

    /* Each 0, -errno or -PST_E_…; a number above 0 fails the restore with -EINVAL. */
    int (*begin)(struct pst_table_sink *sink, const struct pst_table *table);
    int (*row)(struct pst_table_sink *sink, const void *key, uint32_t key_bytes, const void *value,
               uint32_t value_bytes);
    int (*end)(struct pst_table_sink *sink);
    /* All tables have come: what was written is whole, and the sink's own files are closed. The
     * caller makes them durable. */
    int (*finish)(struct pst_table_sink *sink);
    /* Frees the sink; without finish, what it wrote is worthless and the caller removes it. */
    void (*close)(struct pst_table_sink *sink);

    /* After end: what is not as it should be of the table, which is there all the same: the restore
     * reports it. "": nothing. */
    char notice[PST_TABLE_SINK_TEXT_BYTES];
};

/* Of the oldest struct of this ABI version: without notice. */
#define PST_TABLE_SINK_BYTES_MIN offsetof(struct pst_table_sink, notice)

/* Makes the sink of one database, which is to be the file database->name, or what else the sink
 * makes of that, in the directory directory_fd (borrowed until close; -1: there is none). context:
 * the implementer's. On error *sink is NULL, and error_text (PST_TABLE_SINK_TEXT_BYTES) says what
 * to do, or is "". */
typedef int pst_table_sink_open(void *context, const struct pst_database *database,
                                int directory_fd, struct pst_table_sink **sink, char *error_text);

#ifdef __cplusplus
}
#endif

#endif
