#include "engine/node/unreadable.h"

#include <assert.h>
#include <stdio.h>

void pst_unreadable_init(struct pst_unreadable *list)
{
    list->count = 0;
    int error = pthread_mutex_init(&list->lock, NULL);
    assert(error == 0);
}

void pst_unreadable_add(struct pst_unreadable *list, const char *source, const char *path)
{
    pthread_mutex_lock(&list->lock);
    if (list->count < PST_UNREADABLE_NAMES_MAX) {
        char *name = list->names[list->count++];
        snprintf(name, sizeof(list->names[0]), "%.*s/%.*s", (int)PST_SOURCE_NAME_MAX - 1, source,
                 (int)PST_PATH_BYTES_MAX - 1, path);
    }
    pthread_mutex_unlock(&list->lock);
}
