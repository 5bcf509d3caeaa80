/* Seals Initial packets (RFC 9001, sections 5.2 to 5.4). Called by fuzz targets and attackers of
 * the tests. */
#include "tests/support/quic_seal.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_BYTES 32u
#define KEY_BYTES 16u
#define IV_BYTES 12u
#define TAG_BYTES 16u
#define NUMBER_BYTES 4u
#define DATAGRAM_BYTES_MIN 1200u
#define TOKEN_BYTES_MAX 256u

static const uint8_t salt[] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                               0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};

static void must(int error)
{
    if (error >= 0)
        return;
    (void)fprintf(stderr, "quic_seal: %s\n", gnutls_strerror(error));
    abort();
}

static gnutls_datum_t datum(const void *bytes, size_t count)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)bytes, (unsigned)count};
}

/* HKDF-Expand-Label of RFC 8446. */
static void expand(const uint8_t *secret, const char *label, uint8_t *made, size_t bytes)
{
    uint8_t info[64];
    int count = snprintf((char *)info + 3, sizeof(info) - 3, "tls13 %s", label);
    info[0] = 0;
    info[1] = (uint8_t)bytes;
    info[2] = (uint8_t)count;
    info[3 + count] = 0;
    const gnutls_datum_t key = datum(secret, SECRET_BYTES), all = datum(info, 4 + (size_t)count);
    must(gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &all, made, bytes));
}

static void derive_client_secret(const uint8_t *cid, uint8_t *secret)
{
    uint8_t initial[SECRET_BYTES];
    const gnutls_datum_t key = datum(cid, QUIC_SEAL_CID_BYTES), with = datum(salt, sizeof(salt));
    must(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &key, &with, initial));
    expand(initial, "client in", secret, SECRET_BYTES);
}

static size_t put(uint8_t *packet, size_t at, const void *bytes, size_t count)
{
    if (count > 0)
        memcpy(packet + at, bytes, count);
    return at + count;
}

static size_t put_u16(uint8_t *packet, size_t at, size_t value, uint8_t prefix)
{
    packet[at] = (uint8_t)(value >> 8 | prefix);
    packet[at + 1] = (uint8_t)value;
    return at + 2;
}

/* Up to the packet's number, without it. */
static size_t put_header(const struct quic_seal *seal, size_t token_bytes, uint8_t *packet)
{
    static const uint8_t first[] = {0xc0 | (NUMBER_BYTES - 1), 0, 0, 0, 1, QUIC_SEAL_CID_BYTES};
    static const uint8_t cid_bytes = QUIC_SEAL_CID_BYTES;
    size_t at = put(packet, 0, first, sizeof(first));
    at = put(packet, at, seal->to, sizeof(seal->to));
    at = put(packet, at, &cid_bytes, 1);
    at = put(packet, at, seal->from, sizeof(seal->from));
    at = put_u16(packet, at, token_bytes, 0x40);
    return put(packet, at, seal->token, token_bytes);
}

static void encrypt(const uint8_t *secret, uint32_t number, uint8_t *packet, size_t header_bytes,
                    size_t frames_bytes)
{
    uint8_t key[KEY_BYTES], iv[IV_BYTES], plain[QUIC_SEAL_BYTES];
    gnutls_aead_cipher_hd_t cipher;
    size_t sealed_bytes = frames_bytes + TAG_BYTES;
    expand(secret, "quic key", key, sizeof(key));
    expand(secret, "quic iv", iv, sizeof(iv));
    for (uint32_t i = 0; i < NUMBER_BYTES; i++)
        iv[IV_BYTES - 1 - i] ^= (uint8_t)(number >> 8 * i);
    memcpy(plain, packet + header_bytes, frames_bytes);
    const gnutls_datum_t datum_of_key = datum(key, sizeof(key));
    must(gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_GCM, &datum_of_key));
    must(gnutls_aead_cipher_encrypt(cipher, iv, sizeof(iv), packet, header_bytes, TAG_BYTES, plain,
                                    frames_bytes, packet + header_bytes, &sealed_bytes));
    gnutls_aead_cipher_deinit(cipher);
}

/* One block by AES-ECB: CBC from an initial vector of zeros. */
static void protect_header(const uint8_t *secret, uint8_t *packet, size_t number_at)
{
    uint8_t key[KEY_BYTES], zeros[16] = {0}, mask[16];
    gnutls_cipher_hd_t cipher;
    expand(secret, "quic hp", key, sizeof(key));
    const gnutls_datum_t datum_of_key = datum(key, sizeof(key)), iv = datum(zeros, sizeof(zeros));
    memcpy(mask, packet + number_at + NUMBER_BYTES, sizeof(mask));
    must(gnutls_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_CBC, &datum_of_key, &iv));
    must(gnutls_cipher_encrypt(cipher, mask, sizeof(mask)));
    gnutls_cipher_deinit(cipher);
    packet[0] ^= mask[0] & 0x0f;
    for (uint32_t i = 0; i < NUMBER_BYTES; i++)
        packet[number_at + i] ^= mask[1 + i];
}

size_t quic_seal_initial(const struct quic_seal *seal, const uint8_t *frames, size_t frames_bytes,
                         uint8_t *packet)
{
    uint8_t secret[SECRET_BYTES];
    size_t token_bytes = !seal->token                          ? 0
                         : seal->token_bytes < TOKEN_BYTES_MAX ? seal->token_bytes
                                                               : TOKEN_BYTES_MAX;
    size_t length_at = put_header(seal, token_bytes, packet), number_at = length_at + 2;
    size_t frames_at = number_at + NUMBER_BYTES, room = QUIC_SEAL_BYTES - frames_at - TAG_BYTES;
    size_t least = DATAGRAM_BYTES_MIN - frames_at - TAG_BYTES;
    size_t count = frames_bytes < room ? frames_bytes : room,
           padded = count > least ? count : least;
    put_u16(packet, length_at, NUMBER_BYTES + padded + TAG_BYTES, 0x40);
    for (uint32_t i = 0; i < NUMBER_BYTES; i++)
        packet[number_at + i] = (uint8_t)(seal->number >> 8 * (NUMBER_BYTES - 1 - i));
    put(packet, frames_at, frames, count);
    memset(packet + frames_at + count, 0, padded - count); /* PADDING */
    derive_client_secret(seal->to, secret);
    encrypt(secret, seal->number, packet, frames_at, padded);
    protect_header(secret, packet, number_at);
    return frames_at + padded + TAG_BYTES;
}

const uint8_t *quic_seal_retry(const uint8_t *packet, size_t size_bytes, size_t *token_bytes,
                               uint8_t *chosen)
{
    static const uint8_t version[] = {0, 0, 0, 1, QUIC_SEAL_CID_BYTES};
    size_t at = 1 + sizeof(version) + QUIC_SEAL_CID_BYTES;
    if (size_bytes < at + 1 + QUIC_SEAL_CID_BYTES + TAG_BYTES || (packet[0] & 0xf0) != 0xf0 ||
        memcmp(packet + 1, version, sizeof(version)) != 0 || packet[at] != QUIC_SEAL_CID_BYTES)
        return NULL;
    memcpy(chosen, packet + at + 1, QUIC_SEAL_CID_BYTES);
    at += 1 + QUIC_SEAL_CID_BYTES;
    *token_bytes = size_bytes - at - TAG_BYTES;
    return packet + at;
}
