/* Collects the names of objects that could not be read. LDMs and source threads add, the archive
 * reads. */
#include "engine/repository/unreadable.h"

#include <assert.h>
#include <stdio.h>

void pst_unreadable_init(struct pst_unreadable *list)
{
    int error = pthread_mutex_init(&list->lock, NULL);
    assert(!error);
    pst_unreadable_clear(list);
}

void pst_unreadable_clear(struct pst_unreadable *list)
{
    pthread_mutex_lock(&list->lock);
    list->count = 0;
    list->added = 0;
    list->listed = 0;
    pthread_mutex_unlock(&list->lock);
}

static bool is_remembered(const struct pst_unreadable *list, uint64_t object)
{
    uint64_t count =
        list->added < PST_UNREADABLE_REMEMBERED ? list->added : PST_UNREADABLE_REMEMBERED;
    for (uint64_t i = 0; i < count; i++) {
        if (list->objects[i] == object)
            return true;
    }
    return false;
}

static void keep_name(struct pst_unreadable *list, const char *source, const char *path)
{
    if (list->count == PST_UNREADABLE_NAMES_MAX)
        return;
    snprintf(list->names[list->count++], sizeof(list->names[0]), "%.*s/%.*s",
             (int)PST_SOURCE_NAME_MAX - 1, source, (int)PST_PATH_BYTES_MAX - 1, path);
}

bool pst_unreadable_add(struct pst_unreadable *list, uint64_t object, const char *source,
                        const char *path)
{
    pthread_mutex_lock(&list->lock);
    bool is_new = !is_remembered(list, object);
    if (is_new) {
        list->objects[list->added++ % PST_UNREADABLE_REMEMBERED] = object;
        keep_name(list, source, path);
    }
    pthread_mutex_unlock(&list->lock);
    return is_new;
}

void pst_unreadable_add_name(struct pst_unreadable *list, const char *source, const char *path)
{
    pthread_mutex_lock(&list->lock);
    keep_name(list, source, path);
    pthread_mutex_unlock(&list->lock);
}

void pst_unreadable_add_listed(struct pst_unreadable *list, const char *source, const char *path)
{
    pthread_mutex_lock(&list->lock);
    list->listed++;
    keep_name(list, source, path);
    pthread_mutex_unlock(&list->lock);
}
