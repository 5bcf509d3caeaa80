/* The backup in work, from its directory to its decision or its removal. The archive thread of a
 * node, which serves the requests of the backup protocol with it. */
#include "engine/repository/archive.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/fault_point.h"
#include "engine/base/log.h"
#include "engine/repository/archive_base.h"
#include "engine/repository/archive_draft.h"
#include "engine/repository/archive_files.h"
#include "engine/repository/archive_keys.h"
#include "engine/repository/archive_marks.h"
#include "engine/repository/archive_parts.h"
#include "engine/repository/archive_sweep.h"
#include "engine/repository/layout.h"
#include "engine/repository/sealed_manifest.h"

/* For a name in the directory of the backup in work. */
static int fail_inside(const struct pst_archive *archive, const char *name, const char *step,
                       int error)
{
    return archive_fail_inside(archive, archive->node.common.number, name, step, error);
}

static int highest_number(const struct pst_archive *archive, uint32_t *highest)
{
    struct pst_repository *repository = archive->repository;
    struct pst_repository_names names;
    int error = repository_list(repository, repository->root, &names);
    if (error)
        return error;
    for (const char *name = repository_names_next(&names, NULL); name;
         name = repository_names_next(&names, name)) {
        uint32_t number;
        if (layout_parse_backup(name, &number) && number > *highest)
            *highest = number;
    }
    repository_names_free(&names);
    return 0;
}

int pst_archive_number(struct pst_archive *archive, uint32_t wanted, uint32_t *number)
{
    struct pst_repository *repository = archive->repository;
    archive_check(archive);
    if (wanted != 0) {
        struct layout_name name = layout_backup(wanted);
        if (repository_has(repository, repository->root, name.text) > 0)
            return archive_fail(archive, name.text, "choose another --number",
                                -PST_E_NUMBER_EXISTS);
        *number = wanted;
        return 0;
    }
    uint32_t highest = 0;
    int error = highest_number(archive, &highest);
    if (error)
        return archive_fail(archive, ".", "read the directory", error);
    if (highest == PST_BACKUP_NUMBER_MAX)
        return archive_fail(archive, ".", "number the backup", -PST_E_NUMBER);
    *number = highest + 1;
    return 0;
}

static int open_backup(const struct pst_archive *archive)
{
    return repository_open_backup(archive->repository, archive->node.common.number);
}

static int make_part_directories(struct pst_archive *archive)
{
    uint32_t number = archive->node.common.number;
    int directory = open_backup(archive);
    if (directory < 0)
        return archive_fail(archive, layout_backup(number).text, "open", directory);
    int error = 0;
    for (uint32_t part = 1; part <= archive->parts && !error; part++) {
        struct layout_name name = layout_part_dir(number, part, archive->parts);
        error = repository_make_directory(archive->repository, directory, name.text);
        if (error == -EEXIST && archive->is_shared)
            error = 0;
        if (error)
            error = fail_inside(archive, name.text, "make the directory", error);
    }
    repository_close(archive->repository, directory);
    return error;
}

/* Manifests and parts hold times as positive 64-bit nanoseconds. */
static int check_clock(uint64_t unix_ns)
{
    if (unix_ns <= INT64_MAX)
        return 0;
    pst_log(PST_LOG_ERROR, "the clock of this host is before 1970 or after 2262: set it");
    return -ERANGE;
}

