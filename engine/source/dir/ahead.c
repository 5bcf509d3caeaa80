/*
 * The walk's side of reading ahead: takes over what the threads have read, does what they have not
 * begun, and waits for what they are in. Called by tree.c on the source's thread.
 */
#include "engine/source/dir/ahead.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/source/dir/ahead_threads.h"
#include "penstock/limits.h"

#define YIELDS 64u            /* before a wait sleeps */
#define FURTHER_ON 4u         /* entries: some hundred nanoseconds */
#define DESCRIPTORS_MIN 1024u /* the usual limit */

/* ---- open and close ---- */

/* With the walk they are as many as LDMs want files. They need descriptors, which LDMs want where
 * there are few. */
static uint32_t threads_for(uint32_t ldms)
{
    struct rlimit limit;
    if (ldms <= 1 || getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < DESCRIPTORS_MIN)
        return 0;
    return ldms - 1 < AHEAD_THREADS_MAX ? ldms - 1 : AHEAD_THREADS_MAX;
}

int ahead_open(uint32_t ldms, uint64_t seed, struct ahead **ahead_out)
{
    uint32_t threads_max = threads_for(ldms);
    uint32_t blocks = AHEAD_OPEN + AHEAD_LEAVING + (threads_max ? AHEAD_BLOCKS_MAX : 0);
    struct ahead *ahead = calloc(1, sizeof(*ahead));
    if (!ahead)
        return -ENOMEM;
    /* Megabytes, of which most walks use little: nothing of it is touched before it is used. */
    ahead->blocks = malloc(blocks * sizeof(*ahead->blocks));
    if (!ahead->blocks) {
        free(ahead);
        return -ENOMEM;
    }
    ahead->blocks_count = blocks;
    for (uint32_t i = 0; i < AHEAD_DIRS_MAX; i++) {
        ahead->dirs[i].sibling = ahead->free_dirs;
        ahead->free_dirs = &ahead->dirs[i];
    }
    ahead->free_dirs_count = AHEAD_DIRS_MAX;
    ahead->threads_max = threads_max;
    ahead->seed = seed;
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->work, NULL);
    pthread_cond_init(&ahead->moved, NULL);
    *ahead_out = ahead;
    return 0;
}

void ahead_close(struct ahead *ahead)
{
    if (!ahead)
        return;
    pthread_mutex_lock(&ahead->lock);
    assert(!ahead->top && ahead->queued == 0 && ahead->free_dirs_count == AHEAD_DIRS_MAX);
    ahead->must_stop = true;
    pthread_cond_broadcast(&ahead->work);
    pthread_mutex_unlock(&ahead->lock);
    for (uint32_t i = 0; i < ahead->threads_count; i++)
        (void)pthread_join(ahead->threads[i], NULL);
    pthread_cond_destroy(&ahead->moved);
    pthread_cond_destroy(&ahead->work);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead->blocks);
    free(ahead);
}

/* The walk lets the threads go on. They mostly need microseconds: it sleeps only after some rounds.
 */
static void wait_for_threads(struct ahead *ahead, uint32_t round)
{
    if (round >= YIELDS) {
        pthread_cond_wait(&ahead->moved, &ahead->lock);
        return;
    }
    pthread_mutex_unlock(&ahead->lock);
    (void)sched_yield();
    pthread_mutex_lock(&ahead->lock);
}

static void wait_while_busy(struct ahead *ahead, const struct ahead_dir *dir)
{
    for (uint32_t i = 0; dir->state == AHEAD_BUSY; i++)
        wait_for_threads(ahead, i);
}

/* Until its next block is there, or it is known that no thread brings one. */
static void await_next(struct ahead *ahead, const struct ahead_dir *dir)
{
    for (uint32_t i = 0; dir->state == AHEAD_BUSY && !dir->first; i++)
        wait_for_threads(ahead, i);
}

/* ---- the walk: directories ---- */

struct joined_path {
    char text[PST_PATH_BYTES_MAX];
};

static struct joined_path join(const char *path, const char *name)
{
    struct joined_path joined;
    (void)snprintf(joined.text, sizeof(joined.text), "%s%s%s", path, *path ? "/" : "", name);
    return joined;
}

/* A thread may still be at one of its entries. */
static void await_block(struct ahead *ahead, struct ahead_block *block, const char *path)
{
    uint32_t at = 0, claimed = atomic_exchange(&block->claimed, block->count);
    if (!block->is_in_use)
        return;
    while (at + 1 < claimed && at + 1 < block->count &&
           atomic_load(&block->entries[at].state) != AHEAD_ENTRY_NEW)
        at++;
    struct pst_activity_outer outer;
    pst_activity_begin_inner(&outer, "look at", join(path, block->entries[at].record->d_name).text);
    for (uint32_t i = 0; block->is_in_use; i++)
        wait_for_threads(ahead, i);
    pst_activity_end_inner(&outer);
}

