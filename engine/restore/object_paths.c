/*
 * A hash table of objects by node, source and path, which the crew's threads fill side by side.
 * They need not be sorted for that: a verify that finds nothing wrong never sorts them.
 */
#include "engine/restore/object_paths.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "engine/format/digest.h"

struct object_place {
    _Atomic(struct object_record *) record; /* NULL: free */
};

/* Where a path is looked for first; if another one is there, in the places that follow. */
static size_t place_of(const struct objects *objects, const struct object_record *of,
                       const char *path, size_t path_bytes)
{
    uint64_t source = pst_object_source(object_id(of)), hash;
    const struct pst_digest digest =
        pst_digest_of(path, path_bytes, objects->seed ^ ((uint64_t)of->node << 32 | source));
    memcpy(&hash, digest.bytes, sizeof(hash));
    return (size_t)hash & (objects->places_count - 1);
}

bool object_is_at(const struct object_record *record, const struct object_record *of,
                  const char *path, size_t path_bytes)
{
    return record->node == of->node && object_path_bytes(record) == path_bytes &&
           memcmp(object_path(record), path, path_bytes) == 0 &&
           pst_object_source(object_id(record)) == pst_object_source(object_id(of));
}

const struct object_record *objects_at(const struct objects *objects,
                                       const struct object_record *of, const char *path,
                                       size_t path_bytes)
{
    for (size_t i = place_of(objects, of, path, path_bytes);;
         i = (i + 1) & (objects->places_count - 1)) {
        const struct object_record *there =
            atomic_load_explicit(&objects->places[i].record, memory_order_relaxed);
        if (!there || object_is_at(there, of, path, path_bytes))
            return there;
    }
}

/* Whether the place was free and is the record's now; *there is what has it otherwise. */
static bool takes(struct object_place *place, struct object_record *record,
                  struct object_record **there)
{
    *there = atomic_load_explicit(&place->record, memory_order_relaxed);
    return !*there && atomic_compare_exchange_strong(&place->record, there, record);
}

/* False: another one has its path. */
static bool enter(struct objects *objects, struct object_record *record)
{
    const char *path = object_path(record);
    size_t path_bytes = object_path_bytes(record);
    size_t i = place_of(objects, record, path, path_bytes);
    struct object_record *there;
    while (!takes(&objects->places[i], record, &there)) {
        if (object_is_at(there, record, path, path_bytes))
            return false;
        i = (i + 1) & (objects->places_count - 1);
    }
    return true;
}

struct entering {
    struct objects *objects;
    atomic_bool has_clash;
};

static void enter_some(void *context, size_t from, size_t end)
{
    struct entering *entering = context;
    for (size_t i = from; i < end; i++) {
        if (!enter(entering->objects, entering->objects->listed[i]))
            atomic_store(&entering->has_clash, true);
    }
}

int objects_enter_paths(struct objects *objects, struct crew *crew, bool *has_clash)
{
    struct entering entering = {.objects = objects};
    for (objects->places_count = 16; objects->places_count < 2 * objects->count;)
        objects->places_count *= 2;
    objects->places =
        objects_take_memory(objects, objects->places_count * sizeof(*objects->places));
    if (!objects->places)
        return -ENOMEM;
    if (getrandom(&objects->seed, sizeof(objects->seed), GRND_NONBLOCK) < 0)
        objects->seed = (uintptr_t)objects->places; /* the host has only just started */
    int error = crew_each(crew, objects->count, enter_some, &entering);
    *has_clash = atomic_load(&entering.has_clash);
    return error;
}
