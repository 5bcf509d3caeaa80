/*
 * Asks whoever sits at the terminal. Blocking; one thread.
 */
#ifndef PST_ENGINE_KEY_TERMINAL_H
#define PST_ENGINE_KEY_TERMINAL_H

#include <stddef.h>

#include "penstock/error.h"

/* Prints the prompt on the controlling terminal and takes a line from there, without showing it, in
 * answer, of answer_bytes_max + 1. 0; -EINTR: Ctrl-C, Ctrl-backslash or Ctrl-D came instead, or
 * interrupt_fd became readable; -EMSGSIZE; -ENXIO: there is no terminal; -errno. The terminal is
 * then as it was. Source: termios(3), tty(4). */
PST_MUST_USE int terminal_ask(const char *prompt, char *answer, size_t answer_bytes_max,
                              int interrupt_fd);

#endif
