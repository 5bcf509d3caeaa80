/*
 * Prints what a finished backup did: a table of LDMs, or a JSON record. Called by cmd_backup.c, on
 * the main thread.
 */
#include "engine/cli/backup_report.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/hex.h"
#include "engine/cli/json.h"
#include "engine/cli/pace_report.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"

static double per_second(uint64_t bytes, uint64_t ns)
{
    return ns > 0 ? (double)bytes * 1e9 / (double)ns : 0;
}

static double gib(uint64_t bytes)
{
    return (double)bytes / (double)(1u << 30);
}

static void print_ldm(FILE *out, uint32_t instance, const struct pst_session_ldm *ldm)
{
    char read[CLI_VALUE_TEXT_BYTES], rate[CLI_VALUE_TEXT_BYTES], buffers[CLI_VALUE_TEXT_BYTES];
    double cpu_s = (double)ldm->cpu_ns / 1e9;
    cli_print_line(out, "%4u %4u %5d %11s %11s/s %8llu %8.2f %10.2f %10s%s", instance, ldm->cpu,
                   ldm->numa_node, cli_value_size_text(ldm->source_bytes, read),
                   cli_value_size_text((uint64_t)per_second(ldm->source_bytes, ldm->busy_ns), rate),
                   (unsigned long long)ldm->objects, cpu_s,
                   ldm->source_bytes > 0 ? cpu_s / gib(ldm->source_bytes) : 0,
                   cli_value_size_text(ldm->buffer_bytes, buffers),
                   ldm->misplaced_pages > 0 ? " (some pages on another node)" : "");
}

static bool ends_in(const char *text, size_t length, const char *end)
{
    size_t bytes = strlen(end);
    return length >= bytes && memcmp(text + length - bytes, end, bytes) == 0;
}

/* "pinned_ns": 831215000 as "pinned 831.215 ms"; units are the ends of names. */
static void print_detail(FILE *out, const char *key, json_int_t value)
{
    char size[CLI_VALUE_TEXT_BYTES];
    size_t length = strlen(key);
    bool is_time = ends_in(key, length, "_ns"), is_size = ends_in(key, length, "_bytes");
    size_t shown = length - (is_time ? strlen("_ns") : is_size ? strlen("_bytes") : 0);
    for (size_t i = 0; i < shown; i++)
        cli_print(out, "%c", key[i] == '_' ? ' ' : key[i]);
    if (is_time)
        cli_print(out, " %.3f ms", (double)value / 1e6);
    else if (is_size)
        cli_print(out, " %s", cli_value_size_text((uint64_t)value, size));
    else
        cli_print(out, " %" JSON_INTEGER_FORMAT, value);
}

/* The numbers among the details of the source, whatever its kind. */
static void print_source(FILE *out, const struct pst_session_source *source)
{
    const char *key, *separator = ": ";
    json_t *value;
    if (!source->details)
        return;
    json_t *details = cli_json_details(source->details);
    cli_print(out, "source %s%s", source->name, details ? "" : ": ");
    if (!details)
        cli_print(out, "%s", pst_error_text(-ENOMEM));
    json_object_foreach(details, key, value)
    {
        if (!json_is_integer(value))
            continue;
        cli_print(out, "%s", separator);
        print_detail(out, key, json_integer_value(value));
        separator = ", ";
    }
    cli_print_empty_line(out);
    json_decref(details);
}

static struct pst_session_codecs codecs_of(const struct pst_session_report *report)
{
    struct pst_session_codecs all = {0};
    for (uint32_t i = 0; i < report->ldms_count; i++) {
        all.none_chunks += report->ldms[i].codecs.none_chunks;
        all.lz4_chunks += report->ldms[i].codecs.lz4_chunks;
        all.zstd_chunks += report->ldms[i].codecs.zstd_chunks;
    }
    return all;
}

/* Nothing of a backup of which nothing is compressed. */
static void print_codecs(FILE *out, const struct pst_session_report *report)
{
    char stored[CLI_VALUE_TEXT_BYTES];
    const struct pst_session_codecs codecs = codecs_of(report);
    if (codecs.lz4_chunks + codecs.zstd_chunks == 0)
        return;
    cli_print_line(out, "stored in %s, 1 : %.2f; chunks: %llu lz4, %llu zstd, %llu as they are",
                   cli_value_size_text(report->stored_bytes, stored),
                   (double)report->source_bytes / (double)report->stored_bytes,
                   (unsigned long long)codecs.lz4_chunks, (unsigned long long)codecs.zstd_chunks,
                   (unsigned long long)codecs.none_chunks);
}

