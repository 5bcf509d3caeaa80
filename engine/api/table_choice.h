/*
 * Which tables of a job's sources a logical backup has.
 */
#ifndef PST_ENGINE_API_TABLE_CHOICE_H
#define PST_ENGINE_API_TABLE_CHOICE_H

#include "engine/source/registry/registry.h"
#include "penstock/run.h"

/* Checks the job's choice against its sources. The job's texts are borrowed; filter->found is the
 * caller's to free. 0; -EINVAL or -ENOMEM with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int table_choice_make(const struct pst_backup_job *job,
                                   struct pst_source *const *sources, uint32_t sources_count,
                                   struct pst_table_filter *filter, char *message);

#endif
