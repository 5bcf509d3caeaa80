/*
 * What a reader, a process that reads an environment's pages for its source, shares with it: one
 * task at a time, and a ring of bytes that answers it. Private to the lmdb: source.
 *
 * The reader runs liblmdb on pages that may be damaged, or made to harm: it may end at any
 * instruction, and write here what it likes. So the source's side (struct lmdb_reader) believes
 * nothing: it keeps its own count of what it took, and bounds all that it reads.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_SLOT_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/format/rows.h"
#include "penstock/rows.h"

#define LMDB_TEXT_BYTES 256u
#define LMDB_RING_BYTES                                                                            \
    (1u << 20) /* a power of two; smaller, it costs more switches than it saves cache */
#define LMDB_KEY_BYTES_MAX 2048u    /* of a key at which a table is cut */
#define LMDB_READERS_MAX 64u        /* that rows are read by, however many LDMs there are */
#define LMDB_TABLES_MAX 16384u      /* named, in one environment */
#define LMDB_SHARE_BYTES (8u << 20) /* of a table's pages, as of a fragment of pages */
#define LMDB_SHARES_MAX 1024u       /* of one table; a larger one has larger shares */

_Static_assert((LMDB_RING_BYTES & (LMDB_RING_BYTES - 1)) == 0, "counts wrap around");

enum lmdb_task_kind {
    LMDB_TABLES = 1, /* which tables there are, and where they are cut: struct lmdb_listed */
    LMDB_TAIL,       /* whether the pages from one on are free */
    LMDB_WALK,       /* whether all can be read: lmdb_walk.h */
    LMDB_ROWS,       /* the records (docs/format.md) of a table between two keys */
};

struct lmdb_task {
    uint32_t kind;                       /* enum lmdb_task_kind */
    uint32_t from_bytes;                 /* ROWS: 0: from the first row */
    uint32_t to_bytes;                   /* ROWS: 0: to the last row */
    uint64_t page;                       /* TAIL: the first */
    char name[PST_TABLE_NAME_BYTES_MAX]; /* ROWS: "": the main database */
    uint8_t from[LMDB_KEY_BYTES_MAX];
    uint8_t to[LMDB_KEY_BYTES_MAX];
};

/* Answers TABLES, for each table: then come its name and, for each share but the first, the length
 * of the key at which it begins (uint32_t) and the key. */
struct lmdb_listed {
    uint32_t name_bytes; /* 0: the main database */
    uint32_t flags;
    uint32_t shares;
    uint32_t reserved;
    uint64_t rows;
    uint64_t tree_bytes;
};

/* Into how many shares a table is cut at most. */
static inline uint32_t lmdb_shares_of(uint64_t tree_bytes)
{
    uint64_t shares = tree_bytes / LMDB_SHARE_BYTES + (tree_bytes % LMDB_SHARE_BYTES > 0);
    return shares < 1 ? 1 : shares > LMDB_SHARES_MAX ? LMDB_SHARES_MAX : (uint32_t)shares;
}

struct lmdb_slot {
    atomic_uint ordered; /* number of the newest task; futex */
    atomic_uint taken;   /* bytes, modulo 2^32; futex */
    atomic_bool source_waits;
    struct lmdb_task task;

    _Alignas(64) atomic_uint sent; /* the reader's: bytes, modulo 2^32; futex */
    atomic_uint done;              /* the newest task whose answer is all sent */
    atomic_bool reader_waits;
    int error; /* of that task */
    char text[LMDB_TEXT_BYTES];
    char table[PST_TABLE_NAME_BYTES_MAX]; /* TABLES, WALK: that it is in */

    _Alignas(64) atomic_int ended; /* the guard's: si_code and si_status of a reader that ended,
                                      LMDB_ENDED(); 0: it lives */
    _Alignas(4096) uint8_t ring[LMDB_RING_BYTES];
};

/* What a process that may do anything gave as an error. */
static inline int lmdb_claimed_error(int error)
{
    return error <= 0 && error > -4096 ? error : -PST_E_DAMAGED;
}

/* An exit code, or a signal. */
#define LMDB_ENDED(is_signal, status) (0x10000 | ((is_signal) ? 0x100 : 0) | ((status)&0xff))

/* ---- the reader's side: one thread ---- */

struct lmdb_answering {
    struct lmdb_slot *slot;
    uint32_t sent; /* published or not */
    uint32_t published;
    uint32_t taken; /* as last seen */
    uint32_t order;
};

/* Waits for the next task, which lies in the slot then. */
void lmdb_answering_next(struct lmdb_answering *answering);

/* Sends a row's record. */
void lmdb_answering_row(struct lmdb_answering *answering, const struct pst_row *row);

/* Sends bytes: waits for room. */
void lmdb_answering_send(struct lmdb_answering *answering, const void *data, size_t bytes);

/* Lets the source see what was sent. */
void lmdb_answering_flush(struct lmdb_answering *answering);

/* Ends the answer. */
void lmdb_answering_end(struct lmdb_answering *answering, int error, const char *text);

/* ---- the source's side: one thread at a time ---- */

struct lmdb_reader {
    struct lmdb_slot *slot;
    uint32_t taken;
    uint32_t order;
    uint64_t waits_since_ns; /* 0: it does not wait */
    bool is_slow;            /* that it waits long is logged */
    struct pst_rows_reader records;
};

/* Makes slot and reader new, before there is a process. */
void lmdb_reader_init(struct lmdb_reader *reader, struct lmdb_slot *slot);

/* A task for its process, which has none; task: filled into reader->slot->task by the caller. */
void lmdb_reader_start(struct lmdb_reader *reader);

/* Takes what there is of the answer, as far as there is room. *took 0: there is nothing now, and
 * if *ended, nothing more. An error is the task's, or -PST_E_DAMAGED: the process did what it never
 * does; text (LMDB_TEXT_BYTES) may say more. */
PST_MUST_USE int lmdb_reader_take(struct lmdb_reader *reader, void *out, size_t room, size_t *took,
                                  bool *ended, char *text);

/* Waits until it is worth taking more of the answer, so long at most. */
void lmdb_reader_wait(struct lmdb_reader *reader, uint32_t ns);

#endif
