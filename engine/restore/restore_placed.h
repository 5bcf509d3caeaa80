/*
 * What a restore has put into a target that was there before, by inode: where two names of a backup
 * are one in the target, whose file system ignores case for instance, the second must not replace
 * the first without a word. Private to engine/restore; any thread of the crew.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_PLACED_H
#define PST_ENGINE_RESTORE_RESTORE_PLACED_H

#include <stdbool.h>
#include <sys/stat.h>

#include "penstock/error.h"

struct restore_placed;

/* -ENOMEM. */
PST_MUST_USE int restore_placed_open(struct restore_placed **placed);
void restore_placed_close(struct restore_placed *placed); /* NULL is allowed */

/* 1: it is there already; 0: it is now; -ENOMEM. Nothing, and 0, for a placed of NULL. */
PST_MUST_USE int restore_placed_add(struct restore_placed *placed, const struct stat *status);

bool restore_placed_has(struct restore_placed *placed, const struct stat *status);

#endif
