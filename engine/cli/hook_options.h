/*
 * The options for commands of the user's that run before and after a backup.
 */
#ifndef PST_ENGINE_CLI_HOOK_OPTIONS_H
#define PST_ENGINE_CLI_HOOK_OPTIONS_H

#include <stdint.h>

#define CLI_HOOK_OPTIONS                                                                           \
    {.name = "before-command",                                                                     \
     .kind = CLI_OPTION_TEXT,                                                                      \
     .argument = "COMMAND",                                                                        \
     .help = "run this by /bin/sh before the sources are opened; if it fails, no backup is made. " \
             "PENSTOCK_BACKUP_TO is the directory"},                                               \
        {.name = "after-command",                                                                  \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "COMMAND",                                                                    \
         .help =                                                                                   \
             "run this at the end, whatever the end, unless --before-command has failed; if it "   \
             "fails after a backup was made, the exit code is 3. PENSTOCK_BACKUP_EXIT_CODE, and "  \
             "of a backup that was made PENSTOCK_BACKUP_NUMBER, _UID, _SOURCE_BYTES and "          \
             "_STORED_BYTES say what became of it"},                                               \
    {                                                                                              \
        .name = "command-limit", .kind = CLI_OPTION_DURATION, .argument = "TIME",                  \
        .fallback = "60s", .min = UINT64_C(100000000), .max = UINT64_C(86400000000000),            \
        .help = "how long each of these commands may run; then it has failed, and it and its "     \
                "children are killed"                                                              \
    }

#endif
