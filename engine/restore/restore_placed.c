/*
 * A set of inodes, hashed. Called by restore_object.c, restore_room.c and restore_tree.c, on the
 * crew's threads.
 */
#include "engine/restore/restore_placed.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#define SLOTS_MIN 1024u

struct restore_placed {
    pthread_mutex_t mutex;
    uint64_t *slots; /* 0: free */
    size_t size;     /* a power of 2 */
    size_t count;
};

/* Of 64 bits: two inodes have the same one less often than a disk lies. */
static uint64_t key_of(const struct stat *status)
{
    uint64_t key = (uint64_t)status->st_ino ^ (uint64_t)status->st_dev << 40;
    key = (key ^ key >> 32) * UINT64_C(0xd6e8feb86659fd93);
    key = (key ^ key >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (key ^ key >> 32) | 1;
}

static uint64_t *find(uint64_t *slots, size_t size, uint64_t key)
{
    size_t at = (size_t)(key >> 8) & (size - 1);
    while (slots[at] != 0 && slots[at] != key)
        at = (at + 1) & (size - 1);
    return &slots[at];
}

static int grow(struct restore_placed *placed)
{
    size_t size = placed->size ? 2 * placed->size : SLOTS_MIN;
    uint64_t *slots = calloc(size, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < placed->size; i++) {
        if (placed->slots[i] != 0)
            *find(slots, size, placed->slots[i]) = placed->slots[i];
    }
    free(placed->slots);
    placed->slots = slots;
    placed->size = size;
    return 0;
}

static int add(struct restore_placed *placed, uint64_t key)
{
    int error = 4 * placed->count >= 3 * placed->size ? grow(placed) : 0;
    if (error)
        return error;
    uint64_t *slot = find(placed->slots, placed->size, key);
    if (*slot != 0)
        return 1;
    *slot = key;
    placed->count++;
    return 0;
}

int restore_placed_open(struct restore_placed **placed)
{
    *placed = calloc(1, sizeof(**placed));
    if (!*placed)
        return -ENOMEM;
    pthread_mutex_init(&(*placed)->mutex, NULL);
    return 0;
}

void restore_placed_close(struct restore_placed *placed)
{
    if (!placed)
        return;
    pthread_mutex_destroy(&placed->mutex);
    free(placed->slots);
    free(placed);
}

int restore_placed_add(struct restore_placed *placed, const struct stat *status)
{
    if (!placed)
        return 0;
    pthread_mutex_lock(&placed->mutex);
    int result = add(placed, key_of(status));
    pthread_mutex_unlock(&placed->mutex);
    return result;
}

bool restore_placed_has(struct restore_placed *placed, const struct stat *status)
{
    if (!placed)
        return false;
    pthread_mutex_lock(&placed->mutex);
    bool has = placed->size > 0 && *find(placed->slots, placed->size, key_of(status)) != 0;
    pthread_mutex_unlock(&placed->mutex);
    return has;
}
