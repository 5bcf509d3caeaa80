/*
 * Texts from outside (names of files, of sources, messages of other nodes) on their way to a
 * terminal or a log: control characters there are orders. Any thread.
 */
#ifndef PST_ENGINE_BASE_PRINTABLE_H
#define PST_ENGINE_BASE_PRINTABLE_H

#include <stddef.h>

/* Replaces by '?' each byte of what no text has and a terminal may obey: the control characters C0
 * (line ends too), DEL and C1 (ECMA-48), bytes that are not UTF-8 (Unicode 15, table 3-7), and the
 * characters that reorder or hide others on the line (Unicode TR 36, section 2.2). Everything else
 * stays where it is, and the length is the same. */
void pst_make_printable(char *text, size_t bytes);

#endif
