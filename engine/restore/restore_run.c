/*
 * What every pass of a restore uses: the message of its first failure, its progress, reading its
 * chunks, and the names that an object goes by. Any thread of the crew calls it.
 */
#include "engine/restore/restore_run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/base/printable.h"

#define OBJECTS_PER_CLAIM 64u

int restore_fail(struct restore_run *run, int error, const char *format, ...)
{
    pthread_mutex_lock(&run->mutex);
    if (run->result->message[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(run->result->message, sizeof(run->result->message), format, arguments);
        va_end(arguments);
        pst_make_printable(run->result->message, strlen(run->result->message));
    }
    pthread_mutex_unlock(&run->mutex);
    return error;
}

const char *restore_source_name(const struct restore_run *run, const struct object_record *record,
                                uint64_t id)
{
    const struct pst_node_manifest *node = &run->backup->nodes[record->node];
    for (uint32_t i = 0; i < node->sources_count; i++) {
        if (node->sources[i].instance == pst_object_source(id))
            return node->sources[i].name;
    }
    return "?";
}

int restore_fail_object(struct restore_run *run, int error, const struct object_record *record,
                        const char *what)
{
    const struct pst_object object = object_of(record);
    return restore_fail(run, error, "%s %s/%s: %s", what,
                        restore_source_name(run, record, object.id), object.path,
                        pst_error_text(error));
}

/* Whether the next object would fail as this one did. What is wrong with the backup ends a restore
 * unless it is to go on past that. */
static bool is_fatal(const struct restore_run *run, int error)
{
    struct rlimit size;
    switch (error) {
    case -ENOMEM:
    case -EMFILE:
    case -ENFILE:
    case -ENOSPC:
    case -EDQUOT:
    case -EROFS:
    case -EIO:
    case -ENODEV:
    case -ENOTCONN:
    case -ESTALE:
    case -ECANCELED:
        return true;
    case -EFBIG: /* of this process (ulimit -f), or of the file system */
        return getrlimit(RLIMIT_FSIZE, &size) < 0 || size.rlim_cur != RLIM_INFINITY;
    default:
        return error <= -PST_E_BAD_REQUEST && !run->options->keep_going;
    }
}

static void report_trouble(struct restore_run *run, const struct pst_restore_trouble *trouble)
{
    if (run->options->trouble)
        run->options->trouble(run->options->context, trouble);
}

static struct pst_restore_trouble trouble_of(const struct restore_run *run, int error,
                                             const struct object_record *record,
                                             const struct pst_object *object, const char *what)
{
    return (struct pst_restore_trouble){
        .source = restore_source_name(run, record, object->id),
        .path = object->path,
        .what = what,
        .node = run->backup->nodes[record->node].node,
        .error = error,
    };
}

int restore_miss(struct restore_run *run, int error, struct object_record *record, const char *what)
{
    if (is_fatal(run, error))
        return restore_fail_object(run, error, record, what);
    if (atomic_exchange(&record->failed, true))
        return 0;
    const struct pst_object object = object_of(record);
    const struct pst_restore_trouble trouble = trouble_of(run, error, record, &object, what);
    pthread_mutex_lock(&run->mutex);
    run->result->failed++;
    report_trouble(run, &trouble);
    pthread_mutex_unlock(&run->mutex);
    return 0;
}

int restore_miss_part(struct restore_run *run, int error, const struct object_record *record,
                      const char *what)
{
    if (is_fatal(run, error))
        return restore_fail_object(run, error, record, what);
    restore_report_part(run, error, record, what);
    return 0;
}

void restore_report_part(struct restore_run *run, int error, const struct object_record *record,
                         const char *what)
{
    const struct pst_object object = object_of(record);
    struct pst_restore_trouble trouble = trouble_of(run, error, record, &object, what);
    trouble.is_whole = true;
    pthread_mutex_lock(&run->mutex);
    run->result->unset++;
    report_trouble(run, &trouble);
    pthread_mutex_unlock(&run->mutex);
}

void restore_miss_unnamed(struct restore_run *run, uint64_t count,
                          const struct pst_restore_trouble *trouble)
{
    pthread_mutex_lock(&run->mutex);
    run->result->failed += count;
    report_trouble(run, trouble);
    pthread_mutex_unlock(&run->mutex);
}

void restore_report_progress(void *context)
{
    struct restore_run *run = context;
    /* Where rows and files lie in the same parts, some of it is read twice. */
    uint64_t done = run->looked_bytes + run->read_bytes + atomic_load(&run->reading.bytes_done) +
                    atomic_load(&run->rows_bytes);
    /* what origins have is compressed there, or lies between what is not wanted */
    uint64_t total = run->set.file_bytes + run->origins.bytes;
    const struct pst_crew_progress progress = {
        .bytes_done = done < total ? done : total,
        .bytes_total = total,
        .objects_done = atomic_load(&run->made),
    };
    if (run->options->progress)
        run->options->progress(run->options->context, &progress);
}

int restore_check_findings(struct restore_run *run)
{
    if (run->findings.damages == 0 || run->options->keep_going)
        return 0;
    return restore_fail(run, run->findings.first_error, "%s", run->findings.first);
}

int restore_add_pieces(struct restore_run *run, const struct pst_part_map *part, const void *chunk,
                       bool is_damaged)
{
    struct pst_damage damage;
    int error = is_damaged ? contents_add_damaged(&run->contents, part, chunk, &damage)
                           : contents_add(&run->contents, part, chunk, &damage);
    if (error == -PST_E_CORRUPT)
        pst_findings_add_damage(&run->findings, &part->file,
                                pst_chunk_header_of(chunk)->file_offset, &damage, error);
    return run->options->keep_going && error == -PST_E_CORRUPT ? 0 : error;
}

int restore_check_contents(struct restore_run *run)
{
    int error = 0;
    if (!run->contents_are_checked)
        error = contents_check(&run->contents, run->crew, &run->findings);
    run->contents_are_checked = true;
    return error ? error : restore_check_findings(run);
}

static int read_chunks(struct restore_run *run)
{
    int error = chunk_reading_run(&run->reading);
    run->read_bytes += atomic_exchange(&run->reading.bytes_done, 0);
    int damaged = restore_check_findings(run);
    return damaged ? damaged : error;
}

int restore_read_chunks(struct restore_run *run, uint32_t type, enum chunk_extent extent,
                        chunk_taker *take, chunk_taker *take_proven, chunk_taker *salvage)
{
    run->reading = (struct chunk_reading){
        .crew = run->crew,
        .set = &run->set,
        .types = 1u << type,
        .extent = extent,
        .wants = run->wants,
        .take = take,
        .take_proven = take_proven,
        .salvage = run->options->keep_going ? salvage : NULL,
        .findings = &run->findings,
        .stop_at_damage = !run->options->keep_going,
        .lost = run->lost,
        .tick = restore_report_progress,
        .watch = run->watch,
        .context = run,
    };
    return read_chunks(run);
}

static bool want_of_origin(void *context, const struct pst_part_map *part,
                           const struct pst_index_entry *entry)
{
    const struct restore_run *run = context;
    return origins_want(&run->origins, part, entry);
}

static void lose_of_origin(void *context, const struct pst_part_map *part,
                           const struct pst_index_entry *entry,
                           const struct pst_chunk_header *header)
{
    const struct restore_run *run = context;
    origins_note_lost(&run->origins, part, entry, header);
}

int restore_read_origins(struct restore_run *run, chunk_taker *take, chunk_taker *take_proven,
                         chunk_taker *salvage)
{
    run->reading = (struct chunk_reading){
        .crew = run->crew,
        .set = &run->origins.set,
        .types = 1u << PST_CHUNK_DATA,
        .wants = want_of_origin,
        .take = take,
        .take_proven = take_proven,
        .salvage = run->options->keep_going ? salvage : NULL,
        .findings = &run->findings,
        .stop_at_damage = !run->options->keep_going,
        .lost = lose_of_origin,
        .tick = restore_report_progress,
        .watch = run->watch,
        .context = run,
    };
    return run->origins.set.count > 0 ? read_chunks(run) : 0;
}

int restore_bad_entry(struct restore_run *run, const struct pst_part_map *part, const void *chunk,
                      size_t offset, int error)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const struct pst_damage damage = {PST_CHUNK_HEADER_BYTES + offset, header->raw_bytes - offset,
                                      "catalogue entry"};
    if (error == -ENOMEM)
        return error;
    pst_findings_add_damage(&run->findings, &part->file, header->file_offset, &damage, error);
    if (!run->options->keep_going)
        return error;
    run->lost(run, part, NULL, NULL);
    return 0;
}

