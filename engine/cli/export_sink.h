/*
 * Tables as files: a pst_table_sink that writes one file for each table, named after it
 * (engine/api/table_file.h), with the format's suffix.
 *
 *   mdb_dump  as `mdb_dump -s TABLE` prints it of the restored environment; mdb_load reads it
 *   csv       RFC 4180, with a header; key and value each have a column with their encoding
 *   jsonl     one object a line; a field that is not UTF-8 is "key_base64", "value_base64"
 */
#ifndef PST_ENGINE_CLI_EXPORT_SINK_H
#define PST_ENGINE_CLI_EXPORT_SINK_H

#include <stdint.h>
#include <stdio.h>

#include "penstock/table_sink.h"

/* What the format of one file needs to know. */
struct cli_export_file {
    FILE *file;
    const struct pst_table *table;
    uint64_t map_bytes; /* of the environment; 0: not known */
};

/* A failure shows in the FILE's error flag. */
struct cli_export_format {
    const char *name;
    const char *suffix;
    void (*begin)(const struct cli_export_file *file);
    void (*row)(FILE *file, const void *key, uint32_t key_bytes, const void *value,
                uint32_t value_bytes);
    void (*end)(FILE *file);
};

extern const struct cli_export_format cli_export_mdb_dump, cli_export_csv, cli_export_jsonl;

/* A pst_table_sink_open; context: const struct cli_export_format *. */
int cli_export_sink_open(void *context, const struct pst_database *database, int directory_fd,
                         struct pst_table_sink **sink, char *error_text);

#endif
