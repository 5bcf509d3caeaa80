/*
 * A verify from the manifests to the rows. pst_verify() may be called on any thread, which does all
 * but what the crew's threads do.
 */
#include "engine/restore/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/hex.h"
#include "engine/format/directories.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/strangers.h"
#include "engine/restore/catalogue.h"
#include "engine/restore/chunk_reader.h"
#include "engine/restore/contents.h"
#include "engine/restore/source_choice.h"
#include "engine/restore/verify_rows.h"

struct verify {
    const struct pst_verify_options *options;
    struct pst_verify_result *result;
    struct crew *crew;
    struct pst_backup backup;
    uint64_t only[PST_NODES_MAX]; /* by node index: bits of the sources, where only some are */
    struct pst_part_set set;
    struct pst_part_set copies; /* of files of the set, in further directories */
    struct pst_findings findings;
    struct chunk_reading reading;
    atomic_uint_least64_t rows_bytes; /* being read in their order */
    uint64_t checked_bytes; /* manifests, and what was read while the parts were looked through */
    atomic_uint_least64_t objects_read;
    struct objects objects;
    struct origins origins;
    bool is_window; /* only chunks of the window are read, and only their checksums checked */
    struct contents contents;
    atomic_bool catalogue_is_whole; /* all that is in the parts was read */
};

static void tell_progress(void *context)
{
    struct verify *verify = context;
    const struct pst_crew_progress progress = {
        .bytes_done = verify->checked_bytes + atomic_load(&verify->reading.bytes_done) +
                      atomic_load(&verify->rows_bytes),
        .bytes_total = verify->set.file_bytes + verify->copies.file_bytes + verify->origins.bytes,
        .objects_done = atomic_load(&verify->objects_read),
    };
    if (verify->options->progress)
        verify->options->progress(verify->options->context, &progress);
}

static void add_damage(struct verify *verify, const struct pst_part_map *part, const void *chunk,
                       const struct pst_damage *damage, int error)
{
    pst_findings_add_damage(&verify->findings, &part->file, pst_chunk_header_of(chunk)->file_offset,
                            damage, error);
}

/* The chunk's checksums are right; its contents must be legal too. */
static int take_catalogue(struct verify *verify, const struct pst_part_map *part, const void *chunk)
{
    uint32_t count;
    int error = catalogue_take(&verify->objects, part, chunk, &verify->findings, &count);
    atomic_fetch_add(&verify->objects_read, count);
    if (!error && !pst_directories_are_right(chunk)) {
        const struct pst_damage damage = {offsetof(struct pst_chunk_header, pieces),
                                          sizeof(struct pst_directories_filter),
                                          "filter of directories is not that of the entries"};
        add_damage(verify, part, chunk, &damage, -PST_E_INCONSISTENT);
    }
    return error == -ENOMEM ? error : 0;
}

typedef int data_adder(struct contents *contents, const struct pst_part_map *part,
                       const void *chunk, struct pst_damage *damage);

/* Where catalogues are damaged, their objects are missed, and that was reported. */
static int add_data(struct verify *verify, const struct pst_part_map *part, const void *chunk,
                    data_adder *add)
{
    struct pst_damage damage;
    int error = add(&verify->contents, part, chunk, &damage);
    if (error && error != -ENOMEM && atomic_load(&verify->catalogue_is_whole))
        add_damage(verify, part, chunk, &damage, error);
    return error == -ENOMEM ? error : 0;
}

static int take_references(struct verify *verify, const struct pst_part_map *part,
                           const void *chunk)
{
    struct pst_damage found;
    int error = origins_take(&verify->origins, part, chunk, &found);
    if (error && error != -ENOMEM && atomic_load(&verify->catalogue_is_whole))
        add_damage(verify, part, chunk, &found, error);
    return error == -ENOMEM ? error : 0;
}

static int take_data(struct verify *verify, const struct pst_part_map *part, const void *chunk)
{
    bool has_pieces = pst_chunk_header_of(chunk)->pieces_count > 0;
    return add_data(verify, part, chunk, has_pieces ? contents_add : contents_add_sums);
}

static int take_proven(void *context, uint32_t worker, const struct pst_part_map *part,
                       const void *chunk)
{
    struct verify *verify = context;
    (void)worker;
    return contents_add_proven(&verify->contents, part, chunk);
}

