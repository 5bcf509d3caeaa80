/*
 * What io/ring.c (queues), io/file.c (operations) and io/request.c know of each other. Private to
 * io/; the ring's thread.
 */
#ifndef PST_IO_REQUEST_H
#define PST_IO_REQUEST_H

#include <liburing.h>

#include "engine/base/check.h"
#include "io/operation.h"
#include "io/ring.h"

#define RING_DESCRIPTION_BYTES 512

struct pst_io_fault;

/* pst_io_op.kind */
enum request_kind {
    KIND_OPEN,
    KIND_READ,
    KIND_WRITE,
    KIND_FALLOCATE,
    KIND_TRUNCATE,
    KIND_FDATASYNC,
    KIND_CLOSE,
    KIND_UNLINK,
};

/* One io_uring of a ring. */
struct request_queue {
    struct io_uring uring;
    unsigned issued; /* in the submission queue or the kernel; at most issued_max */
    unsigned issued_max;
    struct iovec *buffers; /* with iov_base NULL once it is registered */
    int buffers_error;     /* the first refusal */
};

struct pst_ring {
    struct pst_thread_owner owner;
    struct request_queue usual;
    struct request_queue polled; /* for transfers with O_DIRECT, if polls */
    bool polls;
    struct pst_io_op *pending_first; /* started, not yet in the submission queue */
    struct pst_io_op **pending_end;
    struct pst_io_op *oldest, *newest; /* of those in flight, by their start */
    uint64_t now_ns;                   /* of the last reap */
    unsigned in_flight;
    struct pst_io_fault *fault;
    int doorbell_fd;
    struct pst_ring_transfers transfers;
    uint64_t busy_since_ns; /* while something is in flight */
    uint16_t priority;      /* of reads and writes, as of ioprio_set(2) */
    bool is_gentle;         /* see pst_ring_set_gentle() */
    uint64_t device;        /* of the last file opened; and whether it is remote */
    bool device_is_remote;
    uint64_t unpolled_device; /* the last one that refused to be polled */
    bool doorbell_armed;
    bool reaping;
    bool kernel_truncates;
    unsigned setup; /* enum pst_ring_setup */
    unsigned entries;
    unsigned buffers_count;
    int ring_fd_error;
    int sqpoll_error; /* why there is none of what was asked for; 0: there is */
    int iopoll_error;
    int files_error;
    unsigned files_max;
    unsigned slots_free;
    char description[RING_DESCRIPTION_BYTES];
    int free_slots[];
};

/* Puts an operation at the end of the pending list; its done is due from now on or still. */
static inline void ring_enqueue(struct pst_ring *ring, struct pst_io_op *op)
{
    op->next = NULL;
    *ring->pending_end = op;
    ring->pending_end = &op->next;
}

/* Where the next request of op (which may be a continuation) belongs, and how it fills its entry
 * there. */
struct request_queue *request_queue_of(struct pst_ring *ring, const struct pst_io_op *op);
void request_prepare(struct pst_ring *ring, struct pst_io_op *op, struct request_queue *queue,
                     struct io_uring_sqe *sqe);

/* Takes the kernel's answer: continues op (ring_enqueue), or ends it and calls done. */
void request_complete(struct pst_ring *ring, struct pst_io_op *op, int result);

/* Takes over the attributes; *align_bytes becomes what O_DIRECT would need, 0: it is not possible.
 * 0 or -errno. */
int request_stat(struct pst_file *file, uint32_t *align_bytes);

/* Fills in what file->fd is, with O_DIRECT if that is wanted; of one that is known (struct
 * pst_open), only if it has no offset. 0 or -errno. */
int request_look_at(struct pst_ring *ring, struct pst_file *file, const struct pst_io_look *look);

/* Whether the kernel knows IORING_OP_FTRUNCATE. */
bool request_kernel_truncates(struct io_uring *uring);

#endif
