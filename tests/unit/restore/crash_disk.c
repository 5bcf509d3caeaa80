/* Records the system calls of a restore, and plays them again on a model of a disk. */
#include "tests/unit/restore/crash_disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/request.h"

#define EVENTS_MAX 4096u

enum event_kind { EVENT_ADD, EVENT_REMOVE, EVENT_RENAME, EVENT_WRITE, EVENT_STATUS, EVENT_SYNC };
enum fate { FATE_LOST, FATE_KEPT, FATE_TORN };

#define ALL_INODES SIZE_MAX

struct event {
    enum event_kind kind;
    size_t inode; /* of a name: its directory; of a sync: ALL_INODES */
    size_t child; /* ADD */
    char *name;
    char *to;
    struct crash_inode status; /* STATUS: as it was seen then */
};

static struct {
    pthread_mutex_t lock;
    bool is_on;
    dev_t device;
    ino_t inodes[CRASH_INODES_MAX];
    unsigned written[CRASH_INODES_MAX]; /* in all */
    size_t inodes_count;
    struct crash_state initial;
    struct event events[EVENTS_MAX];
    size_t events_count;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- recording ---- */

static struct crash_inode seen(const struct stat *status)
{
    return (struct crash_inode){.mode = status->st_mode,
                                .uid = status->st_uid,
                                .gid = status->st_gid,
                                .mtime = status->st_mtim};
}

/* The newest, for the number of one that is gone may be used again. */
static size_t inode_of(const struct stat *status)
{
    for (size_t i = disk.inodes_count; i > 0 && status->st_dev == disk.device; i--) {
        if (disk.inodes[i - 1] == status->st_ino)
            return i - 1;
    }
    return SIZE_MAX;
}

static size_t add_inode(const struct stat *status)
{
    assert(disk.inodes_count < CRASH_INODES_MAX);
    disk.inodes[disk.inodes_count] = status->st_ino;
    return disk.inodes_count++;
}

static size_t inode_at(int fd, const char *name)
{
    struct stat status;
    int flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    return fstatat(fd, name, &status, flags) == 0 ? inode_of(&status) : SIZE_MAX;
}

static struct event *add_event(enum event_kind kind, size_t inode)
{
    assert(disk.events_count < EVENTS_MAX);
    struct event *event = &disk.events[disk.events_count++];
    *event = (struct event){.kind = kind, .inode = inode};
    return event;
}

static char *copy_of(const char *name)
{
    char *copy = strdup(name);
    assert(copy);
    return copy;
}

static void note_status(int fd, const char *name)
{
    struct stat status;
    size_t inode = inode_at(fd, name);
    if (inode == SIZE_MAX || fstatat(fd, name, &status, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
        return;
    add_event(EVENT_STATUS, inode)->status = seen(&status);
}

/* An entry of a directory, whose time it touches. */
static struct event *note_entry(enum event_kind kind, int fd, const char *name)
{
    size_t directory = inode_at(fd, "");
    if (directory == SIZE_MAX)
        return NULL;
    struct event *event = add_event(kind, directory);
    event->name = copy_of(name);
    note_status(fd, "");
    return event;
}

static void note_new(int fd, const char *name)
{
    struct stat status;
    if (inode_at(fd, "") == SIZE_MAX || fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    size_t inode = add_inode(&status);
    disk.initial.inodes[inode] = seen(&status); /* nothing leads to it before */
    note_entry(EVENT_ADD, fd, name)->child = inode;
}

static void note_link(int fd, const char *name)
{
    struct event *event = note_entry(EVENT_ADD, fd, name);
    if (event)
        event->child = inode_at(fd, name);
}

static void note_rename(int from_fd, const char *from, const char *to)
{
    struct event *event = note_entry(EVENT_RENAME, from_fd, from);
    if (event)
        event->to = copy_of(to);
}

static void note_write(int fd)
{
    size_t inode = inode_at(fd, "");
    if (inode == SIZE_MAX)
        return;
    add_event(EVENT_WRITE, inode);
    disk.written[inode]++;
    note_status(fd, "");
}

static void note_sync(int fd, size_t inode)
{
    if (inode_at(fd, "") != SIZE_MAX)
        add_event(EVENT_SYNC, inode);
}

/* The linker's names for the calls of the program; a call and its record are one. */
#define RECORDED(result, call, note)                                                               \
    ({                                                                                             \
        pthread_mutex_lock(&disk.lock);                                                            \
        __typeof__(result) result_ = (call);                                                       \
        int error_ = errno;                                                                        \
        if (disk.is_on && result_ >= 0)                                                            \
            note;                                                                                  \
        pthread_mutex_unlock(&disk.lock);                                                          \
        errno = error_;                                                                            \
        result_;                                                                                   \
    })

#define WRAP(type, name, parameters, arguments, note)                                              \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return RECORDED((type)0, __real_##name arguments, note);                                   \
    }

WRAP(int, syncfs, (int fd), (fd), note_sync(fd, ALL_INODES))
WRAP(int, fsync, (int fd), (fd), note_sync(fd, inode_at(fd, "")))
WRAP(int, renameat, (int from_fd, const char *from, int to_fd, const char *to),
     (from_fd, from, to_fd, to), note_rename(from_fd, from, to))
WRAP(int, renameat2, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
     (from_fd, from, to_fd, to, flags), note_rename(from_fd, from, to))
WRAP(int, unlinkat, (int fd, const char *name, int flags), (fd, name, flags),
     (void)note_entry(EVENT_REMOVE, fd, name))
WRAP(int, mkdirat, (int fd, const char *name, mode_t mode), (fd, name, mode), note_new(fd, name))
WRAP(int, symlinkat, (const char *to, int fd, const char *name), (to, fd, name), note_new(fd, name))
WRAP(int, mknodat, (int fd, const char *name, mode_t mode, dev_t device), (fd, name, mode, device),
     note_new(fd, name))
WRAP(int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
     (from_fd, from, to_fd, to, flags), note_link(to_fd, to))
WRAP(int, ftruncate, (int fd, off_t bytes), (fd, bytes), note_write(fd))
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t bytes, off_t offset),
     (fd, data, bytes, offset), note_write(fd))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), note_status(fd, ""))
