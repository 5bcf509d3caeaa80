/*
 * Node manifests as they lie in a directory. Private to engine/repository/; any thread.
 */
#ifndef PST_ENGINE_REPOSITORY_NODE_MANIFEST_H
#define PST_ENGINE_REPOSITORY_NODE_MANIFEST_H

#include "engine/format/manifest.h"
#include "engine/repository/repository.h"

/* Reads one and decodes it. 0, and the caller releases *manifest; or an error of repository_read or
 * of the decoder. *digest and *bytes (may be NULL): the file's, after 0. */
PST_MUST_USE int node_manifest_read(struct pst_repository *repository, int directory,
                                    const char *name, struct pst_node_manifest *manifest,
                                    struct pst_digest *digest, uint64_t *bytes);

#endif
