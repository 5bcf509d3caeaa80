/* A hash table of the inodes that have several links. Called by dir_list.c on the source's thread.
 */
#include "engine/source/dir/links.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define FIRST_SIZE 1024u

/* Where the inode is, or the free place where it belongs (linear probing). */
static struct link *place(const struct links *links, dev_t device, ino_t inode)
{
    uint64_t hash = ((uint64_t)inode ^ (uint64_t)device << 40) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 32) & (links->size - 1);
    for (;; at = (at + 1) & (links->size - 1)) {
        struct link *link = &links->table[at];
        if (link->object == 0 || (link->inode == inode && link->device == device))
            return link;
    }
}

uint64_t links_find(const struct links *links, dev_t device, ino_t inode)
{
    return links->size ? place(links, device, inode)->object : 0;
}

static int grow(struct links *links)
{
    struct links larger = {.size = links->size ? 2 * links->size : FIRST_SIZE};
    larger.table = calloc(larger.size, sizeof(*larger.table));
    if (!larger.table)
        return -ENOMEM;
    for (size_t i = 0; i < links->size; i++) {
        const struct link *link = &links->table[i];
        if (link->object)
            *place(&larger, link->device, link->inode) = *link;
    }
    larger.count = links->count;
    free(links->table);
    *links = larger;
    return 0;
}

int links_add(struct links *links, dev_t device, ino_t inode, uint64_t object)
{
    assert(object != 0);
    if (links->count >= links->size / 2) {
        int error = grow(links);
        if (error)
            return error;
    }
    struct link *link = place(links, device, inode);
    assert(link->object == 0);
    *link = (struct link){.object = object, .device = device, .inode = inode};
    links->count++;
    return 0;
}

void links_free(struct links *links)
{
    free(links->table);
    *links = (struct links){0};
}
