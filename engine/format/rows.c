/* Rows of tables: names, shares, and the stream of records, written by sources that produce rows
 * and taken apart by restore and verify. Called on any thread. */
#include "engine/format/rows.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNNAMED "%main"

#define ATTRIBUTE_SHARE 0x8001u
#define ATTRIBUTE_DATABASE 0x8002u

struct attribute_head {
    uint16_t type;
    uint16_t reserved;
    uint32_t value_bytes;
};

/* Value of ATTRIBUTE_SHARE; the name follows. */
struct share_value {
    uint32_t flags;
    uint32_t share;
    uint32_t shares;
    uint32_t name_bytes;
    uint64_t rows;
};

/* Before each row: its key and its value follow. key_bytes END_MARK: the end record. */
struct row_head {
    uint32_t key_bytes;
    uint32_t value_bytes;
};

struct end_record {
    struct row_head head; /* END_MARK, 0 */
    uint64_t rows;
    uint64_t bytes; /* of all records before this one */
};

#define END_MARK UINT32_MAX

_Static_assert(sizeof(struct attribute_head) == 8, "docs/format.md");
_Static_assert(sizeof(struct share_value) == 24, "docs/format.md");
_Static_assert(offsetof(struct share_value, rows) == 16, "docs/format.md");
_Static_assert(sizeof(struct row_head) == PST_ROW_HEAD_BYTES, "docs/format.md");
_Static_assert(sizeof(struct end_record) == PST_ROWS_END_BYTES, "docs/format.md");
_Static_assert(offsetof(struct end_record, rows) == 8, "docs/format.md");
_Static_assert(PST_ROW_KEY_BYTES_MAX < END_MARK, "no row looks like the end");
_Static_assert(sizeof(struct attribute_head) + sizeof(struct share_value) +
                       PST_TABLE_NAME_BYTES_MAX <=
                   PST_ROWS_ATTRIBUTE_BYTES_MAX,
               "a share's fits");
_Static_assert(sizeof(struct attribute_head) + PST_DATABASE_KIND_BYTES_MAX +
                       PST_DATABASE_DETAILS_BYTES_MAX <=
                   PST_ROWS_ATTRIBUTE_BYTES_MAX,
               "a database's fits");
_Static_assert(PST_TABLE_TEXT_BYTES + 16 <= PST_PATH_BYTES_MAX, "a share's path fits");

/* ---- names ---- */

