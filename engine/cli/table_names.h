/*
 * Lists of tables on the command line: names with commas between them, each as
 * an exported table's file is called, without the suffix.
 */
#ifndef PST_ENGINE_CLI_TABLE_NAMES_H
#define PST_ENGINE_CLI_TABLE_NAMES_H

#include <stdint.h>

#include "penstock/error.h"

struct cli_table_names {
    const char **names; /* NULL with count 0; they lead into text */
    uint32_t count;
    char *text;
};

/* NULL: no names. -EINVAL: an empty one; -ENOMEM. To be freed in every case. */
int cli_table_names_split(const char *list, struct cli_table_names *names) PST_MUST_USE;
void cli_table_names_free(struct cli_table_names *names);

#endif
