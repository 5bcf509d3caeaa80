/*
 * What ends a wait for a passphrase: a signal that ends the process, or whose handler has it end,
 * or what the caller says. One thread.
 */
#ifndef PST_ENGINE_KEY_INTERRUPTION_H
#define PST_ENGINE_KEY_INTERRUPTION_H

#include <signal.h>

#include "penstock/error.h"

struct interruption {
    int fd; /* readable: one came */
    int signals_fd;
    sigset_t before;
};

/* Holds the signals up on this thread, but for those that are ignored: they come at
 * interruption_end, when the terminal is as it was and the command is gone. cancel_fd: becomes
 * readable; -1: none. 0 or -errno. */
PST_MUST_USE int interruption_begin(struct interruption *interruption, int cancel_fd);
void interruption_end(struct interruption *interruption);

#endif
