/* --version. Called by command.c, on the main thread. */
#include "engine/cli/version.h"

#include <jansson.h>

#include "engine/cli/print.h"

extern const char cli_commit[]; /* written by each build: scripts/cmake/commit.cmake */

void cli_version_print(FILE *out)
{
    cli_print_line(out, "penstock %s", PST_VERSION);
    cli_print_line(out, "commit: %s", cli_commit);
    cli_print_line(out, "build: %s, %s, %s", CLI_BUILD_TYPE, CLI_COMPILER, CLI_FLAGS);
    cli_print_line(out, "libraries: %s", CLI_LIBRARIES);
}

struct json_t *cli_version_json(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name", "penstock", "version",
                     PST_VERSION, "commit", cli_commit, "build_type", CLI_BUILD_TYPE, "compiler",
                     CLI_COMPILER, "flags", CLI_FLAGS, "libraries", CLI_LIBRARIES);
}
