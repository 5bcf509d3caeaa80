/*
 * The pace of a node, or of the threads of a verify or restore: how many bytes a second they may
 * read, all together, how deep, and with which I/O priority. No lock: a thread that may not go on
 * is told when to ask again, and does what else it has to do until then.
 *
 * The budget is a line of time: who reads takes the next stretch of it, as long as its bytes take
 * at the rate. So threads are served in the order in which they ask, and in any T seconds there are
 * at most rate × (T + 0.1 s) bytes and a piece for each thread.
 *
 * pst_pace_init and pst_pace_release: while no thread uses it. pst_pace_set, pst_pace_status: any
 * thread. What takes a share: the thread that has opened it; NULL: as fast as it goes.
 */
#ifndef PST_ENGINE_PACE_PACE_H
#define PST_ENGINE_PACE_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/pace/host_page.h"
#include "engine/pace/pace_control.h"
#include "engine/pace/pace_text.h"
#include "engine/pace/pressure.h"
#include "io/ring.h"

/* What a thread notes, which only grows. Each has one, as long as there are fewer than
 * PACE_TALLIES, on a cache line of its own. */
struct pace_tally {
    _Atomic uint64_t bytes, wait_ns, transfers, transfer_ns;
    _Atomic uint64_t steps; /* in which it has read */
} __attribute__((aligned(PST_LINE_BYTES)));

#define PACE_TALLIES 256u

struct pace_sums {
    uint64_t bytes, wait_ns, transfers, transfer_ns, steps;
};

struct pst_pace {
    _Atomic uint32_t version; /* grows with each pst_pace_set */
    _Atomic uint32_t mode;    /* enum pst_pace_mode, and of the setting: */
    _Atomic uint64_t wanted;
    _Atomic uint64_t min_rate;

    _Atomic uint64_t bytes_per_s; /* that count now; 0: no limit */
    _Atomic uint64_t line_ns;     /* CLOCK_MONOTONIC: the budget is taken until then */
    _Atomic uint32_t depth;
    _Atomic uint32_t priority; /* enum pst_io_priority */
    _Atomic uint32_t is_gentle;
    _Atomic uint32_t reason; /* enum pst_pace_reason */

    struct pace_tally *tallies;
    uint32_t tallies_count;      /* PACE_TALLIES; where there was no memory, one for all */
    _Atomic uint32_t shares;     /* that were opened */
    _Atomic uint32_t step;       /* their number */
    _Atomic uint64_t step_at_ns; /* the next one */
    atomic_bool is_stepping;     /* whose turn it is has what follows */
    struct pace_control control;
    uint32_t control_version;
    struct pressure pressure;
    struct host_page *host;
    struct pressure_sample before;
    uint64_t before_ns;               /* 0: nothing was measured yet */
    uint64_t host_io_ns, host_cpu_ns; /* what the page said then */
    struct pace_sums before_sums;
    atomic_bool was_quiet;
    bool is_beginning; /* for a moment, before it listens for the first time */
    uint32_t depth_max;

    /* Since the start, for reports. */
    _Atomic uint64_t held_ns[PST_PACE_REASONS]; /* in steps with that reason */
    _Atomic uint64_t lowest_bytes_per_s;        /* of the limits there were; 0: none */
};

/* One thread's. */
struct pst_pace_share {
    struct pst_pace *pace; /* NULL: as fast as it goes */
    struct pace_tally *tally;
    struct host_sums *host;
    int64_t credit_bytes; /* it may read so many; what a piece had too much is owed */
    uint64_t due_ns;      /* when that begins; 0: it has begun */
    uint64_t wait_ns;     /* CLOCK_MONOTONIC: it has no room until then; 0: nobody asked */
    uint32_t version;
    uint32_t step;       /* in which it has taken part, and 1 more */
    uint32_t noted_step; /* likewise: that it has noted its waiting for a CPU in */
    int schedstat_fd;
    uint64_t cpu_waited_ns;
};

struct pst_pace_status {
    struct pst_pace_setting setting;
    uint64_t bytes_per_s; /* that count now; 0: no limit */
    uint32_t depth;
    enum pst_pace_reason reason;
    uint64_t held_ns[PST_PACE_REASONS];
    uint64_t lowest_bytes_per_s;
};

/* depth: the most chunks of a thread in flight. */
void pst_pace_init(struct pst_pace *pace, const struct pst_pace_setting *setting, uint32_t depth);
void pst_pace_release(struct pst_pace *pace);

/* From the next piece on. The caller wakes threads that wait. */
void pst_pace_set(struct pst_pace *pace, const struct pst_pace_setting *setting);
void pst_pace_status(struct pst_pace *pace, struct pst_pace_status *status);

/* "none", "set", "latency", "io", "cpu", "easing"; static. */
const char *pst_pace_reason_text(enum pst_pace_reason reason);

/* pace: NULL: as fast as it goes. */
void pst_pace_share_open(struct pst_pace_share *share, struct pst_pace *pace);
void pst_pace_share_close(struct pst_pace_share *share);

/* How many of so many bytes the next piece may have; 0: none now, ask again at share->wait_ns. */
uint32_t pst_pace_room(struct pst_pace_share *share, uint32_t wanted);

/* So many were read, after there was room: at most that, or what cannot be cut. */
void pst_pace_spend(struct pst_pace_share *share, uint64_t bytes);

/* Both at once. */
uint32_t pst_pace_take(struct pst_pace_share *share, uint32_t wanted);

/* After there was none: how long to sleep before asking again, 0.1 s at most. */
int64_t pst_pace_sleep_ns(const struct pst_pace_share *share, uint64_t now_ns);

/* Chunks that the thread may have in flight; UINT32_MAX: as many as it has. */
uint32_t pst_pace_depth(const struct pst_pace_share *share);

/* The thread waited for a disk. */
void pst_pace_note_wait(struct pst_pace_share *share, uint64_t wait_ns);

/* For so long, reads or writes of the thread were, or may have been, in flight: nobody who keeps
 * `auto` takes them for a neighbour's. While it keeps its pace, pst_pace_keep() does this. */
void pst_pace_note_io(struct pst_pace_share *share, uint64_t busy_ns);

/* ---- private to engine/pace: others call pst_pace_keep() of ring_pace.h ---- */

/* What the requests of the thread are to be: of that priority; small, because others use the disk,
 * or may. */
enum pst_io_priority pace_priority(const struct pst_pace_share *share);
bool pace_is_gentle(const struct pst_pace_share *share);

/* So many transfers of the thread ended. */
void pace_note_transfers(struct pst_pace_share *share, uint64_t count, uint64_t ns);

/* While the thread reads: decides anew where that is due. Returns when it is due next;
 * UINT64_MAX: never. */
uint64_t pace_tick(struct pst_pace_share *share, uint64_t now_ns);

#endif
