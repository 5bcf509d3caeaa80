/*
 * Which backup a directory holds, by whatever of it is whole. Private to engine/repository.
 */
#ifndef PST_ENGINE_REPOSITORY_IDENTIFY_H
#define PST_ENGINE_REPOSITORY_IDENTIFY_H

#include "engine/repository/decision.h"
#include "engine/repository/repository.h"

/* What was read of the decision of the number that the directory is named by. */
struct identity_decision {
    struct pst_cluster_manifest *cluster; /* set if pair.is_whole */
    struct decision_pair pair;
};

/* What the directory of a backup holds, as far as it could be found out. */
struct identity {
    uint32_t number;    /* of the backup */
    uint32_t stored_as; /* the number in the name of the directory */
    bool has_uid;
    uint8_t uid[16];
    /* No whole decision is there, but the manifest of a node of several, or one that cannot be read
     * or understood and may be of several. */
    bool is_prepared;
    int unread; /* it could not be read: negative error; else 0 */
};

/* Identifies what the directory of a backup, open as `directory`, holds: by whatever is whole of a
 * decision of its number, a decision of another one, a node manifest, a part's header. 1; 0:
 * nothing identifies it; or an error: a directory could not be read, or memory or descriptors are
 * out. decision: NULL, or where to leave it, with a cluster; set unless there was an error. */
PST_MUST_USE int identify_backup(struct pst_repository *repository, int directory,
                                 uint32_t stored_as, struct identity *identity,
                                 struct identity_decision *decision);

#endif
