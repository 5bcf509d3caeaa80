/* Named scenarios: each runs under all checkers, and its story is compared with the one kept. */
#ifndef PST_TESTS_SIM_SCENARIOS_H
#define PST_TESTS_SIM_SCENARIOS_H

struct sim;

/* Tells the one of this file on standard output. 0: all checkers and expectations hold. */
int run_scenario(struct sim *sim, const char *path);

/* Every NAME.scenario of this directory, against NAME.trace. 0: all hold. */
int run_scenarios(struct sim *sim, const char *directory);

#endif
