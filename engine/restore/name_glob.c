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
    if (glob->count > NAME_GLOB_COMPONENTS_MAX) {
        name_glob_release(glob);
        return -ENAMETOOLONG;
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

/* The components that the next one of a name may be matched by; behind the last one: all are. */
struct places {
    bool may[NAME_GLOB_COMPONENTS_MAX + 1];
};

/* "**" may be no component. */
static void pass_any(const struct name_glob *glob, struct places *places)
{
    for (size_t i = 0; i < glob->count; i++)
        places->may[i + 1] |= places->may[i] && is_any(glob, i);
}

/* To where they are behind a component of the name. Whether there are any. */
static bool step(const struct name_glob *glob, struct places *places, const char *name)
{
    bool has_some = false;
    for (size_t i = glob->count + 1; i-- > 0;) {
        bool stays = i < glob->count && places->may[i] && is_any(glob, i);
        bool comes = i > 0 && places->may[i - 1] && !is_any(glob, i - 1) &&
                     fnmatch(glob->components[i - 1], name, FNM_PATHNAME | FNM_LEADING_DIR) == 0;
        places->may[i] = stays || comes;
        has_some |= places->may[i];
    }
    pass_any(glob, places);
    return has_some;
}

/* Without trying again: with several "**" that would take for ever where directories are deep. */
enum name_match name_glob_match(const struct name_glob *glob, const char *name)
{
    struct places places;
    bool lies_below = false, leads_on = true;
    memset(places.may, 0, glob->count + 1);
    places.may[0] = true;
    pass_any(glob, &places);
    for (const char *slash; leads_on && *name; name = *slash ? slash + 1 : slash) {
        lies_below |= places.may[glob->count];
        leads_on = step(glob, &places, name);
        slash = strchrnul(name, '/');
    }
    if (leads_on && places.may[glob->count])
        return NAME_MATCHES;
    return lies_below ? NAME_LIES_BELOW : leads_on ? NAME_LEADS_THERE : NAME_DIFFERS;
}
