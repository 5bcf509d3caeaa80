/* The order of rows in LMDB. Pure; called by the sink and by the listing of tables. */
#include "engine/source/lmdb/lmdb_order.h"

#include <endian.h>
#include <string.h>

#include <lmdb.h>

bool lmdb_flags_are_legal(uint32_t flags)
{
    uint32_t known = MDB_REVERSEKEY | MDB_DUPSORT | MDB_INTEGERKEY | MDB_DUPFIXED | MDB_INTEGERDUP |
                     MDB_REVERSEDUP;
    return (flags & ~known) == 0 && ((flags & MDB_DUPFIXED) == 0 || (flags & MDB_DUPSORT) != 0);
}

static int sign_of(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_forward(struct lmdb_bytes a, struct lmdb_bytes b)
{
    uint32_t bytes = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = bytes > 0 ? memcmp(a.data, b.data, bytes) : 0;
    return order ? order : sign_of(a.bytes, b.bytes);
}

/* From the last byte on. */
static int compare_backward(struct lmdb_bytes a, struct lmdb_bytes b)
{
    const uint8_t *left = a.data, *right = b.data;
    for (uint32_t i = 1; i <= a.bytes && i <= b.bytes; i++)
        if (left[a.bytes - i] != right[b.bytes - i])
            return left[a.bytes - i] < right[b.bytes - i] ? -1 : 1;
    return sign_of(a.bytes, b.bytes);
}

static bool is_integer(struct lmdb_bytes a)
{
    return a.bytes == sizeof(uint32_t) || a.bytes == sizeof(uint64_t);
}

static uint64_t integer_of(struct lmdb_bytes a)
{
    uint64_t value = 0;
    memcpy(&value, a.data, a.bytes);
    return le64toh(value);
}

/* 1: a comes before b; 0: they are the same; -1: neither. */
static int ascend(bool is_integers, bool is_reverse, struct lmdb_bytes a, struct lmdb_bytes b)
{
    if (is_integers && (!is_integer(a) || a.bytes != b.bytes))
        return -1;
    if (is_integers)
        return -sign_of(integer_of(a), integer_of(b));
    int order = is_reverse ? compare_backward(a, b) : compare_forward(a, b);
    return order < 0 ? 1 : order > 0 ? -1 : 0;
}

bool lmdb_keys_ascend(uint32_t flags, struct lmdb_bytes earlier, struct lmdb_bytes later)
{
    bool is_reverse = flags & MDB_REVERSEKEY; /* before INTEGERKEY, as with LMDB */
    int result = ascend((flags & MDB_INTEGERKEY) && !is_reverse, is_reverse, earlier, later);
    return result > 0 || (result == 0 && (flags & MDB_DUPSORT) != 0);
}

bool lmdb_values_ascend(uint32_t flags, struct lmdb_bytes earlier, struct lmdb_bytes later)
{
    return ascend(flags & MDB_INTEGERDUP, flags & MDB_REVERSEDUP, earlier, later) > 0;
}
