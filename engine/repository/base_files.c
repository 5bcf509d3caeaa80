/* The table of a base's files. Filled by base_load.c on the archive's thread; looked at by sources'
 * threads and LDMs, by way of base.c. */
#include "engine/repository/base_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_UNUSABLE = 1,
    FILE_HAS_LENGTH = 2, /* bytes are known from the catalogue */
    FILE_HAS_PIECES = 4,
    FILE_HAS_REFERENCE = 8,
    FILE_HAS_RUNS = 16, /* it is referred to in runs */
};

struct pst_digest base_files_key(const struct base_files *files, const char *source,
                                 const struct pst_object *object,
                                 const struct pst_object_identity *identity)
{
    struct {
        uint64_t size, device, inode;
        int64_t mtime_sec, ctime_sec;
        uint32_t mtime_nsec, ctime_nsec;
        char names[PST_SOURCE_NAME_MAX + PST_PATH_BYTES_MAX];
    } hashed = {
        .size = object->size,
        .device = identity->device,
        .inode = identity->inode,
        .mtime_sec = object->mtime_sec,
        .ctime_sec = identity->ctime_sec,
        .mtime_nsec = object->mtime_nsec,
        .ctime_nsec = identity->ctime_nsec,
    };
    size_t source_bytes = strlen(source) + 1, path_bytes = strlen(object->path) + 1;
    memcpy(hashed.names, source, source_bytes);
    memcpy(hashed.names + source_bytes, object->path, path_bytes);
    size_t names = (size_t)(hashed.names - (char *)&hashed);
    return pst_digest_of(&hashed, names + source_bytes + path_bytes, files->seed);
}

