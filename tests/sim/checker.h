/*
 * Checkers: each judges one promise, in its own file, from what it sees; none changes the run.
 */
#ifndef PST_TESTS_SIM_CHECKER_H
#define PST_TESTS_SIM_CHECKER_H

#include "engine/protocol/ldm.h"
#include "tests/sim/backup.h"
#include "tests/sim/fault.h"

struct sim;
struct sim_node;
struct sim_requests;

/* The first failure counts. */
void sim_fail(struct sim *sim, enum sim_checker checker, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Answers: each REQ that came to a machine has one CONF or REF, at senderRef. */
struct sim_requests *sim_requests_new(void);
void sim_check_answers_init(struct sim *sim);
void sim_check_sent(struct sim *sim, const struct pst_signal *signal);
void sim_check_delivered(struct sim *sim, const struct pst_signal *signal);
void sim_check_told(struct sim *sim, struct sim_backup *backup, const struct pst_signal *signal);
void sim_check_answers(struct sim *sim);

/* Outcome: never committed here and aborted there. */
void sim_check_decided(struct sim *sim, const struct sim_backup *backup);
void sim_check_outcome(struct sim *sim);

/* Cut: no B without A, against the writers' chains. */
void sim_check_cut(struct sim *sim);

/* Restore: from any one copy of the cluster manifest and the parts that it names. */
void sim_check_restore(struct sim *sim);

/* Master: masterRef orders, hears of trouble, and may die; senderRef is answered. */
struct sim_minds {
    const struct pst_proxy *proxy; /* NULL: none in this thread */
    const struct pst_participant *participant;
    const struct pst_master *master;
    enum pst_master_state master_state;
    enum pst_proxy_state proxy_state; /* before a step */
    enum pst_participant_state participant_state;
    bool trouble_reported;
    uint64_t troubles_sent;
};
struct sim_minds sim_minds_of(const struct sim *sim, const struct sim_node *node, uint32_t thread);
void sim_check_coordinates(struct sim *sim, const struct sim_node *node,
                           const struct pst_set *live);
void sim_check_master_sent(struct sim *sim, const struct pst_signal *signal);
void sim_check_fan_out(struct sim *sim, const struct sim_node *node, const struct pst_send *send);
void sim_check_nodes_asked(struct sim *sim, const struct sim_node *node,
                           const struct pst_actions *actions);
/* After the step by that event. */
void sim_check_heard(struct sim *sim, const struct sim_minds *before,
                     const struct pst_event *event);
void sim_check_trouble_told(struct sim *sim, const struct sim_minds *before);

/* Files: what an aborted backup leaves, and who removes what. */
/* What somebody says could not be removed may remain. */
void sim_check_removed(struct sim *sim, const struct pst_signal *answer);
void sim_check_files(struct sim *sim);

/* Liveness: all ends in bounded time. */
void sim_check_liveness(struct sim *sim);
void sim_check_nesting(struct sim *sim, const struct sim_node *node);

/* Resources: what is held at rest; and after the last backups, the senders. */
void sim_check_resources(struct sim *sim);
void sim_check_released(struct sim *sim);

#endif
