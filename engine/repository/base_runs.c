/* Where the bytes of a base's large files lie, piece by piece. Filled by base_load.c, on the
 * archive's thread, and asked by base.c, for LDMs. */
#include "engine/repository/base_runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/grow.h"
#include "engine/format/digest.h"

bool base_runs_want(const struct pst_object *object)
{
    bool has_bytes = object->type == PST_OBJECT_FILE || object->type == PST_OBJECT_ENVIRONMENT ||
                     object->type == PST_OBJECT_BLOCK_IMAGE;
    return has_bytes && object->size >= PST_CHUNK_BYTES_MIN;
}

static struct pst_digest key_of(const struct base_runs *runs, const char *source, const char *path)
{
    const struct pst_digest name = pst_digest_of(source, strlen(source), runs->seed);
    uint64_t seed;
    memcpy(&seed, name.bytes, sizeof(seed));
    return pst_digest_of(path, strlen(path), seed ^ runs->seed);
}

static int add_large(struct base_runs *runs, const struct base_large *large)
{
    void *larges = runs->larges;
    int error = pst_grow(&larges, runs->larges_count, &runs->larges_room, sizeof(*runs->larges));
    runs->larges = larges;
    if (!error)
        runs->larges[runs->larges_count++] = *large;
    return error;
}

int base_runs_add_object(struct base_runs *runs, const char *source,
                         const struct pst_object *object)
{
    const struct base_large large = {key_of(runs, source, object->path), object->id};
    return add_large(runs, &large);
}

int base_runs_add(struct base_runs *runs, const struct base_run *run)
{
    void *all = runs->runs;
    int error = pst_grow(&all, runs->count, &runs->room, sizeof(*runs->runs));
    runs->runs = all;
    if (!error)
        runs->runs[runs->count++] = *run;
    return error;
}

static int by_key(const void *a, const void *b)
{
    const struct base_large *left = a, *right = b;
    return memcmp(left->key.bytes, right->key.bytes, sizeof(left->key.bytes));
}

static int by_place(const void *a, const void *b)
{
    const struct base_run *left = a, *right = b;
    if (left->object != right->object)
        return left->object < right->object ? -1 : 1;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

void base_runs_settle(struct base_runs *runs)
{
    if (runs->count > 0)
        qsort(runs->runs, runs->count, sizeof(*runs->runs), by_place);
    if (runs->larges_count > 0)
        qsort(runs->larges, runs->larges_count, sizeof(*runs->larges), by_key);
}

static int join_runs(struct base_runs *runs, const struct base_runs *more, uint64_t layer,
                     uint16_t own)
{
    int error = 0;
    for (size_t i = 0; !error && i < more->count; i++) {
        struct base_run run = more->runs[i];
        run.object |= layer;
        run.origin = run.origin == 0 ? own : (uint16_t)(run.origin - 1);
        error = base_runs_add(runs, &run);
    }
    return error;
}

static int join_larges(struct base_runs *runs, const struct base_runs *more, uint64_t layer)
{
    int error = 0;
    for (size_t i = 0; !error && i < more->larges_count; i++) {
        struct base_large large = more->larges[i];
        large.object |= layer;
        error = add_large(runs, &large);
    }
    return error;
}

int base_runs_join(struct base_runs *runs, struct base_runs *more, uint64_t layer, uint16_t own)
{
    int error = join_runs(runs, more, layer, own);
    if (!error)
        error = join_larges(runs, more, layer);
    base_runs_free(more);
    base_runs_settle(runs);
    return error;
}

uint64_t base_runs_object(const struct base_runs *runs, const char *source,
                          const struct pst_object *object)
{
    const struct pst_digest key = key_of(runs, source, object->path);
    size_t low = 0, high = runs->larges_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(runs->larges[middle].key.bytes, key.bytes, sizeof(key.bytes)) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < runs->larges_count && pst_digest_equal(&runs->larges[low].key, &key) ? low + 1 : 0;
}

static const struct base_run *find_of(const struct base_runs *runs, uint64_t object,
                                      uint64_t offset, uint64_t bytes, const uint8_t *hash)
{
    const struct base_run wanted = {.object = object, .offset = offset};
    if (runs->count == 0)
        return NULL;
    const struct base_run *found =
        bsearch(&wanted, runs->runs, runs->count, sizeof(wanted), by_place);
    bool is_it =
        found && found->bytes == bytes && memcmp(found->hash, hash, sizeof(found->hash)) == 0;
    return is_it ? found : NULL;
}

const struct base_run *base_runs_find(const struct base_runs *runs, uint64_t place, uint64_t offset,
                                      uint64_t bytes, const uint8_t hash[PST_REFERENCE_HASH_BYTES])
{
    const struct base_run *found = NULL;
    if (place == 0)
        return NULL;
    const struct base_large *first = &runs->larges[place - 1];
    const struct base_large *end = runs->larges + runs->larges_count;
    for (const struct base_large *large = first;
         !found && large < end && pst_digest_equal(&large->key, &first->key); large++)
        found = find_of(runs, large->object, offset, bytes, hash);
    return found;
}

size_t base_runs_first(const struct base_runs *runs, uint64_t object)
{
    size_t low = 0, high = runs->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (runs->runs[middle].object < object)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void base_runs_count(const struct base_runs *runs, uint64_t object, uint64_t *own,
                     uint64_t *referred)
{
    *own = *referred = 0;
    for (size_t i = base_runs_first(runs, object);
         i < runs->count && runs->runs[i].object == object; i++)
        *(runs->runs[i].origin == 0 ? own : referred) += runs->runs[i].bytes;
}

void base_runs_free(struct base_runs *runs)
{
    free(runs->runs);
    free(runs->larges);
    *runs = (struct base_runs){0};
}
