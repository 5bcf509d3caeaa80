/*
 * What a thread is at, for another thread to see: so a call that hangs has a name. The thread
 * publishes without a lock, a system call or a clock; whoever watches sees whether it has moved.
 *
 * Where no activity is named, it is the one bound to the calling thread; without one the call does
 * nothing.
 */
#ifndef PST_ENGINE_BASE_ACTIVITY_H
#define PST_ENGINE_BASE_ACTIVITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PST_ACTIVITY_NAME_BYTES 256u /* a longer name loses its beginning */

/* One line: what is done, and to what. */
struct pst_activity_line {
    _Atomic(const char *) what; /* static; NULL: nothing */
    _Atomic uint64_t name[PST_ACTIVITY_NAME_BYTES / 8];
};

/* Zero: nothing is done. */
struct pst_activity {
    _Atomic uint64_t moves;    /* grows with all that the thread does; odd while a line changes */
    _Atomic uint64_t since_ns; /* of the order, CLOCK_MONOTONIC; 0: unknown */
    atomic_bool is_resting;    /* waits for orders, however long */
    struct pst_activity_line order; /* that it serves */
    struct pst_activity_line step;  /* of it: one call that may block */
};

/* What another thread sees. */
struct pst_activity_view {
    uint64_t moves;
    const char
        *what; /* of the step, else of the order; NULL: nothing is done, or nothing is known */
    char name[PST_ACTIVITY_NAME_BYTES];
    uint64_t since_ns; /* 0: unknown */
    bool is_resting;
};

/* From now on the thread's own; NULL: none. */
void pst_activity_bind(struct pst_activity *activity);

/* The activity's own thread serves an order. what: static, NULL: it has ended; name: copied.
 * since_ns: 0: now, or not known. */
void pst_activity_order(struct pst_activity *activity, const char *what, const char *name,
                        uint64_t since_ns);

/* Around one call that may block: "read the directory", and its path. They do not nest. */
void pst_activity_begin(const char *what, const char *name);
void pst_activity_end(void);

/* Around a call within another that is named: then that is named again. */
struct pst_activity_outer {
    const char *what;
    char name[PST_ACTIVITY_NAME_BYTES];
};
void pst_activity_begin_inner(struct pst_activity_outer *outer, const char *what, const char *name);
void pst_activity_end_inner(const struct pst_activity_outer *outer);

/* One call that may block and returns an int. */
#define PST_ACTIVITY_STEP(what, name, call)                                                        \
    ({                                                                                             \
        pst_activity_begin(what, name);                                                            \
        int result_ = (call);                                                                      \
        pst_activity_end();                                                                        \
        result_;                                                                                   \
    })

/* Around a wait for orders. */
void pst_activity_rest(bool resting);

/* The thread runs: for one that does much in little steps. */
void pst_activity_move(void);

/* Any thread. */
void pst_activity_view(const struct pst_activity *activity, struct pst_activity_view *view);

#endif
