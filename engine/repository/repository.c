/* What every storage needs made of its operations: files that are whole and durable, lists of
 * names, the directory of a backup. The archive thread of a node, and whatever thread reads or
 * prunes. */
#include "engine/repository/repository.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fault_point.h"
#include "engine/repository/layout.h"

int repository_open_backup(struct pst_repository *repository, uint32_t number)
{
    return repository_open(repository, repository->root, layout_backup(number).text);
}

int repository_has(struct pst_repository *repository, int directory, const char *name)
{
    struct pst_repository_status status;
    int error = repository_status(repository, directory, name, &status);
    return error == -ENOENT ? 0 : error ? error : 1;
}

static int read_back(struct pst_repository *repository, int directory, const char *name,
                     const void *data, size_t bytes)
{
    char *stored;
    size_t size;
    PST_FAULT_POINT("before", "MANIFEST_READ_BACK");
    int error = repository_read_stored(repository, directory, name, bytes, &stored, &size);
    if (error && error != -EFBIG)
        return error;
    bool is_as_written = !error && size == bytes && memcmp(stored, data, bytes) == 0;
    if (!error)
        free(stored);
    if (is_as_written)
        return 0;
    repository->failed_step = "read back";
    return -PST_E_READ_BACK;
}

int repository_write_durably(struct pst_repository *repository, int directory, const char *name,
                             const char *temporary, const void *data, size_t bytes, bool reads_back)
{
    struct layout_name own = layout_temporary(name);
    temporary = temporary ? temporary : own.text;
    (void)repository_remove(repository, directory, temporary); /* left by a crash */
    int error = repository_create(repository, directory, temporary, data, bytes);
    PST_FAULT_POINT("after", "FILE_WRITTEN");
    if (error)
        return error;
    if (reads_back)
        error = read_back(repository, directory, temporary, data, bytes);
    if (!error)
        error = repository_rename(repository, directory, temporary, name, false);
    if (error) {
        (void)repository_remove(repository, directory, temporary);
        return error;
    }
    PST_FAULT_POINT("after", "FILE_RENAMED");
    error = repository_sync(repository, directory);
    if (error)
        (void)repository_remove(repository, directory, name);
    PST_FAULT_POINT("after", "FILE_DURABLE");
    return error;
}

int repository_make_directory_durably(struct pst_repository *repository, int directory,
                                      const char *name)
{
    int error = repository_make_directory(repository, directory, name);
    if (error)
        return error;
    error = repository_sync(repository, directory);
    if (error)
        (void)repository_remove_directory(repository, directory, name);
    return error;
}

int repository_rename_durably(struct pst_repository *repository, int directory, const char *from,
                              const char *to, bool replace)
{
    int error = repository_rename(repository, directory, from, to, replace);
    return error ? error : repository_sync(repository, directory);
}

int repository_names_add(struct pst_repository_names *names, const char *name)
{
    size_t bytes = strlen(name) + 1;
    if (names->used + bytes > names->room) {
        size_t room = 2 * names->room + bytes + 256;
        char *larger = realloc(names->bytes, room);
        if (!larger)
            return -ENOMEM;
        names->bytes = larger;
        names->room = room;
    }
    memcpy(names->bytes + names->used, name, bytes);
    names->used += bytes;
    return 0;
}

const char *repository_names_next(const struct pst_repository_names *names, const char *name)
{
    size_t offset = name ? (size_t)(name - names->bytes) + strlen(name) + 1 : 0;
    return offset < names->used ? names->bytes + offset : NULL;
}

void repository_names_free(struct pst_repository_names *names)
{
    free(names->bytes);
    *names = (struct pst_repository_names){0};
}

struct pst_repository_path pst_repository_part_path(uint32_t number, uint32_t node, uint32_t part,
                                                    uint32_t parts)
{
    struct pst_repository_path path;
    snprintf(path.text, sizeof(path.text), "%s/%s", layout_backup(number).text,
             layout_part(number, node, part, parts).text);
    return path;
}

struct pst_repository_path pst_repository_backup_name(uint32_t number)
{
    struct pst_repository_path path;
    snprintf(path.text, sizeof(path.text), "%s", layout_backup(number).text);
    return path;
}

struct pst_repository_path pst_repository_cluster_name(uint32_t number)
{
    struct pst_repository_path path;
    snprintf(path.text, sizeof(path.text), "%s", layout_cluster_manifest(number).text);
    return path;
}
