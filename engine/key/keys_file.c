/* Data keys wrapped for recipients, and opened. Called by sealing.c, on the archive's thread, and
 * by engine/repository, on that of a reader. */
#include "engine/key/keys_file.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

#define MAGIC "PSTKKEYS"
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SECRETBOX_BYTES (NONCE_BYTES + PST_KEY_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES)
_Static_assert(SECRETBOX_BYTES <= sizeof(((struct pst_keys_record *)0)->wrapped), "fits");
_Static_assert(crypto_box_SEALBYTES + PST_KEY_BYTES ==
                   sizeof(((struct pst_keys_record *)0)->wrapped),
               "fits");

struct pst_part_identity pst_keys_identity(const uint8_t uid[PST_UID_BYTES], uint32_t number,
                                           uint32_t cluster_id, uint32_t node)
{
    struct pst_part_identity identity = {
        .number = number, .cluster_id = cluster_id, .node = (uint16_t)node, .part = 1, .parts = 1};
    memcpy(identity.uid, uid, sizeof(identity.uid));
    return identity;
}

/* ---- wrapping ---- */

/* What the wrapping of a key by a secret is bound to: its place, and its id. */
struct bound {
    struct pst_part_identity identity;
    uint8_t data_key[PST_DATA_KEY_ID_BYTES];
};

static struct bound bound_of(const struct pst_keys_head *head)
{
    struct bound bound = {.identity = head->identity};
    memcpy(bound.data_key, head->data_key, sizeof(bound.data_key));
    return bound;
}

static void wrap_by_secret(const struct pst_keys_head *head, const uint8_t *secret,
                           const uint8_t *data_key, uint8_t *wrapped)
{
    const struct bound bound = bound_of(head);
    randombytes_buf(wrapped, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(wrapped + NONCE_BYTES, NULL, data_key, PST_KEY_BYTES,
                                               (const uint8_t *)&bound, sizeof(bound), NULL,
                                               wrapped, secret);
}

static void add_record(struct pst_keys_file *file, const struct pst_key *recipient,
                       const uint8_t *data_key)
{
    struct pst_keys_record *record = &file->records[file->head.records_count++];
    record->kind = (uint8_t)recipient->kind;
    memcpy(record->id, recipient->id, sizeof(record->id));
    record->cost = recipient->cost;
    if (recipient->kind == PST_KEY_PUBLIC) {
        int result =
            crypto_box_seal(record->wrapped, data_key, PST_KEY_BYTES, recipient->public_half);
        assert(result == 0); /* keyring.c has asked */
    } else {
        wrap_by_secret(&file->head, recipient->secret, data_key, record->wrapped);
    }
}

static size_t bytes_of(const struct pst_keys_file *file)
{
    return sizeof(file->head) + file->head.records_count * sizeof(file->records[0]);
}

static size_t finish(struct pst_keys_file *file)
{
    size_t bytes = bytes_of(file);
    memset(&file->head.checksum, 0, sizeof(file->head.checksum));
    memset((uint8_t *)file + bytes, 0, sizeof(*file) - bytes);
    file->head.checksum = pst_digest_of(file, bytes, 0);
    return bytes;
}

size_t keys_file_make(const struct pst_keyring *recipients, const struct pst_data_key *key,
                      const struct pst_part_identity *identity, struct pst_keys_file *file)
{
    assert(recipients->count >= 1 && recipients->count <= PST_KEYS_FILE_RECORDS_MAX);
    memset(file, 0, sizeof(*file));
    memcpy(file->head.magic, MAGIC, sizeof(file->head.magic));
    file->head.identity = *identity;
    memcpy(file->head.data_key, key->id, sizeof(file->head.data_key));
    for (uint32_t i = 0; i < recipients->count; i++)
        add_record(file, &recipients->keys[i], key->secret);
    return finish(file);
}

static void drop_records(struct pst_keys_file *file, const uint8_t *id)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < file->head.records_count; i++) {
        if (memcmp(file->records[i].id, id, PST_KEY_ID_BYTES) != 0)
            file->records[left++] = file->records[i];
    }
    file->head.records_count = left;
}

/* A record that names the recipient already goes: whether it opens, only its owner could say. */
size_t pst_keys_file_add(const struct pst_keyring *recipients, const struct pst_data_key *key,
                         struct pst_keys_file *file)
{
    assert(memcmp(file->head.data_key, key->id, sizeof(key->id)) == 0);
    for (uint32_t i = 0; i < recipients->count; i++) {
        drop_records(file, recipients->keys[i].id);
        if (file->head.records_count == PST_KEYS_FILE_RECORDS_MAX)
            return 0;
        add_record(file, &recipients->keys[i], key->secret);
    }
    return finish(file);
}

size_t pst_keys_file_remove(const uint8_t id[PST_KEY_ID_BYTES], struct pst_keys_file *file)
{
    drop_records(file, id);
    return file->head.records_count > 0 ? finish(file) : 0;
}

/* ---- reading ---- */

static int damaged(struct pst_damage *damage, uint64_t offset, uint64_t bytes, const char *what,
                   int error)
{
    *damage = (struct pst_damage){.offset = offset, .bytes = bytes, .what = what};
    return error;
}

static int check_length(const struct pst_keys_file *file, size_t size, struct pst_damage *damage)
{
    uint32_t count = file->head.records_count;
    if (size < sizeof(file->head))
        return damaged(damage, size, sizeof(file->head) - size, "keys", -PST_E_TRUNCATED);
    if (memcmp(file->head.magic, MAGIC, sizeof(file->head.magic)) != 0)
        return damaged(damage, 0, sizeof(file->head.magic), "keys", -PST_E_CORRUPT);
    if (count < 1 || count > PST_KEYS_FILE_RECORDS_MAX)
        return damaged(damage, 0, sizeof(file->head), "keys", -PST_E_CORRUPT);
    if (size < bytes_of(file))
        return damaged(damage, size, bytes_of(file) - size, "keys", -PST_E_TRUNCATED);
    if (size > bytes_of(file))
        return damaged(damage, bytes_of(file), size - bytes_of(file), "bytes after the keys",
                       -PST_E_CORRUPT);
    return 0;
}

