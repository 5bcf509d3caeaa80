/*
 * Lists of CPU or NUMA node numbers as sysfs and people write them: "0-3,8,10-11".
 * Pure; any thread.
 */
#ifndef PST_NUMA_CPU_LIST_H
#define PST_NUMA_CPU_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "penstock/error.h"

struct pst_cpu_list {
    uint32_t count;
    uint16_t cpu[PST_CPUS_MAX]; /* in the order in which the text names them */
};

/*
 * Reads a list; a newline at its end is allowed, an empty text is the empty list.
 * -EINVAL: not a list, a range that runs backwards, or a number named twice;
 * -ERANGE: a number at or above PST_CPUS_MAX.
 */
PST_MUST_USE int cpu_list_parse(const char *text, struct pst_cpu_list *list);

bool pst_cpu_list_has(const struct pst_cpu_list *list, uint32_t cpu);

/*
 * Writes the list with runs shortened ("0-3,8"), in its own order; text that does not fit ends in
 * "...". bytes must be at least 8. Returns text.
 */
char *pst_cpu_list_format(const struct pst_cpu_list *list, char *text, size_t bytes);

#endif
