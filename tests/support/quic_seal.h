/*
 * A client's Initial packet, sealed as anybody can who knows nothing but RFC 9001: the keys come
 * from the connection id in its header. So an attacker reaches what reads frames, and TLS, before
 * any secret counts.
 */
#ifndef PST_TESTS_SUPPORT_QUIC_SEAL_H
#define PST_TESTS_SUPPORT_QUIC_SEAL_H

#include <stddef.h>
#include <stdint.h>

#define QUIC_SEAL_BYTES 1472u
#define QUIC_SEAL_CID_BYTES 8u

struct quic_seal {
    uint8_t to[QUIC_SEAL_CID_BYTES];   /* the connection id that the keys come from */
    uint8_t from[QUIC_SEAL_CID_BYTES]; /* the sender's */
    const uint8_t *token;              /* of a Retry; NULL: none */
    size_t token_bytes;
    uint32_t number; /* of the packet */
};

/* Writes a datagram of 1200 bytes at least into packet, of QUIC_SEAL_BYTES. frames: cut where there
 * is no more room. Returns its size. Aborts where GnuTLS fails. */
size_t quic_seal_initial(const struct quic_seal *seal, const uint8_t *frames, size_t frames_bytes,
                         uint8_t *packet);

/* The token of a Retry from a server of version 1, and the connection id that it has chosen. NULL:
 * it is none. */
const uint8_t *quic_seal_retry(const uint8_t *packet, size_t size_bytes, size_t *token_bytes,
                               uint8_t *chosen);

#endif
