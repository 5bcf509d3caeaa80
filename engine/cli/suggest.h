/* "did you mean": the nearest name by edit distance. Pure; any thread. */
#ifndef PST_ENGINE_CLI_SUGGEST_H
#define PST_ENGINE_CLI_SUGGEST_H

#include <stddef.h>

/* Returns the one of count names that a slip of the fingers could have turned into text (at most a
 * third of it wrong), or NULL. */
const char *cli_suggest(const char *text, const char *const *names, size_t count);

#endif
