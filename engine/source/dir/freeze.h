/*
 * Freezes a dir: source by a command of the user's, and thaws it by another one. Both are run by a
 * guard (engine/source/guard.h), which runs the second one by itself if the backup's process dies.
 * docs/adr/0044 says when they run, and why so.
 *
 * The second command runs once for each time that the first one was started, whatever came of it.
 * Errors are logged where they arise. The source's thread calls. While the source is frozen, a
 * thread of its own waits for the end of the guard: one that is killed is replaced, and that is
 * logged.
 */
#ifndef PST_ENGINE_SOURCE_DIR_FREEZE_H
#define PST_ENGINE_SOURCE_DIR_FREEZE_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>

#include "engine/base/limits.h"
#include "engine/source/guard.h"
#include "engine/source/source.h"

/* What became of it is logged with this, by the source or, once that is gone, by the guard. */
#define FREEZE_THAW_FAILED                                                                         \
    "--thaw-command has failed, so what --freeze-command did may still be in place: undo it by "   \
    "hand: "

struct freeze {
    const struct pst_freeze_commands *commands; /* borrowed; NULL: there are none */
    struct pst_source *source;
    const char *path;       /* of the source; borrowed */
    struct pst_guard guard; /* the watch's while it runs */
    pthread_t watch;
    int watch_fd; /* readable: the watch is to end */
    bool is_watched;
    bool is_frozen;          /* the thaw command is due */
    _Atomic uint64_t gci;    /* of the cut; 0: not made */
    uint64_t frozen_at_ns;   /* CLOCK_MONOTONIC */
    uint64_t frozen_ns;      /* until the thaw command had ended */
    char snapshot[PATH_MAX]; /* what the freeze command has printed; "": nothing */
    bool is_told;            /* that the thaw command has failed, in the details of a backup */
};

/* Whether the source is to be frozen. */
bool freeze_is_wanted(const struct freeze *freeze);

/* Runs the freeze command. 0, with freeze->snapshot; -PST_E_FREEZE: it has not ended by
 * deadline_ns; -PST_E_COMMAND: it has failed; -errno. After an error nothing is frozen, but if
 * the source is_left_frozen. */
PST_MUST_USE int freeze_begin(struct freeze *freeze, uint64_t deadline_ns);

/* Runs the thaw command, if it is due. Waits PST_THAW_NS at most. */
void freeze_end(struct freeze *freeze);

/* Logs what is wrong with a source that is frozen, and keeps it as the source's error_text. */
void freeze_fail(struct freeze *freeze, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
