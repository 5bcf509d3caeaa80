/*
 * Finds objects of a backup by name, and reads the contents of one. The calls run on the caller's
 * thread, what reads chunks on the crew's.
 */
#include "engine/restore/look.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/format/directories.h"
#include "engine/format/file_attributes.h"
#include "engine/restore/look_state.h"
#include "engine/restore/object_order.h"
#include "engine/restore/source_choice.h"

int look_fail(char *message, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, PST_MESSAGE_BYTES, format, arguments);
    va_end(arguments);
    return error;
}

int look_fail_reading(const struct pst_look *look, int error, char *message)
{
    const struct pst_findings *findings = &look->findings;
    return look_fail(message, error, "%s",
                     findings->damages ? findings->first : pst_error_text(error));
}

int look_damaged(struct pst_findings *findings, const struct pst_part_map *part,
                 const struct pst_chunk_header *header, size_t offset, int error)
{
    const struct pst_damage damage = {PST_CHUNK_HEADER_BYTES + offset, header->raw_bytes - offset,
                                      "catalogue entry"};
    pst_findings_add_damage(findings, &part->file, header->file_offset, &damage, error);
    return error;
}

/* ---- opening ---- */

static bool has_nodes(const struct pst_backup *backup)
{
    uint32_t missing[PST_NODES_MAX];
    return backup->cluster.nodes_count + pst_backup_missing(backup, missing) > 1;
}

static int list_sources(struct pst_look *look)
{
    const struct pst_backup *backup = look->backup;
    bool shows_nodes = has_nodes(backup);
    uint32_t count = 0;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++)
        count += backup->nodes[i].sources_count;
    look->sources = calloc(count + 1, sizeof(*look->sources));
    if (!look->sources)
        return -ENOMEM;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++) {
        const struct pst_node_manifest *node = &backup->nodes[i];
        for (uint32_t j = 0; j < node->sources_count; j++) {
            struct look_source *source = &look->sources[look->sources_count++];
            source->node_index = i;
            source->instance = node->sources[j].instance;
            source->name = node->sources[j].name;
            bool has_name = node->sources_count > 1;
            if (shows_nodes)
                snprintf(source->prefix, sizeof(source->prefix), "%u/%s", node->node, source->name);
            else if (has_name)
                snprintf(source->prefix, sizeof(source->prefix), "%s", source->name);
        }
    }
    return 0;
}

static void log_finding(void *context, const struct pst_finding *finding)
{
    char text[PST_MESSAGE_BYTES];
    (void)context;
    pst_finding_text(finding, text);
    pst_log(finding->warning ? PST_LOG_WARNING : PST_LOG_ERROR, "%s", text);
}

void look_log_findings(struct pst_look *look)
{
    look->findings.found = log_finding;
}

int look_pass_over(struct pst_look *look, int error, char *message)
{
    struct pst_findings *findings = &look->findings;
    findings->found = NULL;
    if (!error && findings->newer + findings->unverified > 0)
        error = findings->first_error;
    if (error)
        return look_fail_reading(look, error, message);
    look->damages += findings->damages;
    findings->damages = 0;
    return 0;
}

static void drop_shut(struct pst_look *look)
{
    uint64_t open[PST_NODES_MAX];
    for (uint32_t i = 0; i < look->backup->cluster.nodes_count; i++)
        open[i] = !backup_is_shut(look->backup, i);
    source_drop_parts(open, &look->set);
}

static int map_parts(struct pst_look *look, char *message)
{
    int error = pst_backup_parts_make(look->backup, &look->set, NULL);
    if (!error)
        drop_shut(look);
    look->set.salvages = true;
    look->set.direct = PST_DIRECT_UNLESS_CACHED;
    look_log_findings(look);
    if (!error)
        error = chunk_map_parts(look->crew, &look->set, &look->findings, &look->read_bytes, false);
    return look_pass_over(look, error, message);
}

int pst_look_open(const struct pst_backup *backup, const struct pst_crew *crew,
                  struct pst_look **opened, char *message)
{
    *opened = NULL;
    if (!pst_backup_is_usable(backup->state)) {
        /* -EINVAL: something in it is no file, which is not the caller's fault */
        int error = backup->error == -EINVAL ? -PST_E_NOT_BACKUP : backup->error;
        return look_fail(message, error, "%s", backup->reason);
    }
    struct pst_look *look = calloc(1, sizeof(*look));
    if (!look)
        return look_fail(message, -ENOMEM, "out of memory");
    look->backup = backup;
    pst_findings_init(&look->findings, NULL, NULL);
    int error = crew_open(crew, &look->crew);
    if (error)
        goto err_after_alloc;
    error = list_sources(look);
    if (!error)
        error = map_parts(look, message);
    if (!error) {
        *opened = look;
        return 0;
    }
    pst_look_close(look);
    return error;
err_after_alloc:
    free(look);
    return look_fail(message, error, "%s", pst_error_text(error));
}