static void begin_manifests(struct pst_archive *archive, const struct pst_define_backup_req *define)
{
    const struct pst_archive_config *config = archive->config;
    memset(&archive->node, 0, sizeof(archive->node));
    memset(&archive->cluster, 0, sizeof(archive->cluster));
    pst_unreadable_clear(archive->unreadable);
    struct pst_manifest_common *common = &archive->node.common;
    memcpy(common->uid, define->uid, sizeof(common->uid));
    common->number = define->number;
    common->cluster_id = config->cluster_id;
    common->started_unix_ns = pst_unix_ns();
    archive->cluster.common = *common;
    archive->cluster.copies = DECISION_FILES;
    archive->cluster.master_node = pst_ref_node(define->master_ref);
    archive->node.master_node = pst_ref_node(define->master_ref);
    for (uint32_t i = 0; i < PST_NODES_MAX; i++) {
        if (pst_set_has(&define->nodes, i))
            archive->node.participants[archive->node.participants_count++] = i + 1;
    }
    struct pst_set members = pst_set_union(&config->members, &define->nodes);
    for (uint32_t i = pst_set_next(&members, 0); i < PST_NODES_MAX;
         i = pst_set_next(&members, i + 1))
        archive->cluster.members[archive->cluster.members_count++] = i + 1;
    if (config->label)
        snprintf(archive->cluster.label, sizeof(archive->cluster.label), "%s", config->label);
    archive->node.node = config->node;
    archive->node.writer = config->writer;
    if (gethostname(archive->host, sizeof(archive->host) - 1) == 0)
        archive->node.host = archive->host;
    archive->node.chunk_bytes = config->chunk_bytes;
    archive->node.single_threaded = archive->parts == 1; /* one LDM has no proxy either */
    archive->node.sources_count = config->sources_count;
    for (uint32_t i = 0; i < config->sources_count; i++) {
        archive->node.sources[i].name = config->sources[i]->name;
        archive->node.sources[i].spec = config->specs[i];
        archive->node.sources[i].path = config->paths ? config->paths[i] : NULL;
        archive->node.sources[i].choice = config->choices ? config->choices[i] : NULL;
        archive->node.sources[i].instance = i;
    }
}

static int make_backup_directory(struct pst_archive *archive,
                                 const struct pst_define_backup_req *define, uint32_t *highest)
{
    struct pst_repository *repository = archive->repository;
    struct layout_name name = layout_backup(define->number);
    int error = archive->is_shared
                    ? archive_make_shared(archive, define)
                    : repository_make_directory_durably(repository, repository->root, name.text);
    if (error == -EEXIST) {
        error = highest_number(archive, highest);
        error = error ? error : -PST_E_NUMBER_EXISTS;
    }
    if (error)
        return archive_fail(archive, name.text, NULL, error);
    archive->directory_made = true;
    return 0;
}

/* One backup is sealed wholly or not at all: nobody is to find half of it open. */
static int check_sealing(const struct pst_archive *archive,
                         const struct pst_define_backup_req *define)
{
    bool is_wanted = define->flags & PST_BACKUP_SEALED;
    if (is_wanted == (archive->sealing != NULL))
        return 0;
    return archive_fail(archive, layout_backup(define->number).text,
                        is_wanted ? "this node has no keys to seal it with"
                                  : "this node seals its backups",
                        -PST_E_SEALING);
}

int pst_archive_define(struct pst_archive *archive, const struct pst_define_backup_req *define,
                       uint32_t *highest)
{
    archive_check(archive);
    if (archive->backup != 0)
        return -PST_E_BUSY;
    int error = check_clock(pst_unix_ns());
    if (error)
        return error;
    /* The master's archive has swept to find the number. */
    if (pst_ref_node(define->master_ref) != archive->config->node) {
        error = pst_archive_sweep(archive);
        if (error)
            return error;
    }
    error = check_sealing(archive, define);
    if (error)
        return error;
    archive->warnings_before = pst_log_warnings();
    archive->backup = pst_uid_low(define->uid);
    archive->directory_made = false;
    archive->reads_back = define->flags & PST_BACKUP_VERIFY;
    archive->is_shared = pst_set_count(&define->nodes) > 1;
    archive->parts = define->flags & PST_BACKUP_SINGLE_THREADED ? 1 : archive->config->ldms;
    begin_manifests(archive, define);
    archive_check(archive);
    error = archive_gather_drafts(archive);
    if (!error)
        error = archive_remove_drafts(archive);
    if (!error)
        error = archive_find_base(archive);
    if (error)
        return error;
    error = archive->sealing ? pst_sealing_begin(archive->sealing, define->uid) : 0;
    if (error)
        return archive_fail(archive, ".", "make a data key", error);
    error = make_backup_directory(archive, define, highest);
    if (!error && archive->sealing)
        error = archive_write_keys(archive);
    if (!error)
        error = archive_write_draft(archive);
    return error ? error : make_part_directories(archive);
}

static struct pst_part_sums part_sums(const struct pst_sums *sums)
{
    return (struct pst_part_sums){.source_bytes = sums->source_bytes,
                                  .stored_bytes = sums->stored_bytes,
                                  .objects = sums->objects,
                                  .chunks = sums->chunks,
                                  .unreadable = sums->unreadable};
}

