/*
 * Progress of long work: a bar with rate and ETA on a terminal, one line per interval elsewhere
 * (both on stderr), or JSON Lines on stdout. One thread.
 *
 * A record: message_type "status", operation, seconds_elapsed, bytes_done, objects_done,
 * bytes_per_second; where known total_bytes, total_objects, seconds_remaining and percent_done,
 * which runs from 0 to 1 as restic's does.
 */
#ifndef PST_ENGINE_CLI_PROGRESS_H
#define PST_ENGINE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "penstock/error.h"

enum pst_progress_style {
    PST_PROGRESS_BAR,  /* a terminal */
    PST_PROGRESS_LINE, /* a log */
    PST_PROGRESS_JSON, /* a program */
};

/* How far the work is. */
struct pst_progress_sample {
    uint64_t now_ns; /* CLOCK_MONOTONIC */
    uint64_t bytes_done;
    uint64_t bytes_total; /* 0: not known yet */
    uint64_t objects_done;
    uint64_t objects_total; /* 0: not known yet */
};

struct pst_progress;

/* JSON if asked for, else by what stderr is. */
enum pst_progress_style pst_progress_choose_style(bool json);

/*
 * Starts at now_ns. label ("backup") stands before each line and is borrowed; out is borrowed:
 * stderr, or stdout for JSON. From now on SIGUSR1 makes the next sample print. Free with
 * pst_progress_finish. NULL: no memory.
 */
struct pst_progress *pst_progress_start(FILE *out, enum pst_progress_style style, const char *label,
                                        uint64_t now_ns);

/* Call as often as you like: prints when its interval is over (bar 0.2 s, line 10 s, JSON 1 s). */
void pst_progress_update(struct pst_progress *progress, const struct pst_progress_sample *sample);

/* Removes the bar; lines and records already printed stay. Frees progress; NULL is allowed. */
void pst_progress_finish(struct pst_progress *progress);

#endif