bool restore_is_chosen(const struct restore_run *run, uint32_t node_index, uint64_t object)
{
    uint32_t instance = pst_object_source(object);
    return run->options->only_count == 0 ||
           (instance < PST_SOURCES_MAX && (run->only[node_index] >> instance & 1) != 0);
}

/* ---- many objects ---- */

struct each {
    struct restore_run *run;
    struct object_record **records;
    size_t count;
    restore_step *step;
    atomic_size_t next;
};

static int do_some(void *context, uint32_t worker)
{
    (void)worker;
    struct each *each = context;
    struct restore_run *run = each->run;
    struct pst_parent parents[2] = {PST_PARENT_NONE, PST_PARENT_NONE};
    int error = 0;
    while (!error) {
        size_t from = atomic_fetch_add(&each->next, OBJECTS_PER_CLAIM);
        if (from >= each->count)
            break;
        for (size_t i = from; !error && i < from + OBJECTS_PER_CLAIM && i < each->count; i++)
            error = each->step(run, parents, each->records[i]);
        if (!error && crew_is_cancelled(run->crew))
            error = -ECANCELED;
    }
    if (error)
        atomic_store(&each->next, each->count);
    pst_parent_close(&parents[0]);
    pst_parent_close(&parents[1]);
    return error;
}

static void report_each(void *context)
{
    const struct each *each = context;
    restore_report_progress(each->run);
}

int restore_each(struct restore_run *run, struct object_record **records, size_t count,
                 restore_step *step)
{
    struct each each = {.run = run, .records = records, .count = count, .step = step};
    return count <= OBJECTS_PER_CLAIM ? do_some(&each, 0)
                                      : crew_run(run->crew, CREW_ALL, do_some, report_each, &each);
}
