/*
 * The first objects of a backup that could not be read, by name, for the node manifest. Shared by
 * the threads of a node; locks, but only on that rare path.
 */
#ifndef PST_ENGINE_REPOSITORY_UNREADABLE_H
#define PST_ENGINE_REPOSITORY_UNREADABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "engine/format/manifest.h"

/* Objects that are remembered, so that each of a large file's fragments, which LDMs read at about
 * the same time, does not count anew. */
#define PST_UNREADABLE_REMEMBERED 1024u

struct pst_unreadable {
    pthread_mutex_t lock;
    uint64_t added; /* objects in all; the last ones are remembered */
    uint64_t objects[PST_UNREADABLE_REMEMBERED];
    uint64_t listed; /* that no LDM came to see: the listing could not read them */
    uint32_t count;  /* names kept, at most PST_UNREADABLE_NAMES_MAX */
    char names[PST_UNREADABLE_NAMES_MAX][PST_SOURCE_NAME_MAX + PST_PATH_BYTES_MAX];
};

void pst_unreadable_init(struct pst_unreadable *list);

/* Forgets all: a new backup. Any thread. */
void pst_unreadable_clear(struct pst_unreadable *list);

/* Keeps "SOURCE/PATH", if there is room. false: that object was added already. Any thread. */
bool pst_unreadable_add(struct pst_unreadable *list, uint64_t object, const char *source,
                        const char *path);

/* Keeps another name of an object that was added. Any thread. */
void pst_unreadable_add_name(struct pst_unreadable *list, const char *source, const char *path);

/* Keeps the name of what the listing could not read, and which therefore is no object. */
void pst_unreadable_add_listed(struct pst_unreadable *list, const char *source, const char *path);

#endif