static bool is_plain(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

const char *pst_table_name_escape(const void *name, uint32_t name_bytes, char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    assert(name_bytes <= PST_TABLE_NAME_BYTES_MAX);
    char *out = text;
    if (name_bytes == 0)
        return strcpy(text, UNNAMED);
    for (uint32_t i = 0; i < name_bytes; i++) {
        char byte = ((const char *)name)[i];
        if (is_plain(byte) && (byte != '.' || i > 0)) {
            *out++ = byte;
            continue;
        }
        *out++ = '%';
        *out++ = digits[(uint8_t)byte >> 4];
        *out++ = digits[byte & 15];
    }
    *out = '\0';
    return text;
}

static int digit_of(char text)
{
    if (text >= '0' && text <= '9')
        return text - '0';
    if (text >= 'A' && text <= 'F')
        return text - 'A' + 10;
    return text >= 'a' && text <= 'f' ? text - 'a' + 10 : -1;
}

/* The next byte that text means; -1: the text ends, or means nothing. */
static int next_byte(const char **text)
{
    const char *at = *text;
    if (at[0] == '\0')
        return -1;
    if (at[0] != '%') {
        *text = at + 1;
        return (uint8_t)at[0];
    }
    int high = digit_of(at[1]);
    int low = high < 0 ? -1 : digit_of(at[2]);
    if (low < 0)
        return -1;
    *text = at + 3;
    return high << 4 | low;
}

bool pst_table_name_is(const char *text, const void *name, uint32_t name_bytes)
{
    if (name_bytes == 0 || strcmp(text, UNNAMED) == 0)
        return name_bytes == 0 && strcmp(text, UNNAMED) == 0;
    for (uint32_t i = 0; i < name_bytes; i++) {
        if (next_byte(&text) != ((const uint8_t *)name)[i])
            return false;
    }
    return *text == '\0';
}

/* ---- objects ---- */

/* Completes an attribute whose value has been written behind its head. */
static uint32_t end_attribute(void *out, uint16_t type, uint32_t value_bytes)
{
    const struct attribute_head head = {.type = type, .value_bytes = value_bytes};
    uint32_t padded = (value_bytes + 7) & ~7u;
    memcpy(out, &head, sizeof(head));
    memset((uint8_t *)out + sizeof(head) + value_bytes, 0, padded - value_bytes);
    return (uint32_t)sizeof(head) + padded;
}

uint32_t pst_share_encode(const struct pst_share *share, void *out)
{
    assert(share->name_bytes <= PST_TABLE_NAME_BYTES_MAX);
    assert(share->share < share->shares && share->shares <= PST_TABLE_SHARES_MAX);
    const struct share_value value = {
        .flags = share->flags,
        .share = share->share,
        .shares = share->shares,
        .name_bytes = share->name_bytes,
        .rows = share->rows,
    };
    uint8_t *at = (uint8_t *)out + sizeof(struct attribute_head);
    memcpy(at, &value, sizeof(value));
    if (share->name_bytes > 0)
        memcpy(at + sizeof(value), share->name, share->name_bytes);
    return end_attribute(out, ATTRIBUTE_SHARE, (uint32_t)sizeof(value) + share->name_bytes);
}

static bool share_is_legal(const void *value, uint32_t value_bytes)
{
    struct share_value share;
    if (value_bytes < sizeof(share))
        return false;
    memcpy(&share, value, sizeof(share));
    return share.name_bytes <= PST_TABLE_NAME_BYTES_MAX &&
           value_bytes == sizeof(share) + share.name_bytes && share.shares > 0 &&
           share.shares <= PST_TABLE_SHARES_MAX && share.share < share.shares &&
           share.rows <= INT64_MAX;
}

/* The value of the object's attribute of that type. */
static const uint8_t *find_value(const struct pst_object *object, uint16_t type,
                                 uint32_t *value_bytes)
{
    const uint8_t *at = object->attributes;
    for (uint32_t offset = 0; offset < object->attributes_bytes;) {
        struct attribute_head head;
        memcpy(&head, at + offset, sizeof(head));
        offset += (uint32_t)sizeof(head);
        *value_bytes = head.value_bytes;
        if (head.type == type)
            return at + offset;
        offset += (head.value_bytes + 7) & ~7u;
    }
    return NULL;
}

struct pst_share pst_share_of(const struct pst_object *object)
{
    uint32_t bytes;
    struct share_value value;
    const uint8_t *at = find_value(object, ATTRIBUTE_SHARE, &bytes);
    assert(object->type == PST_OBJECT_ROWS && at);
    memcpy(&value, at, sizeof(value));
    return (struct pst_share){
        .name = at + sizeof(value),
        .name_bytes = value.name_bytes,
        .flags = value.flags,
        .share = value.share,
        .shares = value.shares,
        .rows = value.rows,
    };
}

const char *pst_share_path(const struct pst_share *share, char *text)
{
    pst_table_name_escape(share->name, share->name_bytes, text);
    size_t length = strlen(text);
    snprintf(text + length, PST_PATH_BYTES_MAX - length, "/%05u", share->share);
    return text;
}

uint32_t pst_database_encode(const struct pst_database_entry *database, void *out)
{
    size_t kind_bytes = strlen(database->kind) + 1;
    assert(kind_bytes <= PST_DATABASE_KIND_BYTES_MAX);
    assert(database->details_bytes <= PST_DATABASE_DETAILS_BYTES_MAX);
    uint8_t *at = (uint8_t *)out + sizeof(struct attribute_head);
    memcpy(at, database->kind, kind_bytes);
    if (database->details_bytes > 0)
        memcpy(at + kind_bytes, database->details, database->details_bytes);
    return end_attribute(out, ATTRIBUTE_DATABASE, (uint32_t)kind_bytes + database->details_bytes);
}

static bool database_is_legal(const void *value, uint32_t value_bytes)
{
    size_t kind_bytes = strnlen(value, value_bytes) + 1;
    return kind_bytes > 1 && kind_bytes <= value_bytes &&
           kind_bytes <= PST_DATABASE_KIND_BYTES_MAX &&
           value_bytes - kind_bytes <= PST_DATABASE_DETAILS_BYTES_MAX;
}

struct pst_database_entry pst_database_of(const struct pst_object *object)
{
    uint32_t bytes;
    const uint8_t *at = find_value(object, ATTRIBUTE_DATABASE, &bytes);
    assert(object->type == PST_OBJECT_DATABASE && at);
    uint32_t kind_bytes = (uint32_t)strlen((const char *)at) + 1;
    return (struct pst_database_entry){
        .kind = (const char *)at,
        .details = at + kind_bytes,
        .details_bytes = bytes - kind_bytes,
    };
}

bool format_rows_attribute_is_legal(enum pst_object_type type, uint16_t attribute,
                                    const void *value, uint32_t value_bytes, bool *known)
{
    bool is_share = type == PST_OBJECT_ROWS && attribute == ATTRIBUTE_SHARE;
    bool is_database = type == PST_OBJECT_DATABASE && attribute == ATTRIBUTE_DATABASE;
    *known = is_share || is_database;
    if (is_share)
        return share_is_legal(value, value_bytes);
    return !is_database || database_is_legal(value, value_bytes);
}

/* ---- streams, written ---- */

uint64_t pst_row_bytes(const struct pst_row *row)
{
    return PST_ROW_HEAD_BYTES + (uint64_t)row->key_bytes + row->value_bytes;
}

/* Copies what of a run of bytes at `begin` of a record lies at or behind *from, and moves on. */
static size_t copy_run(const void *run, uint64_t run_bytes, uint64_t begin, uint64_t *from,
                       uint8_t *out, size_t room)
{
    if (*from >= begin + run_bytes)
        return 0;
    uint64_t skipped = *from - begin;
    uint64_t left = run_bytes - skipped;
    size_t bytes = left < room ? (size_t)left : room;
    if (bytes > 0)
        memcpy(out, (const uint8_t *)run + skipped, bytes);
    *from += bytes;
    return bytes;
}

size_t pst_row_copy(const struct pst_row *row, uint64_t from, void *out, size_t room)
{
    assert(row->key_bytes <= PST_ROW_KEY_BYTES_MAX);
    const struct row_head head = {row->key_bytes, row->value_bytes};
    uint64_t value_at = sizeof(head) + (uint64_t)row->key_bytes;
    uint8_t *at = out;
    size_t done = copy_run(&head, sizeof(head), 0, &from, at, room);
    if (from >= sizeof(head))
        done += copy_run(row->key, row->key_bytes, sizeof(head), &from, at + done, room - done);
    if (from >= value_at)
        done += copy_run(row->value, row->value_bytes, value_at, &from, at + done, room - done);
    return done;
}

size_t pst_rows_end_copy(uint64_t rows, uint64_t bytes, uint32_t from, void *out, size_t room)
{
    const struct end_record record = {{END_MARK, 0}, rows, bytes};
    uint64_t at = from;
    return copy_run(&record, sizeof(record), 0, &at, out, room);
}

/* ---- streams, read ---- */

/* Makes room for a record of so many bytes, of which some may be in the buffer. */
static int make_room(struct pst_rows_reader *reader, size_t bytes)
{
    if (bytes <= reader->buffer_bytes)
        return 0;
    size_t larger = bytes < 4096 ? 4096 : bytes + bytes / 4;
    uint8_t *buffer = realloc(reader->buffer, larger);
    if (!buffer)
        return -ENOMEM;
    reader->buffer = buffer;
    reader->buffer_bytes = larger;
    return 0;
}

/* Bytes of the record that begins so; 0: there is no such record at this place of the stream. */
static uint64_t record_bytes(const struct pst_rows_reader *reader, const uint8_t *record)
{
    struct row_head head;
    memcpy(&head, record, sizeof(head));
    uint64_t left = reader->size - reader->taken;
    if (head.key_bytes == END_MARK)
        return head.value_bytes == 0 && (reader->has_no_size || left == sizeof(struct end_record))
                   ? sizeof(struct end_record)
                   : 0;
    uint64_t bytes = sizeof(head) + (uint64_t)head.key_bytes + head.value_bytes;
    if (head.key_bytes > PST_ROW_KEY_BYTES_MAX || bytes > left)
        return 0;
    return bytes;
}

static bool is_end(const uint8_t *record)
{
    uint32_t mark;
    memcpy(&mark, record, sizeof(mark));
    return mark == END_MARK;
}

/* A whole record. */
static int take_record(struct pst_rows_reader *reader, const uint8_t *record, uint64_t bytes,
                       pst_row_taker *take, void *context)
{
    struct row_head head;
    if (is_end(record)) {
        struct end_record end;
        memcpy(&end, record, sizeof(end));
        if (end.rows != reader->rows || end.bytes != reader->taken)
            return -PST_E_CORRUPT;
        reader->ended = true;
        reader->taken += bytes;
        return 0;
    }
    memcpy(&head, record, sizeof(head));
    const struct pst_row row = {
        .key = record + sizeof(head),
        .value = record + sizeof(head) + head.key_bytes,
        .key_bytes = head.key_bytes,
        .value_bytes = head.value_bytes,
    };
    reader->rows++;
    reader->taken += bytes;
    return take ? take(context, &row) : 0;
}

/* Takes a record that lies in data whole, or, if nobody wants rows, as much of it as there is.
 * *used 0: it does not. */
static int take_direct(struct pst_rows_reader *reader, const uint8_t *data, size_t bytes,
                       pst_row_taker *take, void *context, size_t *used)
{
    *used = 0;
    if (bytes < PST_ROW_HEAD_BYTES)
        return 0;
    uint64_t record = record_bytes(reader, data);
    if (record == 0)
        return -PST_E_CORRUPT;
    if (record > bytes && (take || is_end(data)))
        return 0;
    *used = record < bytes ? (size_t)record : bytes;
    reader->skip = record - *used;
    return take_record(reader, data, record, take, context);
}

/* Adds to the buffer what is missing of its record. */
static int take_buffered(struct pst_rows_reader *reader, const uint8_t *data, size_t bytes,
                         pst_row_taker *take, void *context, size_t *used)
{
    uint64_t wanted = PST_ROW_HEAD_BYTES;
    if (reader->have >= wanted)
        wanted = record_bytes(reader, reader->buffer);
    assert(wanted > reader->have || wanted == 0);
    if (wanted == 0)
        return -PST_E_CORRUPT;
    int error = make_room(reader, wanted);
    if (error)
        return error;
    size_t missing = (size_t)wanted - reader->have;
    *used = missing < bytes ? missing : bytes;
    memcpy(reader->buffer + reader->have, data, *used);
    reader->have += *used;
    if (reader->have < PST_ROW_HEAD_BYTES)
        return 0;
    wanted = record_bytes(reader, reader->buffer);
    if (wanted == 0)
        return -PST_E_CORRUPT;
    if (wanted > reader->have && (take || is_end(reader->buffer)))
        return 0;
    reader->skip = wanted - reader->have;
    reader->have = 0;
    return take_record(reader, reader->buffer, wanted, take, context);
}

int pst_rows_feed(struct pst_rows_reader *reader, const void *data, size_t bytes,
                  pst_row_taker *take, void *context)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        size_t used = 0;
        int error = 0;
        if (reader->ended)
            return -PST_E_CORRUPT;
        if (reader->skip > 0) {
            used = reader->skip < bytes ? (size_t)reader->skip : bytes;
            reader->skip -= used;
        } else {
            if (reader->have == 0)
                error = take_direct(reader, at, bytes, take, context, &used);
            if (!error && used == 0)
                error = take_buffered(reader, at, bytes, take, context, &used);
        }
        if (error)
            return error;
        at += used;
        bytes -= used;
    }
    return 0;
}

int pst_rows_finish(const struct pst_rows_reader *reader)
{
    return reader->ended ? 0 : -PST_E_TRUNCATED;
}

void pst_rows_release(struct pst_rows_reader *reader)
{
    free(reader->buffer);
    reader->buffer = NULL;
    reader->buffer_bytes = reader->have = 0;
}
