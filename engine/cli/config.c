/*
 * Reads the INI file that --config names, by libini_config. Called by arguments.c and command.c, on
 * the main thread.
 */
#include "engine/cli/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini_configobj.h>
#include <ini_valueobj.h>

#include "engine/base/check.h"
#include "engine/cli/suggest.h"

struct cli_config {
    struct ini_cfgobj *object;
    char path[]; /* for messages */
};

/* The parser's own words for the first line that it could not take. */
static int refuse_text(struct cli_config *config, int error, char *error_text, size_t error_bytes)
{
    char **errors = NULL;
    int rc = ini_config_get_errors(config->object, &errors);
    bool has_reason = rc == 0 && errors && errors[0];
    snprintf(error_text, error_bytes, "%s: %s", config->path,
             has_reason ? errors[0] : strerror(error));
    if (errors)
        ini_config_free_errors(errors);
    return error == ENOMEM ? -ENOMEM : -EINVAL;
}

/* Repeated keys are kept; a line that begins with a blank is not the end of the one before. */
static int parse(struct cli_config *config, char *error_text, size_t error_bytes)
{
    struct ini_cfgfile *file;
    int error = ini_config_file_open(config->path, INI_META_NONE, &file);
    if (error) {
        snprintf(error_text, error_bytes, "%s: %s", config->path, strerror(error));
        return -error;
    }
    error = ini_config_parse(file, INI_STOP_ON_ANY, INI_MS_MERGE | INI_MV1S_ALLOW | INI_MV2S_ALLOW,
                             INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS, config->object);
    ini_config_file_destroy(file);
    return error ? refuse_text(config, error, error_text, error_bytes) : 0;
}

int cli_config_open(const char *path, struct cli_config **opened, char *error_text,
                    size_t error_bytes)
{
    PST_CHECK_MAIN_THREAD();
    *opened = NULL;
    struct cli_config *config = calloc(1, sizeof(*config) + strlen(path) + 1);
    if (!config || ini_config_create(&config->object) != 0) {
        free(config);
        snprintf(error_text, error_bytes, "%s: out of memory", path);
        return -ENOMEM;
    }
    strcpy(config->path, path);
    int rc = parse(config, error_text, error_bytes);
    if (rc < 0) {
        cli_config_close(config);
        return rc;
    }
    *opened = config;
    return 0;
}

void cli_config_close(struct cli_config *config)
{
    if (!config)
        return;
    ini_config_destroy(config->object);
    free(config);
}

const char *cli_config_path(const struct cli_config *config)
{
    return config->path;
}

static int refuse_unknown(const struct cli_config *config, const char *what, const char *name,
                          const char *const *names, size_t count, char *error_text,
                          size_t error_bytes)
{
    const char *nearest = cli_suggest(name, names, count);
    snprintf(error_text, error_bytes, "%s: unknown %s \"%.64s\"%s%s%s", config->path, what, name,
             nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return -EINVAL;
}

/* The first of a list that is none of count names; NULL: there is none. */
static const char *stranger(char **list, const char *const *names, size_t count)
{
    for (; *list; list++) {
        size_t i = 0;
        while (i < count && strcmp(*list, names[i]) != 0)
            i++;
        if (i == count)
            return *list;
    }
    return NULL;
}

int cli_config_check_sections(struct cli_config *config, const char *const *names, size_t count,
                              char *error_text, size_t error_bytes)
{
    int error = 0, rc = 0;
    char **sections = ini_get_section_list(config->object, NULL, &error);
    if (!sections) {
        snprintf(error_text, error_bytes, "%s: %s", config->path, strerror(error));
        return -error;
    }
    const char *unknown = stranger(sections, names, count);
    if (unknown && strcmp(unknown, INI_DEFAULT_SECTION) == 0) {
        snprintf(error_text, error_bytes, "%s: a key before the first [section]", config->path);
        rc = -EINVAL;
    } else if (unknown) {
        rc = refuse_unknown(config, "section", unknown, names, count, error_text, error_bytes);
    }
    ini_free_section_list(sections);
    return rc;
}

int cli_config_check_keys(struct cli_config *config, const char *section, const char *const *names,
                          size_t count, char *error_text, size_t error_bytes)
{
    int error = 0, rc = 0;
    char **keys = ini_get_attribute_list(config->object, section, NULL, &error);
    if (!keys) {
        snprintf(error_text, error_bytes, "%s: %s", config->path, strerror(error));
        return error == ENOMEM ? -ENOMEM : 0;
    }
    const char *unknown = stranger(keys, names, count);
    if (unknown)
        rc = refuse_unknown(config, "key", unknown, names, count, error_text, error_bytes);
    ini_free_attribute_list(keys);
    return rc;
}

int cli_config_values(struct cli_config *config, const char *section, const char *key,
                      struct cli_config_value *values, uint32_t max)
{
    struct value_obj *object = NULL;
    int count = 0;
    int error = ini_get_config_valueobj(section, key, config->object, INI_GET_FIRST_VALUE, &object);
    while (!error && object) {
        struct cli_config_value value = {0};
        error = value_get_concatenated(object, &value.text);
        if (!error)
            error = value_get_line(object, &value.line);
        if (!error && (uint32_t)count < max)
            values[count] = value;
        count++;
        if (!error)
            error =
                ini_get_config_valueobj(section, key, config->object, INI_GET_NEXT_VALUE, &object);
    }
    return error ? -error : count;
}
