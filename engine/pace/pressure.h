/*
 * What the kernel says of threads that wait for a disk or a CPU: its pressure stall information, of
 * the host, or, where that is hidden, of the container. One thread at a time.
 *
 * Sources: PSI (Documentation/accounting/psi.rst), cgroups(7).
 */
#ifndef PST_ENGINE_PACE_PRESSURE_H
#define PST_ENGINE_PACE_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

struct pressure {
    int io_fd; /* -1: the kernel has none */
    int cpu_fd;
};

struct pressure_sample {
    bool is_known;
    uint64_t io_ns; /* in all, that some thread has waited */
    uint64_t cpu_ns;
    uint32_t io_per_mille; /* of the last ten seconds */
    uint32_t cpu_per_mille;
};

void pressure_open(struct pressure *pressure);
void pressure_close(struct pressure *pressure);
void pressure_read(const struct pressure *pressure, struct pressure_sample *sample);

/* The line "some avg10=1.23 … total=45" of such a file. false: it is not there. */
bool pressure_parse(const char *text, uint64_t *total_ns, uint32_t *per_mille);

/* Of the calling thread, for pressure_waited_ns; -1: the kernel keeps none. */
int pressure_open_thread(void);
void pressure_close_thread(int fd);

/* How long that thread was ready and did not run, since it began; 0: not known. */
uint64_t pressure_waited_ns(int fd);

#endif
