/* Both storages behind the interface of the repository, for tests that are to hold over each. */
#include "tests/support/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/repository/layout.h"
#include "engine/repository/repository_posix.h"
#include "tests/support/scratch.h"

static void must(int error, const char *what)
{
    if (error >= 0)
        return;
    printf("%s: error %d\n", what, error);
    exit(1);
}

static void set_quiet(struct storage *storage, bool is_quiet)
{
    if (storage->disk)
        storage->disk->is_quiet = is_quiet;
}

static void ignore(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static bool is_on_model;

int storage_in_directory(void)
{
    is_on_model = false;
    pst_log_set_hook(ignore, NULL);
    return 0;
}

int storage_on_model(void)
{
    is_on_model = true;
    pst_log_set_hook(ignore, NULL);
    return 0;
}

void storage_open(struct storage *storage)
{
    *storage = (struct storage){0};
    if (is_on_model)
        storage->disk = model_disk_make();
    else
        memcpy(storage->path, make_fast_place().path, sizeof(storage->path));
    storage_attach(storage, &storage->repository);
}

void storage_close(struct storage *storage)
{
    if (storage->disk) {
        model_disk_free(storage->disk);
        return;
    }
    repository_close(&storage->repository, storage->repository.root);
    remove_tree(storage->path);
}

void storage_attach(const struct storage *storage, struct pst_repository *repository)
{
    if (storage->disk)
        model_disk_attach(storage->disk, repository);
    else
        must(repository_posix_open(repository, storage->path, NULL), storage->path);
}

const char *storage_inside(uint32_t number, const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", layout_backup(number).text, name);
    return path;
}

bool storage_has(struct storage *storage, const char *path)
{
    set_quiet(storage, true);
    int has = repository_has(&storage->repository, storage->repository.root, path);
    set_quiet(storage, false);
    return has > 0;
}

bool storage_is_empty(struct storage *storage)
{
    struct pst_repository_names names;
    set_quiet(storage, true);
    must(repository_list(&storage->repository, storage->repository.root, &names), "list");
    set_quiet(storage, false);
    bool is_empty = !repository_names_next(&names, NULL);
    repository_names_free(&names);
    return is_empty;
}

/* Opens the parent of a path: *name is the last component. */
static int open_parent(struct storage *storage, const char *path, const char **name)
{
    char parent[256];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    *name = slash ? slash + 1 : path;
    struct pst_repository *repository = &storage->repository;
    int handle = slash ? repository_open(repository, repository->root, parent) : repository->root;
    must(handle, parent);
    return handle;
}

static void close_parent(struct storage *storage, int handle)
{
    if (handle != storage->repository.root)
        repository_close(&storage->repository, handle);
}

void storage_make_directory(struct storage *storage, const char *path)
{
    const char *name;
    set_quiet(storage, true);
    int handle = open_parent(storage, path, &name);
    must(repository_make_directory(&storage->repository, handle, name), path);
    close_parent(storage, handle);
    set_quiet(storage, false);
}

void storage_put(struct storage *storage, const char *path, const void *bytes, size_t size)
{
    const char *name;
    set_quiet(storage, true);
    int handle = open_parent(storage, path, &name);
    (void)repository_remove(&storage->repository, handle, name);
    must(repository_create(&storage->repository, handle, name, bytes, size), path);
    close_parent(storage, handle);
    set_quiet(storage, false);
}

void storage_remove(struct storage *storage, const char *path)
{
    const char *name;
    set_quiet(storage, true);
    int handle = open_parent(storage, path, &name);
    must(repository_remove_tree(&storage->repository, handle, name), path);
    close_parent(storage, handle);
    set_quiet(storage, false);
}

void storage_put_link(struct storage *storage, const char *name)
{
    if (storage->disk)
        model_disk_put_other(storage->disk, name);
    else
        must(symlinkat(".", storage->repository.root, name), name);
}
