/* Makes the names of a backup's files durable, and looks whether they are all there, before a
 * manifest lists them. Called by archive.c, on the archive's thread. */
#include "engine/repository/archive_parts.h"

#include "engine/repository/archive_files.h"
#include "engine/repository/layout.h"

/* Whoever removes or cuts a file of the backup while it is made would do so without a word: what is
 * written into it goes on well. */
static int check_file(const struct pst_archive *archive, int directory, const char *name,
                      const char *path, uint64_t bytes)
{
    struct pst_repository_status status;
    int error = repository_status(archive->repository, directory, name, &status);
    if (!error && bytes > 0 && status.bytes != bytes)
        error = -PST_E_READ_BACK;
    return error ? archive_fail_inside(archive, archive->node.common.number, path,
                                       "it was removed or replaced since it was written", error)
                 : 0;
}

static int check_keys(const struct pst_archive *archive, int backup)
{
    int error = 0;
    for (uint32_t copy = 0; !error && archive->sealing && copy < LAYOUT_KEYS_COPIES; copy++) {
        struct layout_name name =
            layout_keys(archive->node.common.number, archive->config->node, copy);
        error = check_file(archive, backup, name.text, name.text, 0);
    }
    return error;
}

/* The name of the part file: its LDM made its contents durable. */
static int sync_part(const struct pst_archive *archive, int backup, uint32_t part)
{
    uint32_t number = archive->node.common.number, node = archive->config->node;
    const struct pst_manifest_part *line = &archive->node.parts[part - 1];
    struct layout_name name = layout_part_dir(number, part, archive->parts);
    int directory = repository_open(archive->repository, backup, name.text);
    if (directory < 0)
        return archive_fail_inside(archive, number, name.text, NULL, directory);
    int error = repository_sync(archive->repository, directory);
    if (error)
        archive_fail_inside(archive, number, name.text, NULL, error);
    else if (line->part != 0 && !archive->config->discards_parts)
        error = check_file(archive, directory, layout_part_file(number, node).text,
                           layout_part(number, node, part, archive->parts).text, line->file_bytes);
    repository_close(archive->repository, directory);
    return error;
}

int archive_sync_parts(const struct pst_archive *archive, int backup)
{
    int error = check_keys(archive, backup);
    for (uint32_t part = 1; !error && part <= archive->parts; part++)
        error = sync_part(archive, backup, part);
    return error;
}
