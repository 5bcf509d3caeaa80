/*
 * Reads directories ahead of a walk, on a few threads. Called by ahead.c, on the source's thread;
 * the threads run what begins with run().
 */
#include "engine/source/dir/ahead_threads.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/thread.h"
#include "engine/source/dir/attributes.h"
#include "engine/source/dir/seen.h"

#define RECORD_ROOM 512u /* a longer record, of a name that only FUSE allows, begins a block */
#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

/* ---- blocks and directories ---- */

struct ahead_block *ahead_take_block(struct ahead *ahead, struct ahead_dir *dir)
{
    struct ahead_block *block = ahead->free_blocks;
    assert(block || ahead->blocks_used < ahead->blocks_count);
    if (block)
        ahead->free_blocks = block->next;
    else
        block = &ahead->blocks[ahead->blocks_used++];
    block->next = NULL;
    block->dir = dir;
    block->count = 0;
    block->is_in_use = false;
    block->is_last = false;
    atomic_store_explicit(&block->claimed, 0, memory_order_relaxed);
    return block;
}

void ahead_free_block(struct ahead *ahead, struct ahead_block *block)
{
    block->next = ahead->free_blocks;
    ahead->free_blocks = block;
}

struct ahead_dir *ahead_take_dir(struct ahead *ahead)
{
    struct ahead_dir *dir = ahead->free_dirs;
    assert(dir);
    ahead->free_dirs = dir->sibling;
    ahead->free_dirs_count--;
    *dir = (struct ahead_dir){.fd = -1};
    return dir;
}

void ahead_free_dir(struct ahead *ahead, struct ahead_dir *dir)
{
    if (dir->fd >= 0)
        close(dir->fd);
    ahead->opened -= dir->is_ahead;
    dir->sibling = ahead->free_dirs;
    ahead->free_dirs = dir;
    ahead->free_dirs_count++;
}

/* Whether more of a directory is read that the walk has not come to. It makes no room for that:
 * what is left is for the first entries of nearer ones. */
static bool may_read_on(const struct ahead *ahead, const struct ahead_dir *child)
{
    return child->state == AHEAD_READY && child->queued < AHEAD_CHILD_BLOCKS &&
           ahead->queued < AHEAD_BLOCKS_MAX - AHEAD_SPARE_BLOCKS;
}

/* A block that the walk has read itself, and is at: the nearest with entries that nobody has looked
 * at, directories among them maybe. NULL: there is none. */
static struct ahead_block *find_unseen(const struct ahead *ahead)
{
    for (const struct ahead_dir *dir = ahead->top; dir; dir = dir->outer) {
        struct ahead_block *block = dir->current;
        if (block && !block->is_in_use && !dir->is_again &&
            atomic_load_explicit(&block->claimed, memory_order_relaxed) < block->count)
            return block;
    }
    return NULL;
}

/* Whether less than half is ahead of what may be: so a thread that wakes finds work for some time.
 */
static bool is_behind(const struct ahead *ahead)
{
    const struct ahead_dir *dir = ahead->top;
    if (find_unseen(ahead))
        return true;
    if (dir && dir->state == AHEAD_READY && 2 * dir->queued <= ahead->reach)
        return true;
    while (dir && !dir->children)
        dir = dir->outer;
    uint32_t near = 0, waiting = 0;
    const struct ahead_dir *child = dir ? dir->children : NULL;
    for (; child && near < AHEAD_CHILDREN; child = child->sibling, near++)
        waiting += child->state == AHEAD_WANTED || may_read_on(ahead, child);
    return 2 * waiting > near;
}

void ahead_wake_a_thread(struct ahead *ahead)
{
    if (ahead->idle > 0 && is_behind(ahead))
        pthread_cond_signal(&ahead->work);
}

/* ---- entries ---- */

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static void take_entries(uint64_t seed, struct ahead_block *block, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        const struct dirent64 *record = (const void *)(block->buffer + at);
        at += record->d_reclen;
        if (is_dots(record->d_name))
            continue;
        assert(block->count < AHEAD_ENTRIES_MAX);
        struct ahead_entry *entry = &block->entries[block->count++];
        entry->record = record;
        entry->hash = seen_hash(seed, record->d_name);
        entry->child = NULL;
        atomic_store_explicit(&entry->state, AHEAD_ENTRY_NEW, memory_order_relaxed);
    }
}

