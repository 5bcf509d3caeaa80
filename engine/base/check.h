/*
 * The thread contract of a header, asserted: "the hub's thread alone" is a line that a caller can
 * break, and a race is what comes of it, much later. What only one thread may use holds a
 * struct pst_thread_owner and checks it at each entry, in release builds too.
 *
 * Unbound, which is what zeros are, any thread may call: a thing is set up by the thread that makes
 * it, bound by the thread that works with it, and torn down after pst_thread_unbind() or once that
 * thread has ended.
 */
#ifndef PST_ENGINE_BASE_CHECK_H
#define PST_ENGINE_BASE_CHECK_H

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

struct pst_thread_owner {
    pthread_t thread;
    bool is_bound;
};

/* From now on only the calling thread may pass PST_CHECK_THREAD. */
static inline void pst_thread_bind(struct pst_thread_owner *owner)
{
    assert(!owner->is_bound);
    owner->thread = pthread_self();
    owner->is_bound = true;
}

/* Of a thing that its users share out by first use: the first thread that calls is the owner. */
#define PST_CLAIM_THREAD(owner)                                                                    \
    do {                                                                                           \
        if (!(owner)->is_bound)                                                                    \
            pst_thread_bind(owner);                                                                \
        PST_CHECK_THREAD(owner);                                                                   \
    } while (0)

/* The owner, or the thread that has joined it: any thread may call again. */
static inline void pst_thread_unbind(struct pst_thread_owner *owner)
{
    owner->is_bound = false;
}

static inline bool pst_thread_is_owner(const struct pst_thread_owner *owner)
{
    return !owner->is_bound || pthread_equal(owner->thread, pthread_self());
}

/* Of a struct pst_thread_owner *. A few nanoseconds: for entries, not for loops over bytes. */
#define PST_CHECK_THREAD(owner) assert(pst_thread_is_owner(owner))

/* The process's first thread: what sets signal handlers, the umask or the environment runs there.
 */
static inline bool pst_thread_is_main(void)
{
    return gettid() == getpid();
}

#define PST_CHECK_MAIN_THREAD() assert(pst_thread_is_main())

#endif
