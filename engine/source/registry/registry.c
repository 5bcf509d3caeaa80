/*
 * Opens sources by their specs, and adopts those of a program. Called before a node starts, on the
 * thread that starts it.
 */
#include "engine/source/registry/registry.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/grow.h"
#include "engine/base/parent.h"
#include "engine/source/dir/dir.h"
#include "engine/source/lmdb/lmdb.h"
#include "engine/source/synthetic/synthetic.h"

static const struct {
    const char *type;
    int (*open)(const char *argument, struct pst_source **source, char *error_text,
                size_t error_bytes);
    bool has_path; /* its argument is one */
} types[] = {
    {"dir", pst_dir_open, true},
    {"lmdb", pst_lmdb_open, true},
    {"synthetic", pst_synthetic_open, false},
};

#define STRUCT_BYTES_MAX 65536u /* larger, and it was not initialised */

#define TYPES_COUNT (sizeof(types) / sizeof(types[0]))
#define KNOWN_TYPES "dir:PATH, lmdb:PATH, synthetic:rows=N,…"

/* A spec, taken apart; the pointers lead into it. */
struct spec {
    const char *name;
    size_t name_bytes; /* 0: none given */
    const char *type;
    size_t type_bytes;
    const char *argument;
};

static bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

static bool is_dots(const char *name, size_t bytes)
{
    return (bytes == 1 || bytes == 2) && memcmp(name, "..", bytes) == 0;
}

static bool is_name(const char *name, size_t bytes)
{
    if (bytes == 0 || bytes >= PST_SOURCE_NAME_MAX || is_dots(name, bytes))
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (!is_name_byte(name[i]))
            return false;
    return true;
}

static int split(const char *text, struct spec *spec, char *error_text, size_t error_bytes)
{
    const char *colon = strchr(text, ':');
    if (!colon) {
        snprintf(error_text, error_bytes, "source \"%s\": want [NAME=]TYPE:…; known types: %s",
                 text, KNOWN_TYPES);
        return -EINVAL;
    }
    const char *equals = memchr(text, '=', (size_t)(colon - text));
    *spec = (struct spec){.type = text, .argument = colon + 1};
    if (equals) {
        spec->name = text;
        spec->name_bytes = (size_t)(equals - text);
        spec->type = equals + 1;
    }
    spec->type_bytes = (size_t)(colon - spec->type);
    if (equals && !is_name(spec->name, spec->name_bytes)) {
        snprintf(error_text, error_bytes,
                 "source \"%s\": a name has 1 to %u letters, digits, '.', '_' or '-', and is "
                 "neither \".\" nor \"..\"",
                 text, PST_SOURCE_NAME_MAX - 1);
        return -EINVAL;
    }
    return 0;
}

/* Fills source->name from bytes of any kind. */
static void name_source(struct pst_source *source, const char *name, size_t bytes)
{
    if (bytes == 0 || is_dots(name, bytes)) {
        name = source->type;
        bytes = strlen(name);
    }
    if (bytes > PST_SOURCE_NAME_MAX - 1)
        bytes = PST_SOURCE_NAME_MAX - 1;
    for (size_t i = 0; i < bytes; i++)
        source->name[i] = is_name_byte(name[i]) ? name[i] : '_';
    source->name[bytes] = '\0';
}

