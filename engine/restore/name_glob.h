/*
 * Patterns for the names of objects: components between slashes, each with the shell's *, ?, […]
 * and \, none of which matches a slash; ** as a component is any number of them, none too. Private
 * to engine/restore/; pure, any thread.
 */
#ifndef PST_ENGINE_RESTORE_NAME_GLOB_H
#define PST_ENGINE_RESTORE_NAME_GLOB_H

#include <stddef.h>

#include "penstock/error.h"

/* No name has more than half of that, with "**" around each. */
#define NAME_GLOB_COMPONENTS_MAX 4096u

struct name_glob {
    char *text; /* in which the components lie */
    const char **components;
    size_t count;
};

/* What a name is to a pattern, the best last. */
enum name_match {
    NAME_DIFFERS,
    NAME_LEADS_THERE, /* a directory of it: what lies in it may match */
    NAME_LIES_BELOW,  /* of what matches */
    NAME_MATCHES,
};

/* Slashes in front, behind and doubled mean nothing. -ENOMEM, -ENAMETOOLONG. */
PST_MUST_USE int name_glob_make(struct name_glob *glob, const char *pattern);
void name_glob_release(struct name_glob *glob);

/* name: without slashes in front, behind or doubled; "": the top directory. */
enum name_match name_glob_match(const struct name_glob *glob, const char *name);

#endif
