/*
 * Manifests of sealed backups: what nobody is to read without a key (sources, names, host, label)
 * is left out, and the whole manifest attached, sealed. What is sealed is what a reader with a key
 * believes. Private to engine/repository; any thread.
 */
#ifndef PST_ENGINE_REPOSITORY_SEALED_MANIFEST_H
#define PST_ENGINE_REPOSITORY_SEALED_MANIFEST_H

#include "engine/format/manifest.h"
#include "engine/key/sealing.h"

/* As the encoders of manifest.h. */
PST_MUST_USE int manifest_seal_node(struct pst_sealing *sealing,
                                    const struct pst_node_manifest *manifest,
                                    struct pst_manifest_text *text);
/* A draft: with the key of the backup in work, or, sealing being NULL, with this one. */
PST_MUST_USE int manifest_seal_draft(struct pst_sealing *sealing, const struct pst_data_key *key,
                                     const struct pst_node_manifest *draft,
                                     struct pst_manifest_text *text);
PST_MUST_USE int manifest_seal_cluster(struct pst_sealing *sealing,
                                       const struct pst_cluster_manifest *manifest,
                                       struct pst_manifest_text *text);

static inline bool manifest_is_sealed(const struct pst_manifest_common *common)
{
    return (common->version.incompatible & PST_FORMAT_SEALED) != 0;
}

/* Opens what is attached to the text of a manifest that has been decoded, and puts it in the place
 * of that one. -PST_E_CORRUPT, with *damage: it was not sealed with this key, or is of another
 * backup or node than it says outside; -ENOMEM. */
PST_MUST_USE int manifest_open_node(const struct pst_data_key *key, const void *bytes, size_t size,
                                    struct pst_node_manifest *manifest, struct pst_damage *damage);

PST_MUST_USE int manifest_open_draft(const struct pst_data_key *key, const void *bytes, size_t size,
                                     struct pst_node_manifest *draft, struct pst_damage *damage);

/* Likewise; key: the data key of the master node. */
PST_MUST_USE int manifest_open_cluster(const struct pst_data_key *key, const void *bytes,
                                       size_t size, struct pst_cluster_manifest *manifest,
                                       struct pst_damage *damage);

#endif
