/* What follows of the state of a backup on a disk. Pure: called by the archive, and by the
 * simulator's model of it. */
#include "engine/protocol/debris.h"

enum pst_debris_verdict pst_debris_judge(const struct pst_debris *debris)
{
    if (debris->is_at_work || debris->is_committed)
        return PST_DEBRIS_KEEP;
    /* Its own cluster manifest would be the decision of a backup of one node. */
    return debris->is_prepared && !debris->is_alone ? PST_DEBRIS_DOUBT : PST_DEBRIS_REMOVE;
}

enum pst_outcome_state pst_debris_outcome(const struct pst_debris *debris)
{
    if (debris->is_at_work)
        return (enum pst_outcome_state)0;
    if (debris->is_committed)
        return PST_OUTCOME_COMMITTED;
    return debris->is_prepared ? PST_OUTCOME_PREPARED : PST_OUTCOME_NONE;
}
