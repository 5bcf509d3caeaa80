/* Which backup a directory holds, by whatever of it is whole. Whoever lists or prunes. */
#include "engine/repository/identify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/format/chunk.h"
#include "engine/format/manifest.h"
#include "engine/repository/layout.h"

/* Each of these: 1 and the uid; 0: the file is not there or does not tell; or an error of our own.
 */
static int by_cluster_manifest(struct pst_repository *repository, int directory, uint32_t number,
                               uint8_t *uid)
{
    struct pst_cluster_manifest manifest;
    struct pst_damage damage;
    char *bytes;
    size_t size;
    int error = repository_read(repository, directory, layout_cluster_manifest(number).text,
                                PST_MANIFEST_BYTES_MAX, &bytes, &size);
    if (error)
        return pst_is_own_error(error) ? error : 0;
    error = pst_manifest_decode_cluster(bytes, size, &manifest, NULL, &damage);
    free(bytes);
    if (error)
        return pst_is_own_error(error) ? error : 0;
    memcpy(uid, manifest.common.uid, PST_UID_BYTES);
    return 1;
}

/* A manifest that cannot be read, or only by a newer Penstock, may name other nodes: the sweep
 * (archive_sweep.c) judges by the same rule. */
static int by_node_manifest(struct pst_repository *repository, int directory, uint32_t number,
                            uint32_t node, uint8_t *uid, bool *is_of_several)
{
    struct pst_node_manifest manifest;
    struct pst_damage damage;
    char *bytes;
    size_t size;
    int error = repository_read(repository, directory, layout_node_manifest(number, node).text,
                                PST_MANIFEST_BYTES_MAX, &bytes, &size);
    if (error == -ENOENT)
        return 0;
    if (!error) {
        error = pst_manifest_decode_node(bytes, size, &manifest, NULL, &damage);
        free(bytes);
    }
    if (error) {
        *is_of_several = true;
        return pst_is_own_error(error) ? error : 0;
    }
    memcpy(uid, manifest.common.uid, PST_UID_BYTES);
    *is_of_several = *is_of_several || manifest.participants_count > 1;
    pst_manifest_release_node(&manifest);
    return 1;
}

static int by_header(struct pst_repository *repository, int directory, const char *name,
                     uint32_t number, uint8_t *uid)
{
    char block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_damage damage;
    int bytes = repository_read_head(repository, directory, name, block, sizeof(block));
    if (bytes < 0)
        return pst_is_own_error(bytes) ? bytes : 0;
    if (pst_part_header_check(block, (uint64_t)bytes, NULL, &damage))
        return 0;
    const struct pst_part_header *header = (const struct pst_part_header *)block;
    if (header->head.identity.number != number)
        return 0;
    memcpy(uid, header->head.identity.uid, PST_UID_BYTES);
    return 1;
}

static int by_part(struct pst_repository *repository, int directory, uint32_t number, bool deeper,
                   uint8_t *uid);

/* What is no directory of parts has none in it. */
static int by_part_below(struct pst_repository *repository, int directory, const char *name,
                         uint32_t number, uint8_t *uid)
{
    int below = repository_open(repository, directory, name);
    if (below < 0)
        return repository_is_no_directory(below) ? 0 : below;
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
    *is_prepared = false;
    int found = by_cluster_manifest(repository, directory, number, uid);
    if (found)
        return found;
    for (uint32_t node = 1; node <= PST_NODES_MAX && !*is_prepared; node++) {
        int one = by_node_manifest(repository, directory, number, node, uid, is_prepared);
        if (one < 0)
            return one;
        found = found || one;
    }
    return found ? 1 : by_part(repository, directory, number, true, uid);
}