/* The default name of a source with a path: its last component. */
static void name_by_path(struct pst_source *source, const char *argument)
{
    size_t end = strlen(argument);
    while (end > 0 && argument[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && argument[begin - 1] != '/')
        begin--;
    name_source(source, argument + begin, end - begin);
}

static int open_type(const struct spec *spec, const char *text, struct pst_source **source,
                     char *error_text, size_t error_bytes)
{
    for (size_t i = 0; i < TYPES_COUNT; i++) {
        if (strlen(types[i].type) != spec->type_bytes ||
            memcmp(types[i].type, spec->type, spec->type_bytes) != 0)
            continue;
        int error = types[i].open(spec->argument, source, error_text, error_bytes);
        if (!error && !spec->name && types[i].has_path)
            name_by_path(*source, spec->argument);
        else if (!error)
            name_source(*source, spec->name, spec->name_bytes);
        return error;
    }
    snprintf(error_text, error_bytes, "source \"%s\": unknown type \"%.*s\"; known types: %s", text,
             (int)spec->type_bytes, spec->type, KNOWN_TYPES);
    return -EINVAL;
}

int registry_open(const char *text, uint32_t instance, struct pst_source **source, char *error_text,
                  size_t error_bytes)
{
    assert(instance < PST_SOURCES_MAX);
    *source = NULL;
    struct spec spec;
    int error = split(text, &spec, error_text, error_bytes);
    if (error)
        return error;
    struct pst_source *opened = NULL;
    error = open_type(&spec, text, &opened, error_text, error_bytes);
    if (error)
        return error;
    opened->instance = instance;
    *source = opened;
    return 0;
}

/* Takes out what leads nowhere: "//", "/./", a slash at the end. In place. */
static void shorten(char *path)
{
    char *to = path;
    for (const char *from = path; *from;) {
        size_t step = strcspn(from + 1, "/") + 1; /* a slash and the component behind it */
        if (step > 1 && !(step == 2 && from[1] == '.')) {
            memmove(to, from, step);
            to += step;
        }
        from += step;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
}

int pst_sources_path(const char *text, char **path)
{
    struct spec spec;
    char unused[1];
    *path = NULL;
    int error = split(text, &spec, unused, sizeof(unused));
    bool has_path = false;
    for (size_t i = 0; !error && i < TYPES_COUNT; i++)
        has_path = has_path || (types[i].has_path && strlen(types[i].type) == spec.type_bytes &&
                                memcmp(types[i].type, spec.type, spec.type_bytes) == 0);
    if (!has_path)
        return error;
    *path = pst_absolute_path(spec.argument);
    if (!*path)
        return -errno;
    shorten(*path);
    return 0;
}

static int check_unique(struct pst_source *const *sources, uint32_t last, char *error_text,
                        size_t error_bytes)
{
    const struct pst_source *added = sources[last];
    for (uint32_t i = 0; i < last; i++) {
        bool same_name = strcmp(sources[i]->name, added->name) == 0;
        if (same_name)
            snprintf(error_text, error_bytes,
                     "two sources are called \"%s\": give one another name with NAME=%s:…",
                     added->name, added->type);
        else if (pst_lmdb_is_same(sources[i], added))
            snprintf(error_text, error_bytes,
                     "sources \"%s\" and \"%s\" are the same environment: name it once",
                     sources[i]->name, added->name);
        else
            continue;
        return -EINVAL;
    }
    return 0;
}

int pst_sources_open(const char *const *specs, uint32_t count, struct pst_source **sources,
                     char *error_text, size_t error_bytes)
{
    if (count == 0 || count > PST_SOURCES_MAX) {
        snprintf(error_text, error_bytes, "%u sources: want 1 to %u", count, PST_SOURCES_MAX);
        return -EINVAL;
    }
    int error = 0;
    uint32_t opened = 0;
    while (!error && opened < count) {
        error = registry_open(specs[opened], opened, &sources[opened], error_text, error_bytes);
        if (!error) {
            sources[opened]->flags |= PST_SOURCE_CHECKS_LISTING;
            error = check_unique(sources, opened++, error_text, error_bytes);
        }
    }
    if (!error)
        return 0;
    while (opened > 0)
        pst_source_close(sources[--opened]);
    return error;
}

void pst_sources_filter(struct pst_source *const *sources, uint32_t count,
                        const struct pst_file_filter *filter)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(sources[i]->type, "dir") == 0)
            pst_dir_filter(sources[i], filter);
    }
}

uint32_t pst_sources_freeze_by(struct pst_source *const *sources, uint32_t count,
                               const struct pst_freeze_commands *commands)
{
    uint32_t frozen = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(sources[i]->type, "dir") != 0)
            continue;
        pst_dir_freeze_by(sources[i], commands);
        frozen++;
    }
    return frozen;
}

