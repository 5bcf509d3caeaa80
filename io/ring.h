/*
 * One io_uring for one thread: start operations, submit them together, run their completions.
 *
 * Thread: the one that opened the ring calls everything here and in io/file.h and
 * io/part_file.h; the kernel enforces it (IORING_SETUP_SINGLE_ISSUER).
 *
 * An operation is a struct pst_io_op embedded in a struct of the caller's, who sets `done` and
 * leaves the memory alone until done is called. Nothing is allocated once the buffers are known.
 * Starting never fails: what does not fit the submission queue waits in a list inside the ring,
 * and every error arrives at done. Interrupted requests are repeated, short transfers continued.
 *
 * Sources: io_uring(7), io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
 */
#ifndef PST_IO_RING_H
#define PST_IO_RING_H

#include <stdint.h>
#include <sys/uio.h>

#include "io/operation.h"
#include "penstock/error.h"

struct pst_io_fault;
struct pst_ring;

/* What the kernel is asked for, best first; a refused setup falls to the next. */
enum pst_ring_setup {
    PST_RING_SETUP_DEFER_TASKRUN, /* SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG: Linux 6.1 */
    PST_RING_SETUP_COOP_TASKRUN,  /* COOP_TASKRUN | TASKRUN_FLAG: Linux 5.19 */
    PST_RING_SETUP_PLAIN,         /* Linux 5.11 */
};

/* What costs CPU time; docs/adr/0063 says how much, and what it gains. */
struct pst_ring_polling {
    bool sqpoll; /* a thread of the kernel takes what is submitted (SQPOLL): no system calls while
                    it is awake, which it is for 10 ms after the last request */
    bool iopoll; /* reads and writes with O_DIRECT by a second io_uring (IOPOLL): who waits looks
                    for their completions without a pause, and never sleeps meanwhile. Files and
                    devices that the kernel refuses there are read and written as without it */
};

struct pst_ring_options {
    unsigned entries;   /* size of the submission queue, 1…32768; more may be started */
    unsigned files_max; /* slots for registered files; 0: none */
    enum pst_ring_setup first_setup; /* normally 0: the best that the kernel has */
    struct pst_ring_polling polling; /* what of it is refused is left out: pst_ring_refusals() */
    struct pst_io_fault *fault;      /* NULL outside tests; must outlive the ring */
};

/*
 * Opens a ring on the calling thread, and registers its own descriptor and an empty file table.
 * -ENOSYS: the kernel has no io_uring or one older than Linux 5.11; -EPERM: io_uring is switched
 * off (sysctl kernel.io_uring_disabled, or a container's seccomp filter); -ENOMEM, -EMFILE.
 */
PST_MUST_USE int pst_ring_open(struct pst_ring **ring, const struct pst_ring_options *options);

/* Closes the ring; asserts that nothing is in flight. An armed doorbell is cancelled. */
void pst_ring_close(struct pst_ring *ring);

/*
 * Buffers that reads and writes may then name by index; each is registered as it is first named,
 * which brings its pages in. The memory stays the caller's and must outlive the ring. Once for a
 * ring. Where the kernel refuses (RLIMIT_MEMLOCK), the indexes are still accepted and plain reads
 * and writes are used; pst_ring_describe() says so. Linux before 5.19: all are registered at once.
 * 1 to 16384 buffers of at most 1 GiB each.
 */
void pst_ring_register_buffers(struct pst_ring *ring, const struct iovec *buffers, unsigned count);

/* One line for the log: the set of features in use, and what was refused and why. The ring's. */
const char *pst_ring_describe(struct pst_ring *ring);

/* How much the kernel has refused so far: to register files or a buffer, or what was asked of it by
 * struct pst_ring_polling. */
unsigned pst_ring_refusals(const struct pst_ring *ring);

/* Wakes pst_ring_wait() when event_fd (eventfd(2), blocking or not) becomes readable; the ring
 * then reads it to zero. The descriptor stays the caller's and must outlive the ring. Once. */
void pst_ring_set_doorbell(struct pst_ring *ring, int event_fd);

/* Hands what was started to the kernel: one system call, or none if there is nothing. With a thread
 * of the kernel's: as much as the queue holds until that has taken it. */
void pst_ring_submit(struct pst_ring *ring);

/* Runs the completions that are there, at most one queue full; returns their number, continuations
 * and the doorbell included. Submits nothing and never blocks. */
unsigned pst_ring_reap(struct pst_ring *ring);

/*
 * Submits, sleeps until something completes, the doorbell rings, a signal comes or timeout_ns is
 * over (with IOPOLL in flight: looks until then, but for a signal), then reaps and returns the
 * number of completions, 0 for a timeout or signal. timeout_ns < 0: no limit (then something must
 * be in flight, or a doorbell set). The order that loses no wake-up: announce sleep, look into the
 * signal rings once more, wait, take the announcement back.
 */
unsigned pst_ring_wait(struct pst_ring *ring, int64_t timeout_ns);

/* Of the reads and writes that are started from now on, for an I/O scheduler that knows it. */
enum pst_io_priority {
    PST_IO_PRIORITY_USUAL, /* the thread's own */
    PST_IO_PRIORITY_LOW,   /* best effort, the last level */
};
void pst_ring_set_priority(struct pst_ring *ring, enum pst_io_priority priority);

/* From now on: whoever else uses the disk waits behind one of our requests at the most for a short
 * while. A request is for PST_GENTLE_BYTES at most, and the kernel reads nothing ahead: its
 * requests for that are of as many bytes as the disk's read_ahead_kb, often of megabytes. */
#define PST_GENTLE_BYTES (256u << 10)
void pst_ring_set_gentle(struct pst_ring *ring, bool is_gentle);

/* Since the last call: requests of reads and writes that have ended, how long they took in sum, and
 * how long some operation was in flight; as of the last reap. */
struct pst_ring_transfers {
    uint64_t count;
    uint64_t ns;
    uint64_t busy_ns;
};
struct pst_ring_transfers pst_ring_take_transfers(struct pst_ring *ring);

/* Operations started whose done has not been called; the doorbell is not counted. */
unsigned pst_ring_in_flight(const struct pst_ring *ring);

/* The operation that has been in flight the longest: see its began_ns; NULL: none is. */
const struct pst_io_op *pst_ring_oldest(const struct pst_ring *ring);

/* Submits and waits until nothing is in flight, what the completions start included. */
void pst_ring_drain(struct pst_ring *ring);

#endif
