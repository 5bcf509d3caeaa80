/* Compares a decoded backup with what it was made from; the test's main thread calls it. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/decoded.h"

#define WRONG(...) (printf("    compare: " __VA_ARGS__), printf("\n"), false)

const struct decoded_object *decoded_find(const struct decoded *decoded, uint32_t source,
                                          const char *path)
{
    for (size_t i = 0; i < decoded->objects_count; i++) {
        const struct pst_object *object = &decoded->objects[i].object;
        if (pst_object_source(object->id) == source && strcmp(object->path, path) == 0)
            return &decoded->objects[i];
    }
    return NULL;
}

static size_t first_piece(const struct decoded *decoded, uint64_t object)
{
    size_t low = 0, high = decoded->pieces_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (decoded->pieces[middle].piece.object < object)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t decoded_parts_of(const struct decoded *decoded, uint64_t object)
{
    uint64_t seen[PST_LDMS_MAX / 64 + 1] = {0};
    uint32_t count = 0;
    for (size_t i = first_piece(decoded, object);
         i < decoded->pieces_count && decoded->pieces[i].piece.object == object; i++) {
        uint32_t part = decoded->pieces[i].part;
        count += !(seen[part / 64] >> part % 64 & 1);
        seen[part / 64] |= UINT64_C(1) << part % 64;
    }
    return count;
}

static bool is_zero(const uint8_t *data, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        if (data[i] != 0)
            return false;
    }
    return true;
}

/* The pieces of an object are the bytes; where there are none, the bytes are zero. */
static bool same_bytes(const struct decoded *decoded, uint64_t object, const uint8_t *data,
                       uint64_t bytes)
{
    uint64_t at = 0;
    for (size_t i = first_piece(decoded, object);
         i < decoded->pieces_count && decoded->pieces[i].piece.object == object; i++) {
        const struct pst_chunk_piece *piece = &decoded->pieces[i].piece;
        if (piece->object_offset + piece->bytes > bytes ||
            !is_zero(data, at, piece->object_offset) ||
            memcmp(decoded->pieces[i].data, data + piece->object_offset, piece->bytes) != 0)
            return false;
        at = piece->object_offset + piece->bytes;
    }
    return is_zero(data, at, bytes);
}

static bool same_file(const struct decoded *decoded, uint64_t object, const char *path,
                      const struct stat *status)
{
    if (status->st_size == 0)
        return same_bytes(decoded, object, NULL, 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *data = mmap(NULL, (size_t)status->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    bool same = data != MAP_FAILED && same_bytes(decoded, object, data, (uint64_t)status->st_size);
    munmap(data, (size_t)status->st_size);
    return same;
}

static bool same_metadata(const struct pst_object *object, const struct stat *status)
{
    return object->mode == (status->st_mode & 07777) && object->uid == status->st_uid &&
           object->gid == status->st_gid && object->mtime_sec == status->st_mtim.tv_sec &&
           object->mtime_nsec == (uint32_t)status->st_mtim.tv_nsec;
}

static struct {
    const struct decoded *decoded;
    const char *root;
    uint32_t source;
    size_t seen;
} walk;

static const struct pst_object *by_object_id(const struct decoded *decoded, uint64_t id)
{
    for (size_t i = 0; i < decoded->objects_count; i++) {
        if (decoded->objects[i].object.id == id)
            return &decoded->objects[i].object;
    }
    return NULL;
}

static bool same_object(const struct pst_object *object, const char *path,
                        const struct stat *status)
{
    char target[4096] = "";
    switch (object->type) {
    case PST_OBJECT_DIRECTORY:
        return S_ISDIR(status->st_mode);
    case PST_OBJECT_SYMLINK:
        return S_ISLNK(status->st_mode) && readlink(path, target, sizeof(target) - 1) > 0 &&
               strcmp(target, object->link) == 0;
    case PST_OBJECT_HARD_LINK: {
        const struct pst_object *first = by_object_id(walk.decoded, object->linked_object);
        struct stat other;
        char other_path[8192];
        snprintf(other_path, sizeof(other_path), "%s/%s", walk.root, first ? first->path : "");
        return first && stat(other_path, &other) == 0 && other.st_ino == status->st_ino;
    }
    default:
        return object->type == PST_OBJECT_FILE && S_ISREG(status->st_mode) &&
               object->size == (uint64_t)status->st_size &&
               same_file(walk.decoded, object->id, path, status);
    }
}

static int compare_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)type;
    (void)place;
    const char *relative = path + strlen(walk.root);
    relative += *relative == '/';
    const struct decoded_object *object = decoded_find(walk.decoded, walk.source, relative);
    walk.seen++;
    if (!object)
        return WRONG("%s is not in the backup", path) ? 0 : 1;
    if (!same_object(&object->object, path, status) || !same_metadata(&object->object, status))
        return WRONG("%s differs", path) ? 0 : 1;
    return 0;
}

