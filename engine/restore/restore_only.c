/* Which sources of a backup are restored, or verified. Called by restore.c and verify.c on their
 * threads, before anything is read. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/restore/restore_passes.h"
#include "engine/restore/source_choice.h"

static uint64_t sources_named(const struct pst_node_manifest *node, const char *name)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < node->sources_count; i++) {
        if (!name || strcmp(node->sources[i].name, name) == 0)
            bits |= UINT64_C(1) << node->sources[i].instance;
    }
    return bits;
}

/* "3" or "3/NAME"; then *name is set, or NULL. */
static bool parse(const char *text, uint32_t *node, const char **name)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '1' || text[0] > '9' || number > PST_NODES_MAX ||
        (*end != '\0' && (*end != '/' || end[1] == '\0')))
        return false;
    *node = (uint32_t)number;
    *name = *end == '/' ? end + 1 : NULL;
    return true;
}

static int fail(char *message, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char *message, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, PST_MESSAGE_BYTES, format, arguments);
    va_end(arguments);
    return error;
}

int source_choose(const struct pst_backup *backup, const char *text, uint64_t *only, char *message)
{
    const char *name;
    char shut[PST_MESSAGE_BYTES];
    uint32_t node, i = 0;
    if (!parse(text, &node, &name))
        return fail(message, -ENOKEY, "\"%s\" is neither NODE nor NODE/NAME", text);
    while (i < backup->cluster.nodes_count && backup->cluster.nodes[i].node != node)
        i++;
    if (i == backup->cluster.nodes_count)
        return fail(message, -ENOKEY, "%s: no node %u took part in backup %u", text, node,
                    backup->number);
    if (backup->nodes[i].parts_count == 0)
        return fail(message, backup->error ? backup->error : -PST_E_INCOMPLETE, "%s",
                    backup->reason);
    if (backup_is_shut(backup, i))
        return fail(message, -PST_E_NO_KEY, "backup %u: %.400s", backup->number,
                    pst_backup_shut_text(backup, shut));
    uint64_t bits = sources_named(&backup->nodes[i], name);
    if (bits == 0)
        return fail(message, -ENOKEY, "%s: node %u has no such source in backup %u", text, node,
                    backup->number);
    only[i] |= bits;
    return 0;
}

static int choose(struct restore_run *run, const char *text)
{
    char message[PST_MESSAGE_BYTES];
    int error = source_choose(run->backup, text, run->only, message);
    return error ? restore_fail(run, error, "%s", message) : 0;
}

int restore_choose(struct restore_run *run)
{
    const struct pst_backup *backup = run->backup;
    uint32_t count = run->options->only_count;
    /* Files of other nodes may be missing; what the chosen nodes lack is found later. */
    bool may_be_damaged = run->options->keep_going && (backup->state == PST_BACKUP_DAMAGED ||
                                                       backup->state == PST_BACKUP_SPLIT);
    if (!pst_backup_is_usable(backup->state) &&
        ((count == 0 && !may_be_damaged) || !backup->has_cluster))
        return restore_fail(run, backup->error, "%s", backup->reason);
    int error = 0;
    for (uint32_t i = 0; !error && i < count; i++)
        error = choose(run, run->options->only[i]);
    if (count == 0) /* all, so that an object of a source that no manifest names is found too */
        memset(run->only, 0xFF, sizeof(run->only));
    return error;
}

void source_drop_parts(const uint64_t *only, struct pst_part_set *set)
{
    uint32_t count = set->count;
    set->count = 0;
    set->file_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (only[set->parts[i].node_index] == 0)
            continue;
        set->file_bytes += set->parts[i].file_bytes;
        set->parts[set->count++] = set->parts[i];
    }
}

void restore_drop_parts(struct restore_run *run)
{
    source_drop_parts(run->only, &run->set);
}

uint32_t restore_nodes(const struct restore_run *run)
{
    uint32_t ids[PST_NODES_MAX];
    /* a partial backup is laid out as a whole one would be */
    uint32_t nodes = run->options->only_count == 0 ? pst_backup_missing(run->backup, ids) : 0;
    for (uint32_t i = 0; i < run->backup->cluster.nodes_count; i++)
        nodes += run->only[i] != 0;
    return nodes;
}

const char *restore_place(const struct restore_run *run, uint32_t node_index, const char *name,
                          char place[RESTORE_PLACE_BYTES])
{
    bool is_alone = restore_nodes(run) == 1;
    if (is_alone && restore_sources(run, node_index) == 1)
        place[0] = '\0';
    else if (is_alone)
        snprintf(place, RESTORE_PLACE_BYTES, "%s", name);
    else
        snprintf(place, RESTORE_PLACE_BYTES, "%u/%s", run->backup->nodes[node_index].node, name);
    return place;
}

uint32_t restore_sources(const struct restore_run *run, uint32_t node_index)
{
    const struct pst_node_manifest *node = &run->backup->nodes[node_index];
    uint32_t sources = 0;
    for (uint32_t i = 0; i < node->sources_count; i++)
        sources += (run->only[node_index] >> node->sources[i].instance & 1) != 0;
    return sources;
}
