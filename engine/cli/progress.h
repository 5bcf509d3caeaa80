/*
 * Progress of long work: a bar with rate and ETA on a terminal, one line per interval elsewhere
 * (both on stderr), or JSON Lines on stdout. One thread.
 *
 * A record: message_type "status", as docs/json.md describes it; percent_done runs from 0 to 1 as
 * restic's does.
 */
#ifndef PST_ENGINE_CLI_PROGRESS_H
#define PST_ENGINE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "penstock/error.h"

enum cli_progress_style {
    CLI_PROGRESS_BAR,  /* a terminal */
    CLI_PROGRESS_LINE, /* a log */
    CLI_PROGRESS_JSON, /* a program */
    CLI_PROGRESS_QUIET /* a line when SIGUSR1 asks for one */
};

/* How far the work is. */
struct cli_progress_sample {
    uint64_t now_ns; /* CLOCK_MONOTONIC */
    uint64_t bytes_done;
    uint64_t bytes_total; /* 0: not known yet */
    uint64_t objects_done;
};

struct cli_progress;

/* JSON if asked for, else none if quiet, else by what stderr is. */
enum cli_progress_style cli_progress_choose_style(bool json, bool quiet);

/*
 * Starts at now_ns. label ("backup") stands before each line and is borrowed; out is borrowed:
 * stderr, or stdout for JSON. From now on SIGUSR1 makes the next sample print. Free with
 * cli_progress_finish. NULL: no memory.
 */
struct cli_progress *cli_progress_start(FILE *out, enum cli_progress_style style, const char *label,
                                        uint64_t now_ns);

/* Call as often as you like: prints when its interval is over (bar 0.2 s, line 10 s, JSON 1 s). */
void cli_progress_update(struct cli_progress *progress, const struct cli_progress_sample *sample);

/* Removes the bar; lines and records already printed stay. Frees progress; NULL is allowed. */
void cli_progress_finish(struct cli_progress *progress);

#endif
