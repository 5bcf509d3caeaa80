/* The head of an LMDB data file, which is another program's: its meta pages as they are read for a
 * snapshot, and the page that is made of one. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/source/lmdb/lmdb_meta.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct lmdb_meta *meta)
{
    if (meta->page_bytes < LMDB_PAGE_BYTES_MIN || meta->page_bytes > LMDB_PAGE_BYTES_MAX ||
        (meta->page_bytes & (meta->page_bytes - 1)) || meta->last_page < 1 ||
        (meta->last_page + 1) > UINT64_MAX / meta->page_bytes)
        abort();
}

/* Of the page that is newest one is made that is older by a transaction. */
static void make_previous(const uint8_t *page, size_t size, const struct lmdb_meta *meta)
{
    struct lmdb_meta previous;
    if (size < meta->page_bytes || meta->transaction == 0)
        return;
    uint8_t *made = malloc(meta->page_bytes);
    if (!made)
        abort();
    lmdb_meta_make_previous(page, meta->page_bytes, made);
    if (lmdb_meta_decode(made, &previous) != 0 || previous.transaction != meta->transaction - 1 ||
        previous.last_page != meta->last_page)
        abort();
    free(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lmdb_meta meta;
    uint8_t *copy = fuzz_copy(data, size);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (size >= LMDB_META_BYTES && lmdb_meta_decode(copy, &meta) == 0) {
        check(&meta);
        make_previous(copy, size, &meta);
    }
    if (lmdb_meta_newest(fd, &meta) == 0)
        check(&meta);
    close(fd);
    free(copy);
    return 0;
}
