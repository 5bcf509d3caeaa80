/*
 * A disk in memory behind struct pst_repository_ops, deterministic, that keeps what was synced
 * apart from what everybody sees. Of a file: its contents, synced or not. Of a directory: its
 * names, and each change of them since it was synced. A power loss keeps the first and any part of
 * the second.
 *
 * One disk may be used as several repositories, as by processes of their own: each has its handles
 * and locks. Every operation is recorded, and any can be made to fail. One thread.
 */
#ifndef PST_TESTS_SUPPORT_MODEL_DISK_H
#define PST_TESTS_SUPPORT_MODEL_DISK_H

#include "engine/repository/repository.h"

/* What is recorded. A create is three: the file, its contents, their sync. remove_tree is a list
 * and the removals. */
enum model_op {
    MODEL_ANY, /* of a fault alone: whichever it is */
    MODEL_OPEN,
    MODEL_LIST,
    MODEL_STATUS,
    MODEL_READ,
    MODEL_CREATE,
    MODEL_WRITE,
    MODEL_SYNC_FILE,
    MODEL_MAKE_DIRECTORY,
    MODEL_RENAME,
    MODEL_REMOVE,
    MODEL_REMOVE_DIRECTORY,
    MODEL_SYNC_DIRECTORY,
    MODEL_LOCK,
};

struct model_record {
    enum model_op op;
    int error;      /* what it came to; for an open 0 */
    char path[256]; /* from the root: "BACKUP-1/x"; "" is the root; of what was removed "?/x" */
    char to[128];   /* of a rename: the new name, in the same directory */
};

struct model_inode;
struct model_handle;
struct model_process;

struct model_disk {
    struct model_record *records; /* all since the disk was made or model_disk_forget() */
    size_t records_count;

    /* The fault: the n-th operation of that kind from now on fails with the error, once; or, as if
     * the process were killed there, it and all operations after it. Set by model_disk_fail(). */
    enum model_op fail_op;
    uint64_t fail_at; /* counts down; 0: no fault */
    int fail_error;
    bool is_kill;
    bool is_dead; /* nothing works any more, until model_disk_lose_power() or …_end_process() */

    /* Set by a test: while it looks or prepares: no records, no faults; for a run that nobody will
     * ask what it did: no records; a kind of operation that returns success and does nothing; a
     * file that was to be written has zeros; when everything came to be. */
    bool is_quiet;
    bool keeps_no_records;
    enum model_op ignored;
    uint64_t made_ns;

    struct model_inode *inodes;
    size_t inodes_count;
    struct model_handle *handles;
    size_t handles_count;
    struct model_process *processes;
};

struct model_disk *model_disk_make(void);
void model_disk_free(struct model_disk *disk);

/* Uses the disk as a repository, with all features but descriptors. Ends with the disk, or by
 * repository_close() of its root. */
void model_disk_attach(struct model_disk *disk, struct pst_repository *repository);

/* Arms the fault: n >= 1. error: negative. */
void model_disk_fail(struct model_disk *disk, enum model_op op, uint64_t n, int error);
void model_disk_kill(struct model_disk *disk, uint64_t n);

/* What was synced stays; of each change of a directory that was not, and of the contents of each
 * file, the seed chooses: done, not done, or for contents torn. All handles and locks are gone:
 * attach again. */
void model_disk_lose_power(struct model_disk *disk, uint64_t seed);

/* The same by the number of a choice, from 0: returns how many choices there are; each leaves
 * another part of what was not synced, and together they are all (of a torn file: one half). */
uint64_t model_disk_lose_power_by(struct model_disk *disk, uint64_t choice);

/* The process that uses the disk as this repository was killed: its handles and locks are gone, all
 * that is seen stays. Attach again. */
void model_disk_end_process(struct pst_repository *repository);

/* As fsync of a file does. */
PST_MUST_USE int model_disk_sync_file(struct pst_repository *repository, int directory,
                                      const char *name);

/* Whether what a path leads to is as it is seen after any loss of power. false: it may be lost or
 * another. */
bool model_disk_is_durable(const struct model_disk *disk, const char *path);

/* Makes all that is seen synced: the state from which a test starts. */
void model_disk_sync_all(struct model_disk *disk);

/* Forgets the records. */
void model_disk_forget(struct model_disk *disk);

/* The index of the first record from `from` on of that operation on that path; SIZE_MAX: none. */
size_t model_disk_find(const struct model_disk *disk, size_t from, enum model_op op,
                       const char *path);

/* Puts what is no file and no directory there, like a symlink. */
void model_disk_put_other(struct model_disk *disk, const char *name);

#endif
