/* A sink that keeps all fragments, and checks of them; the test's main thread calls it. */
#include "tests/unit/source/source_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/source/registry/registry.h"

static char directory[SCRATCH_PATH_BYTES];

uint64_t in_patience(void)
{
    return pst_monotonic_ns() + UINT64_C(60000000000);
}

/* ---- sink ---- */

static int collect_acquire(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **slot)
{
    struct collected *collected = (struct collected *)sink;
    if (collected->has_slot) {
        *slot = collected->fragments[collected->count];
        return 0;
    }
    collected->has_slot = true;
    *slot = aligned_alloc(64, PST_FRAGMENT_SLOT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(*slot);
    memset(*slot, 0xa5, PST_FRAGMENT_SLOT_BYTES); /* a slot comes with what was in it */
    collected->fragments =
        realloc(collected->fragments, (collected->count + 1) * sizeof(*collected->fragments));
    CU_ASSERT_PTR_NOT_NULL_FATAL(collected->fragments);
    collected->fragments[collected->count] = *slot;
    return 0;
}

static int collect_emit(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot)
{
    struct collected *collected = (struct collected *)sink;
    CU_ASSERT_PTR_EQUAL(slot, collected->fragments[collected->count]);
    collected->has_slot = false;
    if (collected->count + 1 == collected->cancel_at) {
        free(slot);
        return -ECANCELED;
    }
    slot->number = ++collected->count;
    return 0;
}

void collected_init(struct collected *collected)
{
    *collected = (struct collected){.sink = {.acquire = collect_acquire, .emit = collect_emit}};
}

void collected_free(struct collected *collected)
{
    for (uint64_t i = 0; i < collected->count + collected->has_slot; i++)
        free(collected->fragments[i]);
    free(collected->fragments);
    collected_init(collected);
}

void collect(struct pst_source *source, struct collected *collected)
{
    collected_init(collected);
    ASSERT_OK(pst_source_prepare(source));
    ASSERT_OK(pst_source_freeze(source, UINT64_MAX));
    ASSERT_OK(pst_source_snapshot(source, 1));
    ASSERT_OK(pst_source_thaw(source));
    ASSERT_OK(pst_source_list(source, &collected->sink, &collected->listing));
}

/* ---- checks ---- */

static const struct pst_object *entry_of(const struct pst_object *entries, uint32_t count,
                                         uint64_t object)
{
    for (uint32_t i = 0; i < count; i++)
        if (entries[i].id == object)
            return &entries[i];
    return NULL;
}

static bool in_slot(const struct pst_fragment_descriptor *fragment, const char *path)
{
    const char *begin = (const char *)fragment;
    return path >= begin && path + strlen(path) < begin + PST_FRAGMENT_SLOT_BYTES;
}

static struct pst_object *decode_entries(const struct pst_fragment_descriptor *fragment)
{
    struct pst_object *entries = calloc(fragment->entries_count + 1, sizeof(*entries));
    CU_ASSERT_PTR_NOT_NULL_FATAL(entries);
    size_t offset = 0;
    for (uint32_t i = 0; i < fragment->entries_count; i++)
        ASSERT_OK(pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &entries[i]));
    CU_ASSERT_EQUAL(offset, fragment->entries_bytes);
    return entries;
}

static void check_files(const struct pst_fragment_descriptor *fragment,
                        const struct pst_object *entries)
{
    for (uint32_t i = 0; i < fragment->files_count; i++) {
        const struct pst_fragment_file *file = &fragment->files[i];
        const struct pst_object *entry = entry_of(entries, fragment->entries_count, file->object);
        CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
        CU_ASSERT_TRUE(i == 0 || file[-1].object < file->object);
        if (file->path) {
            CU_ASSERT_TRUE(in_slot(fragment, file->path));
            CU_ASSERT_STRING_EQUAL(file->path, entry->path);
        }
    }
}