WRAP(int, fchownat, (int fd, const char *name, uid_t uid, gid_t gid, int flags),
     (fd, name, uid, gid, flags), note_status(fd, name))
WRAP(int, utimensat, (int fd, const char *name, const struct timespec times[2], int flags),
     (fd, name, times, flags), note_status(fd, name))
WRAP(int, chmod, (const char *path, mode_t mode), (path, mode), /* of /proc/self/fd */
     note_status(strncmp(path, "/proc/self/fd/", 14) == 0 ? atoi(path + 14) : -1, ""))

/* Of a write on a ring, which is there when it has ended, and need not be before a sync. */
void __real_request_complete(struct pst_ring *ring, struct pst_io_op *op, int result);
void __wrap_request_complete(struct pst_ring *ring, struct pst_io_op *op, int result);

void __wrap_request_complete(struct pst_ring *ring, struct pst_io_op *op, int result)
{
    if (op->kind == KIND_WRITE)
        RECORDED(0, result, note_write(op->file->fd));
    __real_request_complete(ring, op, result);
}

int __real_openat(int fd, const char *name, int flags, ...);
int __wrap_openat(int fd, const char *name, int flags, ...);

int __wrap_openat(int fd, const char *name, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (!(flags & O_CREAT))
        return __real_openat(fd, name, flags);
    return RECORDED(0, __real_openat(fd, name, flags, mode), note_new(fd, name));
}

