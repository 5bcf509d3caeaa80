/*
 * What this program was built of. Main thread only.
 */
#ifndef PST_ENGINE_CLI_VERSION_H
#define PST_ENGINE_CLI_VERSION_H

#include <stdio.h>

struct json_t;

/* The version in the first line, then the commit and the options of the build. */
void cli_version_print(FILE *out);

/* The fields of the record "version"; the caller's. NULL: out of memory. */
struct json_t *cli_version_json(void);

#endif
