/*
 * The rows of logical backups: each database goes into a sink of its own, table by table. Called by
 * restore.c on its thread; the rows are read and written on one thread of the crew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/restore/restore_object.h"
#include "engine/restore/restore_passes.h"
#include "engine/restore/shares.h"

/* What restoring rows needs. */
struct rows {
    struct restore_run *run;
    struct tables tables;
    const struct database_tables *exported; /* alone; NULL: all are restored */
    struct row_map map;
    struct row_reading reading;
};

static int map_chunk(struct restore_run *run, const struct pst_part_map *part, const void *buffer,
                     bool is_damaged)
{
    int error = run->contents_are_checked ? 0 : restore_add_pieces(run, part, buffer, is_damaged);
    return error ? error
                 : row_map_add(run->row_map, &run->objects, &run->set, part,
                               pst_chunk_header_of(buffer));
}

static int take_chunk(void *context, uint32_t worker, const struct pst_part_map *part,
                      const void *buffer)
{
    (void)worker;
    return map_chunk(context, part, buffer, false);
}

/* Its rows are mapped too: reading them will find the damage, and tell where it is. */
static int take_damaged(void *context, uint32_t worker, const struct pst_part_map *part,
                        const void *buffer)
{
    (void)worker;
    return map_chunk(context, part, buffer, true);
}

/* text: PST_TABLE_SINK_TEXT_BYTES, which a program has filled. */
static int fail_sink(struct rows *rows, int error, const struct object_record *record,
                     const char *text)
{
    const struct pst_object object = object_of(record);
    if (error > 0)
        return restore_fail(rows->run, -EINVAL,
                            "%s: the table sink has returned %d, which is neither 0 nor an error",
                            object.path, error);
    return restore_fail(rows->run, error, "%s: %s%s%.*s", object.path, pst_error_text(error),
                        text[0] ? ": " : "", (int)PST_TABLE_SINK_TEXT_BYTES, text);
}

/* The same one, to be marked. */
static struct object_record *find_record(struct rows *rows, const struct object_record *record)
{
    return objects_find(&rows->run->objects, record->node, object_of(record).id);
}

static struct pst_database describe(const struct database_tables *database,
                                    const struct pst_object *object)
{
    const struct pst_database_entry entry = pst_database_of(object);
    struct pst_database described = {
        .kind = entry.kind,
        .name = object->path,
        .details = entry.details_bytes ? entry.details : NULL,
        .details_bytes = entry.details_bytes,
        .tables = (uint32_t)database->tables_count,
    };
    for (size_t i = 0; i < database->tables_count; i++) {
        described.rows += database->tables[i].share.rows;
        described.bytes +=
            database->tables[i].bytes - database->tables[i].share.shares * PST_ROWS_END_BYTES;
    }
    return described;
}

/* Whether an export is to have it; every table, where nothing is named. */
static bool is_wanted(const struct rows *rows, const struct pst_share *share)
{
    const struct pst_export *export = rows->run->options->export;
    bool wanted = !export || export->tables_count == 0;
    for (uint32_t i = 0; export && !wanted && i < export->tables_count; i++)
        wanted = pst_table_name_is(export->tables[i], share->name, share->name_bytes);
    return wanted;
}

/* A table that is damaged: the sink keeps the rows before the damage, and takes the next table. */
static int lose_table(struct rows *rows, const struct database_tables *database,
                      const struct table_shares *table, struct pst_table_sink *sink, int error)
{
    struct object_record *first = find_record(rows, table->shares[0]);
    error = restore_miss(rows->run, error, first, "the backup has not all rows of");
    if (!error)
        error = restore_miss(rows->run, -PST_E_CORRUPT, find_record(rows, database->record),
                             "not whole, for a table is damaged:");
    if (error)
        return error;
    error = sink->end(sink);
    return error ? fail_sink(rows, error, table->shares[0], sink->error_text) : 0;
}

/* The table is there, but not as it should be. */
static void report_notice(struct rows *rows, const struct table_shares *table,
                          const struct pst_table_sink *sink)
{
    struct restore_run *run = rows->run;
    const struct object_record *first = table->shares[0];
    const struct pst_object object = object_of(first);
    if (sink->struct_bytes < offsetof(struct pst_table_sink, notice) + sizeof(sink->notice) ||
        !sink->notice[0])
        return;
    const struct pst_restore_trouble trouble = {
        .source = restore_source_name(run, first, object.id),
        .path = object.path,
        .what = "restored, but look at",
        .node = run->backup->nodes[first->node].node,
        .error = -PST_E_ROWS,
    };
    pst_log(PST_LOG_WARNING, "%s/%s: %.*s", trouble.source, trouble.path, (int)sizeof(sink->notice),
            sink->notice);
    pthread_mutex_lock(&run->mutex);
    run->result->failed++;
    if (run->options->trouble)
        run->options->trouble(run->options->context, &trouble);
    pthread_mutex_unlock(&run->mutex);
}

