/* Seals manifests and opens them. Called by archive.c on the archive's thread, and by backup.c, for
 * whoever reads backups. */
#include "engine/repository/sealed_manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NODE "node manifest"
#define CLUSTER "cluster manifest"
#define DRAFT "node draft" /* which must not pass for a manifest */

/* What a text is sealed with: the key of the backup in work, or this one. */
struct seal_with {
    struct pst_sealing *sealing; /* NULL: key */
    const struct pst_data_key *key;
};

static struct pst_part_identity identity_of(const struct pst_manifest_common *common, uint32_t node)
{
    return pst_keys_identity(common->uid, common->number, common->cluster_id, node);
}

/* Attaches the whole manifest, which is freed, to the one that everybody may read. */
static int attach(const struct seal_with *with, const char *what,
                  const struct pst_part_identity *identity, struct pst_manifest_text *whole,
                  struct pst_manifest_text *text)
{
    struct pst_sealed_text sealed;
    int error =
        with->sealing
            ? pst_sealing_text(with->sealing, what, identity, whole->text, whole->bytes, &sealed)
            : pst_data_key_seal_text(with->key, what, identity, whole->text, whole->bytes, &sealed);
    free(whole->text);
    if (error) {
        free(text->text);
        text->text = NULL;
        return error;
    }
    error = pst_manifest_attach(text, sealed.bytes, sealed.size);
    free(sealed.bytes);
    return error;
}

static int encode_open_node(const struct pst_node_manifest *manifest,
                            struct pst_manifest_text *text)
{
    struct pst_node_manifest *outside = malloc(sizeof(*outside));
    if (!outside)
        return -ENOMEM;
    *outside = *manifest;
    outside->common.version.incompatible |= PST_FORMAT_SEALED;
    outside->sources_count = outside->unreadable_names_count = 0;
    outside->host = outside->writer = NULL;
    int error = pst_manifest_encode_node(outside, text);
    free(outside);
    return error;
}

static int seal_node(const struct seal_with *with, const char *what,
                     const struct pst_node_manifest *manifest, struct pst_manifest_text *text)
{
    const struct pst_part_identity identity = identity_of(&manifest->common, manifest->node);
    struct pst_manifest_text whole;
    int error = pst_manifest_encode_node(manifest, &whole);
    if (error)
        return error;
    error = encode_open_node(manifest, text);
    if (!error)
        return attach(with, what, &identity, &whole, text);
    free(whole.text);
    return error;
}

int manifest_seal_node(struct pst_sealing *sealing, const struct pst_node_manifest *manifest,
                       struct pst_manifest_text *text)
{
    return seal_node(&(struct seal_with){.sealing = sealing}, NODE, manifest, text);
}

int manifest_seal_draft(struct pst_sealing *sealing, const struct pst_data_key *key,
                        const struct pst_node_manifest *draft, struct pst_manifest_text *text)
{
    return seal_node(&(struct seal_with){sealing, key}, DRAFT, draft, text);
}

static int encode_open_cluster(const struct pst_cluster_manifest *manifest,
                               struct pst_manifest_text *text)
{
    struct pst_cluster_manifest *outside = malloc(sizeof(*outside));
    if (!outside)
        return -ENOMEM;
    *outside = *manifest;
    outside->common.version.incompatible |= PST_FORMAT_SEALED;
    memset(outside->label, 0, sizeof(outside->label));
    int error = pst_manifest_encode_cluster(outside, text);
    free(outside);
    return error;
}

int manifest_seal_cluster(struct pst_sealing *sealing, const struct pst_cluster_manifest *manifest,
                          struct pst_manifest_text *text)
{
    const struct pst_part_identity identity = identity_of(&manifest->common, manifest->master_node);
    struct pst_manifest_text whole;
    int error = pst_manifest_encode_cluster(manifest, &whole);
    if (error)
        return error;
    error = encode_open_cluster(manifest, text);
    if (!error)
        return attach(&(struct seal_with){.sealing = sealing}, CLUSTER, &identity, &whole, text);
    free(whole.text);
    return error;
}

