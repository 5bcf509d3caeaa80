/*
 * The backup directory as storage: what engine/repository needs of whatever keeps backups. Behind
 * struct pst_repository_ops stand a directory of a file system (repository_posix.h) and, for tests,
 * a model disk (tests/support/model_disk.h); an object store fits too. Names and rules are not
 * here: layout.h and the rest of the room have them.
 *
 * A directory is used by its handle, from open to close, whatever happens to its name meanwhile.
 * A name is one component below a handle, a path may be several; both are relative, and nothing
 * ever follows a symlink. Operations return 0, or what is stated for them, or a negative error.
 * They block; one repository is used by one thread at a time. Pointers stay the caller's.
 */
#ifndef PST_ENGINE_REPOSITORY_REPOSITORY_H
#define PST_ENGINE_REPOSITORY_REPOSITORY_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/activity.h"
#include "penstock/error.h"

enum pst_repository_feature {
    PST_REPOSITORY_CAN_LOCK = 1,
    PST_REPOSITORY_CAN_SYNC = 2,         /* else all that is done is durable at once */
    PST_REPOSITORY_CAN_APPEND = 4,       /* a file may come to be piece by piece: a part */
    PST_REPOSITORY_HAS_DIRECTORIES = 8,  /* they exist by themselves, and can be renamed */
    PST_REPOSITORY_HAS_DESCRIPTORS = 16, /* handles are file descriptors, fit for io_uring */
};

enum pst_repository_kind {
    PST_REPOSITORY_FILE,
    PST_REPOSITORY_DIRECTORY,
    PST_REPOSITORY_OTHER, /* a symlink, a device, … */
};

struct pst_repository_status {
    enum pst_repository_kind kind;
    uint64_t bytes;
    /* Both alike: it is the same one, whatever its name is. */
    uint64_t device;
    uint64_t inode;
    uint64_t changed_ns; /* ctime, which no copy has */
    uint64_t made_ns;    /* when it came to be, which no copy has either; 0: nobody knows */
};

enum pst_repository_lock {
    PST_REPOSITORY_UNLOCKED,
    PST_REPOSITORY_SHARED,
    PST_REPOSITORY_EXCLUSIVE,
};

/* All names of a directory. Zeros are an empty list; repository_names_free() frees it. */
struct pst_repository_names {
    char *bytes; /* the names, each with its terminator */
    size_t used;
    size_t room;
};

struct pst_repository;

/* None is NULL; one that the storage cannot do returns -ENOTSUP. */
struct pst_repository_ops {
    /* A handle >= 0 of the directory `path`, "." being the directory itself (-ENOTDIR or -ELOOP: it
     * is something else); close ends it, and any lock that was taken on it. */
    int (*open)(struct pst_repository *repository, int directory, const char *path);
    void (*close)(struct pst_repository *repository, int directory);

    /* The names, without "." and "..", in no order. After an error there are none: part of
     * them is never taken for all. */
    int (*list)(struct pst_repository *repository, int directory,
                struct pst_repository_names *names);

    /* path NULL: of the directory itself. */
    int (*status)(struct pst_repository *repository, int directory, const char *path,
                  struct pst_repository_status *status);

    /* The first bytes of a file: how many there are, at most bytes_max. */
    int (*read_head)(struct pst_repository *repository, int directory, const char *name,
                     void *bytes, size_t bytes_max);
    /* A small file, whole: malloc'd. -EFBIG: it is longer than bytes_max; -EINVAL: no file. */
    int (*read)(struct pst_repository *repository, int directory, const char *name,
                size_t bytes_max, char **bytes, size_t *size);
    /* The same of a file whose contents are synced, from the storage itself, past any cache. */
    int (*read_stored)(struct pst_repository *repository, int directory, const char *name,
                       size_t bytes_max, char **bytes, size_t *size);

    /* A new file (-EEXIST), whose contents are synced; its name is not. After an error nothing of
     * it is left. */
    int (*create)(struct pst_repository *repository, int directory, const char *name,
                  const void *data, size_t bytes);
    /* A new file, or new contents of one; nothing is synced. */
    int (*overwrite)(struct pst_repository *repository, int directory, const char *name,
                     const void *data, size_t bytes);
    /* The end of a part that was cut off: at `offset` come these bytes, nothing is behind them, and
     * the contents are synced. The file is made where there is none. */
    int (*end_file)(struct pst_repository *repository, int directory, const char *name,
                    uint64_t offset, const void *data, size_t bytes);
    int (*make_directory)(struct pst_repository *repository, int directory, const char *name);