static int pour_tables(struct rows *rows, const struct database_tables *database,
                       struct pst_table_sink *sink)
{
    for (size_t i = 0; i < database->tables_count; i++) {
        const struct table_shares *table = &database->tables[i];
        const struct object_record *bad;
        bool by_sink;
        if (!is_wanted(rows, &table->share))
            continue;
        int error = table_pour(&rows->reading, table, sink, &by_sink, &bad);
        if (error && by_sink)
            return fail_sink(rows, error, table->shares[0], sink->error_text);
        if (error && !by_sink && rows->run->options->keep_going && error != -ECANCELED) {
            error = lose_table(rows, database, table, sink, error);
            if (error)
                return error;
            continue;
        }
        if (bad)
            return restore_fail_object(rows->run, error, bad, "not a stream of rows:");
        if (error)
            return restore_fail(rows->run, error, "%s", rows->run->findings.first);
        report_notice(rows, table, sink);
        atomic_fetch_add(&rows->run->bytes, table->bytes);
        atomic_fetch_add(&rows->run->made, 1);
    }
    restore_begin(rows->run, database->record, "finish");
    int error = sink->finish(sink);
    pst_activity_end();
    return error ? fail_sink(rows, error, database->record, sink->error_text) : 0;
}

/* The sink has closed its file, if it made one: sets owner, mode and time. */
static int finish_file(struct rows *rows, const struct database_tables *database,
                       const struct pst_object *object)
{
    struct pst_parent parent = PST_PARENT_NONE;
    struct object_record *record = find_record(rows, database->record);
    char text[RESTORE_WORKING_NAME_BYTES];
    const char *name = restore_working_name(rows->run, record, object->path, text);
    struct stat status;
    if (fstatat(restore_source_fd(rows->run, record), name, &status, AT_SYMLINK_NOFOLLOW) < 0 &&
        errno == ENOENT)
        return 0;
    atomic_store(&record->made, true); /* by the sink */
    int error = 0;
    if (!atomic_load(&record->failed)) {
        int fd = restore_open(rows->run, &parent, record, object->path, 0600);
        error = fd < 0 ? restore_miss(rows->run, fd, record, "could not open")
                       : restore_finish_open(rows->run, fd, record);
        if (fd >= 0)
            close(fd);
    }
    if (!error)
        error = restore_take_name(rows->run, &parent, record);
    if (!error && atomic_load(&record->failed))
        error = restore_set_aside(rows->run, &parent, record);
    pst_parent_close(&parent);
    return error;
}

/* Of a damaged catalogue tables may be lost with their names; those that were asked for by name are
 * there. */
static int doubt_tables(struct rows *rows, const struct database_tables *database)
{
    struct restore_run *run = rows->run;
    uint32_t node = database->record->node;
    uint64_t wanted = run->backup->nodes[node].common.sums.objects;
    if (!run->lost_catalogue || run->options->tables_count > 0 ||
        run->objects.counts[node] >= wanted)
        return 0;
    return restore_miss(run, -PST_E_CORRUPT, find_record(rows, database->record),
                        "may lack tables, for the catalogue is damaged:");
}

static int directory_of(const struct rows *rows, const struct database_tables *database)
{
    if (!rows->run->has_target)
        return -1;
    return rows->exported ? rows->run->target.root_fd
                          : restore_source_fd(rows->run, database->record);
}

