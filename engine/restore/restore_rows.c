/* The rows of logical backups: each database into a sink of its own, table by table. */
#include "engine/restore/restore_internal.h"
#include "engine/restore/shares.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What restoring rows needs. */
struct rows {
    struct pst_restore_run *run;
    struct pst_tables tables;
    struct pst_row_map map;
    struct pst_row_reading reading;
};

static int take_header(void *context, uint32_t worker, const struct pst_part_map *part,
                       const void *buffer)
{
    (void)worker;
    struct pst_restore_run *run = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    int error = pst_row_map_add(run->row_map, &run->objects, &run->set, part, header);
    if (error == -PST_E_CORRUPT) {
        const struct pst_damage damage = {
            .offset = offsetof(struct pst_chunk_header, pieces),
            .bytes = sizeof(header->pieces),
            .what = "piece of an object that has no such bytes",
        };
        pst_findings_add_damage(&run->findings, part->file.text, header->file_offset, &damage,
                                error);
    }
    return error;
}

static int fail_sink(struct rows *rows, int error, const struct pst_object_record *record,
                     const char *text)
{
    const struct pst_object object = pst_object_of(record);
    return pst_restore_fail(rows->run, error, "%s: %s%s%s", object.path, pst_error_text(error),
                            text[0] ? ": " : "", text);
}

static struct pst_database describe(const struct pst_database_tables *database,
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

static int pour_tables(struct rows *rows, const struct pst_database_tables *database,
                       struct pst_table_sink *sink)
{
    for (size_t i = 0; i < database->tables_count; i++) {
        const struct pst_table_shares *table = &database->tables[i];
        const struct pst_object_record *bad;
        bool by_sink;
        int error = pst_table_pour(&rows->reading, table, sink, &by_sink, &bad);
        if (bad)
            return pst_restore_fail_object(rows->run, error, bad, "no stream of rows:");
        if (error && by_sink)
            return fail_sink(rows, error, table->shares[0], sink->error_text);
        if (error)
            return pst_restore_fail(rows->run, error, "%s", rows->run->findings.first);
        atomic_fetch_add(&rows->run->bytes, table->bytes);
        atomic_fetch_add(&rows->run->made, 1);
    }
    int error = sink->finish(sink);
    return error ? fail_sink(rows, error, database->record, sink->error_text) : 0;
}

/* Its file, if the sink made one, is closed: owner, mode and time, as they were. */
static int finish_file(struct rows *rows, const struct pst_database_tables *database,
                       const struct pst_object *object)
{
    struct pst_parent parent = PST_PARENT_NONE;
    struct stat status;
    if (fstatat(pst_restore_source_fd(rows->run, database->record), object->path, &status,
                AT_SYMLINK_NOFOLLOW) < 0 &&
        errno == ENOENT)
        return 0;
    const int fd = pst_restore_open(rows->run, &parent, database->record, object->path);
    int error = fd < 0 ? fd : pst_restore_finish_open(rows->run, fd, object);
    if (fd >= 0)
        close(fd);
    pst_parent_close(&parent);
    return error ? pst_restore_fail_object(rows->run, error, database->record, "could not finish")
                 : 0;
}

static int restore_database(struct rows *rows, const struct pst_database_tables *database)
{
    const struct pst_object object = pst_object_of(database->record);
    const struct pst_database described = describe(database, &object);
    const struct pst_restore_options *options = rows->run->options;
    char text[PST_TABLE_SINK_TEXT_BYTES] = "";
    struct pst_table_sink *sink = NULL;
    if (!pst_object_name_is_safe(object.path))
        return pst_restore_fail_object(rows->run, -PST_E_UNSAFE_PATH, database->record,
                                       "not the name of a file:");
    if (!options->open_sink)
        return pst_restore_fail_object(rows->run, -ENOTSUP, database->record,
                                       "nothing takes the rows of");
    const int directory_fd =
        rows->run->has_target ? pst_restore_source_fd(rows->run, database->record) : -1;
    int error = options->open_sink(options->sink_context, &described, directory_fd, &sink, text);
    if (error)
        return fail_sink(rows, error, database->record, text);
    error = pour_tables(rows, database, sink);
    sink->close(sink);
    return error || !rows->run->has_target ? error : finish_file(rows, database, &object);
}

static int restore_databases(struct rows *rows)
{
    struct pst_restore_run *run = rows->run;
    rows->reading = (struct pst_row_reading){
        .crew = &run->options->crew,
        .set = &run->set,
        .map = &rows->map,
        .from_fd = run->from_fd,
        .findings = &run->findings,
        .bytes_done = &run->rows_bytes,
    };
    int error = pst_row_reading_open(&rows->reading);
    if (error)
        return error;
    for (size_t i = 0; !error && i < rows->tables.databases_count; i++)
        error = restore_database(rows, &rows->tables.databases[i]);
    pst_row_reading_close(&rows->reading);
    return error;
}

static int read_rows(void *context, uint32_t worker)
{
    return worker == 0 ? restore_databases(context) : 0;
}

static void tell_progress(void *context)
{
    pst_restore_tell_progress(((struct rows *)context)->run);
}

int pst_restore_write_rows(struct pst_restore_run *run)
{
    struct rows rows = {.run = run};
    const struct pst_object_record *clash;
    int error = pst_tables_make(&run->objects, &rows.tables, &clash);
    if (error && clash)
        return pst_restore_fail_object(run, error, clash, "does not fit the other tables:");
    if (error || rows.tables.databases_count == 0)
        goto err_after_tables;
    pst_row_map_init(&rows.map);
    run->row_map = &rows.map;
    error = pst_restore_scan(run, PST_CHUNK_DATA, true, take_header);
    if (!error) {
        pst_row_map_sort(&rows.map);
        struct pst_crew crew = run->options->crew;
        crew.workers = 1; /* a database is written by one thread */
        error = pst_crew_run(&crew, read_rows, tell_progress, &rows);
    }
    run->row_map = NULL;
    pst_row_map_release(&rows.map);
err_after_tables:
    pst_tables_release(&rows.tables);
    return error;
}
