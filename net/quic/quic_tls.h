/*
 * The handshake of the quic fabric: TLS 1.3 with the cluster's key as an external pre-shared key
 * (RFC 8446, section 4.2.11), an ephemeral X25519 exchange, and no certificates. The hub's thread
 * alone.
 */
#ifndef PST_NET_QUIC_QUIC_TLS_H
#define PST_NET_QUIC_QUIC_TLS_H

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdbool.h>

#include "net/quic/quic_wire.h"

#define QUIC_IDENTITY_BYTES 18u /* "01234567-89abcdef" */
#define QUIC_SECRET_BYTES 32u

/* Of a fabric. */
struct quic_tls {
    const struct pst_quic_network *network;
    char identities[PST_CLUSTER_KEYS_MAX]
                   [QUIC_IDENTITY_BYTES]; /* the cluster's id, and whose key */
    gnutls_psk_client_credentials_t client;
    gnutls_psk_server_credentials_t server;
    uint8_t secret[QUIC_SECRET_BYTES]; /* of the tokens that a node gives out, in any life */
};

/* Of a connection. Begins with what ngtcp2 expects behind a session's pointer. */
struct quic_handshake {
    ngtcp2_crypto_conn_ref ref;
    const struct quic_tls *tls;
    gnutls_session_t session;
    /* The server: why the client's key was refused, and the alert that tells the client as much as
     * may be told to somebody without the key. "": it was not */
    char fault[QUIC_REASON_BYTES];
    gnutls_alert_description_t alert;
};

/* tls is all zeros; network must outlive it. 0 or -ENOMEM. Close it in any case. */
PST_MUST_USE int quic_tls_open(struct quic_tls *tls, const struct pst_quic_network *network,
                               const struct pst_fabric_hello *hello);
void quic_tls_close(struct quic_tls *tls);

/* Of an identity: the digits by which a cluster's id and a key are told apart. */
const char *quic_tls_key_mark(const char *identity);

/* Makes the session; handshake->ref is the caller's, already set, and handshake must not move.
 * 0 or -ENOMEM. */
PST_MUST_USE int quic_tls_begin(const struct quic_tls *tls, bool is_server,
                                struct quic_handshake *handshake);
void quic_tls_end(struct quic_handshake *handshake);

void quic_random(void *bytes, size_t count);

#endif
