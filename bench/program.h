/*
 * Runs a program to its end, and measures it: penstock as an operator runs it, and its peers. One
 * at a time, main thread.
 */
#ifndef PST_BENCH_PROGRAM_H
#define PST_BENCH_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROGRAM_PATH_BYTES 4096u
#define PROGRAM_ARGUMENTS_MAX 64u

/* Of the process and those that it waited for. */
struct program_cost {
    double seconds;
    double cpu_s;       /* the kernel's work for it too, as far as that is accounted to it */
    uint64_t rss_bytes; /* at its peak */
};

/* Exits the process with a message unless it is so. */
void bench_must(bool is_so, const char *what);

/* An argument list that grows; the texts are borrowed. It ends with NULL always. */
struct program {
    const char *arguments[PROGRAM_ARGUMENTS_MAX + 1];
    uint32_t count;
};

void program_add(struct program *program, const char *argument);
void program_add_all(struct program *program, char **arguments, int count);

/* Runs it; output gets the end of its standard output. 0, or its exit code or 128 and the number of
 * a signal, its own or the bench's, after having printed what it wrote to standard error. */
int program_run(const struct program *program, struct program_cost *cost, char *output,
                size_t output_bytes);

/* From now on SIGINT, SIGTERM, SIGHUP and SIGPIPE end only the program that runs, and any that is
 * run later: the bench goes on to clear up what it has made. */
void program_catch_interrupts(void);
bool program_is_interrupted(void);
void program_end_if_interrupted(void); /* by exit(1), with a message */

/* Makes a directory of its own in place, which is removed when this process exits, after
 * end_users() (may be NULL) has ended the processes that write there; after a signal that nobody
 * catches, by the next bench in that place, once no process writes there. Once a process. */
const char *program_scratch(const char *place, void (*end_users)(void));

/* Starts it, in a process group of its own, with its standard output going to fd; returns the
 * process. */
pid_t program_start(const struct program *program, int fd);

/* The path of the program of that name in the directory of this one; returns path. */
const char *program_beside(const char *name, char path[PROGRAM_PATH_BYTES]);

/* Removes a file, or a directory with all that is in it; not found is no error. */
void program_remove_tree(const char *path);

/* Writes back what the file system of path has in memory: the next run does not pay for it. */
void program_settle(const char *path);

/* What lies below path is read from its disk again, as far as it is not dirty or mapped. */
void program_forget_pages(const char *path);

#endif
