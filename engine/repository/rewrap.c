/* Rewrites the files of keys of a backup, one after the other. `penstock key`'s thread. */
#include "engine/repository/rewrap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/repository/layout.h"

/* The file of one node in one directory, which is open. */
struct node_place {
    const struct pst_backup *backup;
    struct pst_repository *repository;
    int handle;
    uint32_t node_index;
    char *message;
};

static uint32_t node_of(const struct node_place *place)
{
    return place->backup->cluster.nodes[place->node_index].node;
}

static struct layout_name name_of(const struct node_place *place, uint32_t copy)
{
    return layout_keys(place->backup->number, node_of(place), copy);
}

static int fail(const struct node_place *place, const char *what, int error)
{
    snprintf(place->message, PST_MESSAGE_BYTES, "%.200s/%s/%s: %s%s%s", place->repository->path,
             layout_backup(place->backup->stored_as).text, name_of(place, 0).text, what ? what : "",
             what ? ": " : "", pst_error_text(error));
    return error;
}

/* -ENOENT: it is not there. */
static int read_file(const struct node_place *place, uint32_t copy, struct pst_keys_file *file)
{
    const struct pst_manifest_common *common = &place->backup->cluster.common;
    const struct pst_part_identity identity =
        pst_keys_identity(common->uid, place->backup->number, common->cluster_id, node_of(place));
    struct pst_damage damage;
    char *bytes;
    size_t size;
    int error = repository_read(place->repository, place->handle, name_of(place, copy).text,
                                PST_KEYS_FILE_BYTES_MAX, &bytes, &size);
    if (error)
        return error;
    error = pst_keys_file_check(bytes, size, &identity, file, &damage);
    free(bytes);
    return error;
}

/* Of the key that opens the backup: another one's would be what somebody put in its place. */
static int read_own(const struct node_place *place, uint32_t copy, struct pst_keys_file *file)
{
    const struct pst_data_key *key = &place->backup->keys[place->node_index];
    int error = read_file(place, copy, file);
    if (!error && memcmp(file->head.data_key, key->id, sizeof(key->id)) != 0)
        error = -PST_E_MISPLACED;
    return error;
}

/* The first one, or else its copy: that is never the newer one (change_node). */
static int read_either(const struct node_place *place, struct pst_keys_file *file)
{
    struct pst_keys_file copy;
    int error = read_own(place, 0, file);
    int copy_error = read_own(place, 1, &copy);
    if (pst_is_own_error(error) || pst_is_own_error(copy_error))
        return pst_is_own_error(error) ? error : copy_error;
    if (error && !copy_error)
        *file = copy;
    return error && copy_error ? error : 0;
}

/* ---- changing ---- */

static int replace(const struct node_place *place, uint32_t copy, const struct pst_keys_file *file,
                   size_t bytes)
{
    const struct layout_name name = name_of(place, copy);
    const struct layout_name temporary = layout_temporary(name.text);
    int error = repository_remove(place->repository, place->handle, temporary.text);
    if (error && error != -ENOENT)
        return error;
    error = repository_create(place->repository, place->handle, temporary.text, file, bytes);
    if (!error)
        error = repository_rename_durably(place->repository, place->handle, temporary.text,
                                          name.text, true);
    return error;
}

static size_t change_file(const struct node_place *place, const struct pst_rewrap *change,
                          struct pst_keys_file *file)
{
    size_t bytes = 1;
    if (change->added)
        bytes = pst_keys_file_add(change->added, &place->backup->keys[place->node_index], file);
    if (bytes > 0 && change->removed)
        bytes = pst_keys_file_remove(change->removed, file);
    return bytes;
}

/* Whoever makes the change must be able to read the backup afterwards. */
static int check_opens(const struct node_place *place, const struct pst_keys_file *file)
{
    struct pst_data_key key;
    int error = pst_keys_file_open(file, place->backup->directories->keyring, &key);
    if (!error)
        pst_data_key_release(&key);
    return error;
}

static int refuse(const struct node_place *place, const struct pst_rewrap *change)
{
    snprintf(place->message, PST_MESSAGE_BYTES, "%.200s/%s/%s: %s", place->repository->path,
             layout_backup(place->backup->stored_as).text, name_of(place, 0).text,
             change->removed ? "no key would be left that opens it" : "it has 64 keys already");
    return change->removed ? -PST_E_NO_KEY : -E2BIG;
}