static void check_extents(const struct pst_fragment_descriptor *fragment,
                          const struct pst_object *entries)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < fragment->extents_count; i++) {
        const struct pst_fragment_extent *extent = &fragment->extents[i];
        CU_ASSERT_FATAL(extent->file < fragment->files_count);
        uint64_t object = fragment->files[extent->file].object;
        const struct pst_object *entry = entry_of(entries, fragment->entries_count, object);
        CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
        CU_ASSERT_TRUE(extent->length > 0 && extent->length <= PST_FRAGMENT_BYTES_MAX);
        CU_ASSERT_TRUE(extent->offset + extent->length <= entry->size);
        if (i > 0 && extent[-1].file == extent->file)
            CU_ASSERT_TRUE(extent[-1].offset + extent[-1].length <= extent->offset);
        if (i > 0)
            CU_ASSERT_TRUE(extent[-1].file <= extent->file);
        bytes += extent->length;
    }
    CU_ASSERT_EQUAL(bytes, fragment->bytes);
}

static void check_fragment(const struct pst_fragment_descriptor *fragment)
{
    CU_ASSERT_TRUE(fragment->entries_count > 0);
    CU_ASSERT_TRUE(fragment->objects_count <= fragment->entries_count);
    CU_ASSERT_TRUE_FATAL(fragment->files_count <= PST_FRAGMENT_FILES_MAX);
    CU_ASSERT_TRUE_FATAL(fragment->extents_count <= PST_FRAGMENT_EXTENTS_MAX);
    CU_ASSERT_TRUE(fragment->bytes <= PST_FRAGMENT_BYTES_MAX);
    CU_ASSERT_TRUE_FATAL(fragment->entries_bytes <= PST_FRAGMENT_DATA_BYTES);
    if (fragment->kind == PST_FRAGMENT_ROWS) {
        CU_ASSERT_EQUAL(fragment->files_count, 1);
        CU_ASSERT_EQUAL(fragment->extents_count, 1);
        CU_ASSERT_PTR_NULL(fragment->files[0].path);
    } else {
        CU_ASSERT_EQUAL(fragment->kind, PST_FRAGMENT_EXTENTS);
    }
    struct pst_object *entries = decode_entries(fragment);
    check_files(fragment, entries);
    check_extents(fragment, entries);
    free(entries);
}

bool find_everything(struct pst_fragment_sink *sink, const struct pst_object *object,
                     const struct pst_object_identity *identity, uint64_t *place,
                     uint64_t *data_bytes)
{
    (void)sink;
    (void)identity;
    *place = 1;
    *data_bytes = object->size;
    return true;
}

void check_listing(const struct collected *collected)
{
    uint64_t bytes = 0;
    uint64_t objects = 0;
    for (uint64_t i = 0; i < collected->count; i++) {
        check_fragment(collected->fragments[i]);
        bytes += collected->fragments[i]->bytes;
        objects += collected->fragments[i]->objects_count;
    }
    CU_ASSERT_EQUAL(collected->listing.fragments, collected->count);
    CU_ASSERT_EQUAL(collected->listing.bytes, bytes);
    CU_ASSERT_EQUAL(collected->listing.objects, objects);
}

uint32_t times_listed(const struct collected *collected, const char *path)
{
    uint32_t times = 0;
    for (uint64_t i = 0; i < collected->count; i++) {
        const struct pst_fragment_descriptor *fragment = collected->fragments[i];
        struct pst_object object;
        size_t offset = 0;
        for (uint32_t j = 0; j < fragment->entries_count; j++) {
            ASSERT_OK(pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &object));
            times += strcmp(object.path, path) == 0;
        }
    }
    return times;
}

bool find_object(const struct collected *collected, const char *path, struct pst_object *object)
{
    for (uint64_t i = 0; i < collected->count; i++) {
        const struct pst_fragment_descriptor *fragment = collected->fragments[i];
        size_t offset = 0;
        for (uint32_t j = 0; j < fragment->entries_count; j++) {
            ASSERT_OK(pst_object_decode(fragment->data, fragment->entries_bytes, &offset, object));
            if (strcmp(object->path, path) == 0)
                return true;
        }
    }
    return false;
}

