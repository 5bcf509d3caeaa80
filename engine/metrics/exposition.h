/*
 * Writes metrics as text: OpenMetrics 1.0, or Prometheus' text format 0.0.4, which the textfile
 * collector of node_exporter and promtool read. They differ in the family name of counters, in UNIT
 * and in EOF. Any thread, but one struct by one thread at a time.
 *
 *     exposition_begin; (exposition_family, exposition_number…)…; exposition_end
 *
 * Where memory is out the text is dropped, and exposition_end says so.
 */
#ifndef PST_ENGINE_METRICS_EXPOSITION_H
#define PST_ENGINE_METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

enum pst_exposition_format { PST_EXPOSITION_OPENMETRICS, PST_EXPOSITION_PROMETHEUS };

/* One family. All static. */
struct pst_metric {
    const char *name; /* of a counter without "_total"; ends in the unit, where there is one */
    const char *unit; /* "bytes", "seconds"; NULL: none */
    bool is_counter;  /* else a gauge */
    const char *help;
};

/* A list of them ends with a name that is NULL. A value is UTF-8; other bytes become '?'. */
struct pst_label {
    const char *name;
    const char *value;
};

struct pst_exposition {
    enum pst_exposition_format format;
    const struct pst_label *common; /* of each sample; borrowed; NULL: none */
    const struct pst_metric *metric;
    char *text; /* NULL: nothing yet, or no memory */
    size_t bytes;
    size_t room_bytes;
    bool has_failed;
};

void exposition_begin(struct pst_exposition *exposition, enum pst_exposition_format format,
                      const struct pst_label *common);

/* The samples that follow are of this family, which comes once. metric: borrowed. */
void exposition_family(struct pst_exposition *exposition, const struct pst_metric *metric);

/* A sample. labels: beside the common ones; NULL: none. */
void exposition_number(struct pst_exposition *exposition, const struct pst_label *labels,
                       uint64_t value);
/* Likewise, of a family in seconds. */
void exposition_ns(struct pst_exposition *exposition, const struct pst_label *labels, uint64_t ns);

/* The name of a sample with the common labels, and the blank before its value. */
void exposition_name(struct pst_exposition *exposition, const struct pst_metric *metric);

/* Whole lines that another exposition wrote. */
void exposition_lines(struct pst_exposition *exposition, const char *lines, size_t bytes);

/* Ends the text: terminated, malloc'd, the caller's; *bytes without the terminator. 0 or -ENOMEM,
 * then *text is NULL. */
PST_MUST_USE int exposition_end(struct pst_exposition *exposition, char **text, size_t *bytes);

#endif
