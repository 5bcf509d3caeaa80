#include "tests/unit/api/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAGMENT_BYTES (1u << 20)

static int memory_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    (void)deadline_ns;
    ((struct memory *)source)->freezes++;
    return 0;
}

static int memory_snapshot(struct pst_source *source, uint64_t gci)
{
    (void)gci;
    ((struct memory *)source)->snapshots++;
    return 0;
}

static void memory_thaw(struct pst_source *source)
{
    ((struct memory *)source)->thaws++;
}

static void memory_release(struct pst_source *source)
{
    ((struct memory *)source)->releases++;
}

static int memory_check(struct pst_source *source, uint64_t deadline_ns)
{
    (void)deadline_ns;
    ((struct memory *)source)->checks++;
    return ((struct memory *)source)->check_error;
}

static int fill(struct pst_source *source, uint64_t offset, struct pst_fragment_descriptor *slot)
{
    const struct pst_object object = {.id = pst_source_object_id(source, 1),
                                      .type = PST_OBJECT_TABLE,
                                      .path = "bytes",
                                      .size = MEMORY_BYTES,
                                      .mode = 0600};
    const struct pst_fragment_file file = {.object = object.id, .size_bytes = MEMORY_BYTES};
    char entry[256];
    size_t entry_bytes = 0;
    int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    pst_fragment_init(slot, PST_FRAGMENT_ROWS);
    if (!error)
        error = pst_fragment_add_entry(slot, entry, entry_bytes, offset == 0);
    if (!error)
        error = pst_fragment_add_file(slot, &file);
    return error ? error : pst_fragment_add_extent(slot, offset, FRAGMENT_BYTES, NULL);
}

static int memory_list(struct pst_source *source, struct pst_fragment_sink *sink,
                       struct pst_source_listing *listing)
{
    for (uint64_t offset = 0; offset < MEMORY_BYTES; offset += FRAGMENT_BYTES) {
        struct pst_fragment_descriptor *slot;
        int error = sink->acquire(sink, &slot);
        if (!error)
            error = fill(source, offset, slot);
        if (!error)
            error = sink->emit(sink, slot);
        if (error)
            return error;
        listing->fragments++;
        listing->bytes += FRAGMENT_BYTES;
    }
    listing->objects = 1;
    return 0;
}

static int memory_produce(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                          struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                          size_t *produced_bytes)
{
    const struct pst_fragment_extent *extent = &fragment->extents[0];
    uint64_t left = extent->length - cursor->words[0];
    *produced_bytes = left < capacity_bytes ? left : capacity_bytes;
    memcpy(buffer, ((struct memory *)source)->bytes + extent->offset + cursor->words[0],
           *produced_bytes);
    cursor->words[0] += *produced_bytes;
    return 0;
}

void memory_open(struct memory *memory, const char *name, uint8_t seed)
{
    *memory = (struct memory){
        .source = {.struct_bytes = sizeof(struct pst_source),
                   .abi_version = PST_SOURCE_ABI_VERSION,
                   .flags = PST_SOURCE_CAN_SNAPSHOT | PST_SOURCE_ANY_LDM,
                   .root_fd = -1,
                   .type = "memory",
                   .freeze = memory_freeze,
                   .snapshot = memory_snapshot,
                   .thaw = memory_thaw,
                   .list = memory_list,
                   .release = memory_release,
                   .produce = memory_produce,
                   .check = memory_check},
        .bytes = malloc(MEMORY_BYTES),
    };
    if (!memory->bytes)
        exit(1);
    snprintf(memory->source.name, sizeof(memory->source.name), "%s", name);
    for (uint32_t i = 0; i < MEMORY_BYTES; i++)
        memory->bytes[i] = (uint8_t)(seed + i * 7 + i / 251);
}

/* ---- rows ---- */