/* An error after some entries is met again by the next reading. */
static int fill_buffer(uint64_t seed, int fd, struct ahead_block *block)
{
    size_t filled = 0;
    while (sizeof(block->buffer) - filled >= RECORD_ROOM) {
        ssize_t bytes = getdents64(fd, block->buffer + filled, sizeof(block->buffer) - filled);
        if (bytes < 0 && filled == 0)
            return -errno;
        if (bytes <= 0) {
            block->is_last = bytes == 0;
            break;
        }
        filled += (size_t)bytes;
    }
    take_entries(seed, block, filled);
    return 0;
}

/* A buffer full of "." and ".." is none. */
int ahead_read_entries(const struct ahead *ahead, int fd, struct ahead_block *block)
{
    int error = 0;
    while (!error && block->count == 0 && !block->is_last)
        error = fill_buffer(ahead->seed, fd, block);
    return error ? error : block->count > 0;
}

/* A directory that the walk will come to. Some are kept for those that it opens itself. */
static void want_child(struct ahead *ahead, struct ahead_dir *dir, struct ahead_entry *entry)
{
    pthread_mutex_lock(&ahead->lock);
    if (!dir->is_dropped && ahead->free_dirs_count > AHEAD_OPEN) {
        struct ahead_dir **end = &dir->children;
        while (*end)
            end = &(*end)->sibling;
        struct ahead_dir *child = ahead_take_dir(ahead);
        child->state = AHEAD_WANTED;
        child->parent = dir;
        child->name = entry->record->d_name;
        child->sibling = NULL;
        *end = entry->child = child;
        ahead_wake_a_thread(ahead);
    }
    pthread_mutex_unlock(&ahead->lock);
}

/* Who has claimed the entry looks at it. is_for_later: a directory may be read ahead. */
void ahead_look_at(struct ahead *ahead, struct ahead_block *block, struct ahead_entry *entry,
                   bool is_for_later)
{
    int error =
        attributes_look(block->dir->fd, entry->record->d_name, &entry->status, &entry->hints);
    if (is_for_later && !error && S_ISDIR(entry->status.st_mode))
        want_child(ahead, block->dir, entry);
    atomic_store(&entry->state, error ? AHEAD_ENTRY_FAILED : AHEAD_ENTRY_SEEN);
    if (!atomic_load(&ahead->is_awaited))
        return;
    pthread_mutex_lock(&ahead->lock);
    pthread_cond_signal(&ahead->moved);
    pthread_mutex_unlock(&ahead->lock);
}

/* The next entry that nobody looks at; NULL: there is none. */
struct ahead_entry *ahead_claim(struct ahead_block *block)
{
    uint32_t next = atomic_fetch_add(&block->claimed, 1);
    return next < block->count ? &block->entries[next] : NULL;
}

/* ---- the threads ---- */

