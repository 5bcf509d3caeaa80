/* Counts the signals of a backup in which nothing goes wrong. */
#ifndef PST_TESTS_SIM_COUNT_H
#define PST_TESTS_SIM_COUNT_H

#include <stdint.h>

struct pst_signal;
struct sim;

/* Prints how many signals pass between the nodes of a backup, by the size of the cluster and by
 * name. 0: as many for each node more, in clusters of every size. */
int run_counts(struct sim *sim);

/* A signal goes from one node to another, by index. From network.c. */
void sim_count(const struct sim *sim, uint32_t from, uint32_t to, const struct pst_signal *signal);

#endif
