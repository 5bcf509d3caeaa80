/*
 * penstock stats: counts what a backup holds, by kind, for each source. Called by command.c, on the
 * main thread.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/limits.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/key_options.h"
#include "engine/cli/look_command.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"

static const struct cli_option options[] = {CLI_FROM_OPTION, CLI_KEY_OPTION, CLI_OPTION_JSON, {0}};

#define TYPES 14u /* of enum pst_object_type, from 1 */

/* Of the source whose objects are being counted. */
struct counts {
    uint32_t node;
    char source[PST_SOURCE_NAME_MAX];
    uint64_t objects[TYPES];
    uint64_t bytes;
    uint64_t unreadable;
    uint64_t changed;
    uint64_t largest_bytes;
    char largest[PST_PATH_BYTES_MAX];
};

struct stats {
    struct cli_look look;
    struct counts counts;
    bool has_source;
    uint64_t objects;
};

static json_t *counts_json(const struct counts *counts)
{
    json_t *fields =
        json_pack("{s:I, s:s, s:I, s:I, s:I}", "node", (json_int_t)counts->node, "source",
                  counts->source, "source_bytes", (json_int_t)counts->bytes, "unreadable",
                  (json_int_t)counts->unreadable, "changed", (json_int_t)counts->changed);
    json_t *types = json_object();
    for (uint32_t i = 1; i < TYPES; i++) {
        const struct pst_object object = {.type = (enum pst_object_type)i};
        if (counts->objects[i])
            pst_json_set(&types, cli_look_type(&object),
                         json_integer((json_int_t)counts->objects[i]));
    }
    pst_json_set(&fields, "types", types);
    if (counts->largest_bytes)
        pst_json_set(&fields, "largest",
                     json_pack("{s:o, s:I}", "path", cli_json_text(counts->largest), "bytes",
                               (json_int_t)counts->largest_bytes));
    return fields;
}

static void print_counts(const struct counts *counts)
{
    char size[CLI_VALUE_TEXT_BYTES];
    cli_print_line(stdout, "node %u, source %s: %s of contents", counts->node, counts->source,
                   cli_value_size_text(counts->bytes, size));
    for (uint32_t i = 1; i < TYPES; i++) {
        const struct pst_object object = {.type = (enum pst_object_type)i};
        if (counts->objects[i])
            cli_print_line(stdout, "%12llu  %s", (unsigned long long)counts->objects[i],
                           cli_look_type(&object));
    }
    if (counts->unreadable + counts->changed)
        cli_print_line(stdout, "%12llu  could not be read, %llu changed during the backup",
                       (unsigned long long)counts->unreadable, (unsigned long long)counts->changed);
    if (counts->largest_bytes)
        cli_print_line(stdout, "  largest: %s, %s", counts->largest,
                       cli_value_size_text(counts->largest_bytes, size));
}

/* The source that was counted, once all its objects were. */
static int end_source(struct stats *stats)
{
    if (!stats->has_source)
        return 0;
    if (!cli_argument_json(stats->look.arguments)) {
        print_counts(&stats->counts);
        return 0;
    }
    stats->look.print_error = cli_json_record(stdout, "source", counts_json(&stats->counts));
    return stats->look.print_error;
}

static int begin_source(struct stats *stats, const struct pst_look_object *found)
{
    int error = end_source(stats);
    stats->counts = (struct counts){.node = found->node};
    snprintf(stats->counts.source, sizeof(stats->counts.source), "%s", found->source);
    stats->has_source = true;
    return error;
}

static int count(void *context, const struct pst_look_object *found)
{
    struct stats *stats = context;
    struct counts *counts = &stats->counts;
    const struct pst_object *object = found->object;
    bool is_same = stats->has_source && counts->node == found->node &&
                   strcmp(counts->source, found->source) == 0;
    int error = is_same ? 0 : begin_source(stats, found);
    stats->objects++;
    counts->objects[object->type]++;
    counts->bytes += object->size;
    counts->unreadable += (object->flags & PST_OBJECT_UNREADABLE) != 0;
    counts->changed += (object->flags & PST_OBJECT_CHANGED) != 0;
    if (object->size > counts->largest_bytes) {
        counts->largest_bytes = object->size;
        snprintf(counts->largest, sizeof(counts->largest), "%s", object->path);
    }
    return error;
}

static enum cli_exit run_with(const struct cli_arguments *arguments, struct stats *stats)
{
    char message[PST_MESSAGE_BYTES] = "";
    const char *id = arguments->positional_count > 0 ? arguments->positionals[0] : NULL;
    enum cli_exit code = cli_look_begin(arguments, id, "", 0, &stats->look);
    if (code != CLI_EXIT_DONE)
        return code;
    const struct pst_look_query query = {.is_deep = true};
    int error = pst_look_list(stats->look.look, &query, count, stats, message);
    if (!error)
        error = end_source(stats);
    if (!error)
        stats->look.print_error = cli_look_summary(&stats->look, "stats", stats->objects);
    return cli_look_end(&stats->look, error, message);
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct stats *stats = calloc(1, sizeof(*stats));
    if (!stats)
        return cli_fail(arguments, CLI_EXIT_FAILED, "out of memory");
    enum cli_exit code = run_with(arguments, stats);
    free(stats);
    return code;
}

const struct cli_command cli_command_stats = {
    .name = "stats",
    .summary = "count what a backup holds: objects by kind, bytes, what could not be read",
    .positional = "[ID]",
    .positional_max = 1,
    .options = options,
    .run = run};