void pst_archive_add_part(struct pst_archive *archive, const struct pst_archive_item *part)
{
    if (part->item < 1 || part->item > archive->parts)
        return;
    archive_check(archive);
    struct pst_manifest_part *line = &archive->node.parts[part->item - 1];
    archive->node.parts_count += line->part == 0;
    line->part = part->item;
    line->ldm = part->item;
    line->file_bytes = part->file_bytes;
    line->sums = part_sums(&part->sums);
    memcpy(line->digest.bytes, part->digest, sizeof(line->digest.bytes));
}

void pst_archive_add_codecs(struct pst_archive *archive, uint32_t part, uint64_t lz4_chunks,
                            uint64_t zstd_chunks)
{
    archive_check(archive);
    assert(part >= 1 && part <= archive->parts);
    archive->node.parts[part - 1].lz4_chunks = lz4_chunks;
    archive->node.parts[part - 1].zstd_chunks = zstd_chunks;
}

void pst_archive_add_node(struct pst_archive *archive, const struct pst_archive_item *node)
{
    archive_check(archive);
    assert(archive->cluster.nodes_count < PST_NODES_MAX);
    struct pst_manifest_node *line = &archive->cluster.nodes[archive->cluster.nodes_count];
    struct pst_manifest_node added = {
        .node = node->item, .file_bytes = node->file_bytes, .sums = part_sums(&node->sums)};
    memcpy(added.digest.bytes, node->digest, sizeof(added.digest.bytes));
    /* They answer in any order; the manifest has them by number. */
    for (; line > archive->cluster.nodes && line[-1].node > added.node; line--)
        *line = line[-1];
    *line = added;
    archive->cluster.nodes_count++;
    pst_part_sums_add(&archive->cluster.common.sums, &added.sums);
}

static int write_manifest(const struct pst_archive *archive, int backup, const char *name,
                          const char *temporary, const struct pst_manifest_text *text,
                          struct pst_commit *written)
{
    int error = repository_write_durably(archive->repository, backup, name, temporary, text->text,
                                         text->bytes, archive->reads_back);
    if (error)
        return fail_inside(archive, name, NULL, error);
    written->file_bytes = text->bytes;
    memcpy(written->digest, text->digest.bytes, sizeof(written->digest));
    return 0;
}

/* The clock may have been set since the backup was defined. */
static int end_common(struct pst_manifest_common *common, const struct pst_gci *gci)
{
    common->start_gci = gci->start_gci;
    common->stop_gci = gci->stop_gci;
    common->finished_unix_ns = pst_unix_ns();
    return check_clock(common->finished_unix_ns);
}

static void name_unreadable(struct pst_archive *archive)
{
    pthread_mutex_lock(&archive->unreadable->lock);
    archive->node.common.sums.unreadable += archive->unreadable->listed;
    archive->node.unreadable_names_count = archive->unreadable->count;
    for (uint32_t i = 0; i < archive->unreadable->count; i++)
        archive->node.unreadable_names[i] = archive->unreadable->names[i];
    pthread_mutex_unlock(&archive->unreadable->lock);
}

static int end_node(struct pst_archive *archive, const struct pst_gci *gci)
{
    struct pst_node_manifest *node = &archive->node;
    int error = end_common(&node->common, gci);
    name_unreadable(archive);
    for (uint32_t i = 0; i < node->sources_count; i++)
        node->sources[i].details = archive->config->sources[i]->details;
    for (uint32_t i = 0; i < archive->parts; i++)
        pst_part_sums_add(&node->common.sums, &node->parts[i].sums);
    return error ? error : archive_end_base(archive);
}

static int encode_node(const struct pst_archive *archive, struct pst_manifest_text *text)
{
    return archive->sealing ? manifest_seal_node(archive->sealing, &archive->node, text)
                            : pst_manifest_encode_node(&archive->node, text);
}

static int encode_cluster(const struct pst_archive *archive, struct pst_manifest_text *text)
{
    return archive->sealing ? manifest_seal_cluster(archive->sealing, &archive->cluster, text)
                            : pst_manifest_encode_cluster(&archive->cluster, text);
}