static int restore_database(struct rows *rows, const struct database_tables *database)
{
    const struct pst_object object = object_of(database->record);
    struct pst_database described = describe(database, &object);
    char name[RESTORE_WORKING_NAME_BYTES];
    const struct pst_restore_options *options = rows->run->options;
    char text[PST_TABLE_SINK_TEXT_BYTES] = "";
    struct pst_table_sink *sink = NULL;
    int directory_fd = directory_of(rows, database);
    if (!pst_object_name_is_safe(object.path))
        return restore_fail_object(rows->run, -PST_E_UNSAFE_PATH, database->record,
                                   "not the name of a file:");
    if (!options->open_sink)
        return restore_fail_object(rows->run, -ENOTSUP, database->record,
                                   "there is no sink for the rows of");
    described.name = restore_working_name(rows->run, database->record, object.path, name);
    if (rows->run->swaps && unlinkat(directory_fd, name, 0) < 0 && errno != ENOENT)
        return restore_fail_object(rows->run, -errno, database->record, "could not begin");
    int error = options->open_sink(options->sink_context, &described, directory_fd, &sink, text);
    if (error)
        return fail_sink(rows, error, database->record, text);
    error = pour_tables(rows, database, sink);
    sink->close(sink);
    error = error ? error : doubt_tables(rows, database);
    return error || rows->exported || !rows->run->has_target ? error
                                                             : finish_file(rows, database, &object);
}

static int restore_databases(struct rows *rows)
{
    struct restore_run *run = rows->run;
    rows->reading = (struct row_reading){
        .crew = run->crew,
        .set = &run->set,
        .map = &rows->map,
        .findings = &run->findings,
        .bytes_done = &run->rows_bytes,
    };
    int error = row_reading_open(&rows->reading);
    if (error)
        return error;
    for (size_t i = 0; !error && i < rows->tables.databases_count; i++)
        if (!rows->exported || rows->exported == &rows->tables.databases[i])
            error = restore_database(rows, &rows->tables.databases[i]);
    row_reading_close(&rows->reading);
    return error;
}

static int read_rows(void *context, uint32_t worker)
{
    (void)worker;
    return restore_databases(context);
}

static void tell_progress(void *context)
{
    restore_report_progress(((struct rows *)context)->run);
}

static int pour_all(struct rows *rows)
{
    struct restore_run *run = rows->run;
    row_map_init(&rows->map);
    run->row_map = &rows->map;
    int error = restore_read_chunks(run, PST_CHUNK_DATA,
                                    run->contents_are_checked ? CHUNK_HEADER : CHUNK_DIGESTS,
                                    take_chunk, NULL, take_damaged);
    if (!error)
        error = restore_check_contents(run);
    if (!error) {
        row_map_sort(&rows->map);
        /* a database is written by one thread */
        error = crew_run(run->crew, 1, read_rows, tell_progress, rows);
    }
    run->row_map = NULL;
    row_map_release(&rows->map);
    return error;
}

static int find_tables(struct rows *rows)
{
    const struct object_record *clash;
    int error = tables_make(&rows->run->objects, &rows->tables, &clash);
    if (error && clash)
        return restore_fail_object(rows->run, error, clash, "does not fit the other tables:");
    return error;
}

/* Of a restore that goes on past damage: without all the shares there is no order of the rows. */
static int lose_rows(struct rows *rows)
{
    struct restore_run *run = rows->run;
    int error = 0;
    for (size_t i = 0; !error && i < run->objects.count; i++) {
        struct object_record *record = run->objects.listed[i];
        enum pst_object_type type = object_of(record).type;
        if (type == PST_OBJECT_ROWS || type == PST_OBJECT_DATABASE)
            error = restore_miss(run, -PST_E_CORRUPT, record, "shares of tables are missing of");
    }
    return error;
}

int restore_write_rows(struct restore_run *run)
{
    struct rows rows = {.run = run};
    const struct object_record *clash = NULL;
    int error = run->options->keep_going ? tables_make(&run->objects, &rows.tables, &clash)
                                         : find_tables(&rows);
    if (error == -PST_E_CORRUPT && run->options->keep_going)
        error = lose_rows(&rows);
    else if (!error && rows.tables.databases_count > 0)
        error = pour_all(&rows);
    tables_release(&rows.tables);
    return error;
}

int restore_list_tables(struct restore_run *run)
{
    struct rows rows = {.run = run};
    char name[PST_TABLE_TEXT_BYTES];
    int error = find_tables(&rows);
    for (size_t i = 0; !error && i < rows.tables.tables_count; i++) {
        const struct table_shares *table = &rows.tables.tables[i];
        const struct object_record *first = table->shares[0];
        const struct pst_table_entry entry = {
            .node = run->backup->nodes[first->node].node,
            .source = restore_source_name(run, first, object_of(first).id),
            .name = pst_table_name_escape(table->share.name, table->share.name_bytes, name),
            .flags = table->share.flags,
            .shares = table->share.shares,
            .rows = table->share.rows,
            .bytes = table->bytes - (uint64_t)table->share.shares * PST_ROWS_END_BYTES,
        };
        error = run->each_table(run->each_context, &entry);
    }
    tables_release(&rows.tables);
    return error;
}

