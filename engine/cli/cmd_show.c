/*
 * penstock show: prints what one backup holds, by its manifests, and its tables, by its catalogues.
 * Called by command.c, on the main thread.
 */
#include <errno.h>

#include <jansson.h>

#include "engine/api/reading.h"
#include "engine/base/hex.h"
#include "engine/base/time_text.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/key_options.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/running.h"

static const struct cli_option options[] = {CLI_FROM_OPTION, CLI_KEY_OPTION, CLI_OPTION_JSON, {0}};

static json_t *part_json(const struct pst_manifest_part *part)
{
    char digest[PST_DIGEST_TEXT_BYTES];
    return json_pack("{s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "part",
                     (json_int_t)part->part, "ldm", (json_int_t)part->ldm, "file_bytes",
                     (json_int_t)part->file_bytes, "digest", pst_digest_text(&part->digest, digest),
                     "source_bytes", (json_int_t)part->sums.source_bytes, "stored_bytes",
                     (json_int_t)part->sums.stored_bytes, "objects", (json_int_t)part->sums.objects,
                     "chunks", (json_int_t)part->sums.chunks, "lz4_chunks",
                     (json_int_t)part->lz4_chunks, "zstd_chunks", (json_int_t)part->zstd_chunks);
}

static json_t *source_json(const struct pst_manifest_source *source)
{
    json_t *value =
        json_pack("{s:s, s:o}", "name", source->name, "spec", cli_json_text(source->spec));
    if (source->path)
        pst_json_set(&value, "path", json_string(source->path));
    if (source->choice)
        pst_json_set(&value, "choice", json_string(source->choice));
    if (source->details)
        pst_json_set(&value, "details", cli_json_details(source->details));
    return value;
}

static json_t *node_json(const struct pst_node_manifest *node)
{
    json_t *sources = json_array();
    json_t *parts = json_array();
    json_t *unreadable = json_array();
    for (uint32_t i = 0; i < node->sources_count; i++)
        pst_json_append(&sources, source_json(&node->sources[i]));
    for (uint32_t i = 0; i < node->parts_count; i++)
        pst_json_append(&parts, part_json(&node->parts[i]));
    for (uint32_t i = 0; i < node->unreadable_names_count; i++)
        pst_json_append(&unreadable, cli_json_text(node->unreadable_names[i]));
    json_t *value =
        json_pack("{s:I, s:I, s:b, s:o, s:o, s:o}", "node", (json_int_t)node->node, "chunk_bytes",
                  (json_int_t)node->chunk_bytes, "single_threaded", (int)node->single_threaded,
                  "sources", sources, "parts", parts, "unreadable_names", unreadable);
    if (node->host)
        pst_json_set(&value, "host", json_string(node->host));
    if (node->writer)
        pst_json_set(&value, "writer", json_string(node->writer));
    return value;
}

/* 0 or -ENOMEM. */
static int ask_logical(const struct pst_backup *backup, bool *is_logical)
{
    *is_logical = false;
    for (uint32_t i = 0; backup->nodes && i < backup->cluster.nodes_count; i++) {
        for (uint32_t j = 0; !*is_logical && j < backup->nodes[i].sources_count; j++) {
            const char *text = backup->nodes[i].sources[j].details;
            json_t *details = text ? cli_json_details(text) : NULL;
            if (text && !details)
                return -ENOMEM;
            *is_logical = json_is_true(json_object_get(details, "logical"));
            json_decref(details);
        }
    }
    *is_logical = *is_logical && pst_backup_is_usable(backup->state);
    return 0;
}

static int add_table(void *context, const struct pst_reading_table *table)
{
    json_t **tables = context;
    json_t *value =
        json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "node", (json_int_t)table->node, "source",
                  table->source, "table", table->name, "flags", (json_int_t)table->flags, "shares",
                  (json_int_t)table->shares, "rows", (json_int_t)table->rows, "source_bytes",
                  (json_int_t)table->bytes);
    pst_json_append(tables, value);
    return *tables ? 0 : -ENOMEM;
}

static int print_table(void *context, const struct pst_reading_table *table)
{
    char rows[CLI_VALUE_COUNT_BYTES];
    char size[CLI_VALUE_TEXT_BYTES];
    (void)context;
    cli_print(stdout, "  table %s/%s: %s, %s", table->source, table->name,
              cli_value_count_text(table->rows, "row", rows),
              cli_value_size_text(table->bytes, size));
    if (table->flags)
        cli_print(stdout, ", flags 0x%x", table->flags);
    cli_print_empty_line(stdout);
    return 0;
}

