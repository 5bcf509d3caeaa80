/* Looks whether a backup was copied to where it lies, by when its directory was made. Called by
 * archive_sweep.c, on the archive's thread. */
#include "engine/repository/archive_copied.h"

#include "engine/format/chunk.h"
#include "engine/format/part.h"
#include "engine/repository/layout.h"

/* Between the clocks of the hosts of a cluster, and of one that serves a directory to them. */
#define CLOCKS_APART_NS UINT64_C(60000000000)

/* Not if it is 0, which is not known. */
static bool is_before(uint64_t unix_ns, uint64_t made_ns)
{
    return unix_ns > 0 && unix_ns < made_ns && made_ns - unix_ns > CLOCKS_APART_NS;
}

static bool is_older(struct pst_repository *repository, int directory, const char *name,
                     uint64_t made_ns)
{
    char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_damage damage;
    int bytes = repository_read_head(repository, directory, name, block, sizeof(block));
    if (bytes < 0 || pst_part_header_check(block, (uint64_t)bytes, NULL, &damage))
        return false;
    return is_before(((const struct pst_part_header *)block)->created_unix_ns, made_ns);
}

/* Whether a part of this node was begun before that. */
static bool has_older_part(const struct pst_archive *archive, int backup, uint32_t number,
                           uint64_t made_ns)
{
    struct pst_repository *repository = archive->repository;
    const struct layout_name file = layout_part_file(number, archive->config->node);
    struct pst_repository_names names = {0};
    uint32_t part, parts;
    bool has = false;
    int error = repository_list(repository, backup, &names);
    for (const char *name = error ? NULL : repository_names_next(&names, NULL); name && !has;
         name = repository_names_next(&names, name)) {
        int below = layout_parse_part_dir(name, number, &part, &parts)
                        ? repository_open(repository, backup, name)
                        : -1;
        if (below < 0)
            continue;
        has = is_older(repository, below, file.text, made_ns);
        repository_close(repository, below);
    }
    repository_names_free(&names);
    return has;
}

bool archive_is_copied(const struct pst_archive *archive, int backup, uint32_t number,
                       const struct archive_file *node)
{
    struct pst_repository_status status;
    if (repository_status(archive->repository, backup, NULL, &status) || status.made_ns == 0)
        return false;
    return (!node->error && is_before(node->finished_unix_ns, status.made_ns)) ||
           has_older_part(archive, backup, number, status.made_ns);
}
