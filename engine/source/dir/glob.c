/* Globs, without recursion: where the last star may take one more, all behind it is tried again.
 * Called by exclude.c. */
#include "engine/source/dir/glob.h"

#include <ctype.h>
#include <string.h>

/* A run of bytes. */
struct span {
    const char *at, *end;
};

static bool is_of_class(struct span name, unsigned char byte, bool *known)
{
    static const struct {
        const char *name;
        int (*is)(int byte);
    } classes[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank},
                   {"cntrl", iscntrl}, {"digit", isdigit}, {"graph", isgraph},
                   {"lower", islower}, {"print", isprint}, {"punct", ispunct},
                   {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};
    size_t bytes = (size_t)(name.end - name.at);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strlen(classes[i].name) == bytes && memcmp(classes[i].name, name.at, bytes) == 0)
            return byte < 128 && classes[i].is(byte);
    }
    *known = false;
    return false;
}

/* Of "[:name:]": to behind it; *fits: the byte is of it. NULL: there is no such class. */
static const char *take_class(struct span rest, unsigned char byte, bool *fits)
{
    const char *end = rest.at + 2;
    while (end < rest.end && *end != ']')
        end++;
    bool known = end < rest.end && end - rest.at >= 3 && end[-1] == ':';
    if (known)
        *fits = is_of_class((struct span){rest.at + 2, end - 1}, byte, &known) || *fits;
    return known ? end + 1 : NULL;
}

/* A byte of a set, which a backslash may stand in front of. */
static bool take_byte(struct span *rest, unsigned char *byte)
{
    if (rest->at < rest->end && *rest->at == '\\')
        rest->at++;
    if (rest->at == rest->end)
        return false;
    *byte = (unsigned char)*rest->at++;
    return true;
}

/* A byte, or two with '-' between them. */
static bool take_range(struct span *rest, unsigned char byte, bool *fits)
{
    unsigned char low, high;
    if (!take_byte(rest, &low))
        return false;
    high = low;
    if (rest->end - rest->at > 1 && rest->at[0] == '-' && rest->at[1] != ']') {
        rest->at++;
        if (!take_byte(rest, &high))
            return false;
    }
    *fits = *fits || (low <= byte && byte <= high);
    return true;
}

/* Of "[…]": to behind it, or NULL: it is malformed. A ']' that is first is one of the set. */
static const char *take_set(struct span rest, unsigned char byte, bool *fits)
{
    bool is_negated = rest.at + 1 < rest.end && (rest.at[1] == '!' || rest.at[1] == '^');
    rest.at += 1 + is_negated;
    *fits = false;
    bool is_first = true;
    while (rest.at < rest.end && (is_first || *rest.at != ']')) {
        is_first = false;
        if (rest.end - rest.at > 1 && rest.at[0] == '[' && rest.at[1] == ':') {
            rest.at = take_class(rest, byte, fits);
            if (!rest.at)
                return NULL;
        } else if (!take_range(&rest, byte, fits)) {
            return NULL;
        }
    }
    *fits = *fits != is_negated;
    return rest.at < rest.end ? rest.at + 1 : NULL;
}

/* What stands for one byte, and is no star: to behind it. NULL: it is malformed. */
static const char *take_one(struct span pattern, unsigned char byte, bool *fits)
{
    if (*pattern.at == '[')
        return take_set(pattern, byte, fits);
    *fits = *pattern.at == '?' || (unsigned char)*pattern.at == byte;
    if (*pattern.at != '\\')
        return pattern.at + 1;
    if (pattern.at + 1 == pattern.end)
        return NULL;
    *fits = (unsigned char)pattern.at[1] == byte;
    return pattern.at + 2;
}

static bool fits_component(struct span pattern, struct span text)
{
    struct span star = {NULL, NULL}; /* behind the last one, and where its text ends so far */
    while (text.at < text.end || pattern.at < pattern.end) {
        if (pattern.at < pattern.end && *pattern.at == '*') {
            star = (struct span){++pattern.at, text.at};
            continue;
        }
        bool fits = false;
        const char *next = NULL;
        if (pattern.at < pattern.end && text.at < text.end) {
            next = take_one(pattern, (unsigned char)*text.at, &fits);
            if (!next)
                return false;
        }
        if (fits) {
            pattern.at = next;
            text.at++;
        } else if (star.at && star.end < text.end) {
            pattern.at = star.at;
            text.at = ++star.end;
        } else {
            return false;
        }
    }
    return true;
}

static const char *end_of_component(struct span rest)
{
    const char *slash = memchr(rest.at, '/', (size_t)(rest.end - rest.at));
    return slash ? slash : rest.end;
}

/* Of a pattern: a slash in a set ends none, and fits nothing. */
static const char *end_of_pattern(struct span rest)
{
    const char *end = end_of_component(rest);
    if (!memchr(rest.at, '[', (size_t)(end - rest.at)))
        return end;
    while (rest.at < rest.end && *rest.at != '/') {
        bool fits;
        const char *next = take_one(rest, 0, &fits);
        rest.at = next ? next : rest.at + 1;
    }
    return rest.at;
}

static const char *behind(const char *end, struct span rest)
{
    return end < rest.end ? end + 1 : end;
}

/* Two or more. */
static bool is_stars(struct span component)
{
    size_t bytes = (size_t)(component.end - component.at);
    return bytes >= 2 && strspn(component.at, "*") >= bytes;
}

/* As fits_component, with components for bytes and "**" for a star. */
bool glob_fits_path(const char *pattern_text, size_t bytes, const char *path)
{
    struct span pattern = {pattern_text, pattern_text + bytes}, text = {path, path + strlen(path)};
    struct span stars = {NULL, NULL};
    if (bytes > 0 && pattern.end[-1] == '/')
        return false; /* no component is empty */
    while (text.at < text.end || pattern.at < pattern.end) {
        const char *end = end_of_pattern(pattern), *text_end = end_of_component(text);
        if (is_stars((struct span){pattern.at, end})) {
            if (end == pattern.end)
                return text.at < text.end;
            pattern.at = end + 1;
            stars = (struct span){pattern.at, text.at};
        } else if (pattern.at < pattern.end && text.at < text.end &&
                   fits_component((struct span){pattern.at, end},
                                  (struct span){text.at, text_end})) {
            pattern.at = behind(end, pattern);
            text.at = behind(text_end, text);
        } else if (stars.at && stars.end < text.end) {
            pattern.at = stars.at;
            text.at = stars.end =
                behind(end_of_component((struct span){stars.end, text.end}), text);
        } else {
            return false;
        }
    }
    return true;
}

bool glob_fits_name(const char *pattern, size_t bytes, const char *name)
{
    return fits_component((struct span){pattern, pattern + bytes},
                          (struct span){name, name + strlen(name)});
}
