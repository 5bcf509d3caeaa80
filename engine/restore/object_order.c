/*
 * Sorts objects by eight bytes of their paths at a time, each time those that were equal so far:
 * paths of one tree begin alike, and comparing them in pairs would read these beginnings again and
 * again. Called on the thread of the verify or restore.
 */
#include "engine/restore/object_order.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 8u
#define FEW 32u /* that are sorted by insertion */

struct item {
    uint64_t key;
    struct object_record *record;
};

static void insert_each(struct item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct item item = items[i];
        size_t at = i;
        for (; at > 0 && items[at - 1].key > item.key; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

/* By one byte of the key, the order of equal ones kept. */
static void distribute(const struct item *from, struct item *to, size_t count, uint32_t shift)
{
    size_t starts[256] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++)
        starts[from[i].key >> shift & 0xff]++;
    for (uint32_t i = 0; i < 256; i++) {
        size_t here = starts[i];
        starts[i] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[from[i].key >> shift & 0xff]++] = from[i];
}

/* spare: as many more. */
static void order_by_key(struct item *items, struct item *spare, size_t count)
{
    uint64_t all = UINT64_MAX, any = 0;
    struct item *from = items, *to = spare;
    if (count <= FEW) {
        insert_each(items, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        all &= items[i].key;
        any |= items[i].key;
    }
    for (uint32_t shift = 0; shift < 64; shift += 8) {
        if (((all ^ any) >> shift & 0xff) == 0)
            continue;
        distribute(from, to, count, shift);
        struct item *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != items)
        memcpy(items, from, count * sizeof(*items));
}

/* The bytes of a string from there on, up to its end, the first one the highest. It is as long, and
 * lies in an entry, which ends at a multiple of KEY_BYTES; so does offset. */
static uint64_t key_at(const char *path, size_t offset)
{
    uint64_t bytes;
    memcpy(&bytes, path + offset, sizeof(bytes));
    bytes = le64toh(bytes);
    uint64_t zeros = (bytes - UINT64_C(0x0101010101010101)) & ~bytes & UINT64_C(0x8080808080808080);
    if (zeros)
        bytes &= (UINT64_C(1) << (__builtin_ctzll(zeros) & ~7)) - 1;
    return __builtin_bswap64(bytes);
}

static bool ends_in(uint64_t key)
{
    return (key & 0xff) == 0;
}

/* Orders items that have the same place up to the key that they have now; offset: in the path, of
 * the next one. */
static void order(struct item *items, struct item *spare, size_t count, size_t offset,
                  const struct object_record **clash)
{
    order_by_key(items, spare, count);
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && items[end].key == items[first].key; end++)
            ;
        if (end - first == 1)
            continue;
        if (offset > 0 && ends_in(items[first].key)) {
            *clash = *clash ? *clash : items[first + 1].record;
            continue;
        }
        for (size_t i = first; i < end; i++)
            items[i].key = key_at(object_path(items[i].record), offset);
        order(items + first, spare, end - first, offset + KEY_BYTES, clash);
    }
}

int objects_sort(struct objects *objects, const struct object_record **clash)
{
    size_t count = objects->count;
    *clash = NULL;
    assert(objects->listed);
    if (objects->is_sorted)
        return 0;
    struct item *items = malloc((2 * count + 1) * sizeof(*items));
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct object_record *record = objects->listed[i];
        uint64_t source = pst_object_source(object_id(record));
        items[i] = (struct item){(uint64_t)record->node << 32 | source, record};
    }
    order(items, items + count, count, 0, clash);
    for (size_t i = 0; i < count; i++)
        objects->listed[i] = items[i].record;
    free(items);
    objects->is_sorted = true;
    return *clash ? -PST_E_CORRUPT : 0;
}
