/*
 * The pace of a node or of a backup, printed. Main thread only.
 */
#ifndef PST_ENGINE_CLI_PACE_REPORT_H
#define PST_ENGINE_CLI_PACE_REPORT_H

#include <stdio.h>

struct json_t;
struct pst_session_pace;

/* One line, of a node's answer or of "pace" in its status. */
void cli_pace_print(FILE *out, const struct json_t *pace);

/* Of a backup: a line, where it was held back. And as JSON, for the caller; NULL: no memory. */
void cli_pace_print_held(FILE *out, const struct pst_session_pace *pace);
struct json_t *cli_pace_json(const struct pst_session_pace *pace);

#endif
