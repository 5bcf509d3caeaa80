/* A hash table of the inodes that have several links. Called by dir_list.c on the source's thread.
 */
#include "engine/source/dir/links.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "penstock/fragment.h"

#define FIRST_SIZE 1024u

/* Where the inode is, or the free place where it belongs (linear probing). */
static struct link *place(const struct links *links, dev_t device, ino_t inode)
{
    uint64_t hash = ((uint64_t)inode ^ (uint64_t)device << 40) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 32) & (links->size - 1);
    for (;; at = (at + 1) & (links->size - 1)) {
        struct link *link = &links->table[at];
        if (link->state == 0 || (link->inode == inode && link->device == device))
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
        if (link->state)
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

/* Never 0. */
static uint64_t state_of(const struct stat *status)
{
    const uint64_t words[] = {(uint64_t)status->st_size, (uint64_t)status->st_mtim.tv_sec,
                              (uint64_t)status->st_mtim.tv_nsec, (uint64_t)status->st_ctim.tv_sec,
                              (uint64_t)status->st_ctim.tv_nsec};
    uint64_t hash = 1;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash | 1;
}

bool links_is_object_of(const struct link *link, const struct stat *status)
{
    return link->object != 0 && link->state == state_of(status);
}

void links_set_object(struct link *link, const struct stat *status, uint64_t object)
{
    assert(!link->waiting);
    *link = (struct link){
        .object = object,
        .device = status->st_dev,
        .inode = status->st_ino,
        .state = state_of(status),
    };
}

struct link *links_find(struct links *links, const struct stat *status)
{
    if (links->count >= links->size / 2 && grow(links))
        return NULL;
    struct link *link = place(links, status->st_dev, status->st_ino);
    if (link->state == 0) {
        links_set_object(link, status, 0);
        links->count++;
    }
    return link;
}

int links_add_name(struct links *links, struct link *link, const struct stat *status,
                   const char *name)
{
    struct link_names *names = link->waiting;
    size_t bytes = strlen(name) + 1, before = names ? names->bytes : 0;
    names = realloc(names, sizeof(*names) + before + bytes);
    if (!names)
        return -ENOMEM;
    if (!link->waiting)
        *names = (struct link_names){.status = *status};
    link->waiting = names;
    memcpy(names->text + before, name, bytes);
    names->bytes += bytes;
    names->count++;
    names->differ |= !links_are_one_file(&names->status, status);
    links->names_bytes += bytes;
    return 0;
}

struct link_names *links_take_names(struct links *links, struct link *link)
{
    struct link_names *names = link->waiting;
    links->names_bytes -= names->bytes;
    link->waiting = NULL;
    return names;
}

void links_free(struct links *links)
{
    for (size_t i = 0; i < links->size; i++)
        free(links->table[i].waiting);
    free(links->table);
    *links = (struct links){0};
}

uint32_t links_further_names(const char *names, uint32_t count)
{
    size_t bytes = strlen(names) + 1;
    uint32_t further = 0;
    while (further + 1 < count) {
        bytes += strlen(names + bytes) + 1;
        if (bytes > PST_FRAGMENT_NAMES_BYTES_MAX)
            break;
        further++;
    }
    return further;
}