/* ---- opening ---- */

static int detach(const struct pst_data_key *key, const char *what,
                  const struct pst_part_identity *identity, const void *bytes, size_t size,
                  char **whole, size_t *whole_bytes)
{
    struct pst_sealed_text sealed;
    int error = pst_manifest_detach(bytes, size, &sealed.bytes, &sealed.size);
    if (error)
        return error;
    error = pst_data_key_open_text(key, what, identity, &sealed, whole, whole_bytes);
    free(sealed.bytes);
    return error;
}

static bool is_same(const struct pst_manifest_common *a, const struct pst_manifest_common *b)
{
    return memcmp(a->uid, b->uid, sizeof(a->uid)) == 0 && a->number == b->number &&
           a->cluster_id == b->cluster_id;
}

static int open_node(const struct pst_data_key *key, const char *what, const void *bytes,
                     size_t size, struct pst_node_manifest *manifest, struct pst_damage *damage)
{
    const struct pst_part_identity identity = identity_of(&manifest->common, manifest->node);
    char *whole;
    size_t whole_bytes;
    *damage = (struct pst_damage){0, size, "manifest: not what was sealed here"};
    struct pst_node_manifest *inside = malloc(sizeof(*inside));
    if (!inside)
        return -ENOMEM;
    int error = detach(key, what, &identity, bytes, size, &whole, &whole_bytes);
    if (!error) {
        struct pst_damage unused;
        error = pst_manifest_decode_node(whole, whole_bytes, inside, NULL, &unused);
        free(whole);
    }
    if (!error &&
        (!is_same(&inside->common, &manifest->common) || inside->node != manifest->node)) {
        pst_manifest_release_node(inside);
        error = -PST_E_CORRUPT;
    }
    if (!error) {
        pst_manifest_release_node(manifest);
        pst_manifest_copy_node(manifest, inside);
    }
    free(inside);
    return error;
}

int manifest_open_node(const struct pst_data_key *key, const void *bytes, size_t size,
                       struct pst_node_manifest *manifest, struct pst_damage *damage)
{
    return open_node(key, NODE, bytes, size, manifest, damage);
}

int manifest_open_draft(const struct pst_data_key *key, const void *bytes, size_t size,
                        struct pst_node_manifest *draft, struct pst_damage *damage)
{
    return open_node(key, DRAFT, bytes, size, draft, damage);
}

/* Whoever has taken the outer one has room for these nodes, in this order. */
static bool has_same_nodes(const struct pst_cluster_manifest *a,
                           const struct pst_cluster_manifest *b)
{
    bool is_same_list = a->master_node == b->master_node && a->nodes_count == b->nodes_count;
    for (uint32_t i = 0; is_same_list && i < a->nodes_count; i++) {
        const struct pst_manifest_node *one = &a->nodes[i], *other = &b->nodes[i];
        is_same_list = one->node == other->node && one->file_bytes == other->file_bytes &&
                       pst_digest_equal(&one->digest, &other->digest);
    }
    return is_same_list;
}

int manifest_open_cluster(const struct pst_data_key *key, const void *bytes, size_t size,
                          struct pst_cluster_manifest *manifest, struct pst_damage *damage)
{
    const struct pst_part_identity identity = identity_of(&manifest->common, manifest->master_node);
    char *whole;
    size_t whole_bytes;
    *damage = (struct pst_damage){0, size, "manifest: not what was sealed here"};
    struct pst_cluster_manifest *inside = malloc(sizeof(*inside));
    if (!inside)
        return -ENOMEM;
    int error = detach(key, CLUSTER, &identity, bytes, size, &whole, &whole_bytes);
    if (!error) {
        struct pst_damage unused;
        error = pst_manifest_decode_cluster(whole, whole_bytes, inside, NULL, &unused);
        free(whole);
    }
    if (!error &&
        (!is_same(&inside->common, &manifest->common) || !has_same_nodes(inside, manifest)))
        error = -PST_E_CORRUPT;
    if (!error)
        pst_manifest_copy_cluster(manifest, inside);
    free(inside);
    return error;
}
