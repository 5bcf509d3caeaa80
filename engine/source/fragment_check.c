/*
 * Looks at a fragment that a source has filled: what would end in an assertion of an LDM, or in a
 * backup that cannot be restored, is refused. Called by source_thread.c, on the source's thread.
 */
#include "engine/source/fragment_check.h"

#include <string.h>

#include "engine/format/object.h"

#define FILE_FLAGS_KNOWN (PST_FRAGMENT_FILE_PINNED | PST_FRAGMENT_FILE_IN_BASE)

/* Where the check stands: entries, files and extents are in the same order. */
struct fragment_walk {
    const struct pst_fragment_descriptor *fragment;
    size_t entry_offset; /* of the next entry */
    uint32_t entries;    /* so many were seen */
    uint32_t extent;     /* the next one */
    uint64_t bytes;      /* in the extents before it */
};

/* ---- the head ---- */

static bool counts_are_legal(const struct pst_fragment_descriptor *fragment)
{
    return fragment->files_count <= PST_FRAGMENT_FILES_MAX &&
           fragment->extents_count <= PST_FRAGMENT_EXTENTS_MAX &&
           fragment->paths_offset <= PST_FRAGMENT_DATA_BYTES &&
           fragment->entries_bytes <= fragment->paths_offset &&
           fragment->objects_count <= fragment->entries_count;
}

static const char *head_fault(const struct pst_source *source,
                              const struct pst_fragment_limits *limits,
                              const struct pst_fragment_descriptor *fragment)
{
    bool is_rows = fragment->kind == PST_FRAGMENT_ROWS;
    if (!is_rows && fragment->kind != PST_FRAGMENT_EXTENTS)
        return "a fragment of no known kind";
    if (!counts_are_legal(fragment))
        return "a fragment with more than a slot holds";
    if (fragment->owner > limits->ldms)
        return "a fragment for an LDM that there is not";
    if (is_rows && !source->produce)
        return "a fragment of rows, but no method produce";
    if (is_rows && (fragment->files_count != 1 || fragment->extents_count != 1 ||
                    fragment->entries_count != 1))
        return "a fragment of rows that has not one entry, one file and one extent";
    return NULL;
}

/* ---- entries ---- */

static const char *next_entry(struct fragment_walk *walk, const struct pst_source *source,
                              struct pst_object *object)
{
    const struct pst_fragment_descriptor *fragment = walk->fragment;
    if (pst_object_decode(fragment->data, fragment->entries_bytes, &walk->entry_offset, object))
        return "an entry that is none, or of an unsafe path";
    walk->entries++;
    return pst_object_source(object->id) == source->instance
               ? NULL
               : "an object whose id is not of pst_source_object_id()";
}

/* The entry of a file, which comes before those of the files behind it. */
static const char *find_entry(struct fragment_walk *walk, const struct pst_source *source,
                              uint64_t id, struct pst_object *object)
{
    const char *fault = NULL;
    object->id = 0;
    while (!fault && object->id != id && walk->entry_offset < walk->fragment->entries_bytes)
        fault = next_entry(walk, source, object);
    if (fault)
        return fault;
    return id > 0 && object->id == id ? NULL
                                      : "a file without an entry, or in another order than these";
}

/* ---- files ---- */

/* The path and the further names lie in the slot, each with its NUL. */
static bool names_are_whole(const struct pst_fragment_descriptor *fragment,
                            const struct pst_fragment_file *file)
{
    const char *from = (const char *)fragment->data + fragment->paths_offset;
    const char *end = (const char *)fragment->data + PST_FRAGMENT_DATA_BYTES;
    const char *at = file->path;
    if (at < from)
        return false;
    for (uint64_t i = 0; i <= file->names; i++) {
        const char *nul = at < end ? memchr(at, '\0', (size_t)(end - at)) : NULL;
        if (!nul)
            return false;
        at = nul + 1;
    }
    return true;
}

static const char *file_fault(const struct pst_source *source,
                              const struct pst_fragment_limits *limits,
                              const struct pst_fragment_descriptor *fragment,
                              const struct pst_fragment_file *file)
{
    if (file->path && source->root_fd < 0)
        return "a file with a path, but no root_fd";
    if (file->path && fragment->kind == PST_FRAGMENT_ROWS)
        return "a fragment of rows with a path";
    if (file->path && !names_are_whole(fragment, file))
        return "a path that does not lie in its slot";
    if (file->flags & ~(uint32_t)FILE_FLAGS_KNOWN)
        return "a file with unknown flags";
    if ((file->flags & PST_FRAGMENT_FILE_IN_BASE) &&
        (file->path || file->inode >= limits->base_files))
        return "a file of a base that it did not find there";
    return NULL;
}