static int change_node(const struct node_place *place, const struct pst_rewrap *change)
{
    struct pst_keys_file file;
    int error = read_either(place, &file);
    if (error == -ENOENT) /* its files are in another directory */
        return 0;
    if (error)
        return fail(place, NULL, error);
    size_t bytes = change_file(place, change, &file);
    if (bytes == 0)
        return refuse(place, change);
    error = check_opens(place, &file);
    if (error)
        return fail(place, "what is left must be opened by a --key-file that is given", error);
    for (uint32_t copy = 0; !error && copy < LAYOUT_KEYS_COPIES; copy++)
        error = replace(place, copy, &file, bytes);
    return error ? fail(place, place->repository->failed_step, error) : 0;
}

/* Each node that has files in the i-th directory. */
static int change_in(const struct pst_backup *backup, uint32_t i, const struct pst_rewrap *change,
                     char *message)
{
    struct pst_repository *repository = &backup->directories->repositories[i];
    struct node_place place = {.backup = backup, .repository = repository, .message = message};
    place.handle = repository_open_backup(repository, backup->stored_as);
    int error = place.handle < 0
                    ? place.handle
                    : repository_lock(repository, place.handle, PST_REPOSITORY_EXCLUSIVE);
    if (error)
        snprintf(message, PST_MESSAGE_BYTES, "%.200s/%s: %s", repository->path,
                 layout_backup(backup->stored_as).text,
                 error == -PST_E_BUSY ? "it is being read or pruned" : pst_error_text(error));
    for (; !error && place.node_index < backup->cluster.nodes_count; place.node_index++) {
        if (backup->is_sealed[place.node_index])
            error = change_node(&place, change);
    }
    if (place.handle >= 0)
        repository_close(repository, place.handle);
    return error;
}

int pst_rewrap(const struct pst_backup *backup, const struct pst_rewrap *change, char *message)
{
    char text[PST_MESSAGE_BYTES];
    int error = 0;
    if (backup->is_shut || !backup->directories->keyring) {
        snprintf(message, PST_MESSAGE_BYTES, "backup %u: %.450s", backup->number,
                 pst_backup_shut_text(backup, text));
        return -PST_E_NO_KEY;
    }
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1))
        error = change_in(backup, i, change, message);
    return error;
}

/* ---- listing ---- */

static int list_in(const struct node_place *place,
                   void (*each)(void *context, uint32_t node, const struct pst_keys_record *record),
                   void *context)
{
    struct pst_keys_file file;
    for (uint32_t copy = 0; copy < LAYOUT_KEYS_COPIES; copy++) {
        int error = read_file(place, copy, &file);
        if (pst_is_own_error(error))
            return error;
        for (uint32_t i = 0; !error && i < file.head.records_count; i++)
            each(context, node_of(place), &file.records[i]);
    }
    return 0;
}

int pst_rewrap_list(const struct pst_backup *backup,
                    void (*each)(void *context, uint32_t node,
                                 const struct pst_keys_record *record),
                    void *context)
{
    int error = 0;
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1)) {
        struct node_place place = {.backup = backup,
                                   .repository = &backup->directories->repositories[i]};
        place.handle = repository_open_backup(place.repository, backup->stored_as);
        if (place.handle < 0)
            continue;
        for (; !error && place.node_index < backup->cluster.nodes_count; place.node_index++)
            error = list_in(&place, each, context);
        repository_close(place.repository, place.handle);
    }
    return error;
}

static bool has_files_in(const struct pst_backup *backup, uint32_t i)
{
    struct pst_repository *repository = &backup->directories->repositories[i];
    struct pst_repository_names names = {0};
    int handle = repository_open_backup(repository, backup->stored_as);
    if (handle < 0)
        return !repository_is_no_directory(handle);
    bool has = repository_list(repository, handle, &names) != 0;
    for (const char *name = has ? NULL : repository_names_next(&names, NULL); name && !has;
         name = repository_names_next(&names, name)) {
        uint32_t node;
        has = layout_parse_keys(name, backup->number, &node);
    }
    repository_names_free(&names);
    repository_close(repository, handle);
    return has;
}

bool pst_rewrap_has_files(const struct pst_backup *backup)
{
    bool has = false;
    for (uint32_t i = backup_next_in(backup, 0); !has && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1))
        has = has_files_in(backup, i);
    return has;
}
