/*
 * Commands of the user's that run before and after a backup: by the shell, in a process group of
 * their own, which is killed at a deadline. Main thread only.
 */
#ifndef PST_ENGINE_CLI_HOOK_H
#define PST_ENGINE_CLI_HOOK_H

#include <stdint.h>

#include "penstock/error.h"

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

/* Runs command and waits for it. environment: NAME=VALUE… beside the process's own without its
 * PENSTOCK_BACKUP_…, NULL at the end. Its standard input is empty, its output goes to stderr.
 * interrupt_fd: readable: it is killed; -1: none. 0; -errno with message (PST_MESSAGE_BYTES):
 * -ETIMEDOUT, -EINTR, -ECHILD: it has failed. */
PST_MUST_USE int cli_hook_run(const char *command, const char *const *environment,
                              uint64_t limit_ns, int interrupt_fd, char *message);

#endif
