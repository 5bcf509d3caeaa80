/*
 * Reading small files of /sys and /proc below a root ("" = the machine itself). Only for numa/.
 * Any thread.
 */
#ifndef PST_NUMA_SYSFS_H
#define PST_NUMA_SYSFS_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "numa/cpu_list.h"
#include "penstock/error.h"

/* Writes root and the formatted rest into path (PATH_MAX bytes). -ENAMETOOLONG. */
PST_MUST_USE int sysfs_path(char *path, const char *root, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Reads the start of a file into text, always terminated; what does not fit is left out. Returns 0
 * or -errno.
 */
PST_MUST_USE int sysfs_read(const char *path, char *text, size_t bytes);

/* Reads a file that holds one number. -EINVAL: it holds something else. */
PST_MUST_USE int sysfs_number(const char *path, int64_t *number);

/* Reads a file that holds a list such as "0-3,8". */
PST_MUST_USE int sysfs_list(const char *path, struct pst_cpu_list *list);

/*
 * Reads the text behind "key:" of a file of such lines (/proc/self/status). -ENOENT: no such key.
 */
PST_MUST_USE int sysfs_field(const char *path, const char *key, char *text, size_t bytes);

#endif
