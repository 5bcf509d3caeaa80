/*
 * What a walk has been at, for its second look (docs/adr/0062): the directories that it has read,
 * with their ctimes then; the inodes that the backup has, under whatever name; and the paths that
 * are in it, by a filter that takes a few others for such. One thread's.
 *
 * Memory: 24 bytes and its name for each directory, 160 MiB at most; 21 to 43 bytes for up to 64
 * inodes whose numbers are neighbours, 64 MiB at most; 4 MiB for the paths.
 */
#ifndef PST_ENGINE_SOURCE_DIR_WALKED_H
#define PST_ENGINE_SOURCE_DIR_WALKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "penstock/limits.h"

#define WALKED_DIRS_MAX (1u << 22)
#define WALKED_TEXT_MAX (64u << 20)
#define WALKED_PENDING 8u
#define WALKED_INODES_MAX (1u << 22) /* places of 64 */

/* In place of a ctime. */
#define WALKED_UNREAD INT64_MIN       /* the directory was not read to its end */
#define WALKED_UNSURE (INT64_MIN + 1) /* a change since may have left its ctime as it was */

struct walked_dir {
    int64_t ctime_ns;
    uint32_t parent;
    uint32_t end;       /* of those below it, which follow it */
    uint32_t device;    /* half of it */
    uint32_t name : 26; /* in the text */
    uint32_t asks : 2;  /* enum tree_asks */
};

struct walked_inodes {
    uint64_t key;
    uint64_t bits; /* 0: a free place */
};

/* Zeros are an empty one. */
struct walked {
    uint64_t seed; /* of hashes of paths */
    struct walked_dir *dirs;
    uint32_t count;
    uint32_t room;
    char *text;
    uint32_t text_bytes;
    uint32_t text_room;
    struct walked_inodes *inodes; /* linear probing */
    size_t inodes_size;           /* a power of two, or 0 */
    size_t inodes_count;
    bool is_full; /* some inodes are not in it */
    uint64_t *paths;
    uint64_t pending[WALKED_PENDING]; /* hashes whose words are on their way from memory */
    uint32_t kept;                    /* paths */
};

/* The walk enters the directory of this number, counted from 0; in the order of the walk, parents
 * first. Those for which there is no room, and all behind them, are not kept: number < count tells.
 */
void walked_enter(struct walked *walked, uint64_t number, uint64_t parent, const char *name,
                  dev_t device);

/* It has been read to its end, and its ctime was this, or WALKED_UNSURE. */
void walked_end(struct walked *walked, uint64_t number, int64_t ctime_ns);

/* The walk leaves it, and will enter no other below it. */
void walked_leave(struct walked *walked, uint64_t number, uint32_t asks);

/* Its path, relative to the root; returns its length. path: PST_PATH_BYTES_MAX. */
size_t walked_path(const struct walked *walked, uint32_t number, char *path);

/* Whether the directory was on this device. */
bool walked_is_on(const struct walked *walked, uint32_t number, dev_t device);

/* Whether a directory of this name, in that of this number, was read. */
bool walked_has_child(const struct walked *walked, uint64_t number, const char *name);

/* The backup has this inode. */
void walked_keep(struct walked *walked, const struct stat *status);
bool walked_has(const struct walked *walked, const struct stat *status);

/* The backup has something at this path. */
void walked_keep_path(struct walked *walked, const char *path);
bool walked_has_path(const struct walked *walked, const char *path);

/* What is at this path cannot be looked at: whether this is said for the first time. */
bool walked_fails_first(struct walked *walked, const char *path);

void walked_free(struct walked *walked);

#endif
