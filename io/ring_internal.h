/*
 * What io/ring.c (queues) and io/file.c (operations) know of each other. Private to io/.
 */
#ifndef PST_IO_RING_INTERNAL_H
#define PST_IO_RING_INTERNAL_H

#include <liburing.h>

#include "io/fault.h"
#include "io/ring.h"

#define PST_RING_DESCRIPTION_BYTES 512
#define PST_OP_FTRUNCATE 55 /* IORING_OP_FTRUNCATE, Linux 6.9; liburing 2.3 does not know it */

struct pst_ring {
    struct io_uring uring;
    struct pst_io_op *pending_first; /* started, not yet in the submission queue */
    struct pst_io_op **pending_end;
    unsigned in_flight;
    unsigned issued; /* in the submission queue or the kernel; at most issued_max */
    unsigned issued_max;
    struct pst_io_fault *fault;
    int doorbell_fd;
    bool doorbell_armed;
    bool reaping;
    bool kernel_truncates;
    enum pst_ring_setup setup;
    unsigned entries;
    unsigned buffers; /* registered */
    int buffers_error;
    int ring_fd_error;
    int files_error;
    unsigned files_max;
    unsigned slots_free;
    char description[PST_RING_DESCRIPTION_BYTES];
    int free_slots[];
};

/* Puts an operation at the end of the pending list; its done is due from now on or still. */
void pst_ring_enqueue(struct pst_ring *ring, struct pst_io_op *op);

/* Fills the entry for the next request of op (which may be a continuation). */
void pst_io_prepare(struct pst_ring *ring, struct pst_io_op *op, struct io_uring_sqe *sqe);

/* Takes the kernel's answer: continues op (pst_ring_enqueue), or ends it and calls done. */
void pst_io_complete(struct pst_ring *ring, struct pst_io_op *op, int result);

#endif
