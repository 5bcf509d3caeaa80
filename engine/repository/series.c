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

static bool is_same_place(const struct pst_manifest_source *one,
                          const struct pst_manifest_source *other)
{
    bool has_paths = one->path && other->path;
    return strcmp(one->name, other->name) == 0 &&
           strcmp(has_paths ? one->path : one->spec, has_paths ? other->path : other->spec) == 0;
}

static bool is_same_source(const struct pst_manifest_source *one,
                           const struct pst_manifest_source *other)
{
    return is_same_place(one, other) && is_same_choice(one->choice, other->choice);
}

typedef bool comparison(const struct pst_manifest_source *one,
                        const struct pst_manifest_source *other);

static bool has_source(const struct pst_node_manifest *node,
                       const struct pst_manifest_source *source, comparison *is_same)
{
    for (uint32_t i = 0; i < node->sources_count; i++) {
        if (is_same(&node->sources[i], source))
            return true;
    }
    return false;
}

static bool has_all(const struct pst_node_manifest *one, const struct pst_node_manifest *other,
                    comparison *is_same)
{
    for (uint32_t i = 0; i < one->sources_count; i++) {
        if (!has_source(other, &one->sources[i], is_same))
            return false;
    }
    return one->sources_count == other->sources_count;
}

bool series_has_same_sources(const struct pst_node_manifest *one,
                             const struct pst_node_manifest *other)
{
    return has_all(one, other, is_same_source);
}

bool series_has_same_places(const struct pst_node_manifest *one,
                            const struct pst_node_manifest *other)
{
    return has_all(one, other, is_same_place);
}
