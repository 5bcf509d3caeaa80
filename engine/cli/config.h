/*
 * A configuration file: INI text with a section for each command and a key for each of its options,
 * as the flags are called. A key may be repeated where the flag may. What a line holds besides
 * blanks around it is the value, of any length; lines that begin with '#' or ';' are comments.
 * Main thread only.
 */
#ifndef PST_ENGINE_CLI_CONFIG_H
#define PST_ENGINE_CLI_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

struct cli_config;

struct cli_config_value {
    const char *text; /* the configuration's */
    uint32_t line;
};

/* Reads the whole file. 0, or -errno with error_text saying what is wrong where; -EINVAL: it is no
 * INI text. Closed by cli_config_close. */
PST_MUST_USE int cli_config_open(const char *path, struct cli_config **config, char *error_text,
                                 size_t error_bytes);
void cli_config_close(struct cli_config *config); /* NULL is allowed */

/* As it was given; the configuration's. */
const char *cli_config_path(const struct cli_config *config);

/* Whether all sections are among count names, and no key stands before the first. 0, or -EINVAL or
 * -ENOMEM with error_text saying what is wrong. */
PST_MUST_USE int cli_config_check_sections(struct cli_config *config, const char *const *names,
                                           size_t count, char *error_text, size_t error_bytes);

/* The same of the keys of a section, if it is there. */
PST_MUST_USE int cli_config_check_keys(struct cli_config *config, const char *section,
                                       const char *const *names, size_t count, char *error_text,
                                       size_t error_bytes);

/* The values of a key, in the order of the file, max at most. Returns how many there are in all, 0
 * if there is no such section or key, or -ENOMEM. */
PST_MUST_USE int cli_config_values(struct cli_config *config, const char *section, const char *key,
                                   struct cli_config_value *values, uint32_t max);

#endif
