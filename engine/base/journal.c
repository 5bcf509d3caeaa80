/* Finds systemd's journal behind stderr, and sends it lines with fields. Called by log.c, on any
 * thread. */
#include "engine/base/journal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/datagram.h"
#include "engine/base/hex.h"
#include "penstock/error.h"

#define UID_BYTES 16u

/* Behind the last field. */
#define MESSAGE "MESSAGE="

/* JOURNAL_STREAM is "DEVICE:INODE" of what systemd connected, which may not be stderr any more. A
 * file or a pipe of that name is a test, or somebody's own reader: it takes no datagrams. */
enum journal_way journal_find_way(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat status;
    if (!stream || fstat(STDERR_FILENO, &status) < 0)
        return JOURNAL_NONE;
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    if (strcmp(stream, own) != 0)
        return JOURNAL_NONE;
    return S_ISSOCK(status.st_mode) ? JOURNAL_FIELDS : JOURNAL_LINES;
}

static const char *id_of(enum pst_alert_kind kind)
{
    static const char *const ids[] = {[PST_ALERT_NONE] = NULL,
#define X(name, id) [PST_ALERT_##name] = id,
                                      PST_ALERTS(X)
#undef X
    };
    return ids[kind];
}

/* syslog(3). */
static int priority_of(enum pst_log_level level)
{
    static const int priorities[] = {
        [PST_LOG_ERROR] = 3, [PST_LOG_WARNING] = 4, [PST_LOG_INFO] = 6, [PST_LOG_DEBUG] = 7};
    return priorities[level];
}

const char *journal_fields(enum pst_log_level level, const struct pst_alert *alert, char *text)
{
    static const struct pst_alert nothing = {0};
    char uid[2 * UID_BYTES + 1];
    size_t size = JOURNAL_FIELDS_BYTES, used;
    alert = alert ? alert : &nothing;
    used = (size_t)snprintf(text, size, "SYSLOG_IDENTIFIER=penstock\nPRIORITY=%d\n",
                            priority_of(level));
    if (alert->kind != PST_ALERT_NONE)
        used += (size_t)snprintf(text + used, size - used, "MESSAGE_ID=%s\n", id_of(alert->kind));
    if (alert->backup != 0)
        used += (size_t)snprintf(text + used, size - used, "PENSTOCK_BACKUP=%" PRIu32 "\n",
                                 alert->backup);
    if (alert->uid)
        used += (size_t)snprintf(text + used, size - used, "PENSTOCK_UID=%s\n",
                                 pst_hex_encode(alert->uid, UID_BYTES, uid));
    if (alert->node != 0)
        used +=
            (size_t)snprintf(text + used, size - used, "PENSTOCK_PEER=%" PRIu32 "\n", alert->node);
    if (alert->error != 0)
        used += (size_t)snprintf(text + used, size - used, "PENSTOCK_ERROR=%s\n",
                                 pst_error_name(alert->error));
    used += (size_t)snprintf(text + used, size - used, MESSAGE);
    assert(used < size);
    return text;
}

bool journal_send(const char *socket_path, const char *fields, size_t bytes)
{
    return pst_datagram_send(socket_path, fields, bytes, 0) == 0;
}

/* No field before it has that in its value. */
size_t journal_message_at(const char *fields)
{
    const char *found = strstr(fields, "\n" MESSAGE);
    assert(found);
    return (size_t)(found - fields) + strlen("\n" MESSAGE);
}
