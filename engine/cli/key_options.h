/*
 * The options for keys: of backups that are sealed, and of commands that read them.
 */
#ifndef PST_ENGINE_CLI_KEY_OPTIONS_H
#define PST_ENGINE_CLI_KEY_OPTIONS_H

#include "engine/cli/command.h"
#include "penstock/run.h"

/* In both tables. */
#define CLI_PASSPHRASE_OPTIONS                                                                     \
    {.name = "passphrase-file",                                                                    \
     .kind = CLI_OPTION_TEXT,                                                                      \
     .argument = "FILE",                                                                           \
     .help = "likewise a passphrase: the first line of a file that is closed to others, or of a "  \
             "pipe (/dev/fd/3)"},                                                                  \
        {.name = "passphrase-command",                                                             \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "COMMAND",                                                                    \
         .yields_to = "passphrase-file,passphrase-prompt",                                         \
         .help = "likewise, as a command of the shell prints it, such as systemd-ask-password"},   \
    {                                                                                              \
        .name = "passphrase-prompt", .kind = CLI_OPTION_SWITCH,                                    \
        .help = "likewise, as it is typed at the terminal, which does not show it"                 \
    }

/* For the table of a command that makes backups. */
#define CLI_SEAL_OPTIONS                                                                           \
    {.name = "key-file",                                                                           \
     .kind = CLI_OPTION_TEXT,                                                                      \
     .argument = "FILE",                                                                           \
     .repeatable = true,                                                                           \
     .help = "seal backups: contents, names and sources are encrypted, and this key opens them. "  \
             "penstock keygen makes one. Given more than once, any of the keys opens them"},       \
        {.name = "recipient",                                                                      \
         .kind = CLI_OPTION_TEXT,                                                                  \
         .argument = "PUBLIC",                                                                     \
         .repeatable = true,                                                                       \
         .help = "likewise for the public half of a pair, or a file that holds it, so that this "  \
                 "host has nothing that opens a backup. penstock keygen --pair makes a pair"},     \
        CLI_PASSPHRASE_OPTIONS

/* For that of a command that reads them. */
#define CLI_KEY_OPTION                                                                             \
    {.name = "key-file",                                                                           \
     .kind = CLI_OPTION_TEXT,                                                                      \
     .argument = "FILE",                                                                           \
     .repeatable = true,                                                                           \
     .help = "key that opens a sealed backup, or the secret half of its pair; of several, any "    \
             "that fits"},                                                                         \
        CLI_PASSPHRASE_OPTIONS

/* Stays where it is while its keys are used. */
struct cli_keys {
    const char *files[CLI_OPTION_VALUES_MAX];
    const char *recipients[CLI_OPTION_VALUES_MAX];
    struct pst_keys keys;
};

/* seals: the command has --recipient. NULL where no key is given; else the process leaves no core
 * file from now on, unless somebody raises that limit again: see docs/security.md. */
const struct pst_keys *cli_keys_read(const struct cli_arguments *arguments, bool seals,
                                     struct cli_keys *given);

#endif
