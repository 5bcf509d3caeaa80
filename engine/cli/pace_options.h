/*
 * --pace and --min-rate, the same for every command that reads much. Main thread only.
 */
#ifndef PST_ENGINE_CLI_PACE_OPTIONS_H
#define PST_ENGINE_CLI_PACE_OPTIONS_H

#include "engine/cli/command.h"

/* For a command's table. */
#define CLI_PACE_OPTIONS                                                                           \
    {.name = "pace",                                                                               \
     .kind = CLI_OPTION_TEXT,                                                                      \
     .argument = "max|auto|RATE",                                                                  \
     .fallback = "auto",                                                                           \
     .help = "how fast to read, all threads together: as fast as it goes; as fast as the host's "  \
             "other work allows; or at most so many bytes a second, such as 50M"},                 \
    {                                                                                              \
        .name = "min-rate", .kind = CLI_OPTION_SIZE, .argument = "RATE", .min = UINT64_C(1) << 20, \
        .max = UINT64_C(1) << 40,                                                                  \
        .help = "bytes a second below which --pace auto never goes; by default half of what it "   \
                "could read, and 16M at the least"                                                 \
    }

#endif