uint64_t extent_bytes(const struct collected *collected, uint64_t object)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < collected->count; i++) {
        const struct pst_fragment_descriptor *fragment = collected->fragments[i];
        for (uint32_t j = 0; j < fragment->extents_count; j++)
            if (fragment->files[fragment->extents[j].file].object == object)
                bytes += fragment->extents[j].length;
    }
    return bytes;
}

/* ---- reading ---- */

static void read_file(struct pst_source *source, const struct pst_fragment_file *file,
                      const struct pst_fragment_extent *extent, uint8_t *out)
{
    struct open_how how = {
        .flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    int fd = (int)syscall(SYS_openat2, source->root_fd, file->path, &how, sizeof(how));
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    ssize_t bytes = pread(fd, out, extent->length, (off_t)extent->offset);
    CU_ASSERT_EQUAL((uint64_t)bytes, extent->length);
    close(fd);
}

/* In slices of an odd length, as small as a pipeline never would. */
static void produce_rows(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                         uint8_t *out)
{
    struct pst_row_cursor cursor = {0};
    uint64_t done = 0;
    size_t bytes;
    do {
        uint64_t left = fragment->bytes - done;
        size_t capacity = left < 77777 ? (size_t)left + 1 : 77777;
        uint8_t slice[77777];
        ASSERT_OK(pst_source_produce(source, fragment, done, &cursor, slice, capacity, &bytes));
        CU_ASSERT_TRUE_FATAL(bytes <= left && bytes <= capacity);
        memcpy(out + done, slice, bytes);
        done += bytes;
    } while (bytes > 0);
    CU_ASSERT_EQUAL(done, fragment->bytes);
}

static void read_extent(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                        const struct pst_fragment_extent *extent, uint8_t *out)
{
    if (fragment->kind == PST_FRAGMENT_ROWS)
        produce_rows(source, fragment, out);
    else if (extent->literal)
        memcpy(out, extent->literal, extent->length);
    else
        read_file(source, &fragment->files[extent->file], extent, out);
}

static void claim(uint8_t *claimed, const struct pst_fragment_extent *extent)
{
    CU_ASSERT_PTR_NULL(memchr(claimed + extent->offset, 1, extent->length));
    memset(claimed + extent->offset, 1, extent->length);
}

uint8_t *read_object(struct pst_source *source, const struct collected *collected,
                     const struct pst_object *object)
{
    uint8_t *out = calloc(object->size + 1, 1);
    uint8_t *claimed = calloc(object->size + 1, 1);
    CU_ASSERT_TRUE_FATAL(out && claimed);
    for (uint64_t i = 0; i < collected->count; i++) {
        const struct pst_fragment_descriptor *fragment = collected->fragments[i];
        for (uint32_t j = 0; j < fragment->extents_count; j++) {
            const struct pst_fragment_extent *extent = &fragment->extents[j];
            if (fragment->files[extent->file].object != object->id)
                continue;
            claim(claimed, extent);
            read_extent(source, fragment, extent, out + extent->offset);
        }
    }
    free(claimed);
    return out;
}

/* ---- set-up ---- */

struct pst_source *open_source(const char *format, ...)
{
    char spec[2 * PST_PATH_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(spec, sizeof(spec), format, arguments);
    va_end(arguments);
    struct pst_source *source;
    char text[PST_SOURCE_ERROR_BYTES] = "";
    int error = registry_open(spec, 3, &source, text, sizeof(text));
    if (error)
        fprintf(stderr, "%s: %s\n", spec, text);
    CU_ASSERT_EQUAL_FATAL(error, 0);
    return source;
}

const char *make_directory(void)
{
    make_scratch(directory, NULL);
    REQUIRE(chdir(directory) == 0);
    return directory;
}

void remove_directory(void)
{
    REQUIRE(chdir("/") == 0);
    remove_tree(directory);
}
