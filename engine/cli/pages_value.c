/* What completion can offer for a value, from what the help calls it. Called by pages_bash.c and
 * pages_zsh.c. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "engine/cli/pages.h"

static bool is_one_of(const char *const *names, const char *name, size_t bytes)
{
    while (*names && (strlen(*names) != bytes || strncmp(*names, name, bytes) != 0))
        names++;
    return *names;
}

static void add_alternative(struct pages_value *value, const char *text, size_t bytes)
{
    static const char *const files[] = {"FILE", "PATH", "SOCKET", "PUBLIC", "MANIFEST", NULL};
    static const char *const directories[] = {"DIR", NULL};
    static const char *const sources[] = {"[NAME=]KIND:...", NULL};
    size_t end = strlen(value->words), word = strcspn(text, "[|");
    if (islower((unsigned char)*text))
        snprintf(value->words + end, sizeof(value->words) - end, "%s%.*s", end ? " " : "",
                 (int)word, text);
    if (is_one_of(files, text, bytes))
        value->files = PAGES_FILES;
    if (is_one_of(directories, text, bytes))
        value->files = PAGES_DIRECTORIES;
    if (is_one_of(sources, text, bytes))
        value->files = PAGES_SOURCE;
}

struct pages_value pages_value_of(const char *argument)
{
    struct pages_value value = {0};
    const char *end = argument ? argument + strcspn(argument, " ") : NULL;
    while (argument && argument < end) {
        size_t bytes = strcspn(argument, "| ");
        add_alternative(&value, argument, bytes);
        argument += bytes + 1;
    }
    return value;
}