/* What only the catalogue knows, in the parts. */
static enum cli_exit list_tables(const struct cli_arguments *arguments,
                                 const struct pst_reading *reading, json_t **tables)
{
    char message[PST_MESSAGE_BYTES];
    int error = pst_reading_tables(reading, tables ? add_table : print_table, tables, message);
    if (error)
        return cli_fail(arguments, cli_backups_exit(arguments, error), "%s", message);
    return CLI_EXIT_DONE;
}

/* Takes tables; NULL: it has none. */
static int print_json(const struct pst_backup *backup, json_t *tables)
{
    json_t *value = cli_backup_json(backup);
    json_t *nodes = json_array();
    char id[9] = "";
    if (backup->has_cluster && backup->cluster.common.cluster_id != 0)
        snprintf(id, sizeof(id), "%08x", backup->cluster.common.cluster_id);
    pst_json_set(&value, "cluster_id", json_string(id));
    if (tables)
        pst_json_set(&value, "tables", tables);
    for (uint32_t i = 0; backup->nodes && i < backup->cluster.nodes_count; i++) {
        if (backup->nodes[i].parts_count > 0)
            pst_json_append(&nodes, node_json(&backup->nodes[i]));
    }
    pst_json_set(&value, "node_manifests", nodes);
    return cli_json_record(stdout, "show", value);
}

/* The numbers among the details of the source, whatever its kind, as they are. */
static void print_source(const struct pst_manifest_source *source)
{
    const char *key;
    json_t *value;
    cli_print_line(stdout, "  source %s: %s", source->name, source->spec);
    if (source->path)
        cli_print_line(stdout, "    path %s", source->path);
    if (source->choice && source->choice[0])
        cli_print_line(stdout, "    chosen by %s", source->choice);
    json_t *details = source->details ? cli_json_details(source->details) : NULL;
    if (source->details && !details)
        cli_print_line(stdout, "    details: %s", pst_error_text(-ENOMEM));
    json_object_foreach(details, key, value)
    {
        if (json_is_integer(value))
            cli_print_line(stdout, "    %s %" JSON_INTEGER_FORMAT "", key,
                           json_integer_value(value));
    }
    json_decref(details);
}

static void print_node(const struct pst_node_manifest *node)
{
    char objects[CLI_VALUE_COUNT_BYTES], chunks[CLI_VALUE_COUNT_BYTES];
    char text[CLI_VALUE_TEXT_BYTES], digest[PST_DIGEST_TEXT_BYTES];
    cli_print_line(stdout, "node %u: %s, chunks of %s", node->node,
                   node->single_threaded ? "single-threaded" : "multithreaded",
                   cli_value_size_text(node->chunk_bytes, text));
    if (node->host)
        cli_print_line(stdout, "  host %s", node->host);
    if (node->writer)
        cli_print_line(stdout, "  written by %s", node->writer);
    for (uint32_t i = 0; i < node->sources_count; i++)
        print_source(&node->sources[i]);
    for (uint32_t i = 0; i < node->parts_count; i++) {
        const struct pst_manifest_part *part = &node->parts[i];
        cli_print_line(stdout, "  part %u of %u by LDM %u: %s, %s, %s, %s", part->part,
                       node->parts_count, part->ldm, cli_value_size_text(part->file_bytes, text),
                       cli_value_count_text(part->sums.objects, "object", objects),
                       cli_value_count_text(part->sums.chunks, "chunk", chunks),
                       pst_digest_text(&part->digest, digest));
        if (part->lz4_chunks + part->zstd_chunks > 0)
            cli_print_line(stdout, "    compressed: %llu chunks by lz4, %llu by zstd",
                           (unsigned long long)part->lz4_chunks,
                           (unsigned long long)part->zstd_chunks);
    }
    for (uint32_t i = 0; i < node->unreadable_names_count; i++)
        cli_print_line(stdout, "  could not be read, or changed during the backup: %s",
                       node->unreadable_names[i]);
}

static void print_origins(const struct pst_backup *backup)
{
    char objects[CLI_VALUE_COUNT_BYTES], size[CLI_VALUE_TEXT_BYTES], uid[2 * PST_UID_BYTES + 1];
    const struct pst_manifest_base *base = cli_backup_base(backup);
    if (!base)
        return;
    pst_hex_encode(base->uid, PST_UID_BYTES, uid);
    cli_print_line(stdout, "base %u, uid %s; %s more lie in other backups", base->number, uid,
                   cli_value_size_text(pst_backup_shared_bytes(backup), size));
    for (uint32_t i = 0; i < backup->cluster.origins_count; i++) {
        const struct pst_manifest_origin *origin = &backup->cluster.origins[i];
        pst_hex_encode(origin->uid, PST_UID_BYTES, uid);
        cli_print_line(stdout, "  in backup %u, uid %s: %s, %s", origin->number, uid,
                       cli_value_size_text(origin->bytes, size),
                       cli_value_count_text(origin->objects, "object", objects));
    }
}

