/*
 * Which backups are of the same: one can take the place of another, and is the best base of it.
 * Private to engine/repository/. Pure; any thread.
 */
#ifndef PST_ENGINE_REPOSITORY_SERIES_H
#define PST_ENGINE_REPOSITORY_SERIES_H

#include "engine/format/manifest.h"

/* Whether two nodes have the same sources, of which the same was chosen. */
bool series_has_same_sources(const struct pst_node_manifest *one,
                             const struct pst_node_manifest *other);

/* The same, whatever was chosen of them. */
bool series_has_same_places(const struct pst_node_manifest *one,
                            const struct pst_node_manifest *other);

#endif
