/*
 * --ldms, --ldm-cpus and --hub-cpu, the same for every command that starts LDMs or readers.
 */
#ifndef PST_ENGINE_CLI_PLACEMENT_OPTIONS_H
#define PST_ENGINE_CLI_PLACEMENT_OPTIONS_H

#include "engine/cli/command.h"

/* For a command's table. */
#define CLI_PLACEMENT_OPTIONS                                                                      \
    {.name = "ldms",                                                                               \
     .kind = CLI_OPTION_COUNT,                                                                     \
     .argument = "N",                                                                              \
     .min = 1,                                                                                     \
     .max = PST_LDMS_MAX,                                                                          \
     .help = "number of LDMs; by default one for each physical core but one"},                     \
        {.name = "ldm-cpus",                                                                       \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "LIST",                                                                       \
         .help = "CPU of each LDM, such as 2-5,8; by default near the disk"},                      \
    {                                                                                              \
        .name = "hub-cpu", .kind = CLI_OPTION_TEXT, .argument = "CPU",                             \
        .help = "CPU of the hub; by default one of its own"                                        \
    }

#endif
