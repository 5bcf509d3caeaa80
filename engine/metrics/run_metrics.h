/*
 * The metrics of a run that ends, such as one backup, in a file for the textfile collector of
 * node_exporter. Any thread.
 */
#ifndef PST_ENGINE_METRICS_RUN_METRICS_H
#define PST_ENGINE_METRICS_RUN_METRICS_H

#include "engine/metrics/exposition.h"

#define PST_METRICS_RESULTS_MAX 8u

/* What the names of results begin with, and the metric of one. */
#define PST_METRICS_SUCCESS "penstock_run_last_success_"
#define PST_METRICS_RESULT(name, unit, help)                                                       \
    {                                                                                              \
        PST_METRICS_SUCCESS name, unit, false, help                                                \
    }

/* What a run did that has succeeded. */
struct pst_metrics_result {
    const struct pst_metric *metric; /* PST_METRICS_RESULT */
    uint64_t value;
};

struct pst_metrics_run {
    const struct pst_label *labels; /* of all samples: they say which job it is */
    uint64_t ended_unix_ns;
    uint64_t elapsed_ns;
    uint64_t warnings; /* and errors, logged */
    unsigned exit_code;
    bool has_succeeded;
    uint32_t results_count;
    struct pst_metrics_result results[PST_METRICS_RESULTS_MAX];
};

/* The text, terminated, malloc'd, the caller's. before: what the file holds.
 * From there comes what a run that failed cannot say: the last success of the same labels.
 * -ENOMEM. */
PST_MUST_USE int metrics_of_run(const struct pst_metrics_run *run, const char *before, char **text,
                                size_t *bytes);

/* Writes the text into path, which is there wholly, as it was or as it will be, whatever happens.
 * Everybody may read it. -errno; -EEXIST: path is there, and is no file. */
PST_MUST_USE int pst_metrics_write_run(const struct pst_metrics_run *run, const char *path);

#endif
