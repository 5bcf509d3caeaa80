/*
 * The two meta pages of an LMDB data file (format version 1, 64-bit little-endian), as bytes: they
 * are captured with a snapshot and written into the backup. Pure; any thread.
 * engine/source/lmdb/lmdb.h draws the whole.
 *
 * The newest committed transaction T is described by the page T mod 2, the one before it by the
 * other page. A new environment has two pages of transaction 0.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_META_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_META_H

#include <stdint.h>

#include "penstock/error.h"

#define LMDB_PAGE_BYTES_MIN 512u
#define LMDB_PAGE_BYTES_MAX 65536u
#define LMDB_META_BYTES 152u /* of a meta page, what means something */

struct lmdb_meta {
    uint32_t page_bytes;
    uint64_t map_bytes;
    uint64_t main_root; /* page of the main database's root */
    uint64_t last_page;
    uint64_t transaction;
};

/* Decodes the first LMDB_META_BYTES of a meta page.
 *   -PST_E_DAMAGED  not LMDB's, or out of its ranges
 *   -PST_E_FOREIGN  of a data format other than version 1 */
PST_MUST_USE int lmdb_meta_decode(const void *page, struct lmdb_meta *meta);

/* Reads the file's page `slot` (0, 1) whole: page_bytes at page. 0, -errno, or -PST_E_DAMAGED: the
 * file is shorter. */
PST_MUST_USE int lmdb_meta_read(int fd, uint32_t slot, uint32_t page_bytes, void *page);

/* Decodes both pages of a file, of whatever page size. *newest: the page of the higher transaction.
 * As decode and read; -PST_E_DAMAGED also where the two do not fit together. */
PST_MUST_USE int lmdb_meta_newest(int fd, struct lmdb_meta *newest);

/* Likewise of both pages in memory, of 2 * LMDB_PAGE_BYTES_MAX, one behind the other. */
PST_MUST_USE int lmdb_meta_newest_of(const uint8_t *pages, struct lmdb_meta *newest);

/* Makes the page of transaction T - 1 of that of T, as if the former had changed nothing; both are
 * page_bytes long. */
void lmdb_meta_make_previous(const void *page, uint32_t page_bytes, void *previous);

#endif
