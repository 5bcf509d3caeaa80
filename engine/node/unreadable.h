/*
 * The first objects of a backup that could not be read, by name, for the node manifest. Shared by
 * the threads of a node; locks, but only on that rare path.
 */
#ifndef PST_ENGINE_NODE_UNREADABLE_H
#define PST_ENGINE_NODE_UNREADABLE_H

#include <pthread.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "engine/format/manifest.h"

struct pst_unreadable {
    pthread_mutex_t lock;
    uint32_t count; /* names kept, at most PST_UNREADABLE_NAMES_MAX */
    char names[PST_UNREADABLE_NAMES_MAX][PST_SOURCE_NAME_MAX + PST_PATH_BYTES_MAX];
};

void pst_unreadable_init(struct pst_unreadable *list);

/* Keeps "SOURCE/PATH", if there is room. Any thread. */
void pst_unreadable_add(struct pst_unreadable *list, const char *source, const char *path);

#endif
