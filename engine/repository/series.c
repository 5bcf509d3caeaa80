/* Compares the sources of two backups. Called by whoever judges or lists backups, and on the
 * archive's thread. */
#include "engine/repository/series.h"

#include <string.h>

/* Whether the same of a source was chosen. Of what does not say it, nobody knows that it has all.
 */
static bool is_same_choice(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static bool is_same_source(const struct pst_manifest_source *one,
                           const struct pst_manifest_source *other)
{
    bool has_paths = one->path && other->path;
    return strcmp(one->name, other->name) == 0 && is_same_choice(one->choice, other->choice) &&
           strcmp(has_paths ? one->path : one->spec, has_paths ? other->path : other->spec) == 0;
}

static bool has_source(const struct pst_node_manifest *node,
                       const struct pst_manifest_source *source)
{
    for (uint32_t i = 0; i < node->sources_count; i++) {
        if (is_same_source(&node->sources[i], source))
            return true;
    }
    return false;
}

bool series_has_same_sources(const struct pst_node_manifest *one,
                             const struct pst_node_manifest *other)
{
    for (uint32_t i = 0; i < one->sources_count; i++) {
        if (!has_source(other, &one->sources[i]))
            return false;
    }
    return one->sources_count == other->sources_count;
}
