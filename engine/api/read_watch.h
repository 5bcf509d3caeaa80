/*
 * Watches the threads of a verify, restore or export, so that a disk that hangs has a name: a
 * thread of its own logs which one has been in one call for PST_STALL_WARNING_NS_DEFAULT, and with
 * which file. Private to engine/api/.
 */
#ifndef PST_ENGINE_API_READ_WATCH_H
#define PST_ENGINE_API_READ_WATCH_H

#include <pthread.h>

#include "engine/base/limits.h"
#include "engine/base/stall.h"
#include "penstock/error.h"

#define READ_WATCH_THREADS_MAX (1 + PST_LDMS_MAX)

/* Its address is fixed from start to stop. */
struct read_watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool must_stop;
    struct pst_activity own;                   /* of the thread that called read_watch_start() */
    struct pst_activity workers[PST_LDMS_MAX]; /* for those of a crew to bind */
    struct pst_stall stalls[READ_WATCH_THREADS_MAX];
    char names[READ_WATCH_THREADS_MAX][16];
};

/* Watches the calling thread too, which then stops it. job: its name in the log. 0 or -errno. */
PST_MUST_USE int read_watch_start(struct read_watch *watch, const char *job);
void read_watch_stop(struct read_watch *watch);

#endif
