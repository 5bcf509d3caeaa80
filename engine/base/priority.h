/*
 * How much the kernel's scheduler prefers a thread: what holds a database's writers up must not
 * wait for a CPU. A thread that was started with another policy than the usual one (SCHED_OTHER) is
 * left alone.
 */
#ifndef PST_ENGINE_BASE_PRIORITY_H
#define PST_ENGINE_BASE_PRIORITY_H

#include <stdbool.h>
#include <sys/types.h>

enum pst_priority {
    PST_PRIORITY_NORMAL, /* that it had at its first change */
    PST_PRIORITY_URGENT, /* before all that is normal: SCHED_FIFO, else a nice value of -20 */
};

/* Of the calling thread; nothing to do costs nothing. The children that it forks are not urgent. 0;
 * of URGENT -errno where the thread may not be real-time (CAP_SYS_NICE, RLIMIT_RTPRIO). */
int pst_priority_set(enum pst_priority priority);

/* Whether the calling thread has set URGENT last. Others need its CPU: it sleeps where it would
 * yield, or spins if it may. */
bool pst_priority_is_urgent(void);

/* Whether the calling thread may spin, while it holds writers up and waits for its next order:
 * there are CPUs for all that do. An order comes within microseconds; to wake a sleeper takes 20 or
 * more. At first none may: other nodes and backups of the process decide for their own threads. */
void pst_priority_let_spin(bool may);
bool pst_priority_may_spin(void);

/* For so long at a time: a wait that is longer is for something else. */
#define PST_PRIORITY_SPIN_NS 200000u

/* Likewise of a process with one thread, a child that is not waited for yet: urgent, or normal as
 * the calling thread is. One that has another user's identity takes CAP_SYS_NICE. */
int pst_priority_hurry_process(pid_t process, bool is_urgent);

#endif
