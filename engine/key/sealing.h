/*
 * What a node seals its backups with: the recipients, and the data key of the backup in work, which
 * the archive makes when the backup begins and forgets when it ends, and of which each LDM derives
 * the keys of its parts.
 *
 * Any thread of the node: a lock is inside, held for microseconds.
 */
#ifndef PST_ENGINE_KEY_SEALING_H
#define PST_ENGINE_KEY_SEALING_H

#include "engine/key/keys_file.h"

struct pst_sealing;

/* recipients: borrowed; NULL: *sealing is NULL, and nothing is sealed. -ENOMEM. */
PST_MUST_USE int pst_sealing_open(const struct pst_keyring *recipients,
                                  struct pst_sealing **sealing);
void pst_sealing_close(struct pst_sealing *sealing);

/* A backup begins: makes its data key, and forgets that of any other. -ENOMEM. */
PST_MUST_USE int pst_sealing_begin(struct pst_sealing *sealing, const uint8_t uid[PST_UID_BYTES]);

/* It has ended: the key is cleared. */
void pst_sealing_end(struct pst_sealing *sealing);

/* A part begins, of which header's fields are set: fills in the others, and sets the part's key in
 * sealed. -PST_E_WRONG_STATE: no backup of this uid is in work. context: a struct pst_sealing. */
PST_MUST_USE int pst_sealing_begin_part(void *context, struct pst_part_header *header,
                                        struct pst_sealed *sealed);

/* The file of keys of the backup in work; its length. */
size_t pst_sealing_keys(struct pst_sealing *sealing, const struct pst_part_identity *identity,
                        struct pst_keys_file *file);

/* pst_data_key_seal_text() with the key of the backup in work. */
PST_MUST_USE int pst_sealing_text(struct pst_sealing *sealing, const char *what,
                                  const struct pst_part_identity *identity, const void *text,
                                  size_t bytes, struct pst_sealed_text *sealed);

#endif
