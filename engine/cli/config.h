/*
 * A configuration file: INI text. A key may be repeated. What a line holds besides blanks around it
 * is the value, of any length; lines that begin with '#' or ';' are comments. sections.h says what
 * may stand in one. Main thread only.
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

/* Where a section begins, first; 0: not known. */
uint32_t cli_config_section_line(const struct cli_config *config, const char *section);

/* Called with the name of a section or a key. Other than 0 ends the walk. */
typedef int cli_config_visitor(void *context, const char *name);

/* Visits every section, "" being the keys before the first; or every key of a section, once each,
 * none if there is no such section. What visit returned last, 0 at the end, or -ENOMEM. */
PST_MUST_USE int cli_config_each_section(struct cli_config *config, cli_config_visitor *visit,
                                         void *context);
PST_MUST_USE int cli_config_each_key(struct cli_config *config, const char *section,
                                     cli_config_visitor *visit, void *context);

/* The values of a key, in the order of the file, max at most. Returns how many there are in all, 0
 * if there is no such section or key, or -ENOMEM. */
PST_MUST_USE int cli_config_values(struct cli_config *config, const char *section, const char *key,
                                   struct cli_config_value *values, uint32_t max);

#endif