static int take_damaged(void *context, uint32_t worker, const struct pst_part_map *part,
                        const void *chunk)
{
    (void)worker;
    return add_data(context, part, chunk, contents_add_damaged);
}

static int check_chunk(void *context, uint32_t worker, const struct pst_part_map *part,
                       const void *buffer)
{
    (void)worker;
    switch (pst_chunk_header_of(buffer)->type) {
    case PST_CHUNK_CATALOGUE:
        return take_catalogue(context, part, buffer);
    case PST_CHUNK_REFERENCES:
        return take_references(context, part, buffer);
    default:
        return take_data(context, part, buffer);
    }
}

static void hit(struct verify *verify, uint32_t node_index, uint64_t object)
{
    struct object_record *record = objects_find(&verify->objects, node_index, object);
    if (record)
        atomic_store(&record->is_hit, true);
}

/* Marks the objects that a damaged chunk has data of: as its header names them; else, where only
 * the index tells which they may be, and no checksums of objects tell more, all of these. */
static void note_lost(void *context, const struct pst_part_map *part,
                      const struct pst_index_entry *entry, const struct pst_chunk_header *header)
{
    struct verify *verify = context;
    if (!entry || entry->type != PST_CHUNK_DATA)
        return;
    if (part->origin > 0) {
        origins_note_lost(&verify->origins, part, entry, header);
        return;
    }
    for (uint32_t i = 0; header && i < header->pieces_count; i++)
        hit(verify, part->node_index, header->pieces[i].object);
    if (header || contents_have_sums(&verify->contents, part->node_index))
        return;
    for (size_t i = 0; i < verify->objects.count; i++) {
        struct object_record *record = verify->objects.listed[i];
        uint64_t id = object_id(record);
        if (record->node == part->node_index && id >= entry->object_first &&
            id <= entry->object_last && object_size(record) > 0)
            atomic_store(&record->is_hit, true);
    }
}

static int look_through_parts(struct verify *verify, struct pst_part_set *set)
{
    verify->result->files += set->count;
    int error =
        chunk_map_parts(verify->crew, set, &verify->findings, &verify->checked_bytes, false);
    for (uint32_t i = 0; i < set->count; i++)
        verify->result->chunks += set->parts[i].links_count + set->parts[i].walked;
    return error;
}

/* The checksums of a copy have been checked by now; its contents were checked with the original. Of
 * a window nothing more can be said either. */
static int check_copy(void *context, uint32_t worker, const struct pst_part_map *part,
                      const void *buffer)
{
    (void)context, (void)worker, (void)part, (void)buffer;
    return 0;
}

static bool is_in_window(const struct verify *verify, const struct pst_part_map *part,
                         const struct pst_index_entry *entry)
{
    const struct pst_verify_options *options = verify->options;
    uint64_t chunks = part->sums.chunks ? part->sums.chunks : 1;
    return !verify->is_window ||
           entry->chunk % chunks * options->windows / chunks == options->window;
}

/* Whether a chunk may hold something of the sources that are chosen. */
static bool is_of_chosen(const struct verify *verify, const struct pst_part_map *part,
                         const struct pst_index_entry *entry)
{
    uint64_t only = verify->only[part->node_index];
    bool names_none = entry->object_first == 0 && entry->object_last == 0;
    if (verify->options->only_count == 0 || names_none)
        return true;
    for (uint32_t i = 0; i < PST_SOURCES_MAX; i++) {
        if ((only >> i & 1) != 0 && i >= pst_object_source(entry->object_first) &&
            i <= pst_object_source(entry->object_last))
            return true;
    }
    return false;
}

static bool is_wanted(void *context, const struct pst_part_map *part,
                      const struct pst_index_entry *entry)
{
    const struct verify *verify = context;
    if (!is_in_window(verify, part, entry))
        return false;
    return part->origin > 0 ? origins_want(&verify->origins, part, entry)
                            : is_of_chosen(verify, part, entry);
}

static bool chooses_chunks(const struct pst_verify_options *options)
{
    return options->windows > 0 || options->only_count > 0;
}

