/*
 * Where a table is cut: at keys of the branch pages below its root, level by level until there are
 * enough. What is read is checked, but need not be trusted: whatever the keys, each row lies in
 * exactly one share, as long as they ascend. Called by lmdb_tables.c in the reader's process.
 */
#include "engine/source/lmdb/lmdb_split.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Offsets in a branch page, and in a node of it (LMDB 0.9, mdb.c). */
#define PAGE_NUMBER 0u
#define PAGE_FLAGS 10u
#define PAGE_LOWER 12u
#define PAGE_HEAD_BYTES 16u
#define PAGE_IS_BRANCH 0x01u
#define NODE_PAGE_LOW 0u /* 48 bits of page number: low, middle, high 16 */
#define NODE_KEY_BYTES 6u
#define NODE_HEAD_BYTES 8u

#define NODES_MAX 65536u /* of one level: enough for any number of shares */

/* A page of a level, and the first key that lies below it. */
struct node {
    uint64_t page;
    MDB_val key; /* mv_size 0: the first of all; in the level's keys */
};

struct level {
    struct node *nodes;
    uint32_t count;
    uint32_t room;
};

static uint16_t read_16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static bool read_branch(const struct tasks *tasks, uint64_t number, uint8_t *page)
{
    uint32_t bytes = tasks->meta.page_bytes;
    uint64_t found;
    if (number < 2 || number > tasks->meta.last_page)
        return false;
    if (pread(tasks->fd, page, bytes, (off_t)(number * bytes)) != (ssize_t)bytes)
        return false;
    memcpy(&found, page + PAGE_NUMBER, sizeof(found));
    uint16_t lower = read_16(page + PAGE_LOWER);
    return found == number && (read_16(page + PAGE_FLAGS) & PAGE_IS_BRANCH) &&
           lower >= PAGE_HEAD_BYTES && lower <= bytes;
}

static void free_level(struct level *level)
{
    for (uint32_t i = 0; i < level->count; i++)
        free(level->nodes[i].key.mv_data);
    free(level->nodes);
    *level = (struct level){0};
}

static bool copy_key(const MDB_val *key, MDB_val *copy)
{
    *copy = (MDB_val){.mv_size = key->mv_size};
    if (key->mv_size == 0)
        return true;
    copy->mv_data = malloc(key->mv_size);
    if (!copy->mv_data)
        return false;
    memcpy(copy->mv_data, key->mv_data, key->mv_size);
    return true;
}

static int add_node(struct level *level, uint64_t page, const MDB_val *key)
{
    if (level->count == level->room) {
        uint32_t room = level->room ? 2 * level->room : 64;
        struct node *nodes = realloc(level->nodes, room * sizeof(*nodes));
        if (!nodes)
            return -ENOMEM;
        level->nodes = nodes;
        level->room = room;
    }
    struct node *node = &level->nodes[level->count];
    node->page = page;
    if (!copy_key(key, &node->key))
        return -ENOMEM;
    level->count++;
    return 0;
}

/* Adds the children of a branch page, the first of which begins where the page does. -PST_E_DAMAGED
 * where it makes no sense. */
static int add_children(const struct tasks *tasks, const struct node *parent, const uint8_t *page,
                        struct level *level)
{
    uint32_t bytes = tasks->meta.page_bytes;
    uint32_t count = (read_16(page + PAGE_LOWER) - PAGE_HEAD_BYTES) / 2;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = read_16(page + PAGE_HEAD_BYTES + 2 * i);
        if (at < PAGE_HEAD_BYTES || at + NODE_HEAD_BYTES > bytes)
            return -PST_E_DAMAGED;
        const uint8_t *node = page + at;
        uint64_t child = read_16(node + NODE_PAGE_LOW) |
                         (uint64_t)read_16(node + NODE_PAGE_LOW + 2) << 16 |
                         (uint64_t)read_16(node + NODE_PAGE_LOW + 4) << 32;
        MDB_val key = {.mv_size = read_16(node + NODE_KEY_BYTES),
                       .mv_data = (void *)(uintptr_t)(node + NODE_HEAD_BYTES)};
        if (at + NODE_HEAD_BYTES + key.mv_size > bytes || (i > 0 && key.mv_size == 0) ||
            key.mv_size > LMDB_KEY_BYTES_MAX)
            return -PST_E_DAMAGED;
        int error = add_node(level, child, i == 0 ? &parent->key : &key);
        if (error)
            return error;
    }
    return 0;
}

/* The level below. -PST_E_DAMAGED: it cannot be had. */
static int descend(const struct tasks *tasks, const struct level *level, struct level *below)
{
    uint8_t *page = malloc(tasks->meta.page_bytes);
    int error = page ? 0 : -ENOMEM;
    for (uint32_t i = 0; !error && i < level->count; i++) {
        error = read_branch(tasks, level->nodes[i].page, page) && below->count < NODES_MAX
                    ? add_children(tasks, &level->nodes[i], page, below)
                    : -PST_E_DAMAGED;
    }
    free(page);
    if (error)
        free_level(below);
    return error;
}

static bool ascends(const struct tasks *tasks, MDB_dbi dbi, const struct level *level)
{
    for (uint32_t i = 2; i < level->count; i++)
        if (mdb_cmp(tasks->txn, dbi, &level->nodes[i - 1].key, &level->nodes[i].key) >= 0)
            return false;
    return true;
}

/* Evenly. Keys change their owner. */
static int take_keys(struct level *level, uint32_t wanted, MDB_val *keys)
{
    if (wanted > level->count)
        wanted = level->count;
    for (uint32_t i = 0; i < wanted; i++) {
        struct node *node = &level->nodes[(uint64_t)i * level->count / wanted];
        keys[i] = node->key;
        node->key.mv_data = NULL;
    }
    return (int)wanted;
}

int lmdb_split(const struct tasks *tasks, const struct lmdb_tree *tree, uint32_t wanted,
               MDB_val *keys)
{
    struct level level = {0};
    int error = add_node(&level, tree->root, &(MDB_val){0});
    for (uint32_t depth = 1; !error && depth < tree->depth && level.count < wanted; depth++) {
        struct level below = {0};
        error = descend(tasks, &level, &below);
        if (error)
            break;
        free_level(&level);
        level = below;
    }
    /* A table that cannot be cut is one share; the scan finds what is wrong with it, if anything
     * is. */
    if (error == -PST_E_DAMAGED) {
        error = 0;
        wanted = 1;
    }
    if (!error && !ascends(tasks, tree->dbi, &level))
        wanted = 1;
    int count = error ? error : take_keys(&level, wanted, keys);
    free_level(&level);
    return count;
}
