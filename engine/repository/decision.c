/* Reads and writes the two files of a decision. The archive's thread, and whoever lists, verifies,
 * restores or prunes. */
#include "engine/repository/decision.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"

struct layout_name decision_name(uint32_t number, enum decision_which which)
{
    return which == DECISION_MANIFEST ? layout_cluster_manifest(number)
                                      : layout_cluster_copy(number);
}

static int decode(const char *bytes, size_t size, uint32_t number,
                  struct pst_cluster_manifest *manifest, struct decision_file *file)
{
    struct pst_cluster_manifest found;
    int error = pst_manifest_decode_cluster(bytes, size, &found, &file->digest, &file->damage);
    if (error)
        return error;
    if (found.common.number != number) {
        file->damage = (struct pst_damage){0, size, "of another backup number"};
        return -PST_E_MISPLACED;
    }
    pst_manifest_copy_cluster(manifest, &found);
    return 0;
}

/* After 0 *bytes is the caller's, and file->bytes long. Returns file->error. */
static int read_bytes(struct pst_repository *repository, int directory, uint32_t number,
                      enum decision_which which, struct decision_file *file, char **bytes)
{
    size_t size = 0;
    *bytes = NULL;
    *file = (struct decision_file){.damage.what = "manifest"};
    file->error = repository_read(repository, directory, decision_name(number, which).text,
                                  PST_MANIFEST_BYTES_MAX, bytes, &size);
    if (file->error == -EFBIG) {
        file->damage.what = "too long for a manifest";
        file->error = -PST_E_CORRUPT;
    }
    if (file->error)
        *bytes = NULL;
    else
        file->bytes = size;
    return file->error;
}

/* Where both have the same bytes, as they should, one is decoded. */
int decision_read_pair(struct pst_repository *repository, int directory, uint32_t number,
                       struct pst_cluster_manifest *manifest, struct decision_pair *pair)
{
    struct decision_file *first = &pair->files[DECISION_MANIFEST];
    struct decision_file *copy = &pair->files[DECISION_COPY];
    struct pst_cluster_manifest other;
    char *bytes, *copied;
    if (!read_bytes(repository, directory, number, DECISION_MANIFEST, first, &bytes))
        first->error = decode(bytes, first->bytes, number, manifest, first);
    pair->is_whole = !first->error;
    if (!read_bytes(repository, directory, number, DECISION_COPY, copy, &copied)) {
        bool is_same =
            bytes && first->bytes == copy->bytes && memcmp(bytes, copied, copy->bytes) == 0;
        if (is_same)
            *copy = *first;
        else
            copy->error =
                decode(copied, copy->bytes, number, pair->is_whole ? &other : manifest, copy);
    }
    pair->is_whole = pair->is_whole || !copy->error;
    free(bytes);
    free(copied);
    return pst_is_own_error(first->error)  ? first->error
           : pst_is_own_error(copy->error) ? copy->error
                                           : 0;
}

bool decision_contradicts(const struct decision_pair *pair)
{
    const struct decision_file *first = &pair->files[DECISION_MANIFEST];
    const struct decision_file *copy = &pair->files[DECISION_COPY];
    return !first->error && !copy->error && !pst_digest_equal(&first->digest, &copy->digest);
}

int decision_read_file(struct pst_repository *repository, int directory, uint32_t number,
                       enum decision_which which, struct pst_cluster_manifest *manifest,
                       struct decision_file *file, char **text)
{
    char *bytes;
    if (read_bytes(repository, directory, number, which, file, &bytes))
        return file->error;
    size_t size = file->bytes;
    file->error = decode(bytes, size, number, manifest, file);
    if (text && !file->error)
        *text = bytes;
    else
        free(bytes);
    return file->error;
}

int decision_read(struct pst_repository *repository, int directory, uint32_t number,
                  struct pst_cluster_manifest *manifest, struct decision_file *file, char **text)
{
    struct pst_cluster_manifest other;
    struct decision_file copy;
    (void)decision_read_file(repository, directory, number, DECISION_MANIFEST, manifest, file,
                             text);
    if (pst_is_own_error(file->error))
        return file->error;
    bool is_whole = !file->error;
    (void)decision_read_file(repository, directory, number, DECISION_COPY,
                             is_whole ? &other : manifest, &copy, is_whole ? NULL : text);
    if (is_whole && !copy.error && !pst_digest_equal(&copy.digest, &file->digest)) {
        file->error = -PST_E_CORRUPT;
        if (text)
            free(*text);
    } else if (!is_whole && (!copy.error || file->error == -ENOENT)) {
        *file = copy;
    }
    if (pst_is_own_error(copy.error) && !is_whole)
        file->error = copy.error;
    return file->error;
}

int decision_is_there(struct pst_repository *repository, int directory, uint32_t number)
{
    int has = repository_has(repository, directory, layout_cluster_manifest(number).text);
    return has ? has : repository_has(repository, directory, layout_cluster_copy(number).text);
}

int decision_write(struct pst_repository *repository, int directory, uint32_t number, uint32_t node,
                   enum decision_which which, const char *text, size_t bytes, bool reads_back)
{
    struct layout_name temporary = which == DECISION_MANIFEST
                                       ? layout_cluster_temporary(number, node)
                                       : layout_cluster_copy_temporary(number, node);
    int error = repository_write_durably(repository, directory, decision_name(number, which).text,
                                         temporary.text, text, bytes, reads_back);
    /* a node with the same directory was first */
    return error == -EEXIST ? repository_sync(repository, directory) : error;
}
