/*
 * Finds a command's keys in the sections of a configuration file, and refuses those that are not in
 * their place. Called by arguments.c and command.c, on the main thread.
 */
#include "engine/cli/sections.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cli/suggest.h"

#define KEYS_MAX 64u /* of a command */

/* A walk over a file. */
struct section_visit {
    const struct cli_sections *sections;
    struct cli_config *config;
    bool has_shared, has_numbered;
    const char *section; /* whose keys are visited */
    char *error_text;
    size_t error_bytes;
};

/* 0: it is not there. */
static uint32_t line_of(struct cli_config *config, const char *section, const char *key)
{
    struct cli_config_value value;
    int count = cli_config_values(config, section, key, &value, 1);
    return count > 0 ? value.line : 0;
}

static int refuse_at(const struct section_visit *walk, uint32_t line, const char *key,
                     const char *what)
{
    snprintf(walk->error_text, walk->error_bytes, "%.160s:%u: %s %s", cli_config_path(walk->config),
             line, key, what);
    return -EINVAL;
}

static int refuse(const struct section_visit *walk, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Of a key of the section that is visited. */
static int refuse(const struct section_visit *walk, const char *key, const char *format, ...)
{
    char what[160];
    va_list list;
    va_start(list, format);
    vsnprintf(what, sizeof(what), format, list);
    va_end(list);
    return refuse_at(walk, line_of(walk->config, walk->section, key), key, what);
}

int cli_section_refuse_unknown(const struct cli_config *config, uint32_t line, const char *what,
                               const char *name, const char *const *names, size_t count,
                               char *error_text, size_t error_bytes)
{
    const char *nearest = cli_suggest(name, names, count);
    char where[16] = "";
    if (line > 0)
        snprintf(where, sizeof(where), ":%u", line);
    snprintf(error_text, error_bytes, "%s%s: unknown %s \"%.64s\"%s%s%s", cli_config_path(config),
             where, what, name, nearest ? "; did you mean " : "", nearest ? nearest : "",
             nearest ? "?" : "");
    return -EINVAL;
}

static bool is_numbered(const struct cli_sections *sections, const char *section)
{
    size_t bytes = strlen(sections->own);
    const char *number = section + bytes + 1;
    return sections->pick && strncmp(section, sections->own, bytes) == 0 && section[bytes] == ' ' &&
           *number >= '1' && *number <= '9' && strspn(number, "0123456789") == strlen(number) &&
           (sections->pick_max == 0 || strtoull(number, NULL, 10) <= sections->pick_max);
}

static bool is_shared(const struct cli_sections *sections, const char *section)
{
    return sections->shared && strcmp(section, sections->shared) == 0;
}

bool cli_sections_have(const struct cli_sections *sections, const char *section)
{
    return strcmp(section, sections->own) == 0 || is_shared(sections, section) ||
           is_numbered(sections, section);
}

static const struct cli_section_key *find(const struct cli_sections *sections, const char *name)
{
    for (uint32_t i = 0; i < sections->keys_count; i++) {
        if (strcmp(sections->keys[i].name, name) == 0)
            return &sections->keys[i];
    }
    return NULL;
}

static int refuse_key(const struct section_visit *walk, const char *key)
{
    const char *names[KEYS_MAX];
    uint32_t count = walk->sections->keys_count < KEYS_MAX ? walk->sections->keys_count : KEYS_MAX;
    for (uint32_t i = 0; i < count; i++)
        names[i] = walk->sections->keys[i].name;
    return cli_section_refuse_unknown(walk->config, line_of(walk->config, walk->section, key),
                                      "key", key, names, count, walk->error_text,
                                      walk->error_bytes);
}

/* Of the key of the section that is visited; 0: it is there once. */
static uint32_t second_line(const struct section_visit *walk, const char *key)
{
    struct cli_config_value values[2];
    int count = cli_config_values(walk->config, walk->section, key, values, 2);
    return count > 1 ? values[1].line : 0;
}

static int visit_key(void *context, const char *name)
{
    const struct section_visit *walk = context;
    const struct cli_sections *sections = walk->sections;
    const struct cli_section_key *key = find(sections, name);
    bool in_shared = is_shared(sections, walk->section);
    bool in_numbered = is_numbered(sections, walk->section);
    uint32_t own_line = in_numbered ? line_of(walk->config, sections->own, name) : 0;
    if (!key)
        return refuse_key(walk, name);
    if (walk->has_numbered && strcmp(name, sections->pick) == 0)
        return refuse(walk, name, "is in the names of the sections [%s N], of which --%s picks one",
                      sections->own, name);
    if (in_shared && !key->is_shared)
        return refuse(walk, name, "belongs in [%s], not in [%s]", sections->own, walk->section);
    if (!in_shared && key->is_shared && (walk->has_shared || walk->has_numbered))
        return refuse(walk, name, "belongs in [%s], not in [%s]", sections->shared, walk->section);
    if (!key->is_repeatable && second_line(walk, name) > 0)
        return refuse_at(walk, second_line(walk, name), name, "is given twice; give it once");
    if (own_line > 0)
        return refuse(walk, name, "is in [%s] too, in line %u; leave one of them out",
                      sections->own, own_line);
    return 0;
}

static int note_section(void *context, const char *section)
{
    struct section_visit *walk = context;
    walk->has_shared |= is_shared(walk->sections, section);
    walk->has_numbered |= is_numbered(walk->sections, section);
    return 0;
}

static int visit_section(void *context, const char *section)
{
    struct section_visit *walk = context;
    if (!cli_sections_have(walk->sections, section))
        return 0;
    walk->section = section;
    return cli_config_each_key(walk->config, section, visit_key, walk);
}

static int finish(const struct section_visit *walk, int error)
{
    if (error == -ENOMEM)
        snprintf(walk->error_text, walk->error_bytes, "%s: out of memory",
                 cli_config_path(walk->config));
    return error;
}

int cli_sections_check(const struct cli_sections *sections, struct cli_config *config,
                       char *error_text, size_t error_bytes)
{
    struct section_visit walk = {.sections = sections,
                                 .config = config,
                                 .error_text = error_text,
                                 .error_bytes = error_bytes};
    int error = cli_config_each_section(config, note_section, &walk);
    if (!error)
        error = cli_config_each_section(config, visit_section, &walk);
    return finish(&walk, error);
}

static int is_section(void *context, const char *section)
{
    return strcmp(context, section) == 0;
}

int cli_sections_pick(const struct cli_sections *sections, struct cli_config *config,
                      uint64_t number, char *name, char *error_text, size_t error_bytes)
{
    struct section_visit walk = {.sections = sections,
                                 .config = config,
                                 .error_text = error_text,
                                 .error_bytes = error_bytes};
    *name = '\0';
    int found = cli_config_each_section(config, note_section, &walk);
    if (found || !walk.has_numbered)
        return finish(&walk, found);
    snprintf(name, CLI_SECTION_BYTES, "%.8s %llu", sections->own, (unsigned long long)number);
    found = cli_config_each_section(config, is_section, name);
    if (found == 0) {
        snprintf(error_text, error_bytes, "%s: has no section [%s]", cli_config_path(config), name);
        return -EINVAL;
    }
    return found > 0 ? 0 : finish(&walk, found);
}

int cli_sections_values(const struct cli_sections *sections, struct cli_config *config,
                        const char *picked, const char *key, struct cli_config_value *values,
                        uint32_t max)
{
    const char *const places[] = {sections->shared, sections->own, *picked ? picked : NULL};
    uint32_t total = 0;
    for (uint32_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        uint32_t kept = total < max ? total : max;
        int count =
            places[i] ? cli_config_values(config, places[i], key, values + kept, max - kept) : 0;
        if (count < 0)
            return count;
        total += (uint32_t)count;
    }
    return (int)total;
}
