/*
 * The base of a backup: an earlier one of the same node and sources, whose bytes the new one refers
 * to where nothing has changed (docs/adr/0042); beside it, or in its place, what is kept of backups
 * that were cut off (docs/adr/0046). Chosen and read before a backup begins, on the archive's
 * thread; then looked at by sources' threads and LDMs.
 */
#ifndef PST_ENGINE_REPOSITORY_BASE_H
#define PST_ENGINE_REPOSITORY_BASE_H

#include <stdatomic.h>

#include "engine/format/references.h"
#include "engine/repository/base_files.h"
#include "engine/repository/base_runs.h"
#include "engine/repository/catalog.h"

/* What a backup refers to in earlier ones, all nodes together. */
struct pst_referred {
    uint64_t backup;        /* the first 8 bytes of its uid; 0: not known of any */
    uint32_t base;          /* number of this node's; 0: it has none */
    uint32_t nodes_unknown; /* whose manifests do not lie in this node's directory: not in bytes */
    uint64_t bytes;
};

/* What the user wants; all zeros: no base. */
enum pst_base_mode { PST_BASE_NONE, PST_BASE_AUTO, PST_BASE_ID };
struct pst_base_policy {
    enum pst_base_mode mode;
    const char *id;      /* ID: a number, or the beginning of a uid */
    uint32_t full_every; /* AUTO: of so many backups one has no base; 0: there is no limit */
    bool rehash;         /* all files are read */
    /* So long a file was as it is when its base began, or it is read; 0: base_trust_after_ns. */
    uint64_t trust_after_ns;
};

/* Whose base it is to be. */
struct pst_base_seeker {
    const struct pst_base_policy *policy;
    const char *directory;                    /* of the backups */
    const struct pst_keyring *keyring;        /* of sealed ones; NULL: the new one is not sealed */
    const struct pst_node_manifest *manifest; /* as far as it is known before the backup */
    uint64_t now_unix_ns;
};

/* What was referred to of an origin; of each one, as origins. */
struct pst_base_use {
    _Atomic uint64_t bytes;
    _Atomic uint64_t objects;
    _Atomic uint64_t last; /* object that has some there */
};

/* A backup that was read, and is held. */
struct pst_base_layer {
    const struct pst_backup *backup; /* of the list */
    uint32_t node_index;
    uint32_t own; /* index of the backup itself among the origins */
    struct pst_backup_hold hold;
};

/* Backups of which each was cut off before it had all that the one before had kept. */
#define PST_BASE_LAYERS_MAX 16u

struct pst_base {
    struct pst_backup_list list;
    uint32_t layers_count; /* the one that is named first, then what was cut off, newest first */
    struct pst_base_layer layers[PST_BASE_LAYERS_MAX];
    bool is_held;
    bool rehash;
    uint64_t trust_after_ns;
    size_t young; /* files of the last layer that were not as they are for so long */
    struct pst_manifest_base named;
    uint32_t origins_count;
    struct pst_origin origins[PST_ORIGINS_MAX];
    struct pst_base_use uses[PST_ORIGINS_MAX];
    struct base_files files;
    struct base_runs runs;
};

/* Chooses the base, keeps prune off it, and reads what the new backup needs of it. *base NULL:
 * there is none, and why is logged where that is not what was asked for. An error: the one that is
 * wanted by its ID cannot be had, which is logged; or -ENOMEM. */
PST_MUST_USE int base_open(const struct pst_base_seeker *seeker, struct pst_base **base);

/* Whether the backup that the policy names could be the base, as far as that is known without
 * reading it. Changes nothing. 0, or an error with message (PST_MESSAGE_BYTES). Any thread. */
PST_MUST_USE int pst_base_check(const struct pst_base_seeker *seeker, char *message);

/* prune may have it from now on; what was read of it stays. */
void pst_base_let_go(struct pst_base *base);
void pst_base_close(struct pst_base *base); /* NULL is allowed */

/* Whether a file of a source is as it was in the base: *place is where, and *bytes are its data.
 * Any thread. */
bool pst_base_find(const struct pst_base *base, const char *source, const struct pst_object *object,
                   const struct pst_object_identity *identity, uint64_t *place, uint64_t *bytes);

/* The references of an object to what is at a place, one by one: of a file in runs there are
 * several. *next is 0 at the first, and false comes after the last. Any thread. */
bool pst_base_next_reference(const struct pst_base *base, uint64_t place, uint64_t object,
                             uint64_t *next, struct pst_reference *reference);

/* The place in the base of what is known of the large file, or the environment, of this path; 0:
 * nothing is. Any thread. */
uint64_t pst_base_object(const struct pst_base *base, const char *source,
                         const struct pst_object *object);

/* Sets all but the object of a reference to the run that has these bytes, of an object at a place;
 * false: none has. Any thread. */
bool pst_base_run(const struct pst_base *base, uint64_t base_object, uint64_t offset,
                  uint64_t bytes, const uint8_t hash[PST_REFERENCE_HASH_BYTES],
                  struct pst_reference *reference);

/* Counts a reference that was written. Any thread. */
void pst_base_note_use(struct pst_base *base, const struct pst_reference *reference);

/* The origins that were referred to, for the manifest, and in its version whether their parts have
 * tails. After all LDMs have ended. */
uint32_t base_uses(const struct pst_base *base, struct pst_manifest_origin origins[PST_ORIGINS_MAX],
                   struct pst_manifest_version *version);

/* Whether two shares of backups are of the same node's sources, by their names: only then one can
 * be the other's base. */
bool base_is_same_series(const struct pst_node_manifest *one,
                         const struct pst_node_manifest *other);

/* ---- between base.c and base_load.c ---- */

/* Adds origins, files and runs of the last layer. Damage, and whatever else keeps it from being
 * read, is an error, and why is in message (PST_MESSAGE_BYTES); then nothing of it was added but
 * origins, which is no harm. */
PST_MUST_USE int base_load(struct pst_base *base, char *message);

#endif