void pst_look_close(struct pst_look *look)
{
    if (look->has_objects)
        objects_release(&look->objects);
    crew_close(look->crew);
    pst_backup_parts_free(&look->set);
    free(look->sources);
    free(look);
}

uint64_t pst_look_damages(const struct pst_look *look)
{
    return look->damages;
}

bool pst_look_met_damage(const struct pst_look *look)
{
    const struct pst_findings *findings = &look->findings;
    return look->damages > 0 || findings->damages > findings->unverified + findings->newer;
}

struct pst_look_bytes pst_look_bytes(const struct pst_look *look)
{
    return (struct pst_look_bytes){.total = look->set.file_bytes, .read = look->read_bytes};
}

/* ---- names ---- */

/* What follows a directory in a name: "" for itself, NULL where it does not lie there. */
static const char *below(const char *name, const char *directory, size_t bytes)
{
    if (bytes == 0)
        return name;
    if (strncmp(name, directory, bytes) != 0 || (name[bytes] != '\0' && name[bytes] != '/'))
        return NULL;
    return name[bytes] == '/' ? name + bytes + 1 : name + bytes;
}

/* How much of a name is looked for: a slash behind it means nothing. */
static size_t name_bytes(const char *name)
{
    size_t bytes = name ? strlen(name) : 0;
    while (bytes > 0 && name[bytes - 1] == '/')
        bytes--;
    return bytes;
}

bool pst_look_needs_keys(const struct pst_backup *backup, const char *name)
{
    bool needs = false, shows_nodes = has_nodes(backup);
    for (uint32_t i = 0; backup->is_shut && i < backup->cluster.nodes_count; i++) {
        char node[16] = "";
        if (shows_nodes)
            snprintf(node, sizeof(node), "%u", backup->cluster.nodes[i].node);
        bool is_there = below(name, node, strlen(node)) || below(node, name, name_bytes(name));
        needs = needs || (is_there && backup_is_shut(backup, i));
    }
    return needs;
}

/* In each source, or none, the path that the name means there. */
static void aim(struct pst_look *look, const struct pst_look_query *query)
{
    const char *name = query->name ? query->name : "";
    size_t bytes = name_bytes(name);
    for (uint32_t i = 0; i < look->sources_count; i++) {
        struct look_source *source = &look->sources[i];
        const char *path = below(name, source->prefix, strlen(source->prefix));
        bool is_inside = path && path < name + bytes;
        source->is_wanted = path || (query->is_deep && below(source->prefix, name, bytes));
        source->path = is_inside ? path : "";
        source->path_bytes = is_inside ? (size_t)(name + bytes - path) : 0;
    }
}

static const struct look_source *source_of(const struct pst_look *look, uint32_t node_index,
                                           uint64_t id)
{
    for (uint32_t i = 0; i < look->sources_count; i++) {
        const struct look_source *source = &look->sources[i];
        if (source->node_index == node_index && source->instance == pst_object_source(id))
            return source;
    }
    return NULL;
}

/* name: NAME_BYTES, for the found one. */
struct pst_look_object look_name(const struct pst_look *look, const struct look_source *source,
                                 const struct pst_object *object, char *name)
{
    bool has_both = source->prefix[0] && object->path[0];
    snprintf(name, NAME_BYTES, "%s%s%s", source->prefix, has_both ? "/" : "", object->path);
    struct pst_look_object found = {
        .node = look->backup->cluster.nodes[source->node_index].node,
        .source = source->name,
        .name = name,
        .object = object,
        .project = pst_object_project(object),
    };
    _Static_assert(sizeof(found.flags) == PST_OBJECT_FLAGS_TEXT_BYTES, "room for all");
    (void)pst_object_flags_text(pst_object_inode_flags(object), found.flags);
    return found;
}

/* ---- catalogues ---- */

bool look_lacks_chunks(const struct pst_look *look, uint32_t node_index)
{
    for (uint32_t i = 0; i < look->set.count; i++) {
        if (look->set.parts[i].node_index == node_index && !look->set.parts[i].is_mapped)
            return true;
    }
    return false;
}

static bool query_wants(const struct look_pass *pass, const struct look_source *source,
                        const struct pst_object *object)
{
    const struct pst_look_query *query = pass->query;
    char name[NAME_BYTES];
    if (!source || !source->is_wanted)
        return false;
    const char *rest = below(object->path, source->path, source->path_bytes);
    if (!rest || (!query->is_deep && strchr(rest, '/')) || (pass->is_exact && *rest))
        return false;
    if (!query->pattern)
        return true;
    look_name(pass->look, source, object, name);
    return name_glob_match(&pass->glob, name) == NAME_MATCHES;
}

