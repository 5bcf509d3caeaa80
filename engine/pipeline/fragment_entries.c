/* Looks through the catalogue entries and the names of a fragment. Called by fragment_scan.c, on
 * the LDM's thread.
 */
#include "engine/pipeline/fragment_entries.h"

#include <string.h>

#include "engine/base/log.h"
#include "engine/format/object.h"

int entries_that_fit(const struct pst_fragment_descriptor *fragment, size_t from, size_t room,
                     size_t *bytes)
{
    *bytes = fragment->entries_bytes - from;
    if (*bytes <= room)
        return 0;
    for (size_t fit = from, next = from;; fit = next) {
        struct pst_object object;
        *bytes = fit - from;
        int error = pst_object_decode(fragment->data, fragment->entries_bytes, &next, &object);
        if (error || next - from > room)
            return error;
    }
}

uint64_t entries_of(const struct pst_fragment_descriptor *fragment, uint64_t object)
{
    struct pst_object entry;
    uint64_t count = 0;
    size_t offset = 0;
    while (offset < fragment->entries_bytes &&
           !pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &entry))
        count += pst_object_is_name_of(&entry, object);
    return count > 0 ? count : 1;
}

uint64_t entries_size(const struct pst_fragment_descriptor *fragment, uint64_t object)
{
    struct pst_object entry = {0};
    size_t offset = 0;
    while (entry.id != object && offset < fragment->entries_bytes &&
           !pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &entry))
        continue;
    return entry.id == object ? entry.size : 0;
}

void entries_log_bad(struct pst_unreadable *unreadable, const char *source,
                     const struct pst_fragment_file *listed, int error)
{
    const char *path = listed->path;
    for (uint32_t i = 0; i <= listed->names; i++, path += strlen(path) + 1) {
        if (i > 0)
            pst_unreadable_add_name(unreadable, source, path);
        pst_log(PST_LOG_WARNING, "source %s: %s: %s; it is marked so in the backup", source, path,
                pst_error_text(error));
    }
}
