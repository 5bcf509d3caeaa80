/* Which backup a directory holds, by whatever of it is whole. Whoever lists or prunes. */
#include "engine/repository/identify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/chunk.h"
#include "engine/format/manifest.h"
#include "engine/repository/layout.h"

static bool by_cluster_manifest(struct pst_repository *repository, int directory, uint32_t number,
                                uint8_t *uid)
{
    struct pst_cluster_manifest manifest;
    struct pst_damage damage;
    char *bytes;
    size_t size;
    if (repository_read(repository, directory, layout_cluster_manifest(number).text,
                        PST_MANIFEST_BYTES_MAX, &bytes, &size))
        return false;
    bool whole = !pst_manifest_decode_cluster(bytes, size, &manifest, NULL, &damage);
    free(bytes);
    if (whole)
        memcpy(uid, manifest.common.uid, PST_UID_BYTES);
    return whole;
}

static bool by_node_manifest(struct pst_repository *repository, int directory, uint32_t number,
                             uint32_t node, uint8_t *uid, bool *is_of_several)
{
    struct pst_node_manifest manifest;
    struct pst_damage damage;
    char *bytes;
    size_t size;
    if (repository_read(repository, directory, layout_node_manifest(number, node).text,
                        PST_MANIFEST_BYTES_MAX, &bytes, &size))
        return false;
    bool whole = !pst_manifest_decode_node(bytes, size, &manifest, NULL, &damage);
    free(bytes);
    if (!whole)
        return false;
    memcpy(uid, manifest.common.uid, PST_UID_BYTES);
    *is_of_several = *is_of_several || manifest.participants_count > 1;
    pst_manifest_release_node(&manifest);
    return true;
}

static bool by_header(struct pst_repository *repository, int directory, const char *name,
                      uint32_t number, uint8_t *uid)
{
    char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_damage damage;
    int bytes = repository_read_head(repository, directory, name, block, sizeof(block));
    if (bytes < 0 || pst_part_header_check(block, (uint64_t)bytes, NULL, &damage))
        return false;
    const struct pst_part_header *header = (const struct pst_part_header *)block;
    if (header->head.identity.number != number)
        return false;
    memcpy(uid, header->head.identity.uid, PST_UID_BYTES);
    return true;
}

static int by_part(struct pst_repository *repository, int directory, uint32_t number, bool deeper,
                   uint8_t *uid);

/* What is no directory of parts has none in it. */
static int by_part_below(struct pst_repository *repository, int directory, const char *name,
                         uint32_t number, uint8_t *uid)
{
    int below = repository_open(repository, directory, name);
    if (below == -ENOTDIR || below == -ELOOP || below == -ENOENT)
        return 0;
    if (below < 0)
        return below;
    int found = by_part(repository, below, number, false, uid);
    repository_close(repository, below);
    return found;
}

/* By the header of any part, in this directory or, with deeper, in those directly below it. */
static int by_part(struct pst_repository *repository, int directory, uint32_t number, bool deeper,
                   uint8_t *uid)
{
    struct pst_repository_names names;
    int found = repository_list(repository, directory, &names);
    if (found)
        return found;
    for (const char *name = repository_names_next(&names, NULL); name && !found;
         name = repository_names_next(&names, name)) {
        if (layout_is_like_backup(name))
            found = deeper ? by_part_below(repository, directory, name, number, uid)
                           : by_header(repository, directory, name, number, uid);
    }
    repository_names_free(&names);
    return found;
}

int identify_backup(struct pst_repository *repository, int directory, uint32_t number, uint8_t *uid,
                    bool *is_prepared)
{
    bool found = false;
    *is_prepared = false;
    if (by_cluster_manifest(repository, directory, number, uid))
        return 1;
    for (uint32_t node = 1; node <= PST_NODES_MAX && !*is_prepared; node++)
        found = by_node_manifest(repository, directory, number, node, uid, is_prepared) || found;
    return found ? 1 : by_part(repository, directory, number, true, uid);
}
