/* Shared by arguments.c, command.c and help.c only. */
#ifndef PST_ENGINE_CLI_INTERNAL_H
#define PST_ENGINE_CLI_INTERNAL_H

#include "engine/cli/command.h"

#define PST_VARIABLE_BYTES 64u

/* "PENSTOCK_LDM_CPUS" of "ldm-cpus". text has PST_VARIABLE_BYTES and is returned. */
char *pst_option_variable(const struct pst_option *option, char *text);

/* Options of a table, the end not counted. */
uint32_t pst_option_count(const struct pst_option *options);

/* "from 1 to 256", "of at least 64K": the range in the option's own spelling; "" if it has none. */
char *pst_option_range(const struct pst_option *option, char *text, size_t bytes);

#endif