static void print_text(const struct pst_backup *backup)
{
    char objects[CLI_VALUE_COUNT_BYTES];
    char size[CLI_VALUE_TEXT_BYTES], stored[CLI_VALUE_TEXT_BYTES];
    char when[PST_TIME_TEXT_BYTES], uid[2 * PST_UID_BYTES + 1];
    const struct pst_manifest_common *common = &backup->cluster.common;
    bool runs = pst_backup_is_running(backup);
    cli_print_line(stdout, "backup %u: %s%s%s", backup->number,
                   runs ? "running" : pst_backup_state_text(backup->state),
                   backup->reason[0] ? ": " : "",
                   runs ? "it is being written now" : backup->reason);
    if (!backup->has_cluster)
        return;
    pst_hex_encode(common->uid, PST_UID_BYTES, uid);
    if (common->cluster_id != 0)
        cli_print_line(stdout, "cluster id %08x", common->cluster_id);
    cli_print_line(stdout, "uid %s", uid);
    if (backup->cluster.label[0])
        cli_print_line(stdout, "label %s", backup->cluster.label);
    cli_print_line(stdout, "start GCI %llu", (unsigned long long)common->start_gci);
    cli_print_line(stdout, "started %s, took %.2f s",
                   pst_time_text(common->started_unix_ns, 0, when),
                   (double)(int64_t)(common->finished_unix_ns - common->started_unix_ns) / 1e9);
    cli_print_line(stdout, "%s, %s, stored in %s, %llu unreadable",
                   cli_value_count_text(common->sums.objects, "object", objects),
                   cli_value_size_text(common->sums.source_bytes, size),
                   cli_value_size_text(common->sums.stored_bytes, stored),
                   (unsigned long long)common->sums.unreadable);
    print_origins(backup);
    for (uint32_t i = 0; backup->nodes && i < backup->cluster.nodes_count; i++) {
        if (backup->nodes[i].parts_count > 0)
            print_node(&backup->nodes[i]);
        else
            cli_print_line(stdout, "node %u: %s", backup->cluster.nodes[i].node,
                           backup->is_elsewhere[i] ? "its files are not in the directories given"
                                                   : "its manifest is missing or damaged");
    }
}

static enum cli_exit show(const struct cli_arguments *arguments, const struct pst_reading *reading)
{
    const struct pst_backup *backup = reading->backup;
    bool json = cli_argument_json(arguments), logical;
    enum cli_exit code = CLI_EXIT_DONE;
    int error = ask_logical(backup, &logical);
    json_t *tables = json && logical ? json_array() : NULL;
    if (error || (json && logical && !tables))
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", pst_error_text(-ENOMEM));
    if (!json)
        print_text(backup);
    if (logical)
        code = list_tables(arguments, reading, tables ? &tables : NULL);
    if (json && code == CLI_EXIT_DONE)
        error = print_json(backup, tables);
    else
        json_decref(tables);
    if (error || cli_print_flush(stdout) < 0)
        return cli_fail_unprinted(arguments);
    return code;
}

static enum cli_exit run_with(const struct cli_arguments *arguments,
                              const struct pst_keyring *keyring)
{
    const char *directories[CLI_OPTION_VALUES_MAX];
    uint32_t count = cli_argument_texts(arguments, "from", directories);
    const char *id = arguments->positional_count > 0 ? arguments->positionals[0] : NULL;
    char message[PST_MESSAGE_BYTES];
    struct pst_reading reading;
    int error =
        pst_reading_open(directories, count, keyring, id, PST_PICK_DECIDED, &reading, message);
    if (error)
        return cli_fail(arguments,
                        error == -EINVAL ? CLI_EXIT_USAGE : cli_backups_exit(arguments, error),
                        "%s%s", message, cli_backups_hint(id, error));
    enum cli_exit code = show(arguments, &reading);
    pst_reading_close(&reading);
    return code;
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct pst_keyring *keyring;
    enum cli_exit code = cli_backups_keys(arguments, &keyring);
    if (code != CLI_EXIT_DONE)
        return code;
    code = run_with(arguments, keyring);
    pst_keyring_release(keyring);
    return code;
}

const struct cli_command cli_command_show = {.name = "show",
                                             .summary = "show what a backup holds",
                                             .positional = "[ID]",
                                             .positional_max = 1,
                                             .options = options,
                                             .run = run};
