/*
 * The placement that a command's options ask for.
 */
#ifndef PST_ENGINE_CLI_PLACEMENT_H
#define PST_ENGINE_CLI_PLACEMENT_H

#include "engine/api/placement.h"
#include "engine/cli/command.h"

/* The command has PST_PLACEMENT_OPTIONS. PST_EXIT_DONE, or the exit code, having said why. */
PST_MUST_USE enum pst_exit pst_placements_choose(const struct pst_arguments *arguments,
                                                 const char *path,
                                                 struct pst_placements *placements);

#endif
