/*
 * The keys that a command was given, by files: those that backups are sealed for, or those that
 * open them. Secrets lie in memory of pst_secret_make().
 *
 * Blocking, for it reads files; one thread until it is filled, then any that only read it.
 */
#ifndef PST_ENGINE_KEY_KEYRING_H
#define PST_ENGINE_KEY_KEYRING_H

#include "engine/key/data_key.h"
#include "penstock/run.h"

#define PST_KEYRING_MAX 16u
#define PST_KEY_ID_BYTES 8u
#define PST_KEY_ID_TEXT_BYTES (2 * PST_KEY_ID_BYTES + 1)

/* As stored in a file of keys. */
enum pst_key_kind {
    PST_KEY_FILE = 1,       /* of 32 random bytes, which seal and open */
    PST_KEY_PUBLIC = 2,     /* of a pair, X25519: the public half seals, the secret one opens */
    PST_KEY_PASSPHRASE = 3, /* Argon2id makes a key of it */
};

/* How that key is made, as stored. */
struct pst_passphrase_cost {
    uint8_t salt[16];
    uint64_t memory_bytes;
    uint64_t passes;
};

struct pst_key {
    enum pst_key_kind kind;
    uint8_t id[PST_KEY_ID_BYTES];
    uint8_t public_half[PST_KEY_BYTES]; /* PUBLIC */
    uint8_t *secret;  /* NULL: the public half alone, or a passphrase that was not prepared */
    char *passphrase; /* PASSPHRASE: in memory for secrets */
    struct pst_passphrase_cost cost; /* of secret, likewise */
};

struct pst_keyring {
    uint32_t count;
    struct pst_key keys[PST_KEYRING_MAX];
};

/* Reads the keys that are named into one keyring, NULL where none is; it is freed by
 * pst_keyring_release(). -EINVAL, -EPERM, -errno with message (PST_MESSAGE_BYTES), which names the
 * file and no byte of it; -ECANCELED: instead of a passphrase Ctrl-C or a signal came, or cancel_fd
 * (-1: none) became readable. */
PST_MUST_USE int pst_keyring_read(const struct pst_keys *named, int cancel_fd,
                                  struct pst_keyring **keyring, char *message);

/* Makes the key of a passphrase, which takes 64 MiB and a part of a second, so that the ring can
 * seal. -ENOMEM; -EINVAL: a key that can be guessed; with message. */
PST_MUST_USE int pst_keyring_prepare(struct pst_keyring *keyring, char *message);

/* Makes the PST_KEY_BYTES of a passphrase at this cost. -PST_E_CORRUPT: no writer ever chose that;
 * -ENOMEM. */
PST_MUST_USE int passphrase_stretch(const char *passphrase, const struct pst_passphrase_cost *cost,
                                    uint8_t *secret);

/* Whether any of its keys opens what is sealed for it: public halves do not. */
bool pst_keyring_opens(const struct pst_keyring *keyring);

/* NULL is allowed. */
void pst_keyring_release(struct pst_keyring *keyring);

/* "a1b2c3d4e5f60718", in text; returns it. */
const char *pst_key_id_text(const uint8_t id[PST_KEY_ID_BYTES], char text[PST_KEY_ID_TEXT_BYTES]);

/* Makes path, which must not exist, with mode 0600 and a random key; a pair: the secret half, and
 * the public one in PATH.pub. 0, or -errno with message; nothing is left then. */
PST_MUST_USE int pst_key_pair_make(const char *path, char *message);

#endif