/* ---- extents ---- */

static const char *extent_fault(const struct pst_fragment_descriptor *fragment,
                                const struct pst_fragment_extent *extent, uint64_t from,
                                uint64_t size)
{
    const struct pst_fragment_file *file = &fragment->files[extent->file];
    bool is_rows = fragment->kind == PST_FRAGMENT_ROWS;
    if (is_rows && extent->length == 0)
        return extent->offset == 0 ? NULL : "rows of no known length that begin in the middle";
    if (extent->length == 0 || extent->length > PST_FRAGMENT_BYTES_MAX)
        return "an extent of a length that there is not";
    if (extent->offset < from)
        return "extents that overlap, or do not ascend";
    if (extent->offset > size || extent->length > size - extent->offset)
        return "an extent beyond the size of its object";
    if (!is_rows && !extent->literal && !file->path)
        return "an extent with neither a path nor a literal";
    return (file->flags & PST_FRAGMENT_FILE_IN_BASE) ? "an extent of a file of a base" : NULL;
}

/* Those of one file. */
static const char *extents_fault(struct fragment_walk *walk, uint32_t file, uint64_t size)
{
    const struct pst_fragment_descriptor *fragment = walk->fragment;
    uint64_t from = 0;
    for (; walk->extent < fragment->extents_count; walk->extent++) {
        const struct pst_fragment_extent *extent = &fragment->extents[walk->extent];
        if (extent->file != file)
            return NULL;
        const char *fault = extent_fault(fragment, extent, from, size);
        if (fault)
            return fault;
        from = extent->offset + extent->length;
        walk->bytes += extent->length;
    }
    return NULL;
}

/* A share of a table is in one fragment, so that one LDM sees whether it is whole. */
static bool is_cut_share(const struct pst_fragment_descriptor *fragment,
                         const struct pst_object *object)
{
    uint64_t length = fragment->extents[0].length;
    return fragment->kind == PST_FRAGMENT_ROWS && object->type == PST_OBJECT_ROWS && length > 0 &&
           length != object->size;
}

/* ---- all of it ---- */

static const char *files_fault(struct fragment_walk *walk, const struct pst_source *source,
                               const struct pst_fragment_limits *limits)
{
    const struct pst_fragment_descriptor *fragment = walk->fragment;
    for (uint32_t i = 0; i < fragment->files_count; i++) {
        const struct pst_fragment_file *file = &fragment->files[i];
        struct pst_object object;
        const char *fault = file_fault(source, limits, fragment, file);
        if (!fault)
            fault = find_entry(walk, source, file->object, &object);
        if (!fault)
            fault = extents_fault(walk, i, object.size);
        if (!fault && is_cut_share(fragment, &object))
            fault = "a share of a table that is not in one fragment";
        if (fault)
            return fault;
    }
    return walk->extent == fragment->extents_count
               ? NULL
               : "extents of no file, or in another order than the files";
}

static const char *rest_fault(struct fragment_walk *walk, const struct pst_source *source)
{
    const struct pst_fragment_descriptor *fragment = walk->fragment;
    const char *fault = NULL;
    struct pst_object object;
    while (!fault && walk->entry_offset < fragment->entries_bytes)
        fault = next_entry(walk, source, &object);
    if (!fault && walk->entries != fragment->entries_count)
        fault = "another number of entries than it counts";
    bool is_estimate = fragment->kind == PST_FRAGMENT_ROWS && fragment->extents[0].length == 0;
    if (!fault && !is_estimate &&
        (walk->bytes != fragment->bytes || walk->bytes > PST_FRAGMENT_BYTES_MAX))
        fault = "another number of bytes than it counts";
    return fault;
}

const char *pst_fragment_fault(const struct pst_source *source,
                               const struct pst_fragment_limits *limits,
                               const struct pst_fragment_descriptor *fragment)
{
    struct fragment_walk walk = {.fragment = fragment};
    const char *fault = head_fault(source, limits, fragment);
    if (!fault)
        fault = files_fault(&walk, source, limits);
    return fault ? fault : rest_fault(&walk, source);
}