int ahead_open_beneath(int directory, const char *name, int flags)
{
    const struct open_how how = {
        .flags = (unsigned)flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, directory, name, &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

static bool is_full(const struct ahead *ahead)
{
    return ahead->opened == AHEAD_OPEN || ahead->queued == AHEAD_BLOCKS_MAX;
}

static bool is_in_use(const struct ahead_dir *dir)
{
    bool is_in_use = dir->state == AHEAD_BUSY;
    for (const struct ahead_block *block = dir->first; block; block = block->next)
        is_in_use |= block->is_in_use;
    return is_in_use;
}

/* Makes room for what is nearer: of the outermost directory that has some that are read ahead, the
 * last one is forgotten, to be read later. */
static void forget_the_farthest(struct ahead *ahead, const struct ahead_dir *nearer)
{
    struct ahead_dir *found = NULL;
    for (struct ahead_dir *dir = nearer->outer; dir; dir = dir->outer) {
        for (struct ahead_dir *child = dir->children; child; child = child->sibling) {
            if (child->is_ahead && !is_in_use(child))
                found = child;
        }
    }
    if (!found)
        return;
    while (found->children) {
        struct ahead_dir *child = found->children;
        found->children = child->sibling;
        ahead_free_dir(ahead, child);
    }
    while (found->first) {
        struct ahead_block *block = found->first;
        found->first = block->next;
        ahead_free_block(ahead, block);
        ahead->queued--;
    }
    if (found->fd >= 0)
        close(found->fd);
    ahead->opened--;
    found->fd = -1;
    found->state = AHEAD_WANTED;
    found->is_ahead = false;
    found->queued = 0;
    found->last = NULL;
}

/* What a thread may read: the nearest to where the walk is, and of a directory that it will come to
 * all that there is room for. Further blocks of one further up would be in the way of these. NULL:
 * nothing. */
static struct ahead_dir *pick(struct ahead *ahead)
{
    uint32_t reach = ahead->reach;
    for (struct ahead_dir *dir = ahead->top; dir; dir = dir->outer) {
        struct ahead_dir *child = dir->children;
        for (uint32_t i = 0; child && i < AHEAD_CHILDREN; i++, child = child->sibling) {
            if (may_read_on(ahead, child))
                return child;
            if (child->state != AHEAD_WANTED)
                continue;
            if (is_full(ahead))
                forget_the_farthest(ahead, dir);
            return is_full(ahead) ? NULL : child;
        }
        if (dir->state == AHEAD_READY && dir->queued < (dir == ahead->top ? reach : 1) &&
            !is_full(ahead))
            return dir;
    }
    return NULL;
}

int ahead_look_at_opened(int fd, struct stat *status)
{
    return fstat(fd, status) || lseek(fd, 0, SEEK_SET) ? -errno : 0;
}

/* On the same file system only: others may be the kernel's own. */
static int open_child(struct ahead_dir *dir)
{
    struct stat status;
    int fd = ahead_open_beneath(dir->parent->fd, dir->name, DIRECTORY_FLAGS);
    if (fd < 0)
        return fd;
    if (ahead_look_at_opened(fd, &status) || status.st_dev != dir->parent->device) {
        close(fd);
        return -EXDEV;
    }
    dir->device = status.st_dev;
    dir->inode = status.st_ino;
    dir->ctime = status.st_ctim;
    (void)clock_gettime(CLOCK_REALTIME, &dir->opened);
    return fd;
}

/* Takes over what a reading brought; under the lock. */
static void put_block(struct ahead *ahead, struct ahead_dir *dir, struct ahead_block *block,
                      int result)
{
    dir->state = result < 0 ? AHEAD_LEFT : block->is_last ? AHEAD_ENDED : AHEAD_READY;
    if (result > 0) {
        *(dir->last ? &dir->last->next : &dir->first) = block;
        dir->last = block;
        return;
    }
    dir->queued--;
    ahead->queued--;
    ahead_free_block(ahead, block);
}

/* Looks at the entries of a block that nobody has looked at; under the lock, which it lets go of
 * meanwhile. */
static void look_at_all(struct ahead *ahead, struct ahead_block *block)
{
    block->is_in_use = true;
    ahead_wake_a_thread(ahead); /* its directory may be read on */
    pthread_mutex_unlock(&ahead->lock);
    struct ahead_entry *entry;
    while ((entry = ahead_claim(block)) != NULL)
        ahead_look_at(ahead, block, entry, true);
    pthread_mutex_lock(&ahead->lock);
    block->is_in_use = false;
    pthread_cond_signal(&ahead->moved);
}

/* Reads the next entries of a directory, and looks at them; under the lock, which it lets go of
 * meanwhile. */
static void read_ahead(struct ahead *ahead, struct ahead_dir *dir)
{
    bool is_wanted = dir->state == AHEAD_WANTED;
    struct ahead_block *block = ahead_take_block(ahead, dir);
    dir->state = AHEAD_BUSY;
    dir->queued++;
    ahead->queued++;
    dir->is_ahead |= is_wanted;
    ahead->opened += is_wanted;
    pthread_mutex_unlock(&ahead->lock);
    int fd = is_wanted ? open_child(dir) : dir->fd;
    int result = fd < 0 ? fd : ahead_read_entries(ahead, fd, block);
    pthread_mutex_lock(&ahead->lock);
    if (is_wanted)
        dir->fd = fd;
    put_block(ahead, dir, block, result);
    pthread_cond_signal(&ahead->moved);
    if (result <= 0 || dir->is_again)
        return;
    look_at_all(ahead, block);
}

static void *run(void *argument)
{
    struct ahead *ahead = argument;
    pst_thread_name("pst ahead");
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->must_stop) {
        struct ahead_block *block = find_unseen(ahead);
        struct ahead_dir *dir = block ? NULL : pick(ahead);
        if (block) {
            look_at_all(ahead, block);
        } else if (dir) {
            read_ahead(ahead, dir);
        } else {
            ahead->idle++;
            pthread_cond_wait(&ahead->work, &ahead->lock);
            ahead->idle--;
        }
    }
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

/* One that cannot be started is done without. */
void ahead_start_threads(struct ahead *ahead)
{
    while (ahead->threads_count < ahead->threads_max &&
           pst_thread_create(&ahead->threads[ahead->threads_count], run, ahead) == 0)
        ahead->threads_count++;
    ahead->reach = 2 * ahead->threads_count + 2;
}