/* ---- export ---- */

/* "NAME", of any node, or "NODE/NAME"; the name of a source has no slash. */
static bool is_meant(const char *text, uint32_t node, const char *name)
{
    char number[16];
    const char *slash = strchr(text, '/');
    int length = snprintf(number, sizeof(number), "%u/", node);
    return strcmp(slash ? slash + 1 : text, name) == 0 &&
           (!slash || strncmp(text, number, (size_t)length) == 0);
}

/* The sources that are meant; the first of them, and its node. */
static uint32_t find_sources(const struct restore_run *run,
                             const struct pst_manifest_source **source, uint32_t *node)
{
    const char *name = run->options->export->source;
    uint32_t count = 0;
    for (uint32_t n = 0; n < run->backup->cluster.nodes_count; n++) {
        const struct pst_node_manifest *manifest = &run->backup->nodes[n];
        for (uint32_t i = 0; i < manifest->sources_count; i++) {
            if ((name && !is_meant(name, manifest->node, manifest->sources[i].name)) || count++ > 0)
                continue;
            *source = &manifest->sources[i];
            *node = n;
        }
    }
    return count;
}

/* "NAME, NAME" of one node, "NODE/NAME, NODE/NAME" of a cluster. */
static void list_sources(const struct pst_backup *backup, char *names, size_t bytes)
{
    size_t used = 0;
    names[0] = '\0';
    for (uint32_t n = 0; n < backup->cluster.nodes_count; n++) {
        const struct pst_node_manifest *manifest = &backup->nodes[n];
        for (uint32_t i = 0; i < manifest->sources_count && used < bytes; i++) {
            char number[16] = "";
            if (backup->cluster.nodes_count > 1)
                snprintf(number, sizeof(number), "%u/", manifest->node);
            used += (size_t)snprintf(names + used, bytes - used, "%s%s%s", used ? ", " : "", number,
                                     manifest->sources[i].name);
        }
    }
}

static int fail_source(struct restore_run *run, uint32_t count)
{
    const char *name = run->options->export->source;
    char names[512];
    list_sources(run->backup, names, sizeof(names));
    if (count == 0 && name)
        return restore_fail(run, -ENOKEY, "the backup has no source %s; it has %s", name, names);
    if (!name)
        return restore_fail(run, -ENOKEY,
                            "the backup has several sources: name one with --source: %s", names);
    return restore_fail(run, -ENOKEY, "several nodes have a source %s: name one with --source: %s",
                        name, names);
}

/* Sets rows->exported, or keeps the message of why there is none. */
static int choose_database(struct rows *rows)
{
    struct restore_run *run = rows->run;
    const struct pst_manifest_source *source = NULL;
    uint32_t node = 0;
    uint32_t count = find_sources(run, &source, &node);
    if (count != 1)
        return fail_source(run, count);
    for (size_t i = 0; i < rows->tables.databases_count; i++) {
        const struct object_record *record = rows->tables.databases[i].record;
        if (record->node == node && pst_object_source(object_of(record).id) == source->instance)
            rows->exported = &rows->tables.databases[i];
    }
    if (rows->exported)
        return 0;
    return restore_fail(run, -ENOTSUP,
                        "source %s (%s) was not backed up row by row: restore it, or back it "
                        "up with --logical",
                        source->name, source->spec);
}

static int check_names(const struct rows *rows)
{
    const struct pst_export *export = rows->run->options->export;
    for (uint32_t i = 0; i < export->tables_count; i++) {
        bool found = false;
        for (size_t j = 0; !found && j < rows->exported->tables_count; j++) {
            const struct pst_share *share = &rows->exported->tables[j].share;
            found = pst_table_name_is(export->tables[i], share->name, share->name_bytes);
        }
        if (!found)
            return restore_fail(rows->run, -PST_E_NO_TABLE, "there is no table %s in it",
                                export->tables[i]);
    }
    return 0;
}

int restore_export(struct restore_run *run)
{
    struct rows rows = {.run = run};
    int error = find_tables(&rows);
    if (!error)
        error = choose_database(&rows);
    if (!error)
        error = check_names(&rows);
    if (!error)
        error = pour_all(&rows);
    tables_release(&rows.tables);
    return error;
}