static bool pass_wants(const struct look_pass *pass, uint32_t node_index,
                       const struct pst_object *object)
{
    if (!pass->query)
        return node_index == pass->node_index && object->id == pass->id;
    return query_wants(pass, source_of(pass->look, node_index, object->id), object);
}

static int take_catalogue(void *context, uint32_t worker, const struct pst_part_map *part,
                          const void *chunk)
{
    const struct look_pass *pass = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const uint8_t *payload = pst_chunk_payload_of(chunk);
    (void)worker;
    for (size_t offset = 0; offset < header->raw_bytes;) {
        struct pst_object object;
        size_t begin = offset, end = 0;
        uint32_t count = 0;
        int error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
        if (!error && pass_wants(pass, part->node_index, &object))
            error = objects_add(&pass->look->objects, part->node_index, payload + begin,
                                offset - begin, &end, &count);
        if (error == -ENOMEM)
            return error;
        if (error) {
            (void)look_damaged(&pass->look->findings, part, header, begin, error);
            break;
        }
    }
    return 0;
}

/* Whether a chunk may hold what the pass is for, as the index says. */
static bool chunk_is_wanted(void *context, const struct pst_part_map *part,
                            const struct pst_index_entry *entry)
{
    const struct look_pass *pass = context;
    if (pass->query || pass->is_of_all)
        return true;
    return part->node_index == pass->node_index && entry->object_first <= pass->id &&
           pass->id <= entry->object_last;
}

int look_read_chunks(struct look_pass *pass, enum pst_chunk_type type, enum chunk_extent extent,
                     chunk_taker *take, char *message)
{
    struct pst_look *look = pass->look;
    bool passes_over = type == PST_CHUNK_CATALOGUE;
    struct chunk_reading reading = {
        .crew = look->crew,
        .set = &look->set,
        .types = 1u << type,
        .extent = extent,
        .wants = chunk_is_wanted,
        .needs = pass->needs,
        .take = take,
        .findings = &look->findings,
        .stop_at_damage = !passes_over,
        .context = pass,
    };
    if (passes_over)
        look_log_findings(look);
    int error = chunk_reading_run(&reading);
    look->read_bytes += atomic_load(&reading.bytes_done) + atomic_load(&reading.index_bytes);
    if (passes_over)
        return look_pass_over(look, error, message);
    return error ? look_fail_reading(look, error, message) : 0;
}

/* How much of the path in a source is the directory that the pass looks in. */
static size_t directory_bytes(const struct look_pass *pass, const struct look_source *source)
{
    if (!pass->is_above)
        return source->path_bytes;
    const char *slash = memrchr(source->path, '/', source->path_bytes);
    return slash ? (size_t)(slash - source->path) : 0;
}

/* Whether a catalogue may have something of the directory, as its header says. */
static bool may_have(void *context, const struct pst_part_map *part,
                     const struct pst_chunk_header *header)
{
    const struct look_pass *pass = context;
    for (uint32_t i = 0; i < pass->look->sources_count; i++) {
        const struct look_source *source = &pass->look->sources[i];
        if (source->is_wanted && source->node_index == part->node_index &&
            pst_directories_may_have(header, source->instance, source->path,
                                     directory_bytes(pass, source)))
            return true;
    }
    return false;
}

/* A name is that of a directory, or else of something in the one above it. */
static int read_named(struct look_pass *pass, char *message)
{
    pass->needs = may_have;
    int error = look_read_chunks(pass, PST_CHUNK_CATALOGUE, CHUNK_HEADER, take_catalogue, message);
    pass->is_above = true;
    if (!error && pass->look->objects.count == 0)
        error = look_read_chunks(pass, PST_CHUNK_CATALOGUE, CHUNK_HEADER, take_catalogue, message);
    return error;
}

static int gather(struct look_pass *pass, char *message)
{
    struct pst_look *look = pass->look;
    const struct object_record *clash;
    if (look->has_objects)
        objects_release(&look->objects);
    look->found = NULL;
    int error = objects_init(&look->objects);
    look->has_objects = !error;
    if (error)
        return look_fail(message, error, "out of memory");
    look->objects.is_partial = true;
    bool is_of_one = pass->query && !pass->query->is_deep && !pass->query->pattern;
    error = is_of_one
                ? read_named(pass, message)
                : look_read_chunks(pass, PST_CHUNK_CATALOGUE, CHUNK_WHOLE, take_catalogue, message);
    if (error)
        return error;
    error = objects_gather(&look->objects);
    if (!error)
        error = objects_sort(&look->objects, &clash);
    return error ? look_fail(message, error, "%s", pst_error_text(error)) : 0;
}

