/*
 * What differs between two backups, object by object. Sources belong together that have the same
 * node and name. Blocking; one thread for both looks.
 */
#ifndef PST_ENGINE_RESTORE_LOOK_DIFF_H
#define PST_ENGINE_RESTORE_LOOK_DIFF_H

#include "engine/restore/look.h"

enum pst_look_difference {
    PST_DIFFERS_TYPE = 1,
    PST_DIFFERS_SIZE = 2,
    PST_DIFFERS_CONTENTS = 4, /* by their bytes; only where these are compared */
    PST_DIFFERS_TIME = 8,
    PST_DIFFERS_MODE = 16,
    PST_DIFFERS_OWNER = 32,
    PST_DIFFERS_LINK =
        64, /* target of a symlink, or the other name of a hard link, or the device */
    PST_DIFFERS_ATTRIBUTES = 128, /* extended attributes, with ACLs and capabilities, and flags */
};

/* An object, for the call. Only one of both: it was added, or removed. */
struct pst_look_change {
    const char *name;                /* as pst_look_object has it, in the backup that has it */
    const struct pst_object *before; /* NULL: not in the first */
    const struct pst_object *after;  /* NULL: not in the second */
    uint32_t differences;            /* enum pst_look_difference, where it is in both */
};

/* Calls each for every object that differs, source by source in the order of paths. by_contents:
 * files of one size are read and compared too; of others only their entries are looked at. 0; the
 * value that ended it; or an error with message, as of pst_look_list. */
PST_MUST_USE int pst_look_diff(struct pst_look *before, struct pst_look *after, bool by_contents,
                               int (*each)(void *context, const struct pst_look_change *change),
                               void *context, char *message);

#endif
