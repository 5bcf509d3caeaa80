/*
 * How a job's dir: sources are frozen, by commands of the user's.
 */
#ifndef PST_ENGINE_API_FREEZE_CHOICE_H
#define PST_ENGINE_API_FREEZE_CHOICE_H

#include "engine/source/registry/registry.h"
#include "penstock/run.h"

/* Checks the job's commands, and gives them to those of its opened sources that are for them;
 * commands stays where it is while these are open. 0, or -EINVAL with message (PST_MESSAGE_BYTES).
 */
PST_MUST_USE int freeze_choice_make(const struct pst_backup_job *job,
                                    struct pst_source *const *sources, uint32_t sources_count,
                                    struct pst_freeze_commands *commands, char *message);

#endif