static int make_room(struct base_files *files)
{
    if (files->count < files->room)
        return 0;
    size_t room = files->room ? 2 * files->room : 1024;
    struct base_file *larger = realloc(files->files, room * sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    files->files = larger;
    files->room = room;
    return 0;
}

int base_files_add(struct base_files *files, const struct pst_digest *key,
                   const struct pst_object *object, bool is_usable)
{
    int error = make_room(files);
    if (error)
        return error;
    struct base_file *file = &files->files[files->count++];
    *file = (struct base_file){
        .key = *key, .object = object->id, .state = is_usable ? 0 : FILE_UNUSABLE};
    if (pst_object_data_bytes(object, &file->bytes))
        file->state |= FILE_HAS_LENGTH;
    return 0;
}

static int by_object(const void *a, const void *b)
{
    uint64_t left = ((const struct base_file *)a)->object;
    uint64_t right = ((const struct base_file *)b)->object;
    return (left > right) - (left < right);
}

void base_files_sort(struct base_files *files)
{
    size_t count = 0;
    if (files->count > 0)
        qsort(files->files, files->count, sizeof(*files->files), by_object);
    for (size_t i = 0; i < files->count; i++) {
        const struct base_file *file = &files->files[i];
        if (count > 0 && files->files[count - 1].object == file->object)
            files->files[count - 1].state |= file->state;
        else
            files->files[count++] = *file;
    }
    files->count = count;
}

static struct base_file *find_object(const struct base_files *files, uint64_t object)
{
    const struct base_file wanted = {.object = object};
    if (files->count == 0)
        return NULL;
    return bsearch(&wanted, files->files, files->count, sizeof(wanted), by_object);
}

void base_files_add_sum(struct base_files *files, const struct pst_object_sum *sum)
{
    struct base_file *file = find_object(files, sum->object);
    if (!file)
        return;
    file->state |= FILE_HAS_PIECES;
    file->origin_object += sum->bytes;
    file->sum[0] += sum->sum[0];
    file->sum[1] += sum->sum[1];
}

void base_files_add_reference(struct base_files *files, const struct pst_reference *reference,
                              uint16_t origin)
{
    struct base_file *file = find_object(files, reference->object);
    if (!file)
        return;
    bool has_length = file->state & FILE_HAS_LENGTH;
    if (origin != UINT16_MAX && reference->hash_kind == PST_HASH_SHA_256) {
        file->state |= FILE_HAS_RUNS;
        return;
    }
    if (origin == UINT16_MAX || reference->hash_kind != PST_HASH_OBJECT ||
        (file->state & (FILE_HAS_PIECES | FILE_HAS_REFERENCE)) != 0 ||
        (has_length && file->bytes != reference->bytes)) {
        file->state |= FILE_UNUSABLE;
        return;
    }
    file->state |= FILE_HAS_REFERENCE;
    file->origin = origin;
    file->origin_object = reference->origin_object;
    file->bytes = reference->bytes;
    memcpy(file->sum, reference->hash, sizeof(file->sum));
}

/* Whether the runs are all of it: those that lie in the base, of the bytes that it has there, and
 * those that it refers to. */
static bool settle_runs(struct base_file *file, const struct base_runs *runs)
{
    uint64_t own, referred;
    base_runs_count(runs, file->object, &own, &referred);
    if ((file->state & FILE_HAS_REFERENCE) != 0 || own != file->origin_object ||
        ((file->state & FILE_HAS_LENGTH) != 0 && own + referred != file->bytes))
        return false;
    file->bytes = own + referred;
    return true;
}

/* Whether it lies in runs of the base alone. Then it is referred to by these: the next backup finds
 * those that stay when the file changes, which no sum of the whole would tell. */
static bool is_in_runs(const struct base_file *file, const struct base_runs *runs)
{
    uint64_t own, referred;
    if (!runs || file->bytes < PST_CHUNK_BYTES_MIN)
        return false;
    base_runs_count(runs, file->object, &own, &referred);
    return own == file->bytes && referred == 0;
}

/* Whether its bytes all are where the table says; of one with pieces, that is the base. */
static bool settle_file(struct base_file *file, const struct base_runs *runs)
{
    uint8_t both = FILE_HAS_PIECES | FILE_HAS_REFERENCE;
    if ((file->state & FILE_UNUSABLE) != 0 || (file->state & both) == both)
        return false;
    if (file->state & FILE_HAS_RUNS)
        return runs && settle_runs(file, runs);
    if (file->state & FILE_HAS_REFERENCE)
        return true;
    uint64_t bytes = file->origin_object;
    if (bytes == 0 || ((file->state & FILE_HAS_LENGTH) != 0 && bytes != file->bytes))
        return false;
    file->bytes = bytes;
    file->origin_object = file->object;
    file->state |= is_in_runs(file, runs) ? FILE_HAS_RUNS : 0;
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct base_file *left = a, *right = b;
    return memcmp(left->key.bytes, right->key.bytes, sizeof(left->key.bytes));
}

bool base_file_has_runs(const struct base_file *file)
{
    return (file->state & FILE_HAS_RUNS) != 0;
}

void base_files_settle(struct base_files *files, const struct base_runs *runs)
{
    size_t count = 0;
    for (size_t i = 0; i < files->count; i++) {
        if (settle_file(&files->files[i], runs))
            files->files[count++] = files->files[i];
    }
    files->count = count;
    if (count > 0)
        qsort(files->files, count, sizeof(*files->files), by_key);
}

int base_files_join(struct base_files *files, struct base_files *more, uint64_t layer, uint16_t own)
{
    size_t count = files->count + more->count;
    struct base_file *all = realloc(files->files, (count + 1) * sizeof(*all));
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < more->count; i++) {
        struct base_file *file = &all[files->count + i];
        *file = more->files[i];
        file->object |= layer;
        file->origin = file->origin == 0 ? own : (uint16_t)(file->origin - 1);
    }
    files->files = all;
    files->count = count;
    files->room = count + 1;
    base_files_free(more);
    if (count > 0)
        qsort(all, count, sizeof(*all), by_key);
    return 0;
}

const struct base_file *base_files_find(const struct base_files *files,
                                        const struct pst_digest *key)
{
    const struct base_file wanted = {.key = *key};
    if (files->count == 0)
        return NULL;
    return bsearch(&wanted, files->files, files->count, sizeof(wanted), by_key);
}

void base_files_free(struct base_files *files)
{
    free(files->files);
    *files = (struct base_files){0};
}
