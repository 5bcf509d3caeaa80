/*
 * Where and of what a bench ran: the first of its JSON lines, and what it prints for people. Main
 * thread.
 */
#ifndef PST_BENCH_FACTS_H
#define PST_BENCH_FACTS_H

#include <stdbool.h>

/* Exits with 2 where this is a build for debugging, whose figures say nothing, unless the
 * environment variable PENSTOCK_BENCH_ANY_BUILD is set. */
void facts_refuse_debug(void);

/* Another program than the one beside this is measured: facts_print says of what commit it is. A
 * build for debugging is refused likewise. */
void facts_note_program(const char *path);

/* Prints the members of an object, with all options and their values, given or not: a part of the
 * JSON line. */
void facts_note_configuration(void (*print)(void));

/* Prints host, kernel, CPUs, NUMA nodes, memory, load, commit, the whole command line, and of the
 * file system of each place (the last one NULL) its kind, device and mount options. */
void facts_print(bool json, char **command, const char *const *places);

/* As a JSON string, quotes and all. */
void facts_print_text(const char *text);

/* The commit that this was built from; commit.c, which the build makes. */
extern const char bench_commit[];

#endif