int pst_keys_file_check(const void *bytes, size_t size, const struct pst_part_identity *identity,
                        struct pst_keys_file *file, struct pst_damage *damage)
{
    memset(file, 0, sizeof(*file));
    memcpy(file, bytes, size < sizeof(*file) ? size : sizeof(*file));
    int error = check_length(file, size, damage);
    if (error)
        return error;
    const struct pst_digest stored = file->head.checksum;
    memset(&file->head.checksum, 0, sizeof(file->head.checksum));
    const struct pst_digest found = pst_digest_of(file, size, 0);
    file->head.checksum = stored;
    if (!pst_digest_equal(&found, &stored))
        return damaged(damage, 0, size, "keys", -PST_E_CORRUPT);
    if (file->head.incompatible)
        return damaged(damage, offsetof(struct pst_keys_head, incompatible), 4, "version",
                       -PST_E_NEWER);
    if (memcmp(&file->head.identity, identity, sizeof(*identity)) != 0)
        return damaged(damage, offsetof(struct pst_keys_head, identity), sizeof(*identity),
                       "keys of another backup or node", -PST_E_MISPLACED);
    return 0;
}

static bool unwrap_by_secret(const struct pst_keys_head *head, const struct pst_keys_record *record,
                             const uint8_t *wrapping, uint8_t *secret)
{
    const struct bound bound = bound_of(head);
    return crypto_aead_xchacha20poly1305_ietf_decrypt(
               secret, NULL, NULL, record->wrapped + NONCE_BYTES, SECRETBOX_BYTES - NONCE_BYTES,
               (const uint8_t *)&bound, sizeof(bound), record->wrapped, wrapping) == 0;
}

/* 0 and secret, PST_KEY_BYTES, behind which there are as many more; a passphrase that does not fit
 * is one of another key. */
static int unwrap(const struct pst_keys_head *head, const struct pst_keys_record *record,
                  const struct pst_key *key, uint8_t *secret)
{
    if (record->kind == PST_KEY_PUBLIC)
        return crypto_box_seal_open(secret, record->wrapped, sizeof(record->wrapped),
                                    key->public_half, key->secret)
                   ? -PST_E_CORRUPT
                   : 0;
    if (record->kind == PST_KEY_FILE)
        return unwrap_by_secret(head, record, key->secret, secret) ? 0 : -PST_E_CORRUPT;
    uint8_t *wrapping = secret + PST_KEY_BYTES;
    int error = passphrase_stretch(key->passphrase, &record->cost, wrapping);
    if (error)
        return error;
    return unwrap_by_secret(head, record, wrapping, secret) ? 0 : -PST_E_NO_KEY;
}

static const struct pst_key *find_key(const struct pst_keyring *keyring,
                                      const struct pst_keys_record *record)
{
    for (uint32_t i = 0; i < keyring->count; i++) {
        const struct pst_key *key = &keyring->keys[i];
        bool is_it = key->kind == PST_KEY_PASSPHRASE ||
                     (key->secret && memcmp(key->id, record->id, sizeof(key->id)) == 0);
        if (is_it && key->kind == record->kind)
            return key;
    }
    return NULL;
}

static int open_by(const struct pst_keys_file *file, const struct pst_keyring *keyring,
                   uint8_t *secret, struct pst_data_key *key)
{
    int error = -PST_E_NO_KEY;
    for (uint32_t i = 0; i < file->head.records_count; i++) {
        const struct pst_keys_record *record = &file->records[i];
        const struct pst_key *known = find_key(keyring, record);
        if (!known)
            continue;
        error = unwrap(&file->head, record, known, secret);
        if (error == -ENOMEM)
            return error;
        if (error)
            continue;
        error = data_key_take(key, secret);
        if (error || memcmp(key->id, file->head.data_key, sizeof(key->id)) == 0)
            return error;
        pst_data_key_release(key);
        error = -PST_E_CORRUPT;
    }
    return error;
}

int pst_keys_file_open(const struct pst_keys_file *file, const struct pst_keyring *keyring,
                       struct pst_data_key *key)
{
    *key = (struct pst_data_key){0};
    uint8_t *secret = pst_secret_make(2 * PST_KEY_BYTES);
    if (!secret)
        return -ENOMEM;
    int error = open_by(file, keyring, secret, key);
    pst_secret_free(secret);
    return error;
}

static int is_for(const struct pst_keys_file *file, const struct pst_key *key)
{
    struct pst_keyring alone = {.count = 1, .keys = {*key}};
    struct pst_data_key opened;
    for (uint32_t i = 0; key->kind != PST_KEY_PASSPHRASE && i < file->head.records_count; i++) {
        const struct pst_keys_record *record = &file->records[i];
        if (record->kind == key->kind && memcmp(record->id, key->id, sizeof(key->id)) == 0)
            return 1;
    }
    int error =
        key->kind == PST_KEY_PASSPHRASE ? pst_keys_file_open(file, &alone, &opened) : -PST_E_NO_KEY;
    if (!error)
        pst_data_key_release(&opened);
    return error == -ENOMEM ? error : !error;
}

int pst_keys_file_is_for_all(const struct pst_keys_file *file, const struct pst_keyring *keyring)
{
    int is = 1;
    for (uint32_t i = 0; is > 0 && i < keyring->count; i++)
        is = is_for(file, &keyring->keys[i]);
    return is;
}
