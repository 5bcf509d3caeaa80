/*
 * Names the files of exported tables. Called by `penstock export`, on the thread that writes the
 * file.
 */
#include "engine/api/table_file.h"

#include <stdio.h>
#include <string.h>

#include "engine/format/digest.h"
#include "engine/format/rows.h"

#define NAME_BYTES_MAX 200u /* of the table's in a file's name, which has 255 in all */

char *pst_job_table_file(const struct pst_table *table, const char *suffix, char *text)
{
    char name[PST_TABLE_TEXT_BYTES], digest[PST_DIGEST_TEXT_BYTES];
    pst_table_name_escape(table->name, table->name_bytes, name);
    if (strlen(name) <= NAME_BYTES_MAX) {
        snprintf(text, PST_JOB_TABLE_FILE_BYTES, "%.*s.%s", (int)NAME_BYTES_MAX, name, suffix);
        return text;
    }
    const struct pst_digest hash = pst_digest_of(table->name, table->name_bytes, 0);
    pst_digest_text(&hash, digest);
    snprintf(text, PST_JOB_TABLE_FILE_BYTES, "%.*s~%s.%s", (int)NAME_BYTES_MAX - 32, name,
             digest + strlen(PST_DIGEST_PREFIX), suffix);
    return text;
}
