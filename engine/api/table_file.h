/*
 * The files that tables are exported into. Private to the engine. Pure; any thread.
 */
#ifndef PST_ENGINE_API_TABLE_FILE_H
#define PST_ENGINE_API_TABLE_FILE_H

#include "penstock/table_sink.h"

#define PST_JOB_TABLE_FILE_BYTES 256u

/* "NAME.SUFFIX": the table's escaped name, cut and followed by a hash where it is too long for a
 * file. text: PST_JOB_TABLE_FILE_BYTES. Returns text. */
char *pst_job_table_file(const struct pst_table *table, const char *suffix, char *text);

#endif
