/*
 * Whether the pages of a snapshot are there, and LMDB can read them. Private to the reader's
 * process.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_WALK_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_WALK_H

#include "engine/source/lmdb/lmdb_tasks.h"

/* Answers LMDB_TAIL: whether all pages from `page` to the last one are free. -PST_E_DAMAGED: some
 * are not. */
PST_MUST_USE int lmdb_walk_tail(struct tasks *tasks, uint64_t page);

/* Answers LMDB_WALK: reads every row of every table. Sends how many bytes it has seen (uint64_t),
 * now and then. -PST_E_DAMAGED; the slot's text names the table, also after a crash. */
PST_MUST_USE int lmdb_walk(struct tasks *tasks);

#endif
