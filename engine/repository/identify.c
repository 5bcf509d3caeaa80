/* Which backup a directory holds, by whatever of it is whole. Whoever lists or prunes. */
#include "engine/repository/identify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/own_error.h"
#include "engine/format/chunk.h"
#include "engine/repository/decision.h"
#include "engine/repository/layout.h"
#include "engine/repository/node_manifest.h"

/* Each of these: 1 and the uid; 0: the file is not there or does not tell; or an error of our own.
 */
static int by_decision(struct pst_repository *repository, int directory, uint32_t number,
                       struct identity_decision *decision, uint8_t *uid)
{
    int error =
        decision_read_pair(repository, directory, number, decision->cluster, &decision->pair);
    if (error)
        return error;
    if (!decision->pair.is_whole || decision_contradicts(&decision->pair))
        return 0;
    memcpy(uid, decision->cluster->common.uid, PST_UID_BYTES);
    return 1;
}

/* A manifest that cannot be read, or only by a newer Penstock, may name other nodes: the sweep
 * (archive_sweep.c) judges by the same rule. */
static int by_node_manifest(struct pst_repository *repository, int directory, const char *name,
                            uint8_t *uid, bool *is_of_several)
{
    struct pst_node_manifest manifest;
    int error = node_manifest_read(repository, directory, name, &manifest, NULL, NULL);
    if (error == -ENOENT)
        return 0;
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

/* What is no directory of parts has none in it. */
static int by_part_below(struct pst_repository *repository, int directory, const char *name,
                         uint32_t number, uint8_t *uid)
{
    struct pst_repository_names names;
    int below = repository_open(repository, directory, name);
    if (below < 0)
        return repository_is_no_directory(below) ? 0 : below;
    int found = repository_list(repository, below, &names);
    for (const char *part = found ? NULL : repository_names_next(&names, NULL); part && !found;
         part = repository_names_next(&names, part)) {
        if (layout_is_like_backup(part))
            found = by_header(repository, below, part, number, uid);
    }
    repository_names_free(&names);
    repository_close(repository, below);
    return found;
}

/* A directory, open, and what lies in it. */
struct directory {
    struct pst_repository *repository;
    int handle;
    struct pst_repository_names names;
};

/* A complete backup of another number: its directory was renamed, or put aside. */
static int by_others_decision(const struct directory *directory, struct identity *identity)
{
    struct pst_cluster_manifest manifest;
    struct identity_decision decision = {.cluster = &manifest};
    int found = 0;
    for (const char *name = repository_names_next(&directory->names, NULL); name && !found;
         name = repository_names_next(&directory->names, name)) {
        uint32_t number;
        if (!layout_parse_cluster(name, &number) || number == identity->stored_as)
            continue;
        found =
            by_decision(directory->repository, directory->handle, number, &decision, identity->uid);
        identity->number = found > 0 ? number : identity->number;
    }
    return found;
}

static int by_node_manifests(const struct directory *directory, struct identity *identity)
{
    int found = 0;
    for (const char *name = repository_names_next(&directory->names, NULL);
         name && !identity->is_prepared; name = repository_names_next(&directory->names, name)) {
        uint32_t node;
        if (!layout_parse_node_manifest(name, identity->number, &node))
            continue;
        int one = by_node_manifest(directory->repository, directory->handle, name, identity->uid,
                                   &identity->is_prepared);
        if (one < 0)
            return one;
        found = found || one;
    }
    return found;
}

static int by_parts(const struct directory *directory, struct identity *identity)
{
    int found = 0;
    for (const char *name = repository_names_next(&directory->names, NULL); name && !found;
         name = repository_names_next(&directory->names, name)) {
        if (layout_is_like_backup(name))
            found = by_part_below(directory->repository, directory->handle, name, identity->number,
                                  identity->uid);
    }
    return found;
}

static int by_names(const struct directory *directory, struct identity *identity)
{
    int found = by_others_decision(directory, identity);
    if (!found)
        found = by_node_manifests(directory, identity);
    return found ? found : by_parts(directory, identity);
}

int identify_backup(struct pst_repository *repository, int handle, uint32_t stored_as,
                    struct identity *identity, struct identity_decision *decision)
{
    struct directory directory = {.repository = repository, .handle = handle};
    struct pst_cluster_manifest manifest;
    struct identity_decision own = {.cluster = &manifest};
    *identity = (struct identity){.number = stored_as, .stored_as = stored_as};
    int found =
        by_decision(repository, handle, stored_as, decision ? decision : &own, identity->uid);
    if (!found)
        found = repository_list(repository, handle, &directory.names);
    if (!found)
        found = by_names(&directory, identity);
    repository_names_free(&directory.names);
    identity->has_uid = found > 0;
    if (!identity->has_uid)
        memset(identity->uid, 0, sizeof(identity->uid));
    identity->unread = found < 0 ? found : 0;
    return found;
}
