/*
 * Gathers what is wrong with a backup, from any thread. For engine/repository/ and engine/restore/.
 */
#ifndef PST_ENGINE_REPOSITORY_FINDINGS_H
#define PST_ENGINE_REPOSITORY_FINDINGS_H

#include <pthread.h>

#include "engine/format/chunk.h"
#include "engine/format/object.h"
#include "penstock/run.h"

/* A file of a backup, below its backup directory: for findings, and to open it there. */
struct pst_file_name {
    const char *directory; /* which one it is in; NULL: the only one, or none */
    char text[256];
};

struct pst_findings {
    void (*found)(void *context, const struct pst_finding *finding); /* may be NULL */
    void *context;
    pthread_mutex_t mutex;
    uint64_t damages;
    uint64_t newer;      /* of the damages: only of an incompatible version */
    uint64_t unverified; /* of the damages: may be none, but could not be read (own_error.h) */
    uint64_t warnings;
    uint64_t objects;              /* that are not whole */
    char first[PST_MESSAGE_BYTES]; /* text of the first damage */
    char first_warning[PST_MESSAGE_BYTES];
    int first_error;
};

void pst_findings_init(struct pst_findings *findings,
                       void (*found)(void *context, const struct pst_finding *finding),
                       void *context);

/* Counts it and reports it. */
void findings_add(struct pst_findings *findings, const struct pst_finding *finding);

/* The same for what a check function found; damage->offset counts from `base` in the file. */
void pst_findings_add_damage(struct pst_findings *findings, const struct pst_file_name *file,
                             uint64_t base, const struct pst_damage *damage, int error);

/* At most so many objects are reported by name; what more there are is counted. */
#define PST_FINDINGS_OBJECTS_MAX 1000u

struct pst_backup;

/* An object of a backup, whose cluster manifest is set, is not whole. is_damage: nothing that was
 * found before accounts for it, so it counts as a damage, PST_E_INCONSISTENT. */
void pst_findings_add_object(struct pst_findings *findings, const struct pst_backup *backup,
                             uint32_t node_index, const struct pst_object *object, const char *what,
                             bool is_damage);

/* What of the backup lies in directories that are not given ("files of node 2"): not verified. */
void pst_findings_add_elsewhere(struct pst_findings *findings, const struct pst_backup *backup,
                                const char *what);

/* What the manifest of a node contradicts: PST_E_INCONSISTENT. */
void pst_findings_add_node(struct pst_findings *findings, const struct pst_backup *backup,
                           uint32_t node_index, const char *what);

/* An origin of the backup ("backup 1, uid …") cannot be read; not verified where it may be whole.
 */
void pst_findings_add_origin(struct pst_findings *findings, const struct pst_backup *backup,
                             const char *what, int error);

/* A warning that is about the backup as a whole. */
void pst_findings_warn_backup(struct pst_findings *findings, const struct pst_backup *backup,
                              const char *what);

#endif
