/*
 * Commands of the user's, run by /bin/sh in a process group of their own, which is killed at a
 * deadline. Their standard input is empty, and what they print goes to stderr, unless it is wanted.
 * Any thread.
 */
#ifndef PST_ENGINE_BASE_SHELL_H
#define PST_ENGINE_BASE_SHELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "penstock/error.h"

struct pst_shell {
    const char *command;
    /* NAME=VALUE…, NULL at the end, beside the process's own without its PENSTOCK_BACKUP_… */
    const char *const *environment;
    uint64_t limit_ns;
    int interrupt_fd; /* readable: the command is killed; -1: none */
    /* Room for what it prints on standard output, up to its own end: whoever it leaves behind is
     * not waited for. output_used: bytes that are there; output_bytes of them: there were more.
     * NULL: not wanted. */
    char *output;
    size_t output_bytes;
    size_t output_used;
    size_t surplus; /* bytes that were printed beyond */
    /* Ignores what ends other programs (SIGHUP, SIGINT, SIGQUIT, SIGTERM), if the caller does: to
     * be ended, it must be killed. */
    bool stays;
    /* It may ask whoever runs this: its standard input is the caller's, and where there is a
     * terminal it stays in the caller's process group, so that the keys that end or stop programs
     * reach both. It is then killed without what it has started. */
    bool asks;
    bool shares_group; /* its own */
    /* Where the command has ended by itself, group is its own, until pst_shell_end_group. */
    bool keeps_group;
    pid_t group;
    /* The group that was killed, and of which something is there still: it waits in the kernel, for
     * a file system that is frozen or does not answer, and ends when that lets it; or it is another
     * user's. 0: none. */
    pid_t left;
};

/* Runs the command and waits for it, after its limit for two seconds at most. 0; -errno with
 * message (PST_MESSAGE_BYTES): -ETIMEDOUT, -EINTR, -EMSGSIZE (it printed a MiB more than is
 * wanted): it and its children are gone, or left; -ECHILD: it has failed, and what it has started
 * is there.
 */
PST_MUST_USE int pst_shell_run(struct pst_shell *shell, char *message);

/* Kills what the command has left running. Nothing for 0. */
void pst_shell_end_group(pid_t group);

#endif
