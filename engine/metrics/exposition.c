/*
 * Puts metrics into text of either format. Called by node_metrics.c and run_metrics.c; any thread.
 */
#include "engine/metrics/exposition.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/utf8.h"

#define ROOM_BYTES_FIRST 16384u

static bool make_room(struct pst_exposition *exposition, size_t bytes)
{
    size_t wanted = exposition->bytes + bytes + 1;
    size_t room = exposition->room_bytes > 0 ? exposition->room_bytes : ROOM_BYTES_FIRST;
    if (exposition->has_failed)
        return false;
    while (room < wanted)
        room *= 2;
    if (room == exposition->room_bytes)
        return true;
    char *text = realloc(exposition->text, room);
    if (!text) {
        exposition->has_failed = true;
        return false;
    }
    exposition->text = text;
    exposition->room_bytes = room;
    return true;
}

static void put_bytes(struct pst_exposition *exposition, const char *bytes, size_t count)
{
    if (!make_room(exposition, count))
        return;
    memcpy(exposition->text + exposition->bytes, bytes, count);
    exposition->bytes += count;
    exposition->text[exposition->bytes] = '\0';
}

static void put(struct pst_exposition *exposition, const char *text)
{
    put_bytes(exposition, text, strlen(text));
}

static void put_format(struct pst_exposition *exposition, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Of numbers, which are short. */
static void put_format(struct pst_exposition *exposition, const char *format, ...)
{
    char text[64];
    va_list list;
    va_start(list, format);
    int bytes = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    assert(bytes >= 0 && (size_t)bytes < sizeof(text));
    put_bytes(exposition, text, (size_t)bytes);
}

/* The value of a label: these three bytes alone mean something there, and what is not UTF-8 would
 * spoil the whole text. */
static void put_escaped(struct pst_exposition *exposition, const char *value)
{
    uint32_t point;
    for (size_t bytes; *value; value += bytes) {
        bytes = pst_utf8_decode(value, strlen(value), &point);
        if (*value == '\n')
            put(exposition, "\\n");
        else if (*value == '"')
            put(exposition, "\\\"");
        else if (*value == '\\')
            put(exposition, "\\\\");
        else if (bytes == 0)
            put(exposition, "?");
        else
            put_bytes(exposition, value, bytes);
        bytes = bytes > 0 ? bytes : 1;
    }
}

void exposition_begin(struct pst_exposition *exposition, enum pst_exposition_format format,
                      const struct pst_label *common)
{
    memset(exposition, 0, sizeof(*exposition));
    exposition->format = format;
    exposition->common = common;
}

static bool is_open(const struct pst_exposition *exposition)
{
    return exposition->format == PST_EXPOSITION_OPENMETRICS;
}

/* "# HELP penstock_backups_total …": OpenMetrics names the family, the older format the sample. */
static void put_comment(struct pst_exposition *exposition, const char *keyword, const char *text)
{
    const struct pst_metric *metric = exposition->metric;
    put(exposition, "# ");
    put(exposition, keyword);
    put(exposition, metric->name);
    put(exposition, metric->is_counter && !is_open(exposition) ? "_total " : " ");
    put(exposition, text);
    put(exposition, "\n");
}

static bool ends_in_unit(const struct pst_metric *metric)
{
    size_t bytes = strlen(metric->name), unit_bytes = metric->unit ? strlen(metric->unit) : 0;
    return unit_bytes == 0 || (bytes > unit_bytes && metric->name[bytes - unit_bytes - 1] == '_' &&
                               strcmp(metric->name + bytes - unit_bytes, metric->unit) == 0);
}

void exposition_family(struct pst_exposition *exposition, const struct pst_metric *metric)
{
    assert(ends_in_unit(metric));
    exposition->metric = metric;
    put_comment(exposition, "HELP ", metric->help);
    put_comment(exposition, "TYPE ", metric->is_counter ? "counter" : "gauge");
    if (metric->unit && is_open(exposition))
        put_comment(exposition, "UNIT ", metric->unit);
}

/* Returns what is to come before the next label. */
static const char *put_labels(struct pst_exposition *exposition, const struct pst_label *labels,
                              const char *before)
{
    for (; labels && labels->name; labels++) {
        put(exposition, before);
        put(exposition, labels->name);
        put(exposition, "=\"");
        put_escaped(exposition, labels->value);
        put(exposition, "\"");
        before = ",";
    }
    return before;
}

static void put_name(struct pst_exposition *exposition, const struct pst_label *labels)
{
    assert(exposition->metric);
    put(exposition, exposition->metric->name);
    put(exposition, exposition->metric->is_counter ? "_total" : "");
    const char *before = put_labels(exposition, exposition->common, "{");
    before = put_labels(exposition, labels, before);
    put(exposition, *before == ',' ? "} " : " ");
}

void exposition_name(struct pst_exposition *exposition, const struct pst_metric *metric)
{
    exposition->metric = metric;
    put_name(exposition, NULL);
}

void exposition_number(struct pst_exposition *exposition, const struct pst_label *labels,
                       uint64_t value)
{
    put_name(exposition, labels);
    put_format(exposition, "%" PRIu64 "\n", value);
}

void exposition_ns(struct pst_exposition *exposition, const struct pst_label *labels, uint64_t ns)
{
    assert(strcmp(exposition->metric->unit, "seconds") == 0);
    put_name(exposition, labels);
    put_format(exposition, "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
}

void exposition_lines(struct pst_exposition *exposition, const char *lines, size_t bytes)
{
    assert(bytes > 0 && lines[bytes - 1] == '\n');
    put_bytes(exposition, lines, bytes);
}

int exposition_end(struct pst_exposition *exposition, char **text, size_t *bytes)
{
    if (is_open(exposition))
        put(exposition, "# EOF\n");
    else
        put(exposition, "");
    *text = NULL;
    *bytes = exposition->bytes;
    if (exposition->has_failed)
        free(exposition->text);
    else
        *text = exposition->text;
    return exposition->has_failed ? -ENOMEM : 0;
}
