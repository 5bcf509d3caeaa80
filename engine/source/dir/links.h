/*
 * The inodes with several links that a listing has met, with their names until the inode has become
 * an object. 96 bytes and its names for each inode. One thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_LINKS_H
#define PST_ENGINE_SOURCE_DIR_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "penstock/error.h"

struct link {
    bool is_used;
    uint32_t names_count; /* names that wait for the rest */
    uint64_t object;      /* 0: none yet */
    char *names;          /* each with its NUL; owned, NULL: none */
    size_t names_bytes;
    dev_t device;
    ino_t inode;
    off_t size; /* this and the times: of the file that the names are of */
    struct timespec mtime;
    struct timespec ctime;
};

struct links {
    struct link *table; /* NULL: none yet */
    size_t size;        /* a power of two, or 0 */
    size_t count;
    size_t names_bytes; /* that wait */
};

/* Whether both are of one file, as far as can be told: some file systems give one inode number to
 * several files, and a file may be removed and its number used again. */
bool links_are_one_file(const struct stat *one, const struct stat *other);

/* The place of an inode, made if it is new: then it has no object and no names. NULL: no memory. It
 * is valid until the next call. */
struct link *links_find(struct links *links, const struct stat *status);

/* Whether the file that a place was made or renewed for is this one. */
bool links_is_of(const struct link *link, const struct stat *status);

/* Begins anew with another file of the same inode number. Its names must have been taken. */
void links_renew(struct link *link, const struct stat *status);

/* Another name; copied. 0 or -ENOMEM. */
PST_MUST_USE int links_add_name(struct links *links, struct link *link, const char *name);

/* Takes the names; the caller frees them. */
char *links_take_names(struct links *links, struct link *link);

void links_free(struct links *links);

#endif
