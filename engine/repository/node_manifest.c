/*
 * Reads a node's manifest. Called by whoever sweeps or identifies what a directory holds; any
 * thread.
 */
#include "engine/repository/node_manifest.h"

#include <stdlib.h>

int node_manifest_read(struct pst_repository *repository, int directory, const char *name,
                       struct pst_node_manifest *manifest, struct pst_digest *digest,
                       uint64_t *bytes)
{
    struct pst_damage damage;
    char *text;
    size_t size;
    int error = repository_read(repository, directory, name, PST_MANIFEST_BYTES_MAX, &text, &size);
    if (error)
        return error;
    error = pst_manifest_decode_node(text, size, manifest, digest, &damage);
    free(text);
    if (!error && bytes)
        *bytes = size;
    return error;
}
