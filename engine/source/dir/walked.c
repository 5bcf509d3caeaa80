/* Tables of directories, inodes and paths. Called by tree.c on the source's thread. */
#include "engine/source/dir/walked.h"

#include <stdlib.h>
#include <string.h>

#include "engine/source/dir/seen.h"

#define FIRST_ROOM 1024u
#define ODD UINT64_C(0x9e3779b97f4a7c15)
#define PATHS_BITS 19 /* of the number of a word in the filter */

/* ---- directories ---- */

/* Room for so many more of what has count of room entries, but never for more than max. */
static bool has_room(void **array, uint32_t *room, size_t entry_bytes, size_t wanted, uint32_t max)
{
    uint32_t larger = *room ? *room : FIRST_ROOM;
    if (wanted <= *room)
        return true;
    if (wanted > max)
        return false;
    while (larger < wanted)
        larger *= 2;
    void *grown = realloc(*array, larger * entry_bytes);
    if (!grown)
        return false;
    *array = grown;
    *room = larger;
    return true;
}

static uint32_t half_of(dev_t device)
{
    return (uint32_t)(device ^ device >> 32);
}

void walked_enter(struct walked *walked, uint64_t number, uint64_t parent, const char *name,
                  dev_t device)
{
    size_t bytes = strlen(name) + 1;
    if (number != walked->count ||
        !has_room((void **)&walked->dirs, &walked->room, sizeof(*walked->dirs), number + 1,
                  WALKED_DIRS_MAX) ||
        !has_room((void **)&walked->text, &walked->text_room, 1, walked->text_bytes + bytes,
                  WALKED_TEXT_MAX))
        return;
    memcpy(walked->text + walked->text_bytes, name, bytes);
    walked->dirs[number] = (struct walked_dir){
        .ctime_ns = WALKED_UNREAD,
        .parent = (uint32_t)parent,
        .end = (uint32_t)number + 1,
        .device = half_of(device),
        .name = walked->text_bytes & (WALKED_TEXT_MAX - 1),
    };
    walked->text_bytes += (uint32_t)bytes;
    walked->count++;
}

void walked_end(struct walked *walked, uint64_t number, int64_t ctime_ns)
{
    if (number < walked->count)
        walked->dirs[number].ctime_ns = ctime_ns;
}

void walked_leave(struct walked *walked, uint64_t number, uint32_t asks)
{
    if (number >= walked->count)
        return;
    walked->dirs[number].end = walked->count;
    walked->dirs[number].asks = asks & 3;
}

static const char *name_of(const struct walked *walked, uint32_t number)
{
    return walked->text + walked->dirs[number].name;
}

size_t walked_path(const struct walked *walked, uint32_t number, char *path)
{
    size_t bytes = 0;
    for (uint32_t at = number; at > 0; at = walked->dirs[at].parent)
        bytes += strlen(name_of(walked, at)) + (bytes > 0);
    path[bytes] = '\0';
    size_t from = bytes;
    for (uint32_t at = number; at > 0; at = walked->dirs[at].parent) {
        size_t name_bytes = strlen(name_of(walked, at));
        from -= name_bytes;
        memcpy(path + from, name_of(walked, at), name_bytes);
        if (from > 0)
            path[--from] = '/';
    }
    return bytes;
}

bool walked_is_on(const struct walked *walked, uint32_t number, dev_t device)
{
    return walked->dirs[number].device == half_of(device);
}

bool walked_has_child(const struct walked *walked, uint64_t number, const char *name)
{
    if (number >= walked->count)
        return false;
    const struct walked_dir *dirs = walked->dirs;
    for (uint32_t at = (uint32_t)number + 1; at < dirs[number].end; at = dirs[at].end)
        if (strcmp(name_of(walked, at), name) == 0)
            return dirs[at].ctime_ns != WALKED_UNREAD;
    return false;
}

/* ---- inodes ---- */

