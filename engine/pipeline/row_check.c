/* Looks at rows as they are packed. Called by fragment_scan.c, on the LDM's thread. */
#include "engine/pipeline/row_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "engine/base/log.h"
#include "engine/format/object.h"

/* Of the fragment's one entry, which list() was not let pass without. */
static struct pst_object object_of(const struct pst_fragment_descriptor *fragment)
{
    struct pst_object object;
    size_t offset = 0;
    if (pst_object_decode(fragment->data, fragment->entries_bytes, &offset, &object))
        object = (struct pst_object){.path = ""};
    return object;
}

void row_check_begin(struct row_check *check, const struct pst_source *source,
                     const struct pst_fragment_descriptor *fragment)
{
    check->source = NULL;
    if (fragment->kind != PST_FRAGMENT_ROWS || (source->flags & PST_SOURCE_CHECKS_ROWS) ||
        object_of(fragment).type != PST_OBJECT_ROWS)
        return;
    uint64_t length = fragment->extents[0].length;
    check->source = source;
    check->fragment = fragment;
    check->reader = (struct pst_rows_reader){.size = length > 0 ? length : UINT64_MAX,
                                             .has_no_size = length == 0,
                                             .buffer = check->room,
                                             .buffer_bytes = sizeof(check->room)};
}

static int fail(const struct row_check *check, const char *what)
{
    pst_log(PST_LOG_ERROR, "source %s: %s: its produce made %s", check->source->name,
            object_of(check->fragment).path, what);
    return -EINVAL;
}

/* A table has the rows of all its shares; of one share of several they are no more than that. */
static int check_end(const struct row_check *check)
{
    const struct pst_object object = object_of(check->fragment);
    const struct pst_share share = pst_share_of(&object);
    uint64_t rows = check->reader.rows;
    char text[128];
    if (pst_rows_finish(&check->reader))
        return fail(check, "rows without an end record");
    if (rows == share.rows || (share.shares > 1 && rows < share.rows))
        return 0;
    snprintf(text, sizeof(text), "%" PRIu64 " rows, and its table has %" PRIu64, rows, share.rows);
    return fail(check, text);
}

int row_check_take(struct row_check *check, const void *data, size_t bytes)
{
    char text[128];
    if (!check->source)
        return 0;
    if (bytes == 0)
        return check_end(check);
    if (!pst_rows_feed(&check->reader, data, bytes, NULL, NULL))
        return 0;
    snprintf(text, sizeof(text), "no row at byte %" PRIu64 ", and no end record that fits there",
             check->reader.taken);
    return fail(check, text);
}