uint32_t pst_sources_left_frozen(struct pst_source *const *sources, uint32_t count)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++)
        left += pst_source_is_left_frozen(sources[i]);
    return left;
}

/* What a newer header has behind ours must not be used, or we would leave out what it asks for. */
static bool asks_for_more(const struct pst_source *source)
{
    for (size_t i = sizeof(*source); i < source->struct_bytes; i++)
        if (((const uint8_t *)source)[i] != 0)
            return true;
    return false;
}

static const char *fault_of(const struct pst_source *source)
{
    if (source->struct_bytes < PST_SOURCE_BYTES_MIN || source->struct_bytes > STRUCT_BYTES_MAX)
        return "struct_bytes is not the size of a struct pst_source";
    if (source->abi_version != PST_SOURCE_ABI_VERSION)
        return "its abi_version is another than this libpenstock's";
    if (asks_for_more(source))
        return "it was built for a newer libpenstock and has methods that this one does not know";
    if (source->flags & (PST_SOURCE_CHECKS_ROWS | PST_SOURCE_CHECKS_LISTING))
        return "flags has others than those of enum pst_source_flags";
    if (!source->type || !is_name(source->type, strnlen(source->type, PST_SOURCE_NAME_MAX)))
        return "type must be a short name of letters, digits, '.', '_' or '-'";
    if (!is_name(source->name, strnlen(source->name, sizeof(source->name))))
        return "name must be letters, digits, '.', '_' or '-'";
    if (!source->list)
        return "list is NULL";
    return NULL;
}

/* Those of programs that a job has, a node between two backups, too: another one would change them
 * under it. */
static struct adopted {
    pthread_mutex_t mutex;
    pid_t process; /* a child that was forked meanwhile has none of its parent's jobs */
    struct pst_source **sources;
    size_t count, room;
} adopted = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* adopted.count: it is not there. */
static size_t find_adopted(const struct pst_source *source)
{
    size_t i = 0;
    while (i < adopted.count && adopted.sources[i] != source)
        i++;
    return i;
}

/* -EBUSY: another job has it. */
static int take(struct pst_source *source)
{
    pthread_mutex_lock(&adopted.mutex);
    if (adopted.process != getpid())
        adopted.count = 0;
    adopted.process = getpid();
    void *sources = adopted.sources;
    bool is_free = find_adopted(source) == adopted.count && source->phase == PST_SOURCE_IDLE;
    int error = is_free ? 0 : -EBUSY;
    if (!error)
        error = pst_grow(&sources, adopted.count, &adopted.room, sizeof(*adopted.sources));
    adopted.sources = sources;
    if (!error)
        adopted.sources[adopted.count++] = source;
    pthread_mutex_unlock(&adopted.mutex);
    return error;
}

void pst_sources_give_back(struct pst_source *source)
{
    pst_source_release(source);
    pthread_mutex_lock(&adopted.mutex);
    size_t i = find_adopted(source);
    assert(i < adopted.count);
    adopted.sources[i] = adopted.sources[--adopted.count];
    pthread_mutex_unlock(&adopted.mutex);
}

int pst_sources_adopt(struct pst_source *source, uint32_t count, struct pst_source **sources,
                      char *error_text, size_t error_bytes)
{
    assert(count < PST_SOURCES_MAX);
    const char *fault = source ? fault_of(source) : "it is NULL";
    int error = -EINVAL;
    if (!fault) {
        sources[count] = source;
        error = check_unique(sources, count, error_text, error_bytes);
        if (error)
            return error;
        error = take(source);
        fault = error == -EBUSY ? "it is in use by another backup, or by a node" : "out of memory";
    }
    if (!error)
        source->instance = count;
    else
        snprintf(error_text, error_bytes, "source %u of the program: %s", count, fault);
    return error == -EBUSY ? -EINVAL : error;
}