/* types: bits 1 << enum pst_chunk_type. */
static int read_parts(struct verify *verify, const struct pst_part_set *set, uint32_t types)
{
    bool is_plain = set == &verify->copies || verify->is_window;
    bool names_objects = !is_plain && (types & 1u << PST_CHUNK_CATALOGUE) == 0;
    verify->reading = (struct chunk_reading){
        .crew = verify->crew,
        .set = set,
        .types = types,
        .wants = chooses_chunks(verify->options) || set == &verify->origins.set ? is_wanted : NULL,
        .take = is_plain ? check_copy : check_chunk,
        .take_proven = names_objects ? take_proven : NULL,
        .salvage = names_objects ? take_damaged : NULL,
        .lost = names_objects ? note_lost : NULL,
        .findings = &verify->findings,
        .tick = tell_progress,
        .context = verify,
    };
    int error = chunk_reading_run(&verify->reading);
    verify->result->chunks += atomic_load(&verify->reading.chunks_done);
    verify->checked_bytes += atomic_exchange(&verify->reading.bytes_done, 0);
    return error;
}

static bool has_tables(const struct objects *objects)
{
    return (objects->types & (1u << PST_OBJECT_ROWS | 1u << PST_OBJECT_DATABASE)) != 0;
}

/* If all data is rows, and whole, it is read once, in the order of the rows. Otherwise it is read
 * in the order of the files, to find and name every damage; and if there is none, the rows are read
 * again in their order. */
static int check_data(struct verify *verify)
{
    const struct rows_check rows = {.crew = verify->crew,
                                    .set = &verify->set,
                                    .objects = &verify->objects,
                                    .contents = &verify->contents,
                                    .bytes_done = &verify->rows_bytes,
                                    .tick = tell_progress,
                                    .context = verify};
    struct rows_checked checked = {0};
    bool has_rows = verify->findings.damages == 0 && has_tables(&verify->objects);
    bool is_alone = has_rows && verify->origins.set.count == 0;
    int error = read_parts(verify, &verify->set, 1u << CHUNK_SUMS);
    if (!error)
        error = is_alone ? verify_rows_alone(&rows, &checked) : -PST_E_CORRUPT;
    atomic_store(&verify->rows_bytes, 0);
    verify->checked_bytes += checked.bytes;
    verify->result->chunks += checked.chunks;
    if (!error)
        error = contents_check(&verify->contents, verify->crew, &verify->findings);
    if (error != -PST_E_CORRUPT)
        return error;
    if (has_rows)
        contents_forget(&verify->contents);
    error = read_parts(verify, &verify->set, 1u << PST_CHUNK_DATA);
    if (!error && verify->origins.set.count > 0)
        error = read_parts(verify, &verify->origins.set, 1u << PST_CHUNK_DATA);
    if (!error)
        error = contents_check(&verify->contents, verify->crew, &verify->findings);
    if (!error && has_rows && verify->findings.damages == 0)
        error = verify_rows(&rows, &verify->findings);
    atomic_store(&verify->rows_bytes, 0);
    return error;
}

/* Says so once of a backup that was written before there were checksums of objects. */
static void warn_without_sums(struct verify *verify)
{
    bool lacks_sums = false;
    for (uint32_t i = 0; i < verify->set.count; i++) {
        const struct pst_part_map *part = &verify->set.parts[i];
        lacks_sums |=
            part->sums.source_bytes > 0 && !contents_have_sums(&verify->contents, part->node_index);
    }
    if (lacks_sums)
        pst_findings_warn_backup(&verify->findings, &verify->backup,
                                 "it has no checksums of objects, because an older version wrote "
                                 "it: only its chunks can be checked");
}

static int gather_objects(struct verify *verify)
{
    uint64_t damages = verify->findings.damages;
    int error = read_parts(verify, &verify->set, 1u << PST_CHUNK_CATALOGUE);
    bool is_whole = damages == 0 && verify->findings.damages == 0;
    atomic_store(&verify->catalogue_is_whole, is_whole);
    if (!error)
        error = catalogue_finish(&verify->objects, &verify->backup, verify->crew,
                                 has_tables(&verify->objects), is_whole, &verify->findings);
    if (error == -PST_E_CORRUPT)
        error = 0;
    if (is_whole)
        warn_without_sums(verify);
    return error;
}

#define ALL_TYPES                                                                                  \
    (1u << PST_CHUNK_DATA | 1u << PST_CHUNK_CATALOGUE | 1u << PST_CHUNK_REFERENCES |               \
     1u << CHUNK_SUMS)

