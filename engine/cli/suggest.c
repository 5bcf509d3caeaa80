/*
 * Finds the name that was probably meant. Called by arguments.c, command.c and config.c.
 */
#include "engine/cli/suggest.h"

#include <string.h>

#define LENGTH_MAX 31u

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned lower = a < b ? a : b;
    return lower < c ? lower : c;
}

/* Levenshtein's distance, row by row; both texts are at most LENGTH_MAX long. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[LENGTH_MAX + 1];
    size_t columns = strlen(b);
    for (unsigned j = 0; j <= columns; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            unsigned substituted = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(substituted, row[j] + 1, row[j - 1] + 1);
        }
    }
    return row[columns];
}

const char *cli_suggest(const char *text, const char *const *names, size_t count)
{
    size_t length = strlen(text);
    if (length > LENGTH_MAX)
        return NULL;
    const char *nearest = NULL;
    unsigned limit = (unsigned)(length + 2) / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > LENGTH_MAX)
            continue;
        unsigned here = distance(text, names[i]);
        if (here < limit) {
            nearest = names[i];
            limit = here;
        }
    }
    return nearest;
}
