/*
 * A guard: a child process that holds something for a source, and lets go of it however the
 * source's process dies: it sees the end of its socket. Started anew for each thing that is held,
 * or once for a source. One thread of the source's process calls.
 *
 * The child takes no signal of the backup's terminal or process group, keeps no other descriptor
 * than standard error, and runs no handler of the process's, which may be any program.
 */
#ifndef PST_ENGINE_SOURCE_GUARD_H
#define PST_ENGINE_SOURCE_GUARD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "penstock/error.h"

struct pst_guard {
    pid_t pid;  /* 0: there is none */
    int pid_fd; /* pidfd_open(2) */
    int socket; /* of packets */
};

/* Starts the process, which runs run(context, its end of the socket) and exits with what that
 * returns. context is as it is in memory now. Forks, in any process: glibc makes malloc usable in
 * the child, and run may call nothing else that another thread may have locked. 0 or -errno. */
PST_MUST_USE int pst_guard_start(struct pst_guard *guard, int (*run)(const void *context, int),
                                 const void *context);

/* Sends it a packet. -PST_E_GUARD: it is gone. */
PST_MUST_USE int pst_guard_send(struct pst_guard *guard, const void *packet, size_t bytes);

/* Takes its answer, of exactly these bytes. If there is none by deadline_ns (CLOCK_MONOTONIC), it
 * is killed: -ETIMEDOUT. -PST_E_GUARD: it is gone. */
PST_MUST_USE int pst_guard_receive(struct pst_guard *guard, uint64_t deadline_ns, void *packet,
                                   size_t bytes);

/* Ends the socket and waits so long for the process to end; then it is killed. Nothing where there
 * is none. */
void pst_guard_stop(struct pst_guard *guard, uint32_t wait_ms);

#endif