/* openat2(2) alone is called so below a target. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    long values[6];
    va_list arguments;
    va_start(arguments, number);
    for (size_t i = 0; i < 6; i++)
        values[i] = va_arg(arguments, long);
    va_end(arguments);
    const struct open_how *how = (const struct open_how *)values[2];
    bool creates = number == SYS_openat2 && (how->flags & O_CREAT);
    if (!creates)
        return __real_syscall(number, values[0], values[1], values[2], values[3], values[4],
                              values[5]);
    int fd = (int)values[0];
    return RECORDED(0L, __real_syscall(number, values[0], values[1], values[2], values[3]),
                    note_new(fd, (const char *)values[1]));
}

static void add_entry(struct crash_state *state, size_t directory, const char *name, size_t inode)
{
    assert(state->entries_count < CRASH_ENTRIES_MAX);
    state->entries[state->entries_count++] = (struct crash_entry){directory, name, inode};
}

/* Takes what is there for synced. */
static void scan(int fd, size_t directory)
{
    DIR *entries = fdopendir(fd);
    assert(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int error = fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW);
        assert(!error);
        size_t inode = inode_of(&status);
        if (inode == SIZE_MAX)
            inode = add_inode(&status);
        disk.initial.inodes[inode] = seen(&status);
        add_entry(&disk.initial, directory, copy_of(entry->d_name), inode);
        if (S_ISDIR(status.st_mode))
            scan(openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY), inode);
    }
    closedir(entries);
}

static void forget(void)
{
    for (size_t i = 0; i < disk.events_count; i++) {
        free(disk.events[i].name);
        free(disk.events[i].to);
    }
    for (size_t i = 0; i < disk.initial.entries_count; i++)
        free((char *)disk.initial.entries[i].name);
    disk.events_count = disk.inodes_count = 0;
    memset(disk.written, 0, sizeof(disk.written));
    memset(&disk.initial, 0, sizeof(disk.initial));
}

void crash_record(const char *directory)
{
    struct stat status;
    forget();
    int fd = open(directory, O_RDONLY | O_DIRECTORY);
    int error = fd < 0 ? -1 : fstat(fd, &status);
    assert(!error);
    disk.device = status.st_dev;
    disk.initial.inodes[add_inode(&status)] = seen(&status);
    scan(fd, 0);
    disk.is_on = true;
}

void crash_record_end(void)
{
    disk.is_on = false;
}

size_t crash_steps(void)
{
    return disk.events_count;
}

/* ---- playing it again ---- */

