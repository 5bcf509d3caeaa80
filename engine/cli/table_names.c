/*
 * Splits the lists of tables of --tables. Called by cmd_backup.c and cmd_export.c.
 */
#include "engine/cli/table_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cli_table_names_split(const char *list, struct cli_table_names *names)
{
    *names = (struct cli_table_names){0};
    if (!list)
        return 0;
    uint32_t commas = 0;
    for (const char *at = strchr(list, ','); at; at = strchr(at + 1, ','))
        commas++;
    names->text = strdup(list);
    names->names = calloc(commas + 1u, sizeof(*names->names));
    if (!names->text || !names->names)
        return -ENOMEM;
    char *rest = names->text;
    for (char *name; (name = strsep(&rest, ",")) != NULL;) {
        if (name[0] == '\0')
            return -EINVAL;
        names->names[names->count++] = name;
    }
    return 0;
}

void cli_table_names_free(struct cli_table_names *names)
{
    free(names->text);
    free(names->names);
    *names = (struct cli_table_names){0};
}
