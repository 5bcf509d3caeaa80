/* Fills the descriptor of a fragment; called by the list() of any source, on the source's thread.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "penstock/fragment.h"

static size_t free_bytes(const struct pst_fragment_descriptor *fragment)
{
    return fragment->paths_offset - fragment->entries_bytes;
}

void pst_fragment_init(struct pst_fragment_descriptor *fragment, enum pst_fragment_kind kind)
{
    memset(fragment, 0, offsetof(struct pst_fragment_descriptor, files));
    fragment->kind = kind;
    fragment->paths_offset = PST_FRAGMENT_DATA_BYTES;
}

bool pst_fragment_has_room(const struct pst_fragment_descriptor *fragment, size_t entry_bytes,
                           size_t path_bytes)
{
    size_t room = free_bytes(fragment);
    return entry_bytes < room && path_bytes < room - entry_bytes &&
           fragment->files_count < PST_FRAGMENT_FILES_MAX &&
           fragment->extents_count < PST_FRAGMENT_EXTENTS_MAX;
}

int pst_fragment_add_entry(struct pst_fragment_descriptor *fragment, const void *entry,
                           size_t entry_bytes, bool first)
{
    if (entry_bytes > free_bytes(fragment))
        return -ENOSPC;
    memcpy(fragment->data + fragment->entries_bytes, entry, entry_bytes);
    fragment->entries_bytes += (uint32_t)entry_bytes;
    fragment->entries_count++;
    if (first)
        fragment->objects_count++;
    return 0;
}

static const char *add_path(struct pst_fragment_descriptor *fragment, const char *path,
                            size_t bytes_with_nul)
{
    fragment->paths_offset -= (uint32_t)bytes_with_nul;
    return memcpy(fragment->data + fragment->paths_offset, path, bytes_with_nul);
}

size_t pst_fragment_path_bytes(const struct pst_fragment_file *file)
{
    size_t bytes = file->path ? strlen(file->path) : 0;
    for (uint32_t i = 0; file->path && i < file->names; i++)
        bytes += 1 + strlen(file->path + bytes + 1);
    return bytes;
}

int pst_fragment_add_file(struct pst_fragment_descriptor *fragment,
                          const struct pst_fragment_file *file)
{
    size_t bytes = file->path ? pst_fragment_path_bytes(file) + 1 : 0;
    if (fragment->files_count == PST_FRAGMENT_FILES_MAX || bytes > free_bytes(fragment))
        return -ENOSPC;
    struct pst_fragment_file *added = &fragment->files[fragment->files_count++];
    *added = *file;
    if (file->path)
        added->path = add_path(fragment, file->path, bytes);
    return 0;
}

int pst_fragment_add_extent(struct pst_fragment_descriptor *fragment, uint64_t offset,
                            uint64_t length, const void *literal)
{
    assert(fragment->files_count > 0 && length > 0);
    if (fragment->extents_count == PST_FRAGMENT_EXTENTS_MAX ||
        length > PST_FRAGMENT_BYTES_MAX - fragment->bytes)
        return -ENOSPC;
    fragment->extents[fragment->extents_count++] = (struct pst_fragment_extent){
        .file = fragment->files_count - 1,
        .offset = offset,
        .length = length,
        .literal = literal,
    };
    fragment->bytes += length;
    return 0;
}

void pst_fragment_add_rows(struct pst_fragment_descriptor *fragment, uint64_t expected_bytes,
                           const void *handle)
{
    assert(fragment->kind == PST_FRAGMENT_ROWS);
    assert(fragment->files_count == 1 && fragment->extents_count == 0);
    fragment->extents[0] = (struct pst_fragment_extent){.literal = handle};
    fragment->extents_count = 1;
    fragment->bytes = expected_bytes;
}
