/* Looks up members of a JSON line. Any thread. */
#include "bench/line.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *line_last(const char *text)
{
    const char *last = text;
    for (; *text; text++) {
        if (*text == '\n' && text[1])
            last = text + 1;
    }
    return last;
}

static const char *skip_blanks(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

/* The quote that ends a string which began before at, or the end of the text. */
static const char *string_end(const char *at)
{
    while (*at && *at != '"')
        at += *at == '\\' && at[1] ? 2 : 1;
    return at;
}

/* Where the value of a member begins; NULL: there is none. Strings are passed as a whole, so what
 * stands in one is no member. */
static const char *value_of(const char *line, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = line; *at && *at != '\n'; at++) {
        if (*at != '"')
            continue;
        const char *end = string_end(at + 1);
        if (!*end)
            return NULL;
        const char *after = skip_blanks(end + 1);
        if (*after == ':' && (size_t)(end - at - 1) == bytes && memcmp(at + 1, name, bytes) == 0)
            return skip_blanks(after + 1);
        at = end;
    }
    return NULL;
}

uint64_t line_number(const char *line, const char *name)
{
    const char *value = value_of(line, name);
    return value ? strtoull(value, NULL, 10) : 0;
}

uint32_t line_figures(const char *line, const char *name, double *figures, uint32_t room)
{
    const char *at = value_of(line, name);
    uint32_t count = 0;
    if (!at || *at != '[')
        return 0;
    while (count < room && *at && *at != ']') {
        char *end;
        double figure = strtod(at + 1, &end);
        if (end == at + 1 || !isfinite(figure) || figure <= 0)
            return 0;
        figures[count++] = figure;
        at = skip_blanks(end);
        if (*at != ',' && *at != ']')
            return 0;
    }
    return count;
}

bool line_texts(const char *line, const char *name, char *text, size_t bytes)
{
    const char *at = value_of(line, name);
    if (!at || *at != '[')
        return false;
    const char *end = ++at;
    while (*end && *end != ']')
        end = *end == '"' && *string_end(end + 1) ? string_end(end + 1) + 1 : end + 1;
    return *end && (size_t)snprintf(text, bytes, "%.*s", (int)(end - at), at) < bytes;
}

bool line_text(const char *line, const char *name, char *text, size_t bytes)
{
    const char *at = value_of(line, name);
    size_t used = 0;
    if (!at || *at != '"')
        return false;
    const char *end = string_end(at + 1);
    for (at++; at < end; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
        if (used + 1 >= bytes)
            return false;
        text[used++] = *at;
    }
    text[used] = '\0';
    return true;
}