static uint64_t key_of(const struct stat *status)
{
    return (uint64_t)status->st_ino >> 6 ^ (uint64_t)status->st_dev * ODD;
}

static uint64_t bit_of(const struct stat *status)
{
    return UINT64_C(1) << (status->st_ino & 63);
}

/* Where the key is, or the free place where it belongs. */
static struct walked_inodes *place_of(const struct walked *walked, uint64_t key)
{
    size_t at = (size_t)(key * ODD >> 32) & (walked->inodes_size - 1);
    while (walked->inodes[at].bits && walked->inodes[at].key != key)
        at = (at + 1) & (walked->inodes_size - 1);
    return &walked->inodes[at];
}

static bool grow(struct walked *walked)
{
    struct walked larger = *walked;
    larger.inodes_size = walked->inodes_size ? 2 * walked->inodes_size : FIRST_ROOM;
    larger.inodes = larger.inodes_size <= WALKED_INODES_MAX
                        ? calloc(larger.inodes_size, sizeof(*larger.inodes))
                        : NULL;
    if (!larger.inodes)
        return false;
    for (size_t i = 0; i < walked->inodes_size; i++)
        if (walked->inodes[i].bits)
            *place_of(&larger, walked->inodes[i].key) = walked->inodes[i];
    free(walked->inodes);
    *walked = larger;
    return true;
}

void walked_keep(struct walked *walked, const struct stat *status)
{
    uint64_t key = key_of(status);
    if (walked->inodes_count >= walked->inodes_size / 4 * 3 && !grow(walked)) {
        walked->is_full = true;
        return;
    }
    struct walked_inodes *place = place_of(walked, key);
    walked->inodes_count += place->bits == 0;
    place->key = key;
    place->bits |= bit_of(status);
}

bool walked_has(const struct walked *walked, const struct stat *status)
{
    return walked->inodes_size > 0 &&
           (place_of(walked, key_of(status))->bits & bit_of(status)) != 0;
}

/* ---- paths ---- */

/* Four bits of a word. */
static uint64_t bits_of(uint64_t hash)
{
    return UINT64_C(1) << (hash & 63) | UINT64_C(1) << (hash >> 6 & 63) |
           UINT64_C(1) << (hash >> 12 & 63) | UINT64_C(1) << (hash >> 18 & 63);
}

static uint64_t *word_of(const struct walked *walked, uint64_t hash)
{
    return &walked->paths[hash >> (64 - PATHS_BITS)];
}

/* Entered when its word has come: a wait for each would make a listing a twentieth slower. */
void walked_keep_path(struct walked *walked, const char *path)
{
    if (!walked->paths)
        walked->paths = calloc(1u << PATHS_BITS, sizeof(*walked->paths));
    if (!walked->paths)
        return;
    uint64_t *pending = &walked->pending[walked->kept++ % WALKED_PENDING];
    *word_of(walked, *pending) |= bits_of(*pending);
    *pending = seen_hash(walked->seed, path);
    __builtin_prefetch(word_of(walked, *pending), 1);
}

bool walked_has_path(const struct walked *walked, const char *path)
{
    uint64_t hash = seen_hash(walked->seed, path);
    if (!walked->paths || (*word_of(walked, hash) & bits_of(hash)) == bits_of(hash))
        return true;
    for (uint32_t i = 0; i < WALKED_PENDING; i++)
        if (walked->pending[i] == hash)
            return true;
    return false;
}

/* Kept like an inode, of a device that is none. */
bool walked_fails_first(struct walked *walked, const char *path)
{
    const struct stat failed = {.st_dev = UINT64_MAX, .st_ino = seen_hash(walked->seed, path)};
    if (walked_has(walked, &failed))
        return false;
    walked_keep(walked, &failed);
    return true;
}

void walked_free(struct walked *walked)
{
    free(walked->dirs);
    free(walked->text);
    free(walked->inodes);
    free(walked->paths);
    *walked = (struct walked){0};
}
