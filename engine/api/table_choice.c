/* Takes the choice of tables from a job. Called by session.c on the caller's thread. */
#include "engine/api/table_choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(char *message, int error, const char *text)
{
    snprintf(message, PST_MESSAGE_BYTES, "%s", text);
    return error;
}

int table_choice_make(const struct pst_backup_job *job, struct pst_source *const *sources,
                      uint32_t sources_count, struct pst_table_filter *filter, char *message)
{
    uint32_t with_rows = 0;
    if (!job->is_logical && (job->tables_count > 0 || job->unwanted_tables_count > 0))
        return fail(message, -EINVAL, "only a logical backup can choose tables");
    for (uint32_t i = 0; i < sources_count; i++)
        with_rows += (sources[i]->flags & PST_SOURCE_CAN_ROWS) != 0;
    if (job->is_logical && with_rows == 0)
        return fail(message, -EINVAL,
                    "no source has tables for a logical backup; lmdb: sources have them");
    *filter = (struct pst_table_filter){
        .wanted = job->tables,
        .unwanted = job->unwanted_tables,
        .wanted_count = job->tables_count,
        .unwanted_count = job->unwanted_tables_count,
        .found = calloc(job->tables_count + 1u, sizeof(*filter->found)),
    };
    return filter->found ? 0 : fail(message, -ENOMEM, "out of memory");
}