/* ---- lists ---- */

static int hand_on(struct pst_look *look, struct object_record *record, pst_look_each *each,
                   void *context)
{
    const struct look_source *source = source_of(look, record->node, object_id(record));
    look->object = object_of(record);
    const struct pst_look_object found = look_name(look, source, &look->object, look->name);
    return each(context, &found);
}

/* A source below the name, which the catalogues do not have as a directory there. */
static int hand_on_source(struct pst_look *look, const struct look_source *source,
                          pst_look_each *each, void *context)
{
    const struct pst_object object = {.type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755};
    const struct pst_look_object found = look_name(look, source, &object, look->name);
    return each(context, &found);
}

static int list_sources_below(struct pst_look *look, const struct pst_look_query *query,
                              pst_look_each *each, void *context, uint32_t *count)
{
    size_t bytes = name_bytes(query->name);
    int result = 0;
    for (uint32_t i = 0; !result && i < look->sources_count; i++) {
        const struct look_source *source = &look->sources[i];
        if (source->is_wanted || !source->prefix[0] || !below(source->prefix, query->name, bytes))
            continue;
        result = hand_on_source(look, source, each, context);
        ++*count;
    }
    return result;
}

static bool wants_any(const struct pst_look *look)
{
    for (uint32_t i = 0; i < look->sources_count; i++) {
        if (look->sources[i].is_wanted)
            return true;
    }
    return false;
}

/* A pattern without a slash is one for the last component. */
static int make_glob(struct name_glob *glob, const char *pattern)
{
    char *anywhere = NULL;
    if (!strchr(pattern, '/') && asprintf(&anywhere, "**/%s", pattern) < 0)
        return -ENOMEM;
    int error = name_glob_make(glob, anywhere ? anywhere : pattern);
    free(anywhere);
    return error;
}

static int list_objects(struct look_pass *pass, pst_look_each *each, void *context, char *message)
{
    struct pst_look *look = pass->look;
    int result = gather(pass, message);
    for (size_t i = 0; !result && i < look->objects.count; i++)
        result = hand_on(look, look->objects.listed[i], each, context);
    return result;
}

static int fail_name(const struct pst_look *look, const char *name, char *message)
{
    if (look->damages > 0)
        return look_fail(message, -PST_E_CORRUPT,
                         "backup %u is damaged, and what can be read of it has no %s: see above",
                         look->backup->number, name);
    return look_fail(message, -ENOKEY, "backup %u has no %s", look->backup->number, name);
}

int pst_look_list(struct pst_look *look, const struct pst_look_query *query, pst_look_each *each,
                  void *context, char *message)
{
    struct look_pass pass = {.look = look, .query = query};
    uint32_t count = 0;
    aim(look, query);
    int result = list_sources_below(look, query, each, context, &count);
    if (result)
        return result;
    if (!wants_any(look))
        return count > 0 ? 0 : fail_name(look, query->name, message);
    result = query->pattern ? make_glob(&pass.glob, query->pattern) : 0;
    if (result)
        return look_fail(message, result, "%s", pst_error_text(result));
    result = list_objects(&pass, each, context, message);
    if (query->pattern)
        name_glob_release(&pass.glob);
    if (!result && !query->pattern && name_bytes(query->name) > 0 && look->objects.count == 0)
        return fail_name(look, query->name, message);
    return result;
}

/* ---- one object ---- */

int pst_look_find(struct pst_look *look, const char *name, struct pst_look_object *found,
                  char *message)
{
    const struct pst_look_query query = {.name = name};
    struct look_pass pass = {.look = look, .query = &query, .is_exact = true};
    aim(look, &query);
    int error = gather(&pass, message);
    if (error)
        return error;
    if (look->objects.count > 0 && object_type(look->objects.listed[0]) == PST_OBJECT_HARD_LINK) {
        const struct object_record *link = look->objects.listed[0];
        struct look_pass linked = {
            .look = look, .node_index = link->node, .id = object_of(link).linked_object};
        error = gather(&linked, message);
        if (error)
            return error;
    }
    if (look->objects.count == 0)
        return fail_name(look, name, message);
    look->found = look->objects.listed[0];
    look->object = object_of(look->found);
    *found = look_name(look, source_of(look, look->found->node, look->object.id), &look->object,
                       look->name);
    return 0;
}

int look_gather_all(struct pst_look *look, char *message)
{
    const struct pst_look_query query = {.is_deep = true};
    struct look_pass pass = {.look = look, .query = &query};
    aim(look, &query);
    return gather(&pass, message);
}
