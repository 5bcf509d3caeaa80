/* Bugs planted into the states of machines: each must fall to an invariant. */
#ifndef PST_TESTS_SIM_INVARIANTS_H
#define PST_TESTS_SIM_INVARIANTS_H

#include "tests/sim/sim.h"

/* Hunts each in a process of its own, and prints a table. Returns the exit status. */
int run_invariants(struct sim *sim);

#endif