static struct crash_entry *entry_of(struct crash_state *state, size_t directory, const char *name)
{
    for (size_t i = 0; i < state->entries_count; i++) {
        struct crash_entry *entry = &state->entries[i];
        if (entry->directory == directory && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

size_t crash_find(const struct crash_state *state, size_t directory, const char *name)
{
    const struct crash_entry *entry = entry_of((struct crash_state *)state, directory, name);
    return entry ? entry->inode : SIZE_MAX;
}

bool crash_is_whole(const struct crash_state *state, size_t inode)
{
    return state->inodes[inode].written == disk.written[inode] && !state->inodes[inode].is_torn;
}

static void drop(struct crash_state *state, struct crash_entry *entry)
{
    *entry = state->entries[--state->entries_count];
}

/* One that cannot be, because what it follows was lost, is lost too. */
static void apply_name(struct crash_state *state, const struct event *event)
{
    struct crash_entry *entry = entry_of(state, event->inode, event->name);
    if (event->kind == EVENT_ADD && !entry)
        add_entry(state, event->inode, event->name, event->child);
    if (event->kind == EVENT_REMOVE && entry)
        drop(state, entry);
    if (event->kind != EVENT_RENAME || !entry)
        return;
    size_t inode = entry->inode;
    drop(state, entry);
    struct crash_entry *replaced = entry_of(state, event->inode, event->to);
    if (replaced)
        drop(state, replaced);
    add_entry(state, event->inode, event->to, inode);
}

static void apply(struct crash_state *state, const struct event *event, enum fate fate)
{
    if (fate == FATE_LOST || event->kind == EVENT_SYNC)
        return;
    struct crash_inode *inode = &state->inodes[event->inode];
    if (event->kind == EVENT_WRITE) {
        inode->written++;
        inode->is_torn |= fate == FATE_TORN;
    } else if (event->kind == EVENT_STATUS) {
        unsigned written = inode->written;
        bool is_torn = inode->is_torn;
        *inode = event->status;
        inode->written = written;
        inode->is_torn = is_torn;
    } else {
        apply_name(state, event);
    }
}

void crash_state_at(size_t n, struct crash_state *state)
{
    *state = disk.initial;
    for (size_t i = 0; i < n; i++)
        apply(state, &disk.events[i], FATE_KEPT);
}

static bool is_synced(size_t event, size_t n)
{
    for (size_t i = event + 1; i < n; i++) {
        if (disk.events[i].kind == EVENT_SYNC && (disk.events[i].inode == ALL_INODES ||
                                                  disk.events[i].inode == disk.events[event].inode))
            return true;
    }
    return false;
}

/* Which of the events are not synced, and what becomes of each. */
struct loss {
    size_t n;
    struct crash_state synced;
    size_t pending[EVENTS_MAX];
    size_t pending_count;
    enum fate fates[EVENTS_MAX];
    void (*each)(const struct crash_state *state);
};

static unsigned fates_of(const struct loss *loss, size_t i)
{
    return disk.events[loss->pending[i]].kind == EVENT_WRITE ? 3 : 2;
}

static void lose(const struct loss *loss)
{
    static struct crash_state state;
    state = loss->synced;
    for (size_t i = 0; i < loss->pending_count; i++)
        apply(&state, &disk.events[loss->pending[i]], loss->fates[i]);
    loss->each(&state);
}

static void set_all(struct loss *loss, enum fate fate)
{
    for (size_t i = 0; i < loss->pending_count; i++)
        loss->fates[i] = fate;
}

static void lose_by_chance(struct loss *loss, uint64_t times)
{
    unsigned seed = (unsigned)loss->n;
    for (uint64_t i = 0; i < times; i++) {
        for (size_t j = 0; j < loss->pending_count; j++)
            loss->fates[j] = (enum fate)((unsigned)rand_r(&seed) % fates_of(loss, j));
        lose(loss);
    }
}

static void lose_one(struct loss *loss)
{
    for (size_t i = 0; i < loss->pending_count; i++) {
        for (unsigned fate = 0; fate < fates_of(loss, i); fate++) {
            set_all(loss, fate == FATE_KEPT ? FATE_LOST : FATE_KEPT);
            loss->fates[i] = (enum fate)fate;
            lose(loss);
        }
    }
}

void crash_each(size_t n, uint64_t most, void (*each)(const struct crash_state *state))
{
    static struct loss loss;
    loss.n = n;
    loss.each = each;
    loss.pending_count = 0;
    loss.synced = disk.initial;
    uint64_t choices = 1;
    for (size_t i = 0; i < n; i++) {
        if (is_synced(i, n))
            apply(&loss.synced, &disk.events[i], FATE_KEPT);
        else if (disk.events[i].kind != EVENT_SYNC)
            loss.pending[loss.pending_count++] = i;
    }
    for (size_t i = 0; i < loss.pending_count && choices <= most; i++)
        choices *= fates_of(&loss, i);
    if (choices > most) {
        lose_by_chance(&loss, most);
        lose_one(&loss);
        return;
    }
    for (uint64_t choice = 0; choice < choices; choice++) {
        uint64_t rest = choice;
        for (size_t i = 0; i < loss.pending_count; i++) {
            loss.fates[i] = (enum fate)(rest % fates_of(&loss, i));
            rest /= fates_of(&loss, i);
        }
        lose(&loss);
    }
}