/* Nothing of a full backup. */
static void print_base(FILE *out, const struct pst_session_report *report)
{
    char bytes[CLI_VALUE_TEXT_BYTES], references[CLI_VALUE_COUNT_BYTES];
    if (report->base == 0)
        return;
    cli_print_line(out, "base %u: %s more lie in earlier backups (%s)", report->base,
                   cli_value_size_text(report->referenced_bytes, bytes),
                   cli_value_count_text(report->references, "reference", references));
}

static int print_text(FILE *out, const struct pst_session_report *report)
{
    char objects[CLI_VALUE_COUNT_BYTES];
    char bytes[CLI_VALUE_TEXT_BYTES], rate[CLI_VALUE_TEXT_BYTES], uid[33];
    pst_hex_encode(report->uid, sizeof(report->uid), uid);
    cli_print_line(
        out, "backup %u is complete: %s, %s in %.2f s, %s/s", report->number,
        cli_value_count_text(report->objects, "object", objects),
        cli_value_size_text(report->source_bytes, bytes), (double)report->elapsed_ns / 1e9,
        cli_value_size_text((uint64_t)per_second(report->source_bytes, report->elapsed_ns), rate));
    cli_print_line(out, "uid %s, start GCI %llu", uid, (unsigned long long)report->start_gci);
    print_base(out, report);
    print_codecs(out, report);
    cli_pace_print_held(out, &report->pace);
    for (uint32_t i = 0; i < report->sources_count; i++)
        print_source(out, &report->sources[i]);
    cli_print_empty_line(out);
    cli_print_line(out, "%4s %4s %5s %11s %13s %8s %8s %10s %10s", "LDM", "CPU", "node", "read",
                   "rate", "objects", "CPU s", "CPU s/GiB", "buffers");
    for (uint32_t i = 0; i < report->ldms_count; i++)
        print_ldm(out, i + 1, &report->ldms[i]);
    return cli_print_flush(out);
}

static json_t *codecs_json(const struct pst_session_codecs *codecs)
{
    return cli_json_codecs(codecs->none_chunks + codecs->lz4_chunks + codecs->zstd_chunks,
                           codecs->lz4_chunks, codecs->zstd_chunks);
}

static json_t *ldm_json(uint32_t instance, const struct pst_session_ldm *ldm)
{
    return json_pack("{s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:o}", "ldm",
                     (json_int_t)instance, "cpu", (json_int_t)ldm->cpu, "numa_node",
                     (int)ldm->numa_node, "source_bytes", (json_int_t)ldm->source_bytes,
                     "stored_bytes", (json_int_t)ldm->stored_bytes, "objects",
                     (json_int_t)ldm->objects, "busy_ns", (json_int_t)ldm->busy_ns, "cpu_ns",
                     (json_int_t)ldm->cpu_ns, "buffer_bytes", (json_int_t)ldm->buffer_bytes,
                     "chunks", (json_int_t)ldm->chunks, "hugepages", (int)ldm->hugepages,
                     "misplaced_pages", (json_int_t)ldm->misplaced_pages, "codec_chunks",
                     codecs_json(&ldm->codecs));
}

static json_t *sources_json(const struct pst_session_report *report)
{
    json_t *sources = json_array();
    for (uint32_t i = 0; i < report->sources_count; i++) {
        const struct pst_session_source *source = &report->sources[i];
        json_t *value = json_pack("{s:s}", "name", source->name);
        if (source->details)
            pst_json_set(&value, "details", cli_json_details(source->details));
        pst_json_append(&sources, value);
    }
    return sources;
}

static int print_json(FILE *out, const struct pst_session_report *report)
{
    char uid[33];
    pst_hex_encode(report->uid, sizeof(report->uid), uid);
    json_t *ldms = json_array();
    for (uint32_t i = 0; i < report->ldms_count; i++)
        pst_json_append(&ldms, ldm_json(i + 1, &report->ldms[i]));
    json_t *fields = json_pack(
        "{s:s, s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o}", "operation",
        "backup", "number", (json_int_t)report->number, "uid", uid, "start_gci",
        cli_json_big(report->start_gci), "source_bytes", (json_int_t)report->source_bytes,
        "stored_bytes", (json_int_t)report->stored_bytes, "objects", (json_int_t)report->objects,
        "chunks", (json_int_t)report->chunks, "unreadable", (json_int_t)report->unreadable,
        "elapsed_ns", (json_int_t)report->elapsed_ns, "verified", (int)report->verified, "sources",
        sources_json(report), "ldms", ldms, "pace", cli_pace_json(&report->pace));
    if (report->base > 0)
        pst_json_merge(&fields,
                       json_pack("{s:I, s:I, s:I}", "base", (json_int_t)report->base, "references",
                                 (json_int_t)report->references, "referenced_bytes",
                                 (json_int_t)report->referenced_bytes));
    return cli_json_record(out, "summary", fields);
}

int cli_backup_report_print(FILE *out, const struct pst_session_report *report, bool json)
{
    return json ? print_json(out, report) : print_text(out, report);
}
