/* Matches names component by component. Called by look.c and selection.c on any thread. */
#include "engine/restore/name_glob.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int name_glob_make(struct name_glob *glob, const char *pattern)
{
    *glob = (struct name_glob){.text = strdup(pattern)};
    glob->components = calloc(strlen(pattern) + 1, sizeof(*glob->components));
    if (!glob->text || !glob->components) {
        name_glob_release(glob);
        return -ENOMEM;
    }
    char *rest = glob->text, *component;
    while ((component = strsep(&rest, "/"))) {
        bool repeats = strcmp(component, "**") == 0 && glob->count > 0 &&
                       strcmp(glob->components[glob->count - 1], "**") == 0;
        if (*component && !repeats)
            glob->components[glob->count++] = component;
    }
    return 0;
}

void name_glob_release(struct name_glob *glob)
{
    free(glob->components);
    free(glob->text);
    *glob = (struct name_glob){0};
}

static bool is_any(const struct name_glob *glob, size_t at)
{
    return strcmp(glob->components[at], "**") == 0;
}

static const char *behind_component(const char *name)
{
    const char *slash = strchrnul(name, '/');
    return *slash ? slash + 1 : slash;
}

static enum name_match match_from(const struct name_glob *glob, size_t at, const char *name)
{
    if (at == glob->count)
        return *name ? NAME_LIES_BELOW : NAME_MATCHES;
    if (is_any(glob, at)) {
        enum name_match none = match_from(glob, at + 1, name), more = NAME_LEADS_THERE;
        if (*name && none != NAME_MATCHES)
            more = match_from(glob, at, behind_component(name));
        return none > more ? none : more;
    }
    if (!*name)
        return NAME_LEADS_THERE;
    if (fnmatch(glob->components[at], name, FNM_PATHNAME | FNM_LEADING_DIR) != 0)
        return NAME_DIFFERS;
    return match_from(glob, at + 1, behind_component(name));
}

enum name_match name_glob_match(const struct name_glob *glob, const char *name)
{
    return match_from(glob, 0, name);
}
