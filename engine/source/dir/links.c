/* A hash table of the inodes that have several links. Called by dir_list.c on the source's thread.
 */
#include "engine/source/dir/links.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 1024u

/* Where the inode is, or the free place where it belongs (linear probing). */
static struct link *place(const struct links *links, dev_t device, ino_t inode)
{
    uint64_t hash = ((uint64_t)inode ^ (uint64_t)device << 40) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 32) & (links->size - 1);
    for (;; at = (at + 1) & (links->size - 1)) {
        struct link *link = &links->table[at];
        if (!link->is_used || (link->inode == inode && link->device == device))
            return link;
    }
}

static int grow(struct links *links)
{
    struct links larger = *links;
    larger.size = links->size ? 2 * links->size : FIRST_SIZE;
    larger.table = calloc(larger.size, sizeof(*larger.table));
    if (!larger.table)
        return -ENOMEM;
    for (size_t i = 0; i < links->size; i++) {
        const struct link *link = &links->table[i];
        if (link->is_used)
            *place(&larger, link->device, link->inode) = *link;
    }
    free(links->table);
    *links = larger;
    return 0;
}

static bool is_one_time(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

bool links_are_one_file(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino &&
           one->st_size == other->st_size && is_one_time(&one->st_mtim, &other->st_mtim) &&
           is_one_time(&one->st_ctim, &other->st_ctim);
}

bool links_is_of(const struct link *link, const struct stat *status)
{
    return link->size == status->st_size && is_one_time(&link->mtime, &status->st_mtim) &&
           is_one_time(&link->ctime, &status->st_ctim);
}

void links_renew(struct link *link, const struct stat *status)
{
    assert(!link->names);
    *link = (struct link){
        .is_used = true,
        .device = status->st_dev,
        .inode = status->st_ino,
        .size = status->st_size,
        .mtime = status->st_mtim,
        .ctime = status->st_ctim,
    };
}

struct link *links_find(struct links *links, const struct stat *status)
{
    if (links->count >= links->size / 2 && grow(links))
        return NULL;
    struct link *link = place(links, status->st_dev, status->st_ino);
    if (!link->is_used) {
        links_renew(link, status);
        links->count++;
    }
    return link;
}

int links_add_name(struct links *links, struct link *link, const char *name)
{
    size_t bytes = strlen(name) + 1;
    char *names = realloc(link->names, link->names_bytes + bytes);
    if (!names)
        return -ENOMEM;
    memcpy(names + link->names_bytes, name, bytes);
    link->names = names;
    link->names_bytes += bytes;
    link->names_count++;
    links->names_bytes += bytes;
    return 0;
}

char *links_take_names(struct links *links, struct link *link)
{
    char *names = link->names;
    links->names_bytes -= link->names_bytes;
    link->names = NULL;
    link->names_bytes = 0;
    link->names_count = 0;
    return names;
}

void links_free(struct links *links)
{
    for (size_t i = 0; i < links->size; i++)
        free(links->table[i].names);
    free(links->table);
    *links = (struct links){0};
}
