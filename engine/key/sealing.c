/* The data key of the backup that a node has in work. Begun and ended by the archive, on its
 * thread; LDMs begin their parts with it, on theirs. */
#include "engine/key/sealing.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/seal.h"

struct pst_sealing {
    const struct pst_keyring *recipients;
    uint8_t *part_key; /* while one is derived */
    pthread_mutex_t mutex;
    uint8_t uid[PST_UID_BYTES];
    struct pst_data_key key; /* no secret: no backup is in work */
};

int pst_sealing_open(const struct pst_keyring *recipients, struct pst_sealing **sealing)
{
    *sealing = NULL;
    if (!recipients)
        return 0;
    struct pst_sealing *made = calloc(1, sizeof(*made));
    if (!made)
        return -ENOMEM;
    made->recipients = recipients;
    made->part_key = pst_secret_make(PST_KEY_BYTES);
    if (!made->part_key) {
        free(made);
        return -ENOMEM;
    }
    pthread_mutex_init(&made->mutex, NULL);
    *sealing = made;
    return 0;
}

void pst_sealing_close(struct pst_sealing *sealing)
{
    if (!sealing)
        return;
    pst_data_key_release(&sealing->key);
    pst_secret_free(sealing->part_key);
    pthread_mutex_destroy(&sealing->mutex);
    free(sealing);
}

int pst_sealing_begin(struct pst_sealing *sealing, const uint8_t uid[PST_UID_BYTES])
{
    struct pst_data_key key;
    int error = data_key_make(&key);
    if (error)
        return error;
    pthread_mutex_lock(&sealing->mutex);
    pst_data_key_release(&sealing->key);
    sealing->key = key;
    memcpy(sealing->uid, uid, sizeof(sealing->uid));
    pthread_mutex_unlock(&sealing->mutex);
    return 0;
}

void pst_sealing_end(struct pst_sealing *sealing)
{
    pthread_mutex_lock(&sealing->mutex);
    pst_data_key_release(&sealing->key);
    pthread_mutex_unlock(&sealing->mutex);
}

int pst_sealing_begin_part(void *context, struct pst_part_header *header, struct pst_sealed *sealed)
{
    struct pst_sealing *sealing = context;
    int error = -PST_E_WRONG_STATE;
    pthread_mutex_lock(&sealing->mutex);
    if (sealing->key.secret &&
        memcmp(sealing->uid, header->head.identity.uid, sizeof(sealing->uid)) == 0) {
        pst_data_key_begin_part(&sealing->key, header, sealing->part_key);
        pst_sealed_set_key(sealed, sealing->part_key);
        error = 0;
    }
    pthread_mutex_unlock(&sealing->mutex);
    return error;
}

size_t pst_sealing_keys(struct pst_sealing *sealing, const struct pst_part_identity *identity,
                        struct pst_keys_file *file)
{
    pthread_mutex_lock(&sealing->mutex);
    assert(sealing->key.secret);
    size_t bytes = keys_file_make(sealing->recipients, &sealing->key, identity, file);
    pthread_mutex_unlock(&sealing->mutex);
    return bytes;
}

int pst_sealing_text(struct pst_sealing *sealing, const char *what,
                     const struct pst_part_identity *identity, const void *text, size_t bytes,
                     struct pst_sealed_text *sealed)
{
    pthread_mutex_lock(&sealing->mutex);
    assert(sealing->key.secret);
    int error = pst_data_key_seal_text(&sealing->key, what, identity, text, bytes, sealed);
    pthread_mutex_unlock(&sealing->mutex);
    return error;
}
