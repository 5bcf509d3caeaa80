/*
 * Exit codes of penstock: documented, stable; a code not listed here means failure.
 */
#ifndef PST_ENGINE_CLI_EXIT_H
#define PST_ENGINE_CLI_EXIT_H

enum cli_exit {
    CLI_EXIT_DONE = 0,
    CLI_EXIT_FAILED = 1,        /* nothing of a backup is left; restore --force may leave files */
    CLI_EXIT_USAGE = 2,         /* the command line or environment asks for something impossible */
    CLI_EXIT_PARTIAL = 3,       /* done, but not all of it, or it could not be reported */
    CLI_EXIT_UNKNOWN = 4,       /* asked for; whether it was done is not known */
    CLI_EXIT_NO_BACKUP = 10,    /* no such backup or directory, or none that is complete */
    CLI_EXIT_BUSY = 11,         /* another backup or a cleanup is under way: try again */
    CLI_EXIT_KEY = 12,          /* the backup is sealed, and no key that was given opens it */
    CLI_EXIT_INTERRUPTED = 130, /* SIGINT, SIGTERM or SIGHUP: aborted in order */
};

#endif
