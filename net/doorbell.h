/*
 * Doorbells: how a thread that polls rings goes to sleep, and how the threads that put signals into
 * its rings wake it, with no system call while it is awake (futex(2), eventfd(2)).
 *
 * The sleeper (one thread):                     A thread that rings (any):
 *     drains its rings, finds nothing,              pst_spsc_put(…)
 *     and pst_idle() returns true                   pst_doorbell_ring(bell)
 *     pst_doorbell_announce(bell)
 *     if (any ring is not empty)
 *         pst_doorbell_cancel(bell)
 *     else
 *         pst_doorbell_wait(bell, …)
 *
 * A thread that sleeps elsewhere, in io_uring for example, keeps a read poll on pst_doorbell_fd()
 * in flight there. When it wakes, for whatever reason, it calls pst_doorbell_cancel(), then, if the
 * poll fired, pst_doorbell_drain(), and only then looks into its rings and polls again.
 *
 * No wake-up is lost: announce, cancel and ring each exchange one word, so they are in one order.
 * A wait for the bell alone exchanges it once more, if no ring came since the announcement, and
 * sleeps on the word itself as long as it has that value.
 * Either a ring's exchange comes after the announcement, finds ASLEEP and writes to the fd; or it
 * comes before, then the announcement's exchange has read from it or from a later exchange that
 * did (a chain of acquire-release read-modify-writes), so what was put before the ring is visible
 * to the check after the announcement. Needless wake-ups are possible and harmless.
 */
#ifndef PST_NET_DOORBELL_H
#define PST_NET_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "penstock/error.h"

/*
 * The word alone, for a sleeper in another process that is woken by something other than an
 * eventfd: the same protocol, the same proof. If the other process overwrites the word, the worst
 * that follows is one wake-up too many, or a late one.
 */
enum { PST_AWAKE, PST_ASLEEP };

static inline void pst_sleep_announce(uint32_t *word)
{
    __atomic_exchange_n(word, PST_ASLEEP, __ATOMIC_ACQ_REL);
}

/* What the word was. Not a plain store, which would break the chain that the proof needs. */
static inline uint32_t pst_sleep_end(uint32_t *word)
{
    return __atomic_exchange_n(word, PST_AWAKE, __ATOMIC_ACQ_REL);
}

static inline void pst_sleep_cancel(uint32_t *word)
{
    (void)pst_sleep_end(word);
}

/* The thread that rings, after the put. Whether the sleeper must be woken. */
static inline bool pst_sleep_ends(uint32_t *word)
{
    return pst_sleep_end(word) != PST_AWAKE;
}

/* For the static part only: use the functions. */
struct pst_doorbell {
    uint32_t state;
    int fd;
    uint64_t writes;
} __attribute__((aligned(PST_LINE_BYTES)));

#define PST_DOORBELL_FOREVER UINT64_MAX

enum pst_doorbell_wake {
    PST_DOORBELL_RANG = 1,  /* a thread rang */
    PST_DOORBELL_EXTRA = 2, /* extra_fd is readable, or has failed */
};

/* Makes the eventfd. Returns 0 or -errno (EMFILE, ENFILE, ENOMEM). bell stays the caller's and
 * must not move until pst_doorbell_close(), which comes after the last ring. */
PST_MUST_USE int pst_doorbell_open(struct pst_doorbell *bell);
void pst_doorbell_close(struct pst_doorbell *bell);

/* Any thread, signal handlers too. Call after the put. Wakes the sleeper if it announced a sleep,
 * by one write(2); else costs one atomic exchange. */
void pst_doorbell_ring(struct pst_doorbell *bell);

/* The sleeper: from now on rings are answered by a write to the fd. Look into every ring next. */
void pst_doorbell_announce(struct pst_doorbell *bell);

/* The sleeper: it is awake, or has not gone to sleep after all. */
void pst_doorbell_cancel(struct pst_doorbell *bell);

/* The sleeper: the eventfd, to poll for reading elsewhere. Owned by bell, non-blocking. */
int pst_doorbell_fd(const struct pst_doorbell *bell);

/* The sleeper: makes the fd unreadable. Look into every ring after it and before the next sleep:
 * it may take away the ring of a signal that was put just now. */
void pst_doorbell_drain(struct pst_doorbell *bell);

/*
 * The sleeper, after announce and the look into its rings: sleeps until a thread rings, extra_fd
 * (-1: none) is readable, timeout_ns has passed or a signal handler ran. Cancels and drains; what a
 * bell was rung with before may wake one more wait with an extra_fd. Returns enum pst_doorbell_wake
 * bits, 0 for a timeout or a handler, or -errno.
 */
PST_MUST_USE int pst_doorbell_wait(struct pst_doorbell *bell, uint64_t timeout_ns, int extra_fd);

/* Any thread: system calls made by pst_doorbell_ring() so far. */
uint64_t pst_doorbell_writes(const struct pst_doorbell *bell);

/* How long a thread without work yields its core before it sleeps. To wake a sleeper takes some
 * 50 us where its core has nothing else to do, and much of what a thread waits for is another
 * thread's work on files, of some 100 us. It yields from the beginning: whoever it waits for may
 * have the same core. One that must not yield spins for PST_IDLE_SPIN_NS instead. */
#define PST_IDLE_SPIN_NS 5000u
#define PST_IDLE_YIELD_NS 200000u

/* So long if it is patient: work will come soon, after other threads have done some of theirs. */
#define PST_IDLE_PATIENT_NS 600000u

/* On a busy core a thread that yields gets the core back only after another's time slice, of
 * milliseconds, but a thread that sleeps is woken in time. So after a yield of PST_IDLE_AWAY_NS no
 * thread of the process yields for PST_IDLE_CROWDED_NS. */
#define PST_IDLE_AWAY_NS 1000000u
#define PST_IDLE_CROWDED_NS 100000000u

/* Zeros at first. For one thread. */
struct pst_idle {
    uint64_t since_ns; /* CLOCK_MONOTONIC; 0: not idle */
    bool is_patient;   /* its owner sets it */
};

/* A round of the loop found work. */
static inline void pst_idle_reset(struct pst_idle *idle)
{
    idle->since_ns = 0;
}

/* A round of the loop found nothing: pauses or yields the core, or returns true: it is time to
 * sleep. */
PST_MUST_USE bool pst_idle(struct pst_idle *idle);

#endif
