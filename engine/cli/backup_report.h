/*
 * What a finished backup did, for people and for programs.
 */
#ifndef PST_ENGINE_CLI_BACKUP_REPORT_H
#define PST_ENGINE_CLI_BACKUP_REPORT_H

#include <stdio.h>

#include "engine/api/session.h"

/* A few lines and a table of LDMs, or one "summary" record. 0, -EIO or -ENOMEM. */
PST_MUST_USE int cli_backup_report_print(FILE *out, const struct pst_session_report *report,
                                         bool json);

#endif