static int open_origins(struct verify *verify)
{
    uint64_t damages = verify->findings.damages;
    if (!origins_may_be(&verify->backup))
        return 0;
    int error = read_parts(verify, &verify->set, 1u << PST_CHUNK_REFERENCES);
    if (!error && damages == 0 && verify->findings.damages == 0 && verify->options->only_count == 0)
        origins_check(&verify->origins, &verify->findings);
    return error ? error
                 : origins_open(&verify->origins, verify->crew, &verify->findings,
                                &verify->checked_bytes, false);
}

/* What lies in earlier backups is a part of it too; where there may be such, catalogues and
 * references have been read. */
static int read_window(struct verify *verify)
{
    bool is_data = origins_may_be(&verify->backup);
    verify->is_window = true;
    int error = read_parts(verify, &verify->set,
                           is_data ? 1u << PST_CHUNK_DATA | 1u << CHUNK_SUMS : ALL_TYPES);
    if (!error && verify->origins.set.count > 0)
        error = read_parts(verify, &verify->origins.set, 1u << PST_CHUNK_DATA);
    return error;
}

static int read_contents(struct verify *verify)
{
    int error = objects_init(&verify->objects);
    if (error)
        return error;
    verify->objects.only = verify->options->only_count > 0 ? verify->only : NULL;
    verify->objects.is_partial = verify->options->only_count > 0;
    error = origins_init(&verify->origins, &verify->backup, &verify->set, &verify->objects);
    int contents =
        contents_init(&verify->contents, &verify->backup, &verify->set, &verify->objects);
    verify->contents.origins = &verify->origins;
    error = error ? error : contents;
    /* A window takes the catalogues only where what is referred to is needed. */
    bool has_window = verify->options->windows > 0;
    if (!error && (!has_window || origins_may_be(&verify->backup)))
        error = gather_objects(verify);
    if (!error)
        error = open_origins(verify);
    if (!error)
        error = has_window ? read_window(verify) : check_data(verify);
    if (!error && verify->copies.count > 0)
        error = read_parts(verify, &verify->copies, ALL_TYPES);
    contents_release(&verify->contents);
    origins_release(&verify->origins);
    objects_release(&verify->objects);
    return error;
}

static bool manifests_are_whole(const struct verify *verify)
{
    for (uint32_t i = 0; i < verify->backup.cluster.nodes_count; i++) {
        if (verify->backup.nodes[i].parts_count == 0 && !verify->backup.is_elsewhere[i])
            return false;
    }
    return true;
}

/* What of its bytes lies there, only the references say, which are sealed. */
static void warn_of_origin(struct verify *verify, const struct pst_manifest_origin *origin)
{
    char what[PST_MESSAGE_BYTES], uid[2 * PST_UID_BYTES + 1];
    pst_hex_encode(origin->uid, PST_UID_BYTES, uid);
    snprintf(what, sizeof(what), "backup %u, uid %s", origin->number, uid);
    if (!pst_backup_origin(&verify->backup, origin->uid, origin->number)) {
        pst_findings_add_origin(&verify->findings, &verify->backup, what, -PST_E_BASE_MISSING);
        return;
    }
    snprintf(what, sizeof(what),
             "not checked without a key: %llu bytes and %llu objects of it that lie in backup %u, "
             "uid %s",
             (unsigned long long)origin->bytes, (unsigned long long)origin->objects, origin->number,
             uid);
    pst_findings_warn_backup(&verify->findings, &verify->backup, what);
}

/* Says so once, of a backup of which no more can be checked without a key. */
static void warn_shut(struct verify *verify)
{
    const struct pst_cluster_manifest *cluster = &verify->backup.cluster;
    char what[PST_MESSAGE_BYTES], text[PST_MESSAGE_BYTES];
    snprintf(what, sizeof(what), "only the checksums of what is stored were checked: %.400s",
             pst_backup_shut_text(&verify->backup, text));
    pst_findings_warn_backup(&verify->findings, &verify->backup, what);
    for (uint32_t i = 0; i < cluster->origins_count; i++)
        warn_of_origin(verify, &cluster->origins[i]);
}

