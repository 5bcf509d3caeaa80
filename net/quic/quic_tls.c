/*
 * Sets up GnuTLS for the connections of quic_link.c, on the hub's thread.
 */
#include "net/quic/quic_tls.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No key exchange but one with both the key and an ephemeral secret; no certificates to fall back
 * to; of the ciphers the fastest first. */
#define PRIORITIES                                                                                 \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"      \
    "-GROUP-ALL:+GROUP-X25519:-KX-ALL:+ECDHE-PSK:+DHE-PSK:%DISABLE_TLS13_COMPAT_MODE"

#define MARK_OFFSET 9u /* of the key's digits in an identity */

void quic_random(void *bytes, size_t count)
{
    if (gnutls_rnd(GNUTLS_RND_NONCE, bytes, count) < 0)
        abort(); /* GnuTLS has no source of randomness: nothing here is safe any more */
}

static int derive(const uint8_t *key, const char *text, uint8_t *made)
{
    return gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, PST_CLUSTER_KEY_BYTES, text, strlen(text),
                            made);
}

char *pst_quic_key_mark(const uint8_t *key, char *text)
{
    uint8_t mark[32];
    if (derive(key, "penstock: which key", mark) < 0)
        abort(); /* GnuTLS has no HMAC */
    (void)snprintf(text, PST_KEY_MARK_BYTES, "%02x%02x%02x%02x", mark[0], mark[1], mark[2],
                   mark[3]);
    return text;
}

static void name_key(const uint8_t *key, uint32_t cluster_id, char *identity)
{
    char mark[PST_KEY_MARK_BYTES];
    (void)snprintf(identity, QUIC_IDENTITY_BYTES, "%08x-%s", cluster_id,
                   pst_quic_key_mark(key, mark));
}

const char *quic_tls_key_mark(const char *identity)
{
    return identity + MARK_OFFSET;
}

/* Anybody can offer anything: what is repeated in the log has the form of an identity. */
static bool is_identity(const char *text)
{
    static const char digits[] = "0123456789abcdef";
    return strlen(text) == QUIC_IDENTITY_BYTES - 1 && strspn(text, digits) == MARK_OFFSET - 1 &&
           text[MARK_OFFSET - 1] == '-' && strspn(text + MARK_OFFSET, digits) == 8;
}

static void refuse_key(struct quic_handshake *handshake, const char *identity)
{
    const struct quic_tls *tls = handshake->tls;
    const char *own = tls->identities[0];
    bool same_cluster = strncmp(identity, own, MARK_OFFSET - 1) == 0;
    handshake->alert = same_cluster ? GNUTLS_A_UNKNOWN_PSK_IDENTITY : GNUTLS_A_UNRECOGNIZED_NAME;
    if (!is_identity(identity))
        (void)snprintf(handshake->fault, sizeof(handshake->fault), "it has another cluster key");
    else if (!same_cluster)
        (void)snprintf(handshake->fault, sizeof(handshake->fault),
                       "it is of a cluster with another id: %.8s there, %.8s here", identity, own);
    else
        (void)snprintf(handshake->fault, sizeof(handshake->fault),
                       "it has another cluster key: %s there, %s%s%s here",
                       quic_tls_key_mark(identity), quic_tls_key_mark(own),
                       tls->network->keys_count > 1 ? " and " : "",
                       tls->network->keys_count > 1 ? quic_tls_key_mark(tls->identities[1]) : "");
}

/* GnuTLS asks for the key of an identity. -1: there is none. */
static int find_key(gnutls_session_t session, const char *identity, gnutls_datum_t *key)
{
    struct quic_handshake *handshake = gnutls_session_get_ptr(session);
    const struct quic_tls *tls = handshake->tls;
    for (uint32_t i = 0; i < tls->network->keys_count; i++) {
        if (strcmp(identity, tls->identities[i]) != 0)
            continue;
        key->data = gnutls_malloc(PST_CLUSTER_KEY_BYTES);
        if (!key->data)
            return -1;
        memcpy(key->data, tls->network->keys[i], PST_CLUSTER_KEY_BYTES);
        key->size = PST_CLUSTER_KEY_BYTES;
        return 0;
    }
    refuse_key(handshake, identity);
    return -1;
}

int quic_tls_open(struct quic_tls *tls, const struct pst_quic_network *network,
                  const struct pst_fabric_hello *hello)
{
    char label[48];
    tls->network = network;
    for (uint32_t i = 0; i < network->keys_count; i++)
        name_key(network->keys[i], hello->cluster_id, tls->identities[i]);
    (void)snprintf(label, sizeof(label), "penstock: tokens of node %u", hello->node);
    const gnutls_datum_t key = {(unsigned char *)(uintptr_t)network->keys[0],
                                PST_CLUSTER_KEY_BYTES};
    if (derive(network->keys[0], label, tls->secret) < 0 ||
        gnutls_psk_allocate_client_credentials(&tls->client) < 0 ||
        gnutls_psk_allocate_server_credentials(&tls->server) < 0 ||
        gnutls_psk_set_client_credentials(tls->client, tls->identities[0], &key,
                                          GNUTLS_PSK_KEY_RAW) < 0)
        return -ENOMEM;
    gnutls_psk_set_server_credentials_function(tls->server, find_key);
    return 0;
}

void quic_tls_close(struct quic_tls *tls)
{
    if (tls->client)
        gnutls_psk_free_client_credentials(tls->client);
    if (tls->server)
        gnutls_psk_free_server_credentials(tls->server);
    explicit_bzero(tls, sizeof(*tls));
}

static int configure(const struct quic_tls *tls, bool is_server, struct quic_handshake *handshake)
{
    gnutls_session_t session = handshake->session;
    const gnutls_datum_t alpn = {(unsigned char *)(uintptr_t)QUIC_ALPN, sizeof(QUIC_ALPN) - 1};
    int error = is_server ? ngtcp2_crypto_gnutls_configure_server_session(session)
                          : ngtcp2_crypto_gnutls_configure_client_session(session);
    if (!error)
        error = gnutls_priority_set_direct(session, PRIORITIES, NULL);
    if (!error)
        error = gnutls_alpn_set_protocols(session, &alpn, 1, GNUTLS_ALPN_MANDATORY);
    if (!error)
        error = is_server ? gnutls_credentials_set(session, GNUTLS_CRD_PSK, tls->server)
                          : gnutls_credentials_set(session, GNUTLS_CRD_PSK, tls->client);
    return error;
}

int quic_tls_begin(const struct quic_tls *tls, bool is_server, struct quic_handshake *handshake)
{
    unsigned flags = is_server ? GNUTLS_SERVER : GNUTLS_CLIENT;
    handshake->tls = tls;
    if (gnutls_init(&handshake->session, flags | GNUTLS_NO_AUTO_SEND_TICKET) < 0) {
        handshake->session = NULL;
        return -ENOMEM;
    }
    gnutls_session_set_ptr(handshake->session, handshake);
    return configure(tls, is_server, handshake) ? -ENOMEM : 0;
}

void quic_tls_end(struct quic_handshake *handshake)
{
    if (handshake->session)
        gnutls_deinit(handshake->session);
    handshake->session = NULL;
}