int pst_archive_write_node(struct pst_archive *archive, const struct pst_gci *gci,
                           struct pst_commit *written)
{
    struct layout_name name =
        layout_node_manifest(archive->node.common.number, archive->config->node);
    archive_check(archive);
    assert(archive->backup != 0);
    int error = end_node(archive, gci);
    if (error)
        return error;
    int backup = open_backup(archive);
    if (backup < 0)
        return fail_inside(archive, name.text, "open the directory", backup);
    struct pst_manifest_text text = {0};
    error = archive_sync_parts(archive, backup);
    if (error)
        goto out;
    error = encode_node(archive, &text);
    if (error)
        fail_inside(archive, name.text, "encode", error);
    else
        error = write_manifest(archive, backup, name.text, NULL, &text, written);
out:
    free(text.text);
    repository_close(archive->repository, backup);
    written->warnings = (uint32_t)(pst_log_warnings() - archive->warnings_before);
    archive_check(archive);
    return error;
}

int pst_archive_write_cluster(struct pst_archive *archive, const struct pst_gci *gci,
                              struct pst_commit *written)
{
    uint32_t number = archive->node.common.number;
    struct layout_name name = layout_cluster_manifest(number);
    struct layout_name temporary = layout_cluster_temporary(number, archive->config->node);
    archive_check(archive);
    assert(archive->backup != 0);
    int error = end_common(&archive->cluster.common, gci);
    if (error)
        return error;
    int backup = open_backup(archive);
    if (backup < 0)
        return fail_inside(archive, name.text, "open the directory", backup);
    struct pst_manifest_text text = {0};
    archive_add_origins(archive, backup);
    error = encode_cluster(archive, &text);
    if (error)
        fail_inside(archive, name.text, "encode", error);
    else
        error = write_manifest(archive, backup, name.text, temporary.text, &text, written);
    if (!error)
        archive_write_copy(archive, backup, number, DECISION_COPY, text.text, text.bytes,
                           archive->reads_back);
    free(text.text);
    repository_close(archive->repository, backup);
    archive_check(archive);
    return error;
}

bool pst_archive_is_committed(const struct pst_archive *archive)
{
    archive_check(archive);
    int backup = open_backup(archive);
    if (backup < 0)
        return false;
    bool is = decision_is_there(archive->repository, backup, archive->node.common.number) > 0;
    repository_close(archive->repository, backup);
    return is;
}

int pst_archive_store_cluster(struct pst_archive *archive, uint32_t number, const char *bytes,
                              size_t size)
{
    archive_check(archive);
    return archive_store_cluster(archive, number, bytes, size, archive->reads_back);
}

int pst_archive_load_cluster(const struct pst_archive *archive, uint32_t number, char **bytes,
                             size_t *size)
{
    archive_check(archive);
    int backup = repository_open_backup(archive->repository, number);
    if (backup < 0)
        return backup;
    struct pst_cluster_manifest manifest;
    struct decision_file file;
    int error = decision_read(archive->repository, backup, number, &manifest, &file, bytes);
    *size = error ? 0 : file.bytes;
    repository_close(archive->repository, backup);
    return error;
}

/* No backup is in work any more. */
static void end_work(struct pst_archive *archive)
{
    archive->backup = 0;
    if (archive->base)
        pst_base_let_go(*archive->base);
    if (archive->sealing)
        pst_sealing_end(archive->sealing);
}

void pst_archive_leave(struct pst_archive *archive)
{
    archive_check(archive);
    end_work(archive);
    (void)archive_sweep_one(archive, archive->node.common.number,
                            archive->node.common.uid); /* which has logged it */
}

/* Whether the decision is here; then this node is not at work on it any more. */
static int find_decision(const struct pst_archive *archive)
{
    struct pst_repository *repository = archive->repository;
    uint32_t number = archive->node.common.number;
    struct layout_name name = layout_cluster_manifest(number);
    int backup = open_backup(archive);
    if (backup < 0)
        return fail_inside(archive, name.text, "open the directory", backup);
    int found = decision_is_there(repository, backup, number);
    if (found > 0) {
        archive_report_referred(archive, backup);
        archive_end_decided(archive, backup, number);
    }
    repository_close(repository, backup);
    if (found > 0)
        return 0;
    return fail_inside(archive, name.text, "find", found ? found : -ENOENT);
}

int pst_archive_commit(struct pst_archive *archive)
{
    archive_check(archive);
    assert(archive->backup != 0);
    int error = find_decision(archive);
    if (error)
        pst_archive_leave(archive);
    end_work(archive);
    return error;
}

/* In a shared directory another node may still have something. */
static bool is_left_to_others(const struct pst_archive *archive, int error)
{
    return archive->is_shared && (error == -ENOTEMPTY || error == -EEXIST);
}

