/* Drafts of backups: writes them, gathers what was cut off, and removes what is of no use. Called
 * by archive.c at the definition of a backup, on the archive's thread. */
#include "engine/repository/archive_draft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/own_error.h"
#include "engine/protocol/debris.h"
#include "engine/repository/archive_base.h"
#include "engine/repository/archive_files.h"
#include "engine/repository/archive_keys.h"
#include "engine/repository/archive_sweep.h"
#include "engine/repository/gather.h"
#include "engine/repository/layout.h"
#include "engine/repository/sealed_manifest.h"

/* No backup waits longer for what is left of others; a request is given up after twice that. */
#define GATHER_NS UINT64_C(60000000000)

/* ---- writing ---- */

/* What is there gives way in one step. key: of the backup that it is of; NULL: it is in work. */
static int write_file(const struct pst_archive *archive, int backup,
                      const struct pst_node_manifest *draft, const struct pst_data_key *key)
{
    struct pst_repository *repository = archive->repository;
    struct pst_sealing *sealing = key ? NULL : archive->sealing;
    struct layout_name name = layout_draft(draft->common.number, draft->node);
    struct layout_name temporary = layout_temporary(name.text);
    struct pst_manifest_text text;
    int error = archive->sealing ? manifest_seal_draft(sealing, key, draft, &text)
                                 : pst_manifest_encode_node(draft, &text);
    if (error)
        return error;
    (void)repository_remove(repository, backup, temporary.text);
    error = repository_create(repository, backup, temporary.text, text.text, text.bytes);
    free(text.text);
    if (!error)
        error = repository_rename_durably(repository, backup, temporary.text, name.text, true);
    return error;
}

/* Without a key that opens what is sealed, nothing could be made of it. */
static bool writes_draft(struct pst_archive *archive)
{
    if (!archive_wants_base(archive))
        return false;
    if (!archive->sealing || archive_opens(archive))
        return true;
    if (!archive->has_told_shut)
        pst_log(PST_LOG_INFO,
                "what a backup that is cut off has written will be removed, and not taken up: this "
                "node has no key that opens it (--key-file, --passphrase-…)");
    archive->has_told_shut = true;
    return false;
}

int archive_write_draft(struct pst_archive *archive)
{
    uint32_t number = archive->node.common.number;
    if (!writes_draft(archive))
        return 0;
    struct pst_node_manifest *draft = malloc(sizeof(*draft));
    if (!draft)
        return -ENOMEM;
    *draft = archive->node;
    draft->common.finished_unix_ns = draft->common.started_unix_ns;
    draft->parts_count = archive->parts;
    for (uint32_t i = 0; i < archive->parts; i++)
        draft->parts[i] = (struct pst_manifest_part){.part = i + 1, .ldm = i + 1};
    int backup = repository_open_backup(archive->repository, number);
    int error = backup < 0 ? backup : write_file(archive, backup, draft, NULL);
    if (backup >= 0)
        repository_close(archive->repository, backup);
    free(draft);
    return error
               ? archive_fail_inside(archive, number,
                                     layout_draft(number, archive->config->node).text, NULL, error)
               : 0;
}

/* ---- each of them ---- */

/* What is done with a backup that has a draft of this node, and neither is decided nor ever will
 * be; an error ends it. */
typedef int draft_visitor(const struct pst_archive *archive, int backup, uint32_t number,
                          void *context);

/* What other nodes took part in is decided without this node only if it was not prepared. */
static bool is_debris(const struct pst_archive *archive, int backup, uint32_t number)
{
    struct archive_file node;
    archive_read_node(archive, backup, number, &node);
    const struct pst_debris debris = {
        .is_at_work = archive->backup != 0 && archive->node.common.number == number &&
                      archive->directory_made,
        .is_committed = decision_is_there(archive->repository, backup, number) != 0,
        .is_prepared = node.error != -ENOENT,
        .is_alone = !node.error && pst_set_count(&node.nodes) == 1,
    };
    return pst_debris_judge(&debris) == PST_DEBRIS_REMOVE;
}

static int visit(const struct pst_archive *archive, uint32_t number, draft_visitor *visitor,
                 void *context)
{
    struct pst_repository *repository = archive->repository;
    int backup = repository_open_backup(repository, number);
    if (backup < 0)
        return 0; /* the sweep has said so */
    struct layout_name draft = layout_draft(number, archive->config->node);
    int error = 0;
    if (repository_has(repository, backup, draft.text) > 0 && is_debris(archive, backup, number))
        error = visitor(archive, backup, number, context);
    repository_close(repository, backup);
    return error;
}

static int visit_all(const struct pst_archive *archive, draft_visitor *visitor, void *context)
{
    struct pst_repository *repository = archive->repository;
    struct pst_repository_names names;
    int error = repository_list(repository, repository->root, &names);
    if (error)
        return archive_fail(archive, ".", "read the directory", error);
    for (const char *name = repository_names_next(&names, NULL); name && !error;
         name = repository_names_next(&names, name)) {
        uint32_t number;
        if (layout_parse_backup(name, &number))
            error = visit(archive, number, visitor, context);
    }
    repository_names_free(&names);
    return error;
}

/* ---- reading ---- */

/* One that is sealed is opened. */
struct draft {
    struct pst_node_manifest manifest;
    struct pst_data_key key; /* without a secret: it is not sealed */
};

