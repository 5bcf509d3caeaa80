/*
 * What a command reads of a configuration file. Its own section is called like the command, with a
 * key for each option. A command of many nodes has two kinds more, so that one file serves them
 * all: a section of what all of them share ([cluster]), and sections of one each ([node 2]), of
 * which an option picks one. Then every key has its place:
 *
 *     shared keys   in the shared section; in the own one only if that is the only one of the three
 *     other keys    in the own section, for all nodes, or in a numbered one, for one; not in both
 *
 * Main thread only.
 */
#ifndef PST_ENGINE_CLI_SECTIONS_H
#define PST_ENGINE_CLI_SECTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/cli/config.h"

#define CLI_SECTION_BYTES 32u /* of the name of a numbered section */

struct cli_section_key {
    const char *name;
    bool is_shared;
    bool is_repeatable;
};

struct cli_sections {
    const char *own;
    const char *shared; /* NULL: there is none, and none is numbered */
    const char *pick;   /* the key whose value picks a numbered section; NULL: likewise */
    uint64_t pick_max;  /* the highest number; 0: there is none */
    const struct cli_section_key *keys;
    uint32_t keys_count;
};

/* Whether each key of these sections is known, in its place, and there once if it must be. 0, or
 * -EINVAL or -ENOMEM with error_text saying what is wrong in which line. */
PST_MUST_USE int cli_sections_check(const struct cli_sections *sections, struct cli_config *config,
                                    char *error_text, size_t error_bytes);

/* The numbered section of a number, in name (CLI_SECTION_BYTES): "" if the file has none at all. 0,
 * or likewise: it has others, but not this one. */
PST_MUST_USE int cli_sections_pick(const struct cli_sections *sections, struct cli_config *config,
                                   uint64_t number, char *name, char *error_text,
                                   size_t error_bytes);

/* As cli_config_values(), of all sections where the key may be; picked: of cli_sections_pick(). */
PST_MUST_USE int cli_sections_values(const struct cli_sections *sections, struct cli_config *config,
                                     const char *picked, const char *key,
                                     struct cli_config_value *values, uint32_t max);

/* Whether it is one of these, a numbered one ("node 2") included. */
bool cli_sections_have(const struct cli_sections *sections, const char *section);

/* Refuses a section or key that nobody knows. what: "section", "key". line 0: not known. Returns
 * -EINVAL. */
int cli_section_refuse_unknown(const struct cli_config *config, uint32_t line, const char *what,
                               const char *name, const char *const *names, size_t count,
                               char *error_text, size_t error_bytes);

#endif