    /* In one step, inside one directory. -EEXIST: `to` is there; with replace that is replaced, but
     * a directory only by a directory, and only an empty one (-EEXIST, -ENOTEMPTY). */
    int (*rename)(struct pst_repository *repository, int directory, const char *from,
                  const char *to, bool replace);

    /* A file; an empty directory (-ENOTEMPTY, -EEXIST); anything, with all below it (0 where there
     * is nothing). */
    int (*remove)(struct pst_repository *repository, int directory, const char *name);
    int (*remove_directory)(struct pst_repository *repository, int directory, const char *name);
    int (*remove_tree)(struct pst_repository *repository, int directory, const char *name);

    /* Makes durable which names the directory has, and what they lead to. */
    int (*sync)(struct pst_repository *repository, int directory);

    /* Never waits: -PST_E_BUSY. Locks are of the handle. */
    int (*lock)(struct pst_repository *repository, int directory, enum pst_repository_lock how);
    /* Locks the file `name`, made where there is none, for one holder: a handle to close. The lock
     * is of the file that the name leads to, even when another process removes that name. */
    int (*lock_file)(struct pst_repository *repository, int directory, const char *name);
};

/* Owned by the caller. */
struct pst_repository {
    const struct pst_repository_ops *ops;
    unsigned features;       /* PST_REPOSITORY_… */
    int root;                /* handle of the backup directory */
    const char *path;        /* for messages; borrowed */
    const char *failed_step; /* of the operation that failed last: "mkdir", "fsync"; static text */
    void *context;           /* the implementation's */
};

/* What open came to, where it says that there is no directory of that name; any other error is of a
 * directory that may be there. */
static inline bool repository_is_no_directory(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -ELOOP;
}

/* ---- the operations as calls ---- */

static inline int repository_open(struct pst_repository *repository, int directory,
                                  const char *path)
{
    return PST_ACTIVITY_STEP("open", path, repository->ops->open(repository, directory, path));
}

static inline void repository_close(struct pst_repository *repository, int directory)
{
    repository->ops->close(repository, directory);
}

static inline int repository_list(struct pst_repository *repository, int directory,
                                  struct pst_repository_names *names)
{
    return PST_ACTIVITY_STEP("read the directory", repository->path,
                             repository->ops->list(repository, directory, names));
}

static inline int repository_status(struct pst_repository *repository, int directory,
                                    const char *path, struct pst_repository_status *status)
{
    return repository->ops->status(repository, directory, path, status);
}

static inline int repository_read_head(struct pst_repository *repository, int directory,
                                       const char *name, void *bytes, size_t bytes_max)
{
    return PST_ACTIVITY_STEP(
        "read", name, repository->ops->read_head(repository, directory, name, bytes, bytes_max));
}

static inline int repository_read(struct pst_repository *repository, int directory,
                                  const char *name, size_t bytes_max, char **bytes, size_t *size)
{
    return PST_ACTIVITY_STEP(
        "read", name, repository->ops->read(repository, directory, name, bytes_max, bytes, size));
}

static inline int repository_read_stored(struct pst_repository *repository, int directory,
                                         const char *name, size_t bytes_max, char **bytes,
                                         size_t *size)
{
    return PST_ACTIVITY_STEP(
        "read back", name,
        repository->ops->read_stored(repository, directory, name, bytes_max, bytes, size));
}

static inline int repository_create(struct pst_repository *repository, int directory,
                                    const char *name, const void *data, size_t bytes)
{
    return PST_ACTIVITY_STEP("write", name,
                             repository->ops->create(repository, directory, name, data, bytes));
}

static inline int repository_overwrite(struct pst_repository *repository, int directory,
                                       const char *name, const void *data, size_t bytes)
{
    return PST_ACTIVITY_STEP("write", name,
                             repository->ops->overwrite(repository, directory, name, data, bytes));
}

