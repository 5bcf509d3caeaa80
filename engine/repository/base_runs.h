/*
 * The runs of a base: pieces of its large files and environments, each with a hash, and where its
 * bytes lie. 72 bytes for each, and 24 for each file that is large enough.
 *
 * Private to engine/repository/. One thread until it is settled, then any that only read it.
 */
#ifndef PST_ENGINE_REPOSITORY_BASE_RUNS_H
#define PST_ENGINE_REPOSITORY_BASE_RUNS_H

#include <stddef.h>

#include "engine/format/object.h"
#include "engine/format/references.h"

struct base_run {
    uint64_t object; /* id in the base */
    uint64_t offset;
    uint64_t bytes;
    uint64_t origin_object; /* id in the origin */
    uint16_t origin;        /* index; 0: the base */
    uint8_t hash[PST_REFERENCE_HASH_BYTES];
};

struct base_large {
    struct pst_digest key; /* of source and path */
    uint64_t object;
};

struct base_runs {
    uint64_t seed; /* of the keys: nobody can make two paths of one */
    struct base_run *runs;
    size_t count;
    size_t room;
    struct base_large *larges;
    size_t larges_count;
    size_t larges_room;
};

/* Whether an object of the catalogue has runs that can be referred to. */
bool base_runs_want(const struct pst_object *object);

/* -ENOMEM. */
PST_MUST_USE int base_runs_add_object(struct base_runs *runs, const char *source,
                                      const struct pst_object *object);
PST_MUST_USE int base_runs_add(struct base_runs *runs, const struct base_run *run);

/* All are added. */
void base_runs_settle(struct base_runs *runs);

/* Adds what another one has, which is empty then. layer: set in the ids of its objects, so that
 * they are none of another backup's; own: what its origin 0 is, all others being one too high.
 * -ENOMEM. */
PST_MUST_USE int base_runs_join(struct base_runs *runs, struct base_runs *more, uint64_t layer,
                                uint16_t own);

/* The place of the objects that have this path, one of each backup at most; 0: none has. */
uint64_t base_runs_object(const struct base_runs *runs, const char *source,
                          const struct pst_object *object);

/* The run of an object at that place that has these bytes; NULL: none. */
const struct base_run *base_runs_find(const struct base_runs *runs, uint64_t place, uint64_t offset,
                                      uint64_t bytes, const uint8_t hash[PST_REFERENCE_HASH_BYTES]);

/* Index of the first run of an object of the base; they follow each other. */
size_t base_runs_first(const struct base_runs *runs, uint64_t object);

/* Bytes of an object in runs that the base has, and in those that it refers to. */
void base_runs_count(const struct base_runs *runs, uint64_t object, uint64_t *own,
                     uint64_t *referred);

void base_runs_free(struct base_runs *runs);

#endif
