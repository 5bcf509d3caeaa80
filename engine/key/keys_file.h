/*
 * The file that holds the data key of what a node wrote, wrapped for each recipient, any of whom
 * opens the backup. docs/format.md. It is not covered by a manifest, so that recipients can be
 * added and removed.
 *
 * Pure, but for memory; any thread.
 */
#ifndef PST_ENGINE_KEY_KEYS_FILE_H
#define PST_ENGINE_KEY_KEYS_FILE_H

#include "engine/key/keyring.h"

#define PST_KEYS_FILE_RECORDS_MAX 64u

struct pst_keys_record {
    uint8_t kind; /* enum pst_key_kind */
    uint8_t reserved1[7];
    uint8_t id[PST_KEY_ID_BYTES];    /* of the recipient's key */
    struct pst_passphrase_cost cost; /* PASSPHRASE */
    uint8_t wrapped[80];             /* the data key; but for kind PUBLIC 72 bytes of it */
};

struct pst_keys_head {
    uint8_t magic[8]; /* "PSTKKEYS" */
    uint32_t compatible;
    uint32_t read_only_compatible;
    uint32_t incompatible;
    uint32_t records_count;            /* 1…PST_KEYS_FILE_RECORDS_MAX */
    struct pst_digest checksum;        /* of the whole file, this field zero */
    struct pst_part_identity identity; /* part, parts: 1 */
    uint8_t data_key[PST_DATA_KEY_ID_BYTES];
    uint8_t reserved[40];
};

_Static_assert(sizeof(struct pst_keys_record) == 128, "docs/format.md");
_Static_assert(offsetof(struct pst_keys_record, wrapped) == 48, "docs/format.md");
_Static_assert(sizeof(struct pst_keys_head) == 128, "docs/format.md");
_Static_assert(offsetof(struct pst_keys_head, checksum) == 24, "docs/format.md");
_Static_assert(offsetof(struct pst_keys_head, identity) == 40, "docs/format.md");
_Static_assert(offsetof(struct pst_keys_head, data_key) == 72, "docs/format.md");

#define PST_KEYS_FILE_BYTES_MAX                                                                    \
    (sizeof(struct pst_keys_head) + PST_KEYS_FILE_RECORDS_MAX * sizeof(struct pst_keys_record))

/* A whole file. */
struct pst_keys_file {
    struct pst_keys_head head;
    struct pst_keys_record records[PST_KEYS_FILE_RECORDS_MAX];
};

/* Which backup and node a file is of. */
struct pst_part_identity pst_keys_identity(const uint8_t uid[PST_UID_BYTES], uint32_t number,
                                           uint32_t cluster_id, uint32_t node);

/* Wraps the key for all of the ring, one at least; it is prepared (keyring.h). Returns the file's
 * length. */
size_t keys_file_make(const struct pst_keyring *recipients, const struct pst_data_key *key,
                      const struct pst_part_identity *identity, struct pst_keys_file *file);

/* Wraps the key, which the file is of, for those of the ring that are not in it yet. Returns the
 * length; 0: there would be too many. */
size_t pst_keys_file_add(const struct pst_keyring *recipients, const struct pst_data_key *key,
                         struct pst_keys_file *file);

/* Takes out the records of that id. Returns the length; 0: none would be left. */
size_t pst_keys_file_remove(const uint8_t id[PST_KEY_ID_BYTES], struct pst_keys_file *file);

/* Takes arbitrary bytes. -PST_E_CORRUPT, -PST_E_TRUNCATED, -PST_E_NEWER, -PST_E_MISPLACED (of
 * another backup or node), with *damage. */
PST_MUST_USE int pst_keys_file_check(const void *bytes, size_t size,
                                     const struct pst_part_identity *identity,
                                     struct pst_keys_file *file, struct pst_damage *damage);

/* Opens the data key of a file that is whole with any key of the ring. -PST_E_NO_KEY: none of them
 * does; -PST_E_CORRUPT: one is named, and does not; -ENOMEM. */
PST_MUST_USE int pst_keys_file_open(const struct pst_keys_file *file,
                                    const struct pst_keyring *keyring, struct pst_data_key *key);

/* Whether each key of the ring opens a file that is whole: of a key file and a pair their ids say
 * so, a passphrase is tried. 1, 0, or -ENOMEM. */
PST_MUST_USE int pst_keys_file_is_for_all(const struct pst_keys_file *file,
                                          const struct pst_keyring *keyring);

#endif