static int remove_name(const struct pst_archive *archive, int backup, const char *name,
                       int (*remove)(struct pst_repository *, int, const char *))
{
    int error = PST_FAULT_ERROR("NAME_REMOVED");
    if (!error)
        error = remove(archive->repository, backup, name);
    if (error == -ENOENT || is_left_to_others(archive, error))
        error = 0;
    PST_FAULT_POINT("after", "NAME_REMOVED");
    return error ? fail_inside(archive, name, "remove it by hand", error) : 0;
}

/* What others have in it stays. A part of this node's in it is one that an LDM failed to remove, or
 * has yet to. */
static int remove_part_directory(const struct pst_archive *archive, int backup, uint32_t part)
{
    uint32_t number = archive->node.common.number;
    struct layout_name name = layout_part_dir(number, part, archive->parts);
    struct layout_name own = layout_part(number, archive->config->node, part, archive->parts);
    int error = remove_name(archive, backup, name.text, repository_remove_directory);
    if (error || !archive->is_shared)
        return error;
    int is_left = repository_has(archive->repository, backup, own.text);
    return is_left ? fail_inside(archive, own.text, "remove it by hand",
                                 is_left < 0 ? is_left : -ENOTEMPTY)
                   : 0;
}

static int remove_files(const struct pst_archive *archive, int backup)
{
    uint32_t number = archive->node.common.number, node = archive->config->node;
    int error =
        remove_name(archive, backup, layout_node_manifest(number, node).text, repository_remove);
    int draft_error =
        remove_name(archive, backup, layout_draft(number, node).text, repository_remove);
    error = error ? error : draft_error;
    bool has_keys = archive->sealing && !draft_error; /* a draft that is left needs them */
    for (uint32_t copy = 0; has_keys && copy < LAYOUT_KEYS_COPIES; copy++) {
        int keys_error =
            remove_name(archive, backup, layout_keys(number, node, copy).text, repository_remove);
        error = error ? error : keys_error;
    }
    for (uint32_t part = 1; part <= archive->parts; part++) {
        int part_error = remove_part_directory(archive, backup, part);
        error = error ? error : part_error;
    }
    if (!error && archive->is_shared) /* last: what has it is this node's still */
        error = remove_name(archive, backup, layout_mark(number, node).text, repository_remove);
    return error;
}

/* The directory of the backup, or what others have left of it, and durably so. */
static int remove_directory(const struct pst_archive *archive, int backup, const char *name)
{
    struct pst_repository *repository = archive->repository;
    int error = repository_remove_directory(repository, repository->root, name);
    if (error && error != -ENOENT && !is_left_to_others(archive, error))
        return archive_fail(archive, name, "remove it by hand", error);
    bool is_gone = !error || error == -ENOENT;
    error = repository_sync(repository, is_gone ? repository->root : backup);
    return error ? archive_fail(archive, name, NULL, error) : 0;
}

static int remove_files_and_directory(const struct pst_archive *archive, int backup,
                                      const char *name)
{
    int error = remove_files(archive, backup);
    return error ? error : remove_directory(archive, backup, name);
}

/* Where locks do not reach from host to host, another process may have swept it, and made one of
 * this number. */
static bool is_anothers(const struct pst_archive *archive, int backup)
{
    const struct pst_manifest_common *common = &archive->node.common;
    struct archive_file node;
    archive_read_node(archive, backup, common->number, &node);
    return !node.error && memcmp(node.uid, common->uid, sizeof(node.uid)) != 0;
}

static int remove_backup(struct pst_archive *archive)
{
    struct layout_name name = layout_backup(archive->node.common.number);
    int backup = open_backup(archive);
    if (backup < 0)
        return backup == -ENOENT ? 0 : archive_fail(archive, name.text, "open", backup);
    int error = 0;
    if (is_anothers(archive, backup))
        pst_log(PST_LOG_WARNING, "%s/%s: left alone: another process has written into it",
                archive->repository->path, name.text);
    else
        error = remove_files_and_directory(archive, backup, name.text);
    repository_close(archive->repository, backup);
    return error;
}

int pst_archive_clean_up(struct pst_archive *archive)
{
    archive_check(archive);
    int error = archive->directory_made ? remove_backup(archive) : 0;
    end_work(archive);
    if (error)
        pst_archive_leave(archive);
    else
        archive->directory_made = false;
    return error;
}