static void drop(struct ahead *ahead, struct ahead_dir *dir, const char *path);

static void drop_child(struct ahead *ahead, struct ahead_dir *child, const char *path)
{
    struct joined_path joined = join(path, child->name);
    drop(ahead, child, joined.text);
}

/* Its entries are used, or nobody wants them any more. */
static void drop_block(struct ahead *ahead, struct ahead_block *block, const char *path)
{
    struct ahead_dir *dir = block->dir;
    await_block(ahead, block, path);
    for (uint32_t i = 0; dir->children && i < block->count; i++) {
        struct ahead_dir *child = block->entries[i].child, **at = &dir->children;
        if (!child)
            continue;
        while (*at != child)
            at = &(*at)->sibling;
        *at = child->sibling;
        drop_child(ahead, child, path);
    }
    ahead_free_block(ahead, block);
}

/* A block that a thread is at is not queued any more while the walk waits: AHEAD_LEAVING. One at a
 * time, for only those that the walk is in have children with blocks. */
static void drop(struct ahead *ahead, struct ahead_dir *dir, const char *path)
{
    dir->is_dropped = true;
    if (dir->state == AHEAD_BUSY) {
        struct pst_activity_outer outer;
        pst_activity_begin_inner(&outer, "read the directory", path);
        wait_while_busy(ahead, dir);
        pst_activity_end_inner(&outer);
    }
    if (dir->current)
        drop_block(ahead, dir->current, path);
    while (dir->first) {
        struct ahead_block *block = dir->first;
        dir->first = block->next;
        dir->queued--;
        ahead->queued--;
        drop_block(ahead, block, path);
    }
    assert(!dir->children && dir->queued == 0);
    ahead_free_dir(ahead, dir);
}

static void enter(struct ahead *ahead, struct ahead_dir *dir)
{
    dir->outer = ahead->top;
    ahead->top = dir;
    ahead_wake_a_thread(ahead);
}

struct ahead_dir *ahead_begin(struct ahead *ahead, int fd, const struct stat *status, bool is_again)
{
    pthread_mutex_lock(&ahead->lock);
    struct ahead_dir *dir = ahead_take_dir(ahead);
    dir->state = AHEAD_READY;
    dir->fd = fd;
    dir->device = status->st_dev;
    dir->inode = status->st_ino;
    dir->ctime = status->st_ctim;
    (void)clock_gettime(CLOCK_REALTIME, &dir->opened);
    dir->is_again = is_again;
    enter(ahead, dir);
    pthread_mutex_unlock(&ahead->lock);
    return dir;
}

struct ahead_dir *ahead_enter(struct ahead *ahead, struct ahead_dir *dir)
{
    struct ahead_entry *entry = &dir->current->entries[dir->used];
    pthread_mutex_lock(&ahead->lock);
    struct ahead_dir *child = entry->child, **at = &dir->children;
    entry->child = NULL;
    if (child) {
        await_next(ahead, child);
        while (*at != child)
            at = &(*at)->sibling;
        *at = child->sibling;
        if (child->fd < 0) {
            ahead_free_dir(ahead, child);
            child = NULL;
        } else {
            ahead->opened -= child->is_ahead;
            child->is_ahead = false;
            enter(ahead, child);
        }
    }
    pthread_mutex_unlock(&ahead->lock);
    return child;
}

void ahead_end(struct ahead *ahead, struct ahead_dir *dir, const char *path, size_t path_bytes)
{
    struct joined_path named;
    (void)snprintf(named.text, sizeof(named.text), "%.*s", (int)path_bytes, path);
    pthread_mutex_lock(&ahead->lock);
    struct ahead_dir **at = &ahead->top;
    while (*at != dir)
        at = &(*at)->outer;
    *at = dir->outer;
    drop(ahead, dir, named.text);
    pthread_mutex_unlock(&ahead->lock);
}

/* ---- the walk: entries ---- */

