/*
 * What verify, restore and whatever else reads a backup begin with: the backup that is meant, and
 * a crew near its disk. Private to the engine: the library runs a job with it, `penstock` too.
 */
#ifndef PST_ENGINE_API_READING_H
#define PST_ENGINE_API_READING_H

#include <stdatomic.h>

#include "engine/api/placement.h"
#include "engine/repository/catalog.h"
#include "engine/restore/verify.h"

struct pst_reading_request {
    const char *const *directories; /* of the backups */
    uint32_t directories_count;
    const char *id; /* a number, or digits of a uid; NULL: as pick says */
    enum pst_backup_pick pick;
    const struct pst_plan_request *plan; /* where the crew goes; NULL: there is none */
    const atomic_bool *cancel;           /* the crew's; may be NULL */
};

/* Stays where it is while it is open. */
struct pst_reading {
    struct pst_backup_list list;
    const struct pst_backup *backup; /* of the list; not pruned meanwhile */
    struct pst_backup_hold hold;
    struct pst_placements placements;
    struct pst_crew crew;
};

/* 0: closed by the caller. Else nothing is open, and message (PST_MESSAGE_BYTES) says why:
 * -PST_E_NO_BACKUP, -EINVAL: the placement is impossible; -errno: a directory cannot be read. */
PST_MUST_USE int pst_reading_open(const struct pst_reading_request *request,
                                  struct pst_reading *reading, char *message);
void pst_reading_close(struct pst_reading *reading);

#endif