static int verify_parts(struct verify *verify)
{
    int error = pst_backup_parts_make(&verify->backup, &verify->set, &verify->copies);
    if (error)
        return error;
    if (manifests_are_whole(verify))
        error = pst_backup_find_strangers(&verify->backup, &verify->set, &verify->findings);
    if (verify->options->only_count > 0) {
        source_drop_parts(verify->only, &verify->set);
        source_drop_parts(verify->only, &verify->copies);
    }
    if (!error)
        error = look_through_parts(verify, &verify->set);
    if (!error)
        error = look_through_parts(verify, &verify->copies);
    if (!error && verify->backup.is_shut && verify->options->only_count == 0)
        warn_shut(verify);
    else if (!error)
        error = read_contents(verify);
    pst_backup_parts_free(&verify->set);
    pst_backup_parts_free(&verify->copies);
    return error;
}

static int outcome(const struct verify *verify)
{
    const struct pst_findings *findings = &verify->findings;
    uint64_t damages = findings->damages - findings->unverified;
    if (damages == 0)
        return findings->first_error;
    return findings->newer == damages ? -PST_E_NEWER : -PST_E_CORRUPT;
}

/* Once all that is here is verified, as if it were whole. */
static void report_elsewhere(struct verify *verify)
{
    uint32_t ids[PST_NODES_MAX];
    uint32_t count = pst_backup_elsewhere(&verify->backup, ids);
    for (uint32_t i = 0; i < count; i++) {
        char what[32];
        snprintf(what, sizeof(what), "files of node %u", ids[i]);
        pst_findings_add_elsewhere(&verify->findings, &verify->backup, what);
    }
}

static int choose_sources(struct verify *verify)
{
    int error = 0;
    for (uint32_t i = 0; !error && i < verify->options->only_count; i++)
        error = source_choose(&verify->backup, verify->options->only[i], verify->only,
                              verify->result->message);
    return error;
}

/* Which may be why no key opens it. */
static bool is_damaged(const struct verify *verify)
{
    return verify->findings.damages > verify->findings.unverified;
}

/* Of a key that opens nothing nobody is to think that it has checked something. */
static int lacks_key(struct verify *verify)
{
    char text[PST_MESSAGE_BYTES];
    bool is_all = verify->options->only_count == 0;      /* else what is chosen must be open */
    bool has_no_keys = verify->backup.wanted[0] == '\0'; /* that could be read: it wants no other */
    if (!verify->backup.is_shut || !is_all || is_damaged(verify) || has_no_keys ||
        !(verify->backup.directories->keyring || chooses_chunks(verify->options)))
        return 0;
    snprintf(verify->result->message, PST_MESSAGE_BYTES, "backup %u could not be verified: %.400s",
             verify->backup.number, pst_backup_shut_text(&verify->backup, text));
    return -PST_E_NO_KEY;
}

static int verify_loaded(struct verify *verify)
{
    int error = lacks_key(verify);
    if (error || !verify->backup.has_cluster)
        return error;
    error = choose_sources(verify);
    if (error == -PST_E_NO_KEY && is_damaged(verify)) {
        verify->result->message[0] = '\0';
        return 0;
    }
    return error ? error : verify_parts(verify);
}

static int verify_backup(struct verify *verify)
{
    int error = pst_backup_load(&verify->backup, &verify->findings, &verify->result->files,
                                &verify->checked_bytes);
    if (error)
        return error;
    error = verify_loaded(verify);
    if (!error && verify->options->only_count == 0)
        report_elsewhere(verify);
    pst_backup_unload(&verify->backup);
    return error ? error : outcome(verify);
}

int pst_verify(const struct pst_backup *backup, const struct pst_verify_options *options,
               struct pst_verify_result *result)
{
    *result = (struct pst_verify_result){0};
    struct verify *verify = calloc(1, sizeof(*verify));
    if (!verify)
        return -ENOMEM;
    verify->options = options;
    verify->result = result;
    verify->backup.number = backup->number;
    verify->backup.directories = backup->directories;
    verify->backup.list = backup->list;
    verify->backup.stored_as = backup->stored_as;
    verify->backup.found_in = backup->found_in;
    pst_findings_init(&verify->findings, options->found, options->context);
    int error = crew_open(&options->crew, &verify->crew);
    if (!error) {
        error = verify_backup(verify);
        crew_close(verify->crew);
    }
    result->bytes = verify->checked_bytes;
    result->objects = atomic_load(&verify->objects_read);
    result->objects_damaged = verify->findings.objects;
    result->damages = verify->findings.damages - verify->findings.unverified;
    result->unverified = verify->findings.unverified;
    result->warnings = verify->findings.warnings;
    free(verify);
    return error;
}
