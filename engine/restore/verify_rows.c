#include "engine/restore/verify_rows.h"

#include "engine/restore/shares.h"

#include <errno.h>

struct check {
    const struct pst_crew *crew;
    const struct pst_part_set *set;
    const struct pst_objects *objects;
    struct pst_findings *findings;
    struct pst_tables tables;
    struct pst_row_map map;
    atomic_size_t next_share;
};

static int take_header(void *context, uint32_t worker, const struct pst_part_map *part,
                       const void *buffer)
{
    (void)worker;
    struct check *check = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    int error = pst_row_map_add(&check->map, check->objects, check->set, part, header);
    if (error != -PST_E_CORRUPT)
        return error;
    const struct pst_damage damage = {
        .offset = offsetof(struct pst_chunk_header, pieces),
        .bytes = sizeof(header->pieces),
        .what = "piece of rows that are not so many",
    };
    pst_findings_add_damage(check->findings, &part->file, header->file_offset, &damage, error);
    return 0;
}

/* Names the part in which the share lies, or the first one of the backup. */
static void tell(struct check *check, const struct pst_object_record *record, const char *what,
                 int error)
{
    const struct pst_damage damage = {.what = what};
    const size_t first = pst_row_map_find(&check->map, record->node, pst_object_of(record).id);
    const struct pst_row_chunk *chunk =
        first < check->map.pieces_count ? &check->map.chunks[check->map.pieces[first].chunk] : NULL;
    pst_findings_add_damage(check->findings, &check->set->parts[chunk ? chunk->part : 0].file,
                            chunk ? chunk->file_offset : 0, &damage, error);
}

static int check_share(struct check *check, struct pst_row_reading *reading,
                       const struct pst_object_record *const *share)
{
    const struct pst_object_record *bad;
    int error = pst_shares_read(reading, share, 1, NULL, NULL, &bad);
    if (bad) {
        tell(check, bad, "stream of rows", error);
        return 0;
    }
    const bool is_told = reading->found_damage; /* a chunk that was whole a moment ago */
    reading->found_damage = false;
    return is_told ? 0 : error;
}

static int check_shares(void *context, uint32_t worker)
{
    (void)worker;
    struct check *check = context;
    struct pst_row_reading reading = {
        .crew = check->crew,
        .set = check->set,
        .map = &check->map,
        .findings = check->findings,
    };
    int error = pst_row_reading_open(&reading);
    if (error)
        return error;
    while (!error) {
        const size_t next = atomic_fetch_add(&check->next_share, 1);
        if (next >= check->tables.shares_count)
            break;
        error = check_share(check, &reading, &check->tables.shares[next]);
    }
    pst_row_reading_close(&reading);
    return error;
}

static int map_rows(struct check *check)
{
    struct pst_scan scan = {
        .crew = check->crew,
        .set = check->set,
        .types = 1u << PST_CHUNK_DATA,
        .headers_only = true,
        .chunk = take_header,
        .findings = check->findings,
        .context = check,
    };
    int error = pst_scan_run(&scan);
    pst_row_map_sort(&check->map);
    return error;
}

int pst_verify_rows(const struct pst_crew *crew, const struct pst_part_set *set,
                    const struct pst_objects *objects, struct pst_findings *findings)
{
    struct check check = {.crew = crew, .set = set, .objects = objects, .findings = findings};
    const struct pst_object_record *clash;
    int error = pst_tables_make(objects, &check.tables, &clash);
    pst_row_map_init(&check.map);
    if (error && clash) {
        tell(&check, clash, "catalogue: a share of a table is missing, or does not fit", error);
        error = 0;
    } else if (!error && check.tables.shares_count > 0) {
        error = map_rows(&check);
        if (!error && findings->damages == 0)
            error = pst_crew_run(crew, check_shares, NULL, &check);
    }
    pst_row_map_release(&check.map);
    pst_tables_release(&check.tables);
    return error;
}
