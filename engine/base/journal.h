/*
 * systemd's journal: lines with fields, by its native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): a datagram of lines FIELD=value, of which the last
 * is the message. As a line is at most PST_LOG_LINE_BYTES, a datagram always holds it. Private to
 * engine/base/; any thread.
 */
#ifndef PST_ENGINE_BASE_JOURNAL_H
#define PST_ENGINE_BASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/alert.h"
#include "penstock/log.h"

/* What stands before a message, at most. */
#define JOURNAL_FIELDS_BYTES 320u

/* How the journal is reached through stderr. */
enum journal_way {
    JOURNAL_NONE,   /* stderr is something else */
    JOURNAL_LINES,  /* it takes lines with their level before them (sd-daemon(3)), and no fields */
    JOURNAL_FIELDS, /* stderr is the journal's socket, so it takes datagrams too */
};

/* Whether JOURNAL_STREAM names what stderr is. Before any other thread starts. */
enum journal_way journal_find_way(void);

/* Of a line: "PRIORITY=6\n…MESSAGE=" in text, JOURNAL_FIELDS_BYTES. alert: NULL or of kind NONE: it
 * has no MESSAGE_ID. Returns text. */
const char *journal_fields(enum pst_log_level level, const struct pst_alert *alert, char *text);

/* Sends fields and message, which ends in a newline, to the journal's socket. false: nobody takes
 * them there. */
bool journal_send(const char *socket_path, const char *fields, size_t bytes);

/* Where the message begins in what journal_fields() began. */
size_t journal_message_at(const char *fields);

#endif