bool decoded_is_tree(const struct decoded *decoded, uint32_t source, const char *root)
{
    walk.decoded = decoded;
    walk.root = root;
    walk.source = source;
    walk.seen = 0;
    if (nftw(root, compare_one, 16, FTW_PHYS) != 0)
        return false;
    size_t there = 0;
    for (size_t i = 0; i < decoded->objects_count; i++)
        there += pst_object_source(decoded->objects[i].object.id) == source;
    return there == walk.seen || WRONG("%zu objects of %zu", there, walk.seen);
}

struct rows_check {
    struct pst_fragment_sink sink; /* first */
    const struct decoded *decoded;
    struct pst_source *source;
    struct pst_fragment_descriptor *slot;
    bool same;
    uint64_t bytes;
};

static int rows_acquire(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **slot)
{
    *slot = ((struct rows_check *)sink)->slot;
    return 0;
}

/* Whether the pieces of one object from offset on begin with these bytes. */
static bool has_bytes(const struct decoded *decoded, uint64_t object, uint64_t offset,
                      const uint8_t *data, uint64_t bytes)
{
    uint64_t end = offset + bytes;
    for (size_t i = first_piece(decoded, object);
         i < decoded->pieces_count && decoded->pieces[i].piece.object == object; i++) {
        const struct pst_chunk_piece *piece = &decoded->pieces[i].piece;
        uint64_t piece_end = piece->object_offset + piece->bytes;
        if (piece_end <= offset || piece->object_offset >= end)
            continue;
        if (piece->object_offset > offset)
            return false;
        uint64_t last = piece_end < end ? piece_end : end;
        if (memcmp(decoded->pieces[i].data + (offset - piece->object_offset),
                   data + bytes - (end - offset), last - offset) != 0)
            return false;
        offset = last;
    }
    return offset == end;
}

static int rows_emit(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot)
{
    static uint8_t buffer[300000];
    struct rows_check *check = (struct rows_check *)sink;
    struct pst_row_cursor cursor = {{0}};
    uint64_t done = 0;
    if (slot->kind != PST_FRAGMENT_ROWS)
        return 0;
    for (;;) {
        size_t bytes = 0;
        if (pst_source_produce(check->source, slot, done, &cursor, buffer, sizeof(buffer), &bytes) <
            0)
            check->same = false;
        if (bytes == 0)
            break;
        check->same &= has_bytes(check->decoded, slot->files[0].object,
                                 slot->extents[0].offset + done, buffer, bytes);
        done += bytes;
    }
    check->bytes += done;
    return 0;
}

bool decoded_is_rows(const struct decoded *decoded, struct pst_source *source)
{
    struct rows_check check = {.sink = {.acquire = rows_acquire, .emit = rows_emit},
                               .decoded = decoded,
                               .source = source,
                               .slot = aligned_alloc(64, PST_FRAGMENT_SLOT_BYTES),
                               .same = true};
    struct pst_source_listing listing;
    uint64_t there = 0;
    if (pst_source_freeze(source, UINT64_MAX) < 0 || pst_source_snapshot(source, 1) < 0 ||
        pst_source_list(source, &check.sink, &listing) < 0)
        check.same = WRONG("the source does not list");
    pst_source_release(source);
    free(check.slot);
    for (size_t i = 0; i < decoded->pieces_count; i++) {
        if (pst_object_source(decoded->pieces[i].piece.object) == source->instance)
            there += decoded->pieces[i].piece.bytes;
    }
    if (there != check.bytes)
        return WRONG("%llu bytes of rows, not %llu", (unsigned long long)there,
                     (unsigned long long)check.bytes);
    return check.same || WRONG("rows differ");
}
