/* Writes the data key of the backup in work, wrapped, and opens those of earlier ones. Called by
 * archive.c and archive_draft.c, on the archive's thread. */
#include "engine/repository/archive_keys.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/repository/archive_files.h"
#include "engine/repository/layout.h"

static struct pst_part_identity identity_of(const struct pst_node_manifest *manifest)
{
    const struct pst_manifest_common *common = &manifest->common;
    return pst_keys_identity(common->uid, common->number, common->cluster_id, manifest->node);
}

/* Twice, as the decision: without it nobody can read the backup. And before anything of it: what is
 * left of one that is cut off must be opened. */
static int write_in(const struct pst_archive *archive, int directory)
{
    const struct pst_part_identity identity = identity_of(&archive->node);
    uint32_t number = archive->node.common.number;
    struct pst_keys_file file;
    size_t bytes = pst_sealing_keys(archive->sealing, &identity, &file);
    int error = 0;
    for (uint32_t copy = 0; !error && copy < LAYOUT_KEYS_COPIES; copy++) {
        struct layout_name name = layout_keys(number, archive->config->node, copy);
        error = repository_write_durably(archive->repository, directory, name.text, NULL, &file,
                                         bytes, archive->reads_back);
        if (error)
            archive_fail_inside(archive, number, name.text, NULL, error);
    }
    return error;
}

int archive_write_keys(const struct pst_archive *archive)
{
    uint32_t number = archive->node.common.number;
    int directory = repository_open_backup(archive->repository, number);
    if (directory < 0)
        return archive_fail(archive, layout_backup(number).text, "open", directory);
    int error = write_in(archive, directory);
    repository_close(archive->repository, directory);
    return error;
}

bool archive_opens(const struct pst_archive *archive)
{
    return archive->sealing && archive->config->keyring &&
           pst_keyring_opens(archive->config->keyring);
}

static int open_copy(const struct pst_archive *archive, int directory, const char *name,
                     const struct pst_part_identity *identity, struct pst_data_key *key)
{
    struct pst_keys_file file;
    struct pst_damage damage;
    char *bytes;
    size_t size;
    int error = repository_read(archive->repository, directory, name, PST_KEYS_FILE_BYTES_MAX,
                                &bytes, &size);
    if (error)
        return error;
    error = pst_keys_file_check(bytes, size, identity, &file, &damage);
    free(bytes);
    return error ? error : pst_keys_file_open(&file, archive->config->keyring, key);
}

int archive_open_key(const struct pst_archive *archive, int directory,
                     const struct pst_node_manifest *manifest, struct pst_data_key *key)
{
    const struct pst_part_identity identity = identity_of(manifest);
    uint32_t number = manifest->common.number;
    int error = -PST_E_NO_KEY;
    bool is_open = false;
    for (uint32_t copy = 0; archive_opens(archive) && !is_open && copy < LAYOUT_KEYS_COPIES;
         copy++) {
        struct layout_name name = layout_keys(number, archive->config->node, copy);
        int found = open_copy(archive, directory, name.text, &identity, key);
        is_open = !found;
        error = found == -ENOENT ? error : found;
    }
    return error;
}