static int fill_rows(struct pst_source *source, bool is_share, struct pst_fragment_descriptor *slot)
{
    uint8_t attribute[PST_ROWS_ATTRIBUTE_BYTES_MAX], entry[2048];
    size_t entry_bytes = 0;
    const struct pst_database_entry database = {.kind = "memory"};
    const struct pst_share share = {
        .name = "table", .name_bytes = 5, .shares = 1, .rows = MEMORY_ROWS};
    const struct pst_object object = {.id = pst_source_object_id(source, is_share ? 2 : 1),
                                      .type = is_share ? PST_OBJECT_ROWS : PST_OBJECT_DATABASE,
                                      .path = is_share ? "table/00000" : "database",
                                      .attributes = attribute,
                                      .attributes_bytes =
                                          is_share ? pst_share_encode(&share, attribute)
                                                   : pst_database_encode(&database, attribute)};
    const struct pst_fragment_file file = {.object = object.id};
    int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    pst_fragment_init(slot, is_share ? PST_FRAGMENT_ROWS : PST_FRAGMENT_EXTENTS);
    if (!error)
        error = pst_fragment_add_entry(slot, entry, entry_bytes, true);
    if (!error && is_share)
        error = pst_fragment_add_file(slot, &file);
    if (!error && is_share)
        pst_fragment_add_rows(slot, MEMORY_ROWS * 16, NULL);
    return error;
}

static int memory_list_rows(struct pst_source *source, struct pst_fragment_sink *sink,
                            struct pst_source_listing *listing)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct pst_fragment_descriptor *slot;
        int error = sink->acquire(sink, &slot);
        if (!error)
            error = fill_rows(source, i == 1, slot);
        if (!error)
            error = sink->emit(sink, slot);
        if (error)
            return error;
        listing->fragments++;
        listing->objects++;
    }
    return 0;
}

static int memory_produce_rows(struct pst_source *source,
                               const struct pst_fragment_descriptor *fragment,
                               struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                               size_t *produced_bytes)
{
    uint32_t key = (uint32_t)cursor->words[0], value = key + 7;
    const struct pst_row row = {
        .key = &key, .key_bytes = sizeof(key), .value = &value, .value_bytes = sizeof(value)};
    (void)source;
    (void)fragment;
    if (key == MEMORY_ROWS)
        *produced_bytes = pst_rows_end_copy(MEMORY_ROWS, MEMORY_ROWS * pst_row_bytes(&row),
                                            (uint32_t)cursor->words[1], buffer, capacity_bytes);
    else
        *produced_bytes = pst_row_copy(&row, cursor->words[1], buffer, capacity_bytes);
    cursor->words[1] += *produced_bytes;
    if (key < MEMORY_ROWS && cursor->words[1] == pst_row_bytes(&row)) {
        cursor->words[0]++;
        cursor->words[1] = 0;
    }
    return 0;
}

void memory_open_rows(struct memory *memory, const char *name)
{
    memory_open(memory, name, 0);
    memory->source.list = memory_list_rows;
    memory->source.produce = memory_produce_rows;
}

void memory_close(struct memory *memory)
{
    free(memory->bytes);
}

bool memory_is_in(const struct memory *memory, const char *path)
{
    uint8_t *read = malloc(MEMORY_BYTES + 1);
    FILE *file = fopen(path, "rb");
    size_t bytes = file && read ? fread(read, 1, MEMORY_BYTES + 1, file) : 0;
    bool same = bytes == MEMORY_BYTES && memcmp(read, memory->bytes, MEMORY_BYTES) == 0;
    if (file)
        fclose(file);
    free(read);
    return same;
}

void job_for(struct pst_backup_job *job, struct pst_source *const *source, const char *directory)
{
    pst_backup_job_init(job);
    job->directory = directory;
    job->sources = source;
    job->sources_count = 1;
    job->run.ldms = 2;
}

int verify_in(const char *directory)
{
    struct pst_verify_job job;
    struct pst_verify_outcome outcome;
    pst_verify_job_init(&job);
    pst_verify_outcome_init(&outcome);
    job.directory = directory;
    return pst_run_verify(&job, &outcome);
}
