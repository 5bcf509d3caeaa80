#include "engine/node/unreadable.h"

#include <assert.h>
#include <stdio.h>

void pst_unreadable_init(struct pst_unreadable *list)
{
    int error = pthread_mutex_init(&list->lock, NULL);
    assert(error == 0);
    pst_unreadable_clear(list);
}

void pst_unreadable_clear(struct pst_unreadable *list)
{
    pthread_mutex_lock(&list->lock);
    list->count = 0;
    list->told = 0;
    pthread_mutex_unlock(&list->lock);
}

static bool is_remembered(const struct pst_unreadable *list, uint64_t object)
{
    uint64_t count =
        list->told < PST_UNREADABLE_REMEMBERED ? list->told : PST_UNREADABLE_REMEMBERED;
    for (uint64_t i = 0; i < count; i++) {
        if (list->objects[i] == object)
            return true;
    }
    return false;
}

bool pst_unreadable_add(struct pst_unreadable *list, uint64_t object, const char *source,
                        const char *path)
{
    pthread_mutex_lock(&list->lock);
    bool is_new = !is_remembered(list, object);
    if (is_new)
        list->objects[list->told++ % PST_UNREADABLE_REMEMBERED] = object;
    if (is_new && list->count < PST_UNREADABLE_NAMES_MAX) {
        char *name = list->names[list->count++];
        snprintf(name, sizeof(list->names[0]), "%.*s/%.*s", (int)PST_SOURCE_NAME_MAX - 1, source,
                 (int)PST_PATH_BYTES_MAX - 1, path);
    }
    pthread_mutex_unlock(&list->lock);
    return is_new;
}
