/*
 * What a listing leaves out, by the rules of gitignore(5): patterns, of which the last one that
 * fits decides, and names by which a directory says itself that it need not be kept.
 *
 * Patterns of the filter are taken apart once. Pure but for excludes_tag; one thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_EXCLUDE_H
#define PST_ENGINE_SOURCE_DIR_EXCLUDE_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/source/source.h"

struct exclude_pattern {
    const char *text; /* without its marks; the filter's */
    size_t bytes;
    bool is_negated;   /* "!": what it fits is kept */
    bool is_directory; /* "…/": fits directories alone */
    bool is_path;      /* it has a slash, so it fits paths from the root on, not names */
};

struct excludes {
    const struct pst_file_filter *filter;
    struct exclude_pattern *patterns;
};

/* filter: borrowed until excludes_close; NULL: nothing is left out. 0 or -ENOMEM. */
PST_MUST_USE int excludes_open(struct excludes *excludes, const struct pst_file_filter *filter);
void excludes_close(struct excludes *excludes);

/* Whether what is at this path below the root is left out; with a directory all that is in it. */
bool excludes_match(const struct excludes *excludes, const char *path, bool is_directory);

/* The name in an open directory for which all else in it is left out; NULL: there is none. */
const char *excludes_tag(const struct excludes *excludes, int directory);

#endif
