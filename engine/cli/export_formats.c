/*
 * How a table is written as mdb_dump prints it, as CSV, and as JSON Lines. Called by export_sink.c,
 * on the thread of the restore that hands over the rows.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/utf8.h"
#include "engine/cli/export_sink.h"

/* ---- mdb_dump ---- */

#define MAX_READERS 126 /* LMDB's, where nobody has set another */

/* Flags of mdb_dbi_open by the words that mdb_dump has for them, in its order. */
static const struct {
    uint32_t flag;
    const char *word;
} mdb_flags[] = {{0x02, "reversekey"}, {0x04, "dupsort"},    {0x08, "integerkey"},
                 {0x10, "dupfixed"},   {0x20, "integerdup"}, {0x40, "reversedup"}};
#define MDB_DUPSORT_FLAG 0x04u

static void begin_mdb_dump(const struct cli_export_file *file)
{
    FILE *out = file->file;
    const struct pst_table *table = file->table;
    fputs("VERSION=3\nformat=bytevalue\n", out);
    if (table->name_bytes > 0) {
        fputs("database=", out);
        fwrite(table->name, 1, table->name_bytes, out);
        putc('\n', out);
    }
    fprintf(out, "type=btree\nmapsize=%llu\nmaxreaders=%d\n", (unsigned long long)file->map_bytes,
            MAX_READERS);
    if (table->flags & MDB_DUPSORT_FLAG)
        fputs("duplicates=1\n", out);
    for (size_t i = 0; i < sizeof(mdb_flags) / sizeof(mdb_flags[0]); i++)
        if (table->flags & mdb_flags[i].flag)
            fprintf(out, "%s=1\n", mdb_flags[i].word);
    fprintf(out, "db_pagesize=%ld\nHEADER=END\n", sysconf(_SC_PAGESIZE));
}

static void put_hex_line(FILE *out, const void *data, uint32_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = data;
    putc_unlocked(' ', out);
    for (uint32_t i = 0; i < bytes; i++) {
        putc_unlocked(digits[at[i] >> 4], out);
        putc_unlocked(digits[at[i] & 15], out);
    }
    putc_unlocked('\n', out);
}

static void put_mdb_row(FILE *out, const void *key, uint32_t key_bytes, const void *value,
                        uint32_t value_bytes)
{
    put_hex_line(out, key, key_bytes);
    put_hex_line(out, value, value_bytes);
}

static void end_mdb_dump(FILE *out)
{
    fputs("DATA=END\n", out);
}

const struct cli_export_format cli_export_mdb_dump = {
    .name = "mdb_dump",
    .suffix = "dump",
    .begin = begin_mdb_dump,
    .row = put_mdb_row,
    .end = end_mdb_dump,
};

/* ---- bytes as text ---- */

static void put_base64(FILE *out, const uint8_t *data, uint32_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (uint32_t i = 0; i < bytes; i += 3) {
        uint32_t left = bytes - i;
        uint32_t word = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (left > 2 ? data[i + 2] : 0u);
        putc_unlocked(digits[word >> 18], out);
        putc_unlocked(digits[word >> 12 & 63], out);
        putc_unlocked(left > 1 ? digits[word >> 6 & 63] : '=', out);
        putc_unlocked(left > 2 ? digits[word & 63] : '=', out);
    }
}

/* ---- CSV ---- */

static void begin_csv(const struct cli_export_file *file)
{
    fputs("key,key_encoding,value,value_encoding\r\n", file->file);
}

static void put_quoted(FILE *out, const char *text, uint32_t bytes)
{
    putc_unlocked('"', out);
    for (uint32_t i = 0; i < bytes; i++) {
        if (text[i] == '"')
            putc_unlocked('"', out);
        putc_unlocked(text[i], out);
    }
    putc_unlocked('"', out);
}

/* Programs that read CSV stumble over a NUL. */
static void put_csv_field(FILE *out, const void *data, uint32_t bytes)
{
    bool is_text = !(bytes > 0 && memchr(data, '\0', bytes)) && pst_utf8_is_valid(data, bytes);
    if (is_text)
        put_quoted(out, data, bytes);
    else
        put_base64(out, data, bytes);
    fputs(is_text ? ",utf8" : ",base64", out);
}

static void put_csv_row(FILE *out, const void *key, uint32_t key_bytes, const void *value,
                        uint32_t value_bytes)
{
    put_csv_field(out, key, key_bytes);
    putc_unlocked(',', out);
    put_csv_field(out, value, value_bytes);
    fputs("\r\n", out);
}

static void end_nothing(FILE *out)
{
    (void)out;
}

const struct cli_export_format cli_export_csv = {
    .name = "csv",
    .suffix = "csv",
    .begin = begin_csv,
    .row = put_csv_row,
    .end = end_nothing,
};

/* ---- JSON Lines ---- */

static void begin_nothing(const struct cli_export_file *file)
{
    (void)file;
}

/* RFC 8259, section 7. */
static void put_escaped(FILE *out, const char *text, uint32_t bytes)
{
    static const char meanings[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    for (uint32_t i = 0; i < bytes; i++) {
        const char *found = text[i] ? strchr(meanings, text[i]) : NULL;
        if (found)
            fprintf(out, "\\%c", names[found - meanings]);
        else if ((unsigned char)text[i] < ' ')
            fprintf(out, "\\u%04X", (unsigned)text[i]);
        else
            putc_unlocked(text[i], out);
    }
}

static void put_json_field(FILE *out, const char *name, const void *data, uint32_t bytes)
{
    bool is_text = pst_utf8_is_valid(data, bytes);
    fprintf(out, "\"%s%s\":\"", name, is_text ? "" : "_base64");
    if (is_text)
        put_escaped(out, data, bytes);
    else
        put_base64(out, data, bytes);
    putc_unlocked('"', out);
}

static void put_json_row(FILE *out, const void *key, uint32_t key_bytes, const void *value,
                         uint32_t value_bytes)
{
    putc_unlocked('{', out);
    put_json_field(out, "key", key, key_bytes);
    putc_unlocked(',', out);
    put_json_field(out, "value", value, value_bytes);
    fputs("}\n", out);
}

const struct cli_export_format cli_export_jsonl = {
    .name = "jsonl",
    .suffix = "jsonl",
    .begin = begin_nothing,
    .row = put_json_row,
    .end = end_nothing,
};
