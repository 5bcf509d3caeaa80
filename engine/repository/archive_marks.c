/* Marks of the nodes at work in a directory that they share. The archive's thread, by archive.c and
 * archive_sweep.c; prune asks for marks too. */
#include "engine/repository/archive_marks.h"

#include <errno.h>
#include <string.h>

#include "engine/base/fault_point.h"
#include "engine/base/log.h"
#include "engine/format/digest.h"
#include "engine/repository/layout.h"

#define UID_TEXT_BYTES (2 * PST_UID_BYTES + 1)

static int write_mark(const struct pst_archive *archive, int directory, uint32_t number,
                      const uint8_t *uid)
{
    char text[UID_TEXT_BYTES];
    pst_hex_encode(uid, PST_UID_BYTES, text);
    return repository_overwrite(archive->repository, directory,
                                layout_mark(number, archive->config->node).text, text,
                                UID_TEXT_BYTES - 1);
}

/* 1, 0 or an error. A mark that goes meanwhile is none. */
static int has_mark_of(struct pst_repository *repository, int directory, const char *name,
                       const uint8_t *uid)
{
    char text[UID_TEXT_BYTES], found[UID_TEXT_BYTES];
    pst_hex_encode(uid, PST_UID_BYTES, text);
    int bytes = repository_read_head(repository, directory, name, found, sizeof(found));
    if (bytes < 0)
        return bytes == -ENOENT ? 0 : bytes;
    return bytes == UID_TEXT_BYTES - 1 && memcmp(found, text, (size_t)bytes) == 0;
}

/* Of any uid, if it is NULL. */
static int is_marked(struct pst_repository *repository, int directory, uint32_t number,
                     const uint8_t *uid)
{
    struct pst_repository_names names;
    uint32_t node;
    int found = repository_list(repository, directory, &names);
    if (found)
        return found;
    for (const char *name = repository_names_next(&names, NULL); name && !found;
         name = repository_names_next(&names, name)) {
        if (layout_parse_mark(name, number, &node))
            found = uid ? has_mark_of(repository, directory, name, uid) : 1;
    }
    repository_names_free(&names);
    return found;
}

int archive_is_marked(struct pst_repository *repository, int directory, uint32_t number)
{
    return is_marked(repository, directory, number, NULL);
}

int archive_is_others(const struct pst_archive *archive, int directory, uint32_t number)
{
    struct layout_name own = layout_mark(number, archive->config->node);
    int has = repository_has(archive->repository, directory, own.text);
    if (has)
        return has < 0 ? has : 0;
    return is_marked(archive->repository, directory, number, NULL);
}

/* Every node that writes here must see that the others do: else it would take none of their locks
 * for what it is, nor they its own. */
static int check_lock(const struct pst_archive *archive, uint32_t node)
{
    struct pst_repository *repository = archive->repository;
    struct layout_name name = layout_lock(node);
    int handle = repository_lock_file(repository, repository->root, name.text);
    if (handle < 0)
        return handle == -PST_E_BUSY ? 0 : handle;
    repository_close(repository, handle);
    pst_log(PST_LOG_ERROR,
            "%s: node %u is at work in this directory too, but its lock, %s, is not seen here: the "
            "file system keeps the locks of a host to that host; give each node a directory of "
            "its own",
            repository->path, node, name.text);
    return -ENOLCK;
}

/* Of all nodes that have joined the backup. */
static int check_locks(const struct pst_archive *archive, int directory, uint32_t number)
{
    struct pst_repository *repository = archive->repository;
    struct pst_repository_names names;
    uint32_t node;
    int error = repository_list(repository, directory, &names);
    if (error)
        return error;
    for (const char *name = repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name)) {
        if (layout_parse_mark(name, number, &node) && node != archive->config->node)
            error = check_lock(archive, node);
    }
    repository_names_free(&names);
    return error;
}

static int add_mark(const struct pst_archive *archive, int directory,
                    const struct pst_define_backup_req *define)
{
    int error = check_locks(archive, directory, define->number);
    return error ? error : write_mark(archive, directory, define->number, define->uid);
}

/* Another node was first: of the same backup? */
static int join(const struct pst_archive *archive, const struct pst_define_backup_req *define)
{
    struct pst_repository *repository = archive->repository;
    int directory = repository_open_backup(repository, define->number);
    if (directory < 0)
        return directory;
    int found = is_marked(repository, directory, define->number, define->uid);
    int error = found < 0 ? found : -EEXIST;
    if (found > 0)
        error = add_mark(archive, directory, define);
    repository_close(repository, directory);
    return error;
}

static void remove_unmarked(const struct pst_archive *archive, const char *name, uint32_t number)
{
    struct pst_repository *repository = archive->repository;
    int directory = repository_open(repository, repository->root, name);
    if (directory >= 0) {
        (void)repository_remove(repository, directory,
                                layout_mark(number, archive->config->node).text);
        repository_close(repository, directory);
    }
    (void)repository_remove_directory(repository, repository->root, name);
}

void archive_sweep_unmarked(const struct pst_archive *archive, const char *name)
{
    uint32_t number, node;
    if (layout_parse_unmarked(name, &number, &node) && node == archive->config->node)
        remove_unmarked(archive, name, number);
}

/* The directory gets its name with the mark inside: another node that finds it sees which backup it
 * is of. */
int archive_make_shared(const struct pst_archive *archive,
                        const struct pst_define_backup_req *define)
{
    struct pst_repository *repository = archive->repository;
    uint32_t number = define->number;
    struct layout_name name = layout_unmarked(number, archive->config->node);
    remove_unmarked(archive, name.text, number); /* of a killed process */
    int error = repository_make_directory(repository, repository->root, name.text);
    if (error)
        return error;
    PST_FAULT_POINT("after", "DIRECTORY_MADE");
    int directory = repository_open(repository, repository->root, name.text);
    error = directory < 0 ? directory : write_mark(archive, directory, number, define->uid);
    if (directory >= 0)
        repository_close(repository, directory);
    PST_FAULT_POINT("after", "DIRECTORY_MARKED");
    if (!error)
        error = repository_rename_durably(repository, repository->root, name.text,
                                          layout_backup(number).text, true);
    PST_FAULT_POINT("after", "DIRECTORY_NAMED");
    if (error)
        remove_unmarked(archive, name.text, number);
    return error == -EEXIST || error == -ENOTEMPTY ? join(archive, define) : error;
}
