/* Meta pages of an LMDB data file, decoded and made. Pure but for reading the file; any thread. */
#include "engine/source/lmdb/lmdb_meta.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* Offsets in a meta page: struct MDB_page's header, then struct MDB_meta (LMDB 0.9, mdb.c). */
#define PAGE_NUMBER 0u
#define META_MAGIC 16u
#define META_VERSION 20u
#define META_MAP_BYTES 32u
#define META_PAGE_BYTES 40u
#define META_MAIN_ROOT 128u
#define META_LAST_PAGE 136u
#define META_TRANSACTION 144u

#define MAGIC 0xBEEFC0DEu
#define VERSION 1u

_Static_assert(META_TRANSACTION + 8 == LMDB_META_BYTES, "the last field read");

static uint32_t read_32(const void *page, size_t offset)
{
    uint32_t value;
    memcpy(&value, (const char *)page + offset, sizeof(value));
    return le32toh(value);
}

static uint64_t read_64(const void *page, size_t offset)
{
    uint64_t value;
    memcpy(&value, (const char *)page + offset, sizeof(value));
    return le64toh(value);
}

static void write_64(void *page, size_t offset, uint64_t value)
{
    value = htole64(value);
    memcpy((char *)page + offset, &value, sizeof(value));
}

static bool is_page_bytes(uint32_t bytes)
{
    return bytes >= LMDB_PAGE_BYTES_MIN && bytes <= LMDB_PAGE_BYTES_MAX &&
           (bytes & (bytes - 1)) == 0;
}

int lmdb_meta_decode(const void *page, struct lmdb_meta *meta)
{
    if (read_32(page, META_MAGIC) != MAGIC)
        return -PST_E_DAMAGED;
    if (read_32(page, META_VERSION) != VERSION)
        return -PST_E_FOREIGN;
    *meta = (struct lmdb_meta){
        .page_bytes = read_32(page, META_PAGE_BYTES),
        .map_bytes = read_64(page, META_MAP_BYTES),
        .main_root = read_64(page, META_MAIN_ROOT),
        .last_page = read_64(page, META_LAST_PAGE),
        .transaction = read_64(page, META_TRANSACTION),
    };
    if (!is_page_bytes(meta->page_bytes) || meta->last_page < 1 ||
        meta->last_page >= (uint64_t)INT64_MAX / meta->page_bytes)
        return -PST_E_DAMAGED;
    return 0;
}

static int read_whole(int fd, void *data, size_t bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(fd, (char *)data + done, bytes - done, (off_t)(offset + done));
        if (got == 0)
            return -PST_E_DAMAGED;
        if (got < 0 && errno != EINTR)
            return -errno;
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

int lmdb_meta_read(int fd, uint32_t slot, uint32_t page_bytes, void *page)
{
    return read_whole(fd, page, page_bytes, (uint64_t)slot * page_bytes);
}

static int choose(const struct lmdb_meta metas[2], struct lmdb_meta *newest)
{
    if (metas[0].page_bytes != metas[1].page_bytes)
        return -PST_E_DAMAGED;
    *newest = metas[metas[1].transaction > metas[0].transaction];
    return 0;
}

int lmdb_meta_newest(int fd, struct lmdb_meta *newest)
{
    char page[LMDB_META_BYTES];
    struct lmdb_meta metas[2];
    int error = read_whole(fd, page, sizeof(page), 0);
    if (!error)
        error = lmdb_meta_decode(page, &metas[0]);
    if (!error)
        error = read_whole(fd, page, sizeof(page), metas[0].page_bytes);
    if (!error)
        error = lmdb_meta_decode(page, &metas[1]);
    return error ? error : choose(metas, newest);
}

int lmdb_meta_newest_of(const uint8_t *pages, struct lmdb_meta *newest)
{
    struct lmdb_meta metas[2];
    int error = lmdb_meta_decode(pages, &metas[0]);
    if (!error)
        error = lmdb_meta_decode(pages + metas[0].page_bytes, &metas[1]);
    return error ? error : choose(metas, newest);
}

void lmdb_meta_make_previous(const void *page, uint32_t page_bytes, void *previous)
{
    uint64_t transaction = read_64(page, META_TRANSACTION);
    memcpy(previous, page, page_bytes);
    write_64(previous, PAGE_NUMBER, (transaction & 1) ^ 1);
    write_64(previous, META_TRANSACTION, transaction > 0 ? transaction - 1 : 0);
}