static int open_draft(const struct pst_archive *archive, int backup, const char *text, size_t size,
                      struct draft *draft)
{
    struct pst_damage damage;
    if (!manifest_is_sealed(&draft->manifest.common))
        return 0;
    int error = archive_open_key(archive, backup, &draft->manifest, &draft->key);
    if (!error)
        error = manifest_open_draft(&draft->key, text, size, &draft->manifest, &damage);
    return error;
}

static void close_draft(struct draft *draft)
{
    if (draft->manifest.owner)
        pst_manifest_release_node(&draft->manifest);
    pst_data_key_release(&draft->key);
}

/* What was gathered is not opened: that is for whoever refers to it. After an error nothing is to
 * be closed. */
static int read_draft(const struct pst_archive *archive, int backup, uint32_t number,
                      struct draft *draft)
{
    struct layout_name name = layout_draft(number, archive->config->node);
    struct pst_damage damage;
    char *text;
    size_t size;
    draft->key = (struct pst_data_key){0};
    int error = repository_read(archive->repository, backup, name.text, PST_MANIFEST_BYTES_MAX,
                                &text, &size);
    if (error)
        return error;
    error = pst_manifest_decode_node(text, size, &draft->manifest, NULL, &damage);
    if (!error && !gather_is_done(&draft->manifest)) {
        error = open_draft(archive, backup, text, size, draft);
        if (error)
            close_draft(draft);
    }
    free(text);
    return error;
}

/* ---- gathering ---- */

static int gather(const struct pst_archive *archive, int backup, struct draft *found,
                  uint64_t limit_ns)
{
    struct pst_node_manifest *draft = &found->manifest;
    const struct pst_data_key *key = found->key.secret ? &found->key : NULL;
    struct pst_repository *repository = archive->repository;
    struct layout_name name = layout_backup(draft->common.number);
    struct pst_repository_path failed;
    pst_log(PST_LOG_INFO, "%s/%s: it was cut off: looking for what of it is whole",
            repository->path, name.text);
    (void)repository_remove(repository, backup,
                            layout_node_manifest(draft->common.number, draft->node).text);
    int error = gather_parts(repository, backup, draft, key, limit_ns, archive->pace, &failed);
    if (!error)
        error = write_file(archive, backup, draft, key);
    if (!error) /* of nodes that share the directory: nobody is at work on it */
        (void)repository_remove(repository, backup,
                                layout_mark(draft->common.number, draft->node).text);
    if (error == -ENOENT)
        pst_log(PST_LOG_INFO, "%s/%s: nothing of it is of use", repository->path, name.text);
    else if (error)
        pst_log(PST_LOG_WARNING, "%s/%s: what was written of it is of no use: %s", repository->path,
                failed.text, pst_error_text(error));
    else
        pst_log(PST_LOG_INFO, "%s/%s: %llu bytes of files are whole in it: they can be referred to",
                repository->path, name.text, (unsigned long long)draft->common.sums.source_bytes);
    return pst_is_own_error(error) ? error : 0;
}

/* What is sealed can be the base of what is sealed alone, and the other way round. */
static bool is_to_be_gathered(const struct pst_archive *archive, const struct draft *draft,
                              uint32_t number)
{
    const struct pst_node_manifest *manifest = &draft->manifest;
    return manifest->common.number == number && manifest->node == archive->config->node &&
           !gather_is_done(manifest) && (draft->key.secret != NULL) == (archive->sealing != NULL) &&
           base_is_same_series(manifest, &archive->node);
}

static int gather_one(const struct pst_archive *archive, int backup, uint32_t number, void *context)
{
    struct draft *draft = malloc(sizeof(*draft));
    if (!draft)
        return -ENOMEM;
    int error = read_draft(archive, backup, number, draft);
    if (!error) {
        if (is_to_be_gathered(archive, draft, number))
            error = gather(archive, backup, draft, *(const uint64_t *)context);
        close_draft(draft);
    }
    free(draft);
    return pst_is_own_error(error) ? error : 0;
}

int archive_gather_drafts(const struct pst_archive *archive)
{
    uint64_t limit_ns = pst_monotonic_ns() + GATHER_NS;
    if (!archive_wants_base(archive) || archive->config->base->mode != PST_BASE_AUTO)
        return 0;
    return visit_all(archive, gather_one, &limit_ns);
}

/* ---- removing ---- */

/* What was gathered may be referred to, be it by a backup that was moved elsewhere: prune removes
 * it. So may be what a draft that cannot be read is of, or one that no key here opens: whoever has
 * the key can go on with it. */
static int remove_one(const struct pst_archive *archive, int backup, uint32_t number, void *context)
{
    struct layout_name name = layout_draft(number, archive->config->node);
    struct draft *draft = malloc(sizeof(*draft));
    (void)context;
    if (!draft)
        return -ENOMEM;
    int error = read_draft(archive, backup, number, draft);
    bool is_gathered = !error && gather_is_done(&draft->manifest);
    if (error)
        pst_log(PST_LOG_WARNING, "%s/%s: left alone: %s: %s", archive->repository->path,
                layout_backup(number).text, name.text, pst_error_text(error));
    else
        close_draft(draft);
    free(draft);
    if (!error && !is_gathered)
        (void)archive_remove(archive, number, NULL); /* what cannot be removed does no harm */
    return error == -ENOMEM ? error : 0;
}

int archive_remove_drafts(const struct pst_archive *archive)
{
    return visit_all(archive, remove_one, NULL);
}
