/*
 * The names that a walk has met in the directories that it is in: a directory that changes while it
 * is read may give a name twice, or not at all. One thread's.
 */
#ifndef PST_ENGINE_SOURCE_DIR_SEEN_H
#define PST_ENGINE_SOURCE_DIR_SEEN_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

#define SEEN_NAMES_MAX (1u << 21) /* 80 MiB */

#define SEEN_NOTHING 0u

struct seen_name {
    uint64_t hash; /* 0: free */
    uint64_t file; /* what the name led to, or SEEN_NOTHING */
};

/* Zeros are an empty one. */
struct seen_names {
    uint64_t *stack; /* hashes of names, in the order in which they came */
    size_t count;
    size_t room;
    struct seen_name *table; /* by the same hashes, linear probing */
    size_t size;             /* a power of two */
};

/* Of a name, by a seed that is nobody else's: that names collide cannot be brought about. Any
 * thread. */
uint64_t seen_hash(uint64_t seed, const char *name);

/* file: a hash of what the name leads to, or SEEN_NOTHING. 1: the name of this hash, in the
 * directory of this number, is new, or led to nothing until now; 0: neither; -PST_E_CHANGED: it led
 * to another file until now; -ENOMEM; -EFBIG: no more can be kept. */
PST_MUST_USE int seen_add(struct seen_names *seen, uint64_t directory, uint64_t name,
                          uint64_t file);

/* What a name that was added has led to, as was found out later. */
void seen_set(struct seen_names *seen, uint64_t directory, uint64_t name, uint64_t file);

/* The name is added soon. */
void seen_expect(const struct seen_names *seen, uint64_t directory, uint64_t name);

/* Forgets all but the first so many. */
void seen_forget(struct seen_names *seen, size_t count);

void seen_free(struct seen_names *seen);

#endif
