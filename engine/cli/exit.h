/*
 * Exit codes of penstock: documented, stable; a code not listed here means failure.
 */
#ifndef PST_ENGINE_CLI_EXIT_H
#define PST_ENGINE_CLI_EXIT_H

enum cli_exit {
    CLI_EXIT_DONE = 0,
    CLI_EXIT_FAILED = 1,        /* nothing half-made is left behind */
    CLI_EXIT_USAGE = 2,         /* the command line or environment asks for something impossible */
    CLI_EXIT_PARTIAL = 3,       /* done, but some objects could not be read, or changed meanwhile */
    CLI_EXIT_NO_BACKUP = 10,    /* no such backup, or none that is complete */
    CLI_EXIT_BUSY = 11,         /* another backup or a cleanup is under way: try again */
    CLI_EXIT_INTERRUPTED = 130, /* SIGINT, SIGTERM or SIGHUP: aborted in order */
};

#endif
