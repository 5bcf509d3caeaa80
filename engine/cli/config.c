/*
 * Reads the INI file that --config names, by libini_config. Called by arguments.c, command.c and
 * sections.c, on the main thread.
 */
#include "engine/cli/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini_configobj.h>
#include <ini_valueobj.h>

#include "engine/base/check.h"
#include "penstock/error.h"

#define FILE_BYTES_MAX (1u << 20)

struct cli_config {
    struct ini_cfgobj *object;
    char *text;  /* NULL: it could not be read */
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

/* All of it, of a pipe too, which can be read once. The text is malloc'd, and has a terminator. */
static int read_all(const char *path, char **text, size_t *bytes)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    *text = malloc(FILE_BYTES_MAX + 1);
    *bytes = *text ? fread(*text, 1, FILE_BYTES_MAX + 1, file) : 0;
    int error = !*text ? -ENOMEM : ferror(file) ? -errno : 0;
    if (!error && *bytes > FILE_BYTES_MAX)
        error = -EFBIG;
    (void)fclose(file);
    if (error)
        free(*text);
    else
        (*text)[*bytes] = '\0';
    return error;
}

/* The parser takes what follows a NUL for nothing, a part of a path too. UTF-16 and UTF-32, by the
 * marks that they begin with, it understands. */
static bool is_text(const char *text, size_t bytes)
{
    bool is_wide =
        bytes >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0 ||
                       (bytes >= 4 && memcmp(text, "\0\0\xfe\xff", 4) == 0));
    return is_wide || !memchr(text, '\0', bytes);
}

static int open_text(struct cli_config *config, struct ini_cfgfile **file, char *error_text,
                     size_t error_bytes)
{
    char *text = NULL;
    size_t bytes = 0;
    int error = read_all(config->path, &text, &bytes);
    if (error) {
        snprintf(error_text, error_bytes, "%s: %s", config->path, pst_error_text(error));
        return error;
    }
    if (!is_text(text, bytes)) {
        snprintf(error_text, error_bytes, "%s: it is not text: it has a byte 0", config->path);
        error = -EINVAL;
    } else if (ini_config_file_from_mem(text, (uint32_t)bytes, file) != 0) {
        snprintf(error_text, error_bytes, "%s: out of memory", config->path);
        error = -ENOMEM;
    }
    config->text = text;
    return error;
}

/* Repeated keys are kept; a line that begins with a blank is not the end of the one before. */
static int parse(struct cli_config *config, char *error_text, size_t error_bytes)
{
    struct ini_cfgfile *file;
    int error = open_text(config, &file, error_text, error_bytes);
    if (error)
        return error;
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
    free(config->text);
    free(config);
}

const char *cli_config_path(const struct cli_config *config)
{
    return config->path;
}

uint32_t cli_config_section_line(const struct cli_config *config, const char *section)
{
    size_t bytes = strlen(section);
    uint32_t line = 1;
    for (const char *at = config->text; at; line++) {
        const char *name = at + strspn(at, " \t") + 1;
        if (name[-1] == '[' && strncmp(name, section, bytes) == 0 && name[bytes] == ']')
            return line;
        const char *end = strchr(at, '\n');
        at = end ? end + 1 : NULL;
    }
    return 0;
}

static int each_name(char **names, cli_config_visitor *visit, void *context)
{
    int result = 0;
    for (char **name = names; *name && result == 0; name++)
        result = visit(context, strcmp(*name, INI_DEFAULT_SECTION) == 0 ? "" : *name);
    return result;
}

int cli_config_each_section(struct cli_config *config, cli_config_visitor *visit, void *context)
{
    int error = 0;
    char **sections = ini_get_section_list(config->object, NULL, &error);
    if (!sections)
        return -ENOMEM;
    int result = each_name(sections, visit, context);
    ini_free_section_list(sections);
    return result;
}

int cli_config_each_key(struct cli_config *config, const char *section, cli_config_visitor *visit,
                        void *context)
{
    int error = 0;
    char **keys = ini_get_attribute_list(config->object, section, NULL, &error);
    if (!keys)
        return error == ENOMEM ? -ENOMEM : 0;
    int result = each_name(keys, visit, context);
    ini_free_attribute_list(keys);
    return result;
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
