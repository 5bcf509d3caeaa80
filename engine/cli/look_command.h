/*
 * The frame of the commands that look inside a backup: ls, find, cat, diff and stats. Main thread
 * only.
 */
#ifndef PST_ENGINE_CLI_LOOK_COMMAND_H
#define PST_ENGINE_CLI_LOOK_COMMAND_H

#include "engine/api/inside.h"
#include "engine/cli/command.h"

struct json_t;

#define CLI_ID_OPTION                                                                              \
    {                                                                                              \
        .name = "id", .kind = CLI_OPTION_TEXT, .argument = "ID",                                   \
        .help = "number of the backup, or 4 or more digits of its uid; by default the newest "     \
                "complete one"                                                                     \
    }

#define CLI_LONG_OPTION                                                                            \
    {                                                                                              \
        .name = "long", .letter = 'l', .kind = CLI_OPTION_SWITCH,                                  \
        .help = "type, permissions, owner, group, bytes and time of change too"                    \
    }

struct cli_look {
    const struct cli_arguments *arguments;
    struct pst_keyring *keyring;
    struct pst_inside *inside;
    struct pst_look *look;
    int print_error; /* the first that printing a record met */
    bool is_whole;   /* what was asked for is, whatever else is damaged */
};

/* Opens the backup that id names, to look for name, with so many threads (inside.h). CLI_EXIT_DONE,
 * ended by cli_look_end; or the exit code, after a message. */
PST_MUST_USE enum cli_exit cli_look_begin(const struct cli_arguments *arguments, const char *id,
                                          const char *name, uint32_t workers,
                                          struct cli_look *look);

void cli_look_close(struct cli_look *look);

/* Logs that a backup is damaged, where damage was met. */
PST_MUST_USE enum cli_exit cli_look_damages(const struct cli_look *look);

/* Closes it, and gives the exit code of a command that met this error, with message. */
PST_MUST_USE enum cli_exit cli_look_end(struct cli_look *look, int error, const char *message);

/* A name as people type it: no slash and no "./" before it. "" for NULL. */
const char *cli_look_name(const char *typed);

/* "file", "directory", … Static. */
const char *cli_look_type(const struct pst_object *object);

/* Prints an object: its record, or its long or short line with this name. -ECANCELED: printing
 * failed, which cli_look_end reports. */
PST_MUST_USE int cli_look_print(struct cli_look *look, const struct pst_look_object *found,
                                const char *name, bool is_long);

/* The fields of the record of an object; NULL: no memory. The caller's. */
struct json_t *cli_look_json(const struct pst_look_object *found) PST_MUST_USE;

/* How much was read, as the last record, with its other fields (taken); or an error. */
PST_MUST_USE int cli_look_summary(const struct cli_look *look, const char *operation,
                                  uint64_t objects);

#endif