static inline int repository_end_file(struct pst_repository *repository, int directory,
                                      const char *name, uint64_t offset, const void *data,
                                      size_t bytes)
{
    return PST_ACTIVITY_STEP(
        "end", name, repository->ops->end_file(repository, directory, name, offset, data, bytes));
}

static inline int repository_make_directory(struct pst_repository *repository, int directory,
                                            const char *name)
{
    return PST_ACTIVITY_STEP("make the directory", name,
                             repository->ops->make_directory(repository, directory, name));
}

static inline int repository_rename(struct pst_repository *repository, int directory,
                                    const char *from, const char *to, bool replace)
{
    return PST_ACTIVITY_STEP("rename", from,
                             repository->ops->rename(repository, directory, from, to, replace));
}

static inline int repository_remove(struct pst_repository *repository, int directory,
                                    const char *name)
{
    return PST_ACTIVITY_STEP("remove", name, repository->ops->remove(repository, directory, name));
}

static inline int repository_remove_directory(struct pst_repository *repository, int directory,
                                              const char *name)
{
    return PST_ACTIVITY_STEP("remove the directory", name,
                             repository->ops->remove_directory(repository, directory, name));
}

static inline int repository_remove_tree(struct pst_repository *repository, int directory,
                                         const char *name)
{
    return PST_ACTIVITY_STEP("remove", name,
                             repository->ops->remove_tree(repository, directory, name));
}

static inline int repository_sync(struct pst_repository *repository, int directory)
{
    return PST_ACTIVITY_STEP("sync a directory of", repository->path,
                             repository->ops->sync(repository, directory));
}

static inline int repository_lock(struct pst_repository *repository, int directory,
                                  enum pst_repository_lock how)
{
    return repository->ops->lock(repository, directory, how);
}

static inline int repository_lock_file(struct pst_repository *repository, int directory,
                                       const char *name)
{
    return PST_ACTIVITY_STEP("lock", name, repository->ops->lock_file(repository, directory, name));
}

/* ---- what is made of them (repository.c) ---- */

/* Opens the directory of a backup: a handle, or an error. */
PST_MUST_USE int repository_open_backup(struct pst_repository *repository, uint32_t number);

/* 1: there is such a name; 0: there is none; or an error. */
PST_MUST_USE int repository_has(struct pst_repository *repository, int directory, const char *name);

/* Writes a file that is there, whole and durable, after a return of 0, and of which nothing is left
 * after an error. temporary: its name until it is whole; NULL: ".NAME.tmp", where no other
 * process writes a file of that name. reads_back: it has its name only when the storage was found
 * to hold what was written (-PST_E_READ_BACK). -EEXIST: there is one, which stays. */
PST_MUST_USE int repository_write_durably(struct pst_repository *repository, int directory,
                                          const char *name, const char *temporary, const void *data,
                                          size_t bytes, bool reads_back);

/* Makes a directory whose name is durable; after an error nothing is left. */
PST_MUST_USE int repository_make_directory_durably(struct pst_repository *repository, int directory,
                                                   const char *name);

/* Renames and syncs the directory. After an error of the sync the new name stays. */
PST_MUST_USE int repository_rename_durably(struct pst_repository *repository, int directory,
                                           const char *from, const char *to, bool replace);

/* Adds a name, for implementations: 0 or -ENOMEM. The first one, or the one after `name`; NULL:
 * that was the last. */
PST_MUST_USE int repository_names_add(struct pst_repository_names *names, const char *name);
const char *repository_names_next(const struct pst_repository_names *names, const char *name);
void repository_names_free(struct pst_repository_names *names);

/* ---- names that others may know: to open a part by io_uring, and for messages ---- */

struct pst_repository_path {
    char text[256];
};

/* The part of a node and LDM, below the backup directory. Pure, any thread. */
struct pst_repository_path pst_repository_part_path(uint32_t number, uint32_t node, uint32_t part,
                                                    uint32_t parts);

/* The directory of a backup. Pure, any thread. */
struct pst_repository_path pst_repository_backup_name(uint32_t number);

/* The file of a cluster manifest, without its directory. Pure, any thread. */
struct pst_repository_path pst_repository_cluster_name(uint32_t number);

#endif
