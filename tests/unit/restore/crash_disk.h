/*
 * What a disk may have after a crash: the changes that the program makes below one directory are
 * recorded by the linker's --wrap as they happen, and played again on a model that keeps what was
 * synced apart from what everybody sees. A crash keeps the first and any part of the second: each
 * change of a name, of contents (whole or torn), of owner, mode and time, by itself.
 *
 * The main thread, but for the recording.
 */
#ifndef PST_TESTS_UNIT_RESTORE_CRASH_DISK_H
#define PST_TESTS_UNIT_RESTORE_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define CRASH_INODES_MAX 128u
#define CRASH_ENTRIES_MAX 256u

struct crash_inode {
    unsigned written; /* changes of its contents */
    bool is_torn;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct timespec mtime;
};

struct crash_entry {
    size_t directory;
    const char *name;
    size_t inode;
};

/* Inode 0 is the directory. */
struct crash_state {
    struct crash_entry entries[CRASH_ENTRIES_MAX];
    size_t entries_count;
    struct crash_inode inodes[CRASH_INODES_MAX];
};

/* From here on, what the program changes below the directory; what is there is synced. */
void crash_record(const char *directory);
void crash_record_end(void);

/* How many changes and syncs were recorded. */
size_t crash_steps(void);

/* The first n of them, and nothing lost. */
void crash_state_at(size_t n, struct crash_state *state);

/* Calls each for states that a crash after n of them may leave: all, where there are no more than
 * most, else as many by chance, and those where one change alone is lost, torn or kept. */
void crash_each(size_t n, uint64_t most, void (*each)(const struct crash_state *state));

/* SIZE_MAX: none. */
size_t crash_find(const struct crash_state *state, size_t directory, const char *name);

/* Whether its contents are all that was ever written. */
bool crash_is_whole(const struct crash_state *state, size_t inode);

#endif
