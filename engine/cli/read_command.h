/*
 * What verify, restore and export share: the backup that the command line names, the threads that
 * read it, their progress, and the end by a signal. Main thread only.
 */
#ifndef PST_ENGINE_CLI_READ_COMMAND_H
#define PST_ENGINE_CLI_READ_COMMAND_H

#include "engine/cli/command.h"
#include "engine/cli/key_options.h"
#include "engine/cli/progress.h"
#include "penstock/run.h"

/* Stays where it is until cli_read_end. */
struct cli_read {
    const struct cli_arguments *arguments;
    const char *directories[CLI_OPTION_VALUES_MAX]; /* --from */
    uint32_t directories_count;
    const char *id; /* the first positional; NULL: none */
    struct cli_keys keys;
    struct cli_progress *progress;
    uint64_t refused; /* attributes that the target of a restore takes of no file */
};

/* Signals that end the process make pst_interrupt_fd() readable from now on. CLI_EXIT_DONE, or the
 * exit code after a message. */
PST_MUST_USE enum cli_exit cli_read_take_signals(const struct cli_arguments *arguments);

/* Takes the signals over, starts the progress, labelled for example "verify", and fills *run from
 * the placement options; run->context is read. CLI_EXIT_DONE, or the exit code after a message. */
PST_MUST_USE enum cli_exit cli_read_begin(const struct cli_arguments *arguments, const char *label,
                                          struct cli_read *read, struct pst_run *run);

/* One job after another: the progress of the next. Likewise. */
PST_MUST_USE enum cli_exit cli_read_next(struct cli_read *read, const char *label);

/* The job has ended: removes the progress. */
void cli_read_end(struct cli_read *read);

/* Whether a job ended for what is wrong with the backup itself. */
bool cli_read_is_damage(int error);

/* Ends a command whose job failed with error and message; number: of the backup, 0: none was
 * opened. is_usage: the command line asked for what an opened backup does not have. */
enum cli_exit cli_read_fail(const struct cli_read *read, int error, uint32_t number,
                            const char *message, bool is_usage);

/* Ends a command that did ("verified") what was asked of the newest complete backup, count newer
 * ones being passed over. */
enum cli_exit cli_read_passed_over(const struct cli_read *read, const char *done, uint32_t number,
                                   uint64_t count);

#endif