/* Makes the next block the current one: 1, 0 or -errno; under the lock. */
static int next_block(struct ahead *ahead, struct ahead_dir *dir)
{
    await_next(ahead, dir);
    struct ahead_block *block = dir->first;
    if (block) {
        dir->first = block->next;
        dir->last = dir->first ? dir->last : NULL;
        dir->queued--;
        ahead->queued--;
        dir->current = block;
        ahead_wake_a_thread(ahead);
        return 1;
    }
    if (dir->state == AHEAD_ENDED)
        return 0;
    block = ahead_take_block(ahead, dir);
    dir->state = AHEAD_BUSY;
    pthread_mutex_unlock(&ahead->lock);
    int result = ahead_read_entries(ahead, dir->fd, block);
    pthread_mutex_lock(&ahead->lock);
    dir->state = block->is_last ? AHEAD_ENDED : AHEAD_READY;
    if (result > 0)
        dir->current = block;
    else
        ahead_free_block(ahead, block);
    ahead_wake_a_thread(ahead);
    return result;
}

bool ahead_has_next(const struct ahead_dir *dir)
{
    return dir->current && dir->used + 1 < dir->current->count;
}

int ahead_next(struct ahead *ahead, struct ahead_dir *dir, const char *path)
{
    if (ahead_has_next(dir)) {
        dir->used++;
        return 1;
    }
    pthread_mutex_lock(&ahead->lock);
    if (dir->current)
        drop_block(ahead, dir->current, path);
    dir->current = NULL;
    dir->used = 0;
    if (ahead->taken < AHEAD_STARTING_BLOCKS && ++ahead->taken == AHEAD_STARTING_BLOCKS)
        ahead_start_threads(ahead);
    int result = next_block(ahead, dir);
    pthread_mutex_unlock(&ahead->lock);
    return result;
}

const char *ahead_name(const struct ahead_dir *dir)
{
    return dir->current->entries[dir->used].record->d_name;
}

int64_t ahead_cookie(const struct ahead_dir *dir)
{
    return dir->current->entries[dir->used].record->d_off;
}

uint64_t ahead_hash(const struct ahead_dir *dir)
{
    return dir->current->entries[dir->used].hash;
}

uint64_t ahead_hash_further_on(const struct ahead_dir *dir)
{
    uint32_t last = dir->current->count - 1;
    uint32_t later = dir->used + FURTHER_ON;
    return dir->current->entries[later < last ? later : last].hash;
}

/* A thread is at the entry. */
static void await_entry(struct ahead *ahead, struct ahead_entry *entry, const char *path)
{
    for (uint32_t i = 0; i < YIELDS; i++) {
        if (atomic_load(&entry->state) != AHEAD_ENTRY_NEW)
            return;
        (void)sched_yield();
    }
    pst_activity_begin("look at", path);
    pthread_mutex_lock(&ahead->lock);
    atomic_store(&ahead->is_awaited, true); /* before the look at the state: see ahead_look_at() */
    while (atomic_load(&entry->state) == AHEAD_ENTRY_NEW)
        pthread_cond_wait(&ahead->moved, &ahead->lock);
    atomic_store(&ahead->is_awaited, false);
    pthread_mutex_unlock(&ahead->lock);
    pst_activity_end();
}

/* Looks at an entry that nobody looks at: the wanted one, or, while a thread is at that, one behind
 * it. */
static bool look_at_one(struct ahead *ahead, struct ahead_dir *dir, const char *path)
{
    struct ahead_block *block = dir->current;
    struct ahead_entry *wanted = &block->entries[dir->used], *entry = ahead_claim(block);
    if (!entry)
        return false;
    if (entry == wanted) {
        pst_activity_begin("look at", path);
    } else {
        size_t name_bytes = strlen(wanted->record->d_name), path_bytes = strlen(path);
        struct joined_path other;
        (void)snprintf(other.text, sizeof(other.text), "%.*s%s", (int)(path_bytes - name_bytes),
                       path, entry->record->d_name);
        pst_activity_begin("look at", other.text);
    }
    ahead_look_at(ahead, block, entry, entry != wanted);
    pst_activity_end();
    return true;
}

int ahead_look(struct ahead *ahead, struct ahead_dir *dir, const char *path, struct stat *status)
{
    struct ahead_entry *entry = &dir->current->entries[dir->used];
    while (atomic_load(&entry->state) == AHEAD_ENTRY_NEW) {
        if (!look_at_one(ahead, dir, path))
            await_entry(ahead, entry, path);
    }
    if (atomic_load(&entry->state) == AHEAD_ENTRY_SEEN) {
        *status = entry->status;
        return 0;
    }
    pst_activity_begin("look at", path);
    int rc = fstatat(dir->fd, entry->record->d_name, status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
    pst_activity_end();
    return rc ? -errno : 0;
}

uint8_t ahead_hints(const struct ahead_dir *dir)
{
    const struct ahead_entry *entry = &dir->current->entries[dir->used];
    return atomic_load(&entry->state) == AHEAD_ENTRY_SEEN ? entry->hints : 0;
}
