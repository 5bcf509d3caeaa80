/*
 * One QUIC connection by ngtcp2: how it begins, its packets in and out, its end. Called by
 * quic_fabric.c and quic_door.c, on the hub's thread. What ngtcp2 calls back only takes note;
 * settle() draws the conclusion when ngtcp2 has returned.
 */
#include "net/quic/quic_link.h"

#include <assert.h>
#include <errno.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/printable.h"
#include "net/quic/quic_refusal.h"
#include "net/quic/quic_stream.h"

#define HANDSHAKE_NS UINT64_C(2000000000)

/* ngtcp2 takes a third of a second for the first round trip if it is told nothing: the first loss
 * would cost as much. */
#define FIRST_RTT_NS NGTCP2_MILLISECONDS
#define ACK_DELAY_NS NGTCP2_MILLISECONDS
#define ACK_PACKETS 4u /* so many are acknowledged at once */

/* Of a frame's header, at most: a packet that ends with less room may be full. */
#define FRAME_BYTES 32u

/* ---- what ngtcp2 calls ---- */

static void fill_random(uint8_t *bytes, size_t count, const ngtcp2_rand_ctx *context)
{
    (void)context;
    quic_random(bytes, count);
}

void quic_make_cid(const struct quic_fabric *fabric, ngtcp2_cid *cid)
{
    uint8_t bytes[QUIC_CID_BYTES];
    quic_random(bytes, sizeof(bytes));
    memcpy(bytes, &fabric->mark, sizeof(fabric->mark));
    ngtcp2_cid_init(cid, bytes, sizeof(bytes));
}

static int make_token(const struct quic_fabric *fabric, const ngtcp2_cid *cid, uint8_t *token)
{
    return ngtcp2_crypto_generate_stateless_reset_token(token, fabric->tls.secret,
                                                        sizeof(fabric->tls.secret), cid);
}

static int on_new_cid(ngtcp2_conn *conn, ngtcp2_cid *cid, uint8_t *token, size_t bytes,
                      void *context)
{
    const struct quic_link *link = context;
    (void)conn;
    if (bytes != QUIC_CID_BYTES)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    quic_make_cid(link->fabric, cid);
    return make_token(link->fabric, cid, token) ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t stream, uint64_t offset,
                          const uint8_t *bytes, size_t count, void *context, void *stream_context)
{
    struct quic_link *link = context;
    (void)conn, (void)offset, (void)stream_context;
    if (link->stream < 0) /* the client opened it: the only one that it may open */
        link->stream = stream;
    link->is_due |= ++link->pieces >= ACK_PACKETS;
    quic_stream_arrive(link, bytes, count);
    if (flags & NGTCP2_STREAM_DATA_FLAG_FIN)
        quic_decide(link, QUIC_CLOSE_DEAD, PST_FABRIC_DAMAGED, "it ended the stream with no BYE");
    return 0;
}

static int on_stream_close(ngtcp2_conn *conn, uint32_t flags, int64_t stream, uint64_t code,
                           void *context, void *stream_context)
{
    (void)conn, (void)flags, (void)stream, (void)code, (void)stream_context;
    quic_decide(context, QUIC_CLOSE_DEAD, PST_FABRIC_DAMAGED, "it closed the stream");
    return 0;
}

static int on_acknowledged(ngtcp2_conn *conn, int64_t stream, uint64_t offset, uint64_t bytes,
                           void *context, void *stream_context)
{
    (void)conn, (void)stream, (void)stream_context;
    quic_stream_acknowledge(context, offset + bytes);
    return 0;
}

static int on_handshake_done(ngtcp2_conn *conn, void *context)
{
    struct quic_link *link = context;
    if (link->is_server)
        return 0;
    if (ngtcp2_conn_open_bidi_stream(conn, &link->stream, NULL) != 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    quic_stream_hello(link);
    return 0;
}

/* Only the process that has the peer's address now can know the token: the one that was there is
 * gone. */
static int on_reset(ngtcp2_conn *conn, const ngtcp2_pkt_stateless_reset *reset, void *context)
{
    (void)conn, (void)reset;
    quic_decide(context, QUIC_CLOSE_DEAD, PST_FABRIC_DIED, "its process has been started anew");
    return 0;
}

static const ngtcp2_callbacks callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .handshake_completed = on_handshake_done,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_stream_data = on_stream_data,
    .acked_stream_data_offset = on_acknowledged,
    .stream_close = on_stream_close,
    .recv_stateless_reset = on_reset,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .rand = fill_random,
    .get_new_connection_id = on_new_cid,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref)
{
    return ((struct quic_link *)ref->user_data)->conn;
}

/* ---- beginning ---- */

static void set_settings(const struct quic_fabric *fabric, ngtcp2_settings *settings)
{
    ngtcp2_settings_default(settings);
    settings->initial_ts = fabric->now_ns;
    settings->initial_rtt = FIRST_RTT_NS;
    settings->handshake_timeout = UINT64_MAX; /* ours: HANDSHAKE_NS */
    settings->max_tx_udp_payload_size = fabric->port->payload_bytes;
    settings->no_tx_udp_payload_size_shaping = 1;
    settings->ack_thresh = ACK_PACKETS;
    settings->no_pmtud = 1;
    settings->cc_algo = NGTCP2_CC_ALGO_CUBIC;
}

/* No idle timeout: it is time that has passed, and a node that was stopped suspects nobody. */
static void set_limits(const struct quic_fabric *fabric, bool is_server,
                       ngtcp2_transport_params *params)
{
    uint64_t ring_bytes = (uint64_t)fabric->slots * sizeof(struct pst_signal);
    ngtcp2_transport_params_default(params);
    params->initial_max_data = ring_bytes;
    params->initial_max_stream_data_bidi_local = ring_bytes;
    params->initial_max_stream_data_bidi_remote = ring_bytes;
    params->initial_max_streams_bidi = is_server ? 1 : 0;
    params->max_ack_delay = ACK_DELAY_NS;
    params->max_udp_payload_size = fabric->port->payload_bytes;
    params->disable_active_migration = 1;
}

static int accept_conn(struct quic_link *link, const struct quic_arrival *arrival,
                       ngtcp2_settings *settings, ngtcp2_transport_params *params)
{
    const ngtcp2_pkt_hd *header = arrival->header;
    ngtcp2_cid own;
    quic_make_cid(link->fabric, &own);
    params->original_dcid = *arrival->first_dcid;
    params->retry_scid = header->dcid;
    link->client_cid = header->scid;
    params->retry_scid_present = 1;
    params->stateless_reset_token_present = 1;
    if (make_token(link->fabric, &own, params->stateless_reset_token) != 0)
        return -ENOMEM;
    settings->token = header->token;
    return ngtcp2_conn_server_new(&link->conn, &header->scid, &own, &link->path, header->version,
                                  &callbacks, settings, params, NULL, link);
}

static int connect_conn(struct quic_link *link, ngtcp2_settings *settings,
                        ngtcp2_transport_params *params)
{
    ngtcp2_cid own, first;
    quic_make_cid(link->fabric, &own);
    quic_make_cid(link->fabric, &first);
    return ngtcp2_conn_client_new(&link->conn, &first, &own, &link->path, NGTCP2_PROTO_VER_V1,
                                  &callbacks, settings, params, NULL, link);
}

static int open_conn(struct quic_link *link, const struct quic_arrival *arrival)
{
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    link->handshake.ref = (ngtcp2_crypto_conn_ref){conn_of, link};
    int error = quic_tls_begin(&link->fabric->tls, link->is_server, &link->handshake);
    if (error)
        return error;
    set_settings(link->fabric, &settings);
    set_limits(link->fabric, link->is_server, &params);
    if ((arrival ? accept_conn(link, arrival, &settings, &params)
                 : connect_conn(link, &settings, &params)) != 0)
        return -ENOMEM;
    ngtcp2_conn_set_tls_native_handle(link->conn, link->handshake.session);
    return 0;
}

static void set_path(struct quic_link *link)
{
    link->local = link->fabric->network->members[link->fabric->base.node];
    link->remote = link->fabric->network->members[link->node];
    link->path = (ngtcp2_path){
        .local = {(ngtcp2_sockaddr *)&link->local, sizeof(link->local)},
        .remote = {(ngtcp2_sockaddr *)&link->remote, sizeof(link->remote)},
    };
}

bool quic_link_begin(struct quic_fabric *fabric, uint32_t node, const struct quic_arrival *arrival)
{
    assert(!pst_set_has(&fabric->base.kept_out, node - 1));
    assert(!pst_set_has(&fabric->linked, node - 1));
    struct quic_link *link = aligned_alloc(_Alignof(struct quic_link), sizeof(*link));
    if (!link) {
        quic_refusal_log(fabric, node, "cannot join now", "out of memory");
        return false;
    }
    *link = (struct quic_link){.fabric = fabric, .node = node, .is_server = arrival != NULL};
    link->deadline_ns = fabric->now_ns + HANDSHAKE_NS;
    link->is_small = arrival ? arrival->is_small : fabric->peers[node].tries_small;
    link->wants_write = true;
    set_path(link);
    int error = quic_stream_open(link);
    if (!error)
        error = open_conn(link, arrival);
    if (error) {
        quic_refusal_log(fabric, node, "cannot join now", "out of memory");
        quic_link_free(link);
        return false;
    }
    quic_link_free(fabric->peers[node].link);
    fabric->peers[node].link = link;
    if (link->is_server)
        fabric->peers[node].busy_since_ns = 0;
    pst_set_add(&fabric->linked, node - 1);
    return true;
}

/* ---- the end ---- */

/* All but what is still to be delivered. */
static void release(struct quic_link *link)
{
    if (link->conn)
        ngtcp2_conn_del(link->conn);
    link->conn = NULL;
    quic_tls_end(&link->handshake);
    free(link->out);
    link->out = NULL;
}

void quic_link_free(struct quic_link *link)
{
    if (!link)
        return;
    release(link);
    free(link->in);
    free(link);
}

void quic_link_close(struct quic_link *link)
{
    free(link->in);
    link->in = NULL;
    link->state = QUIC_LINK_CLOSED;
    pst_set_remove(&link->fabric->linked, link->node - 1);
}

/* A handshake that has not come far enough to keep reasons secret ends with a number alone. */
static void say_farewell(struct quic_link *link, enum quic_close code, const char *reason)
{
    struct packet_port *port = link->fabric->port;
    ngtcp2_connection_close_error close;
    ngtcp2_pkt_info info;
    uint8_t *buffer = port->ops->buffer(port);
    ngtcp2_connection_close_error_default(&close);
    uint8_t alert = (uint8_t)link->handshake.alert;
    if (alert == 0)
        alert = ngtcp2_conn_get_tls_alert(link->conn);
    if (alert != 0)
        ngtcp2_connection_close_error_set_transport_error_tls_alert(&close, alert, NULL, 0);
    else
        ngtcp2_connection_close_error_set_application_error(&close, code, (const uint8_t *)reason,
                                                            strlen(reason));
    ngtcp2_ssize bytes = ngtcp2_conn_write_connection_close(
        link->conn, NULL, &info, buffer, port->payload_bytes, &close, link->fabric->now_ns);
    if (bytes <= 0)
        return;
    if ((size_t)bytes <= sizeof(link->farewell)) {
        memcpy(link->farewell, buffer, (size_t)bytes);
        link->farewell_bytes = (uint32_t)bytes;
    }
    port->ops->send(port, (size_t)bytes, &link->remote);
}

void quic_link_repeat_farewell(struct quic_link *link)
{
    struct packet_port *port = link->fabric->port;
    if (link->farewell_bytes == 0 || link->said_farewell)
        return;
    memcpy(port->ops->buffer(port), link->farewell, link->farewell_bytes);
    port->ops->send(port, link->farewell_bytes, &link->remote);
    link->said_farewell = true;
}

/* What was sent before a certain end is delivered, before any other nothing more. */
static void conclude(struct quic_link *link, enum pst_fabric_failure failure, const char *reason)
{
    struct pst_fabric_counters *counters = &link->fabric->base.counters[link->node];
    bool was_up = link->state == QUIC_LINK_UP;
    release(link);
    if (!was_up) {
        quic_link_close(link);
        return;
    }
    link->state = QUIC_LINK_ENDING;
    link->failure = failure;
    (void)snprintf(link->reason, sizeof(link->reason), "%s", reason);
    pst_make_printable(link->reason, strlen(link->reason));
    if (!pst_fabric_failure_is_certain(failure))
        link->taken = link->arrived;
    counters->failures++;
    counters->joined_since = 0;
    counters->ring_bytes = 0;
}

void quic_link_end(struct quic_link *link, enum pst_fabric_failure failure, enum quic_close code,
                   const char *reason)
{
    assert(quic_link_is_open(link));
    say_farewell(link, code, reason);
    conclude(link, failure, reason);
}

void quic_link_leave(struct quic_link *link)
{
    if (link->state == QUIC_LINK_UP) {
        quic_stream_bye(link);
        quic_link_write(link);
    }
    if (quic_link_is_open(link))
        say_farewell(link, QUIC_CLOSE_LEFT, "it has left the cluster");
}

/* The peer has closed the connection, and says why. Before both have proved that they know the key
 * anybody can, so then its words are not repeated. */
static void hear_farewell(struct quic_link *link)
{
    char reason[QUIC_REASON_BYTES];
    ngtcp2_connection_close_error close;
    ngtcp2_conn_get_connection_close_error(link->conn, &close);
    bool is_ours = close.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;
    int said = close.reasonlen < sizeof(reason) ? (int)close.reasonlen : (int)sizeof(reason) - 1;
    (void)snprintf(reason, sizeof(reason), "%.*s", said, (const char *)close.reason);
    pst_make_printable(reason, strlen(reason));
    if (link->state == QUIC_LINK_UP) {
        conclude(link, PST_FABRIC_LOST,
                 is_ours && close.error_code == QUIC_CLOSE_LEFT
                     ? "it has left the cluster; what it sent last was lost"
                     : reason);
        return;
    }
    if (is_ours && close.error_code == QUIC_CLOSE_REFUSED &&
        ngtcp2_conn_get_handshake_completed(link->conn))
        quic_refusal_log(link->fabric, link->node, "it refuses this node", reason);
    else if (!is_ours && close.error_code == NGTCP2_CONNECTION_REFUSED)
        quic_refusal_hear_busy(link);
    else if (!is_ours && close.error_code & NGTCP2_CRYPTO_ERROR)
        quic_refusal_hear_alert(link, close.error_code & 0xff);
    conclude(link, PST_FABRIC_LOST, reason);
}

/* error: what ngtcp2 returned, or 0. */
static void settle(struct quic_link *link, int error)
{
    const struct quic_verdict verdict = link->verdict;
    if (link->handshake.fault[0] != '\0') {
        quic_refusal_log(link->fabric, link->node, "refused", link->handshake.fault);
        quic_link_end(link, PST_FABRIC_LOST, QUIC_CLOSE_REFUSED, link->handshake.fault);
    } else if (verdict.code == QUIC_CLOSE_REFUSED) {
        quic_refusal_log(link->fabric, link->node, "refused", verdict.reason);
        quic_link_end(link, verdict.failure, verdict.code, verdict.reason);
    } else if (verdict.code && pst_fabric_failure_is_certain(verdict.failure)) {
        conclude(link, verdict.failure, verdict.reason);
    } else if (verdict.code) {
        quic_link_end(link, verdict.failure, verdict.code, verdict.reason);
    } else if (error == NGTCP2_ERR_DRAINING) {
        hear_farewell(link);
    } else if (error) {
        quic_link_end(link, PST_FABRIC_DAMAGED, QUIC_CLOSE_DEAD, ngtcp2_strerror(error));
    }
}

/* ---- packets ---- */

void quic_link_read(struct quic_link *link, const struct packet *packet)
{
    const ngtcp2_pkt_info info = {0};
    int error = ngtcp2_conn_read_pkt(link->conn, &link->path, &info, packet->bytes,
                                     packet->size_bytes, link->fabric->now_ns);
    link->wants_write = true; /* which sets expiry_ns, too */
    settle(link, error);
}

/* One datagram. Its bytes, 0: there is no more to send now, or an error of ngtcp2. */
static ngtcp2_ssize write_one(struct quic_link *link, uint8_t *buffer)
{
    ngtcp2_vec pieces[2];
    ngtcp2_pkt_info info;
    ngtcp2_ssize taken = -1;
    size_t bytes = link->fabric->port->payload_bytes;
    if (link->state == QUIC_LINK_HELLO && link->is_small && bytes > QUIC_SMALL_BYTES)
        bytes = QUIC_SMALL_BYTES;
    size_t count = link->stream >= 0 ? quic_stream_unsent(link, pieces) : 0;
    ngtcp2_ssize written = NGTCP2_ERR_STREAM_DATA_BLOCKED;
    if (count > 0)
        written = ngtcp2_conn_writev_stream(link->conn, NULL, &info, buffer, bytes, &taken,
                                            NGTCP2_WRITE_STREAM_FLAG_NONE, link->stream, pieces,
                                            count, link->fabric->now_ns);
    if (written == NGTCP2_ERR_STREAM_DATA_BLOCKED) /* the peer takes no more just now */
        written = ngtcp2_conn_writev_stream(link->conn, NULL, &info, buffer, bytes, NULL,
                                            NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0,
                                            link->fabric->now_ns);
    if (taken > 0)
        link->sent_bytes += (uint64_t)taken;
    return written;
}

/* The congestion window ends the loop; or a packet that had room for more. There is none then,
 * which ngtcp2 would say, too, for a quarter of what the packet has cost it. */
void quic_link_write(struct quic_link *link)
{
    struct packet_port *port = link->fabric->port;
    ngtcp2_ssize bytes;
    bool is_plain = link->state == QUIC_LINK_UP && !link->is_due; /* no handshake, no probes */
    size_t full_bytes = port->payload_bytes - FRAME_BYTES;
    link->wants_write = link->is_due = false;
    link->pieces = 0;
    while ((bytes = write_one(link, port->ops->buffer(port))) > 0) {
        port->ops->send(port, (size_t)bytes, &link->remote);
        if (is_plain && (size_t)bytes < full_bytes)
            break;
    }
    if (bytes < 0)
        settle(link, (int)bytes);
    else
        link->expiry_ns = ngtcp2_conn_get_expiry(link->conn);
}

void quic_link_expire(struct quic_link *link)
{
    if (link->state == QUIC_LINK_HELLO && link->fabric->now_ns >= link->deadline_ns) {
        if (!link->is_server)
            quic_refusal_hear_nothing(link);
        quic_link_end(link, PST_FABRIC_LOST, QUIC_CLOSE_DEAD, "it took too long to join");
        return;
    }
    if (link->fabric->now_ns < link->expiry_ns)
        return;
    link->expiry_ns = ngtcp2_conn_get_expiry(link->conn); /* what was read since then may count */
    if (link->fabric->now_ns < link->expiry_ns)
        return;
    link->wants_write = link->is_due = true;
    settle(link, ngtcp2_conn_handle_expiry(link->conn, link->fabric->now_ns));
}

void quic_link_check(const struct quic_fabric *fabric, uint32_t node)
{
    const struct quic_link *link = fabric->peers[node].link;
    if (!link) {
        assert(!pst_set_has(&fabric->linked, node - 1));
        return;
    }
    uint64_t put_bytes = link->put * PST_SIGNAL_BYTES;
    assert(link->node == node);
    assert(pst_set_has(&fabric->linked, node - 1) == (link->state != QUIC_LINK_CLOSED));
    assert((link->conn != NULL) == quic_link_is_open(link) && !link->out == !link->conn);
    assert((link->in != NULL) == (link->state != QUIC_LINK_CLOSED));
    assert(link->acked_bytes <= link->sent_bytes && link->sent_bytes <= put_bytes);
    assert(put_bytes - link->acked_bytes <= (uint64_t)fabric->slots * PST_SIGNAL_BYTES);
    assert(link->arrived - link->taken <= fabric->slots);
    assert(link->state != QUIC_LINK_ENDING || link->failure != 0);
    assert(!link->is_new || link->state == QUIC_LINK_UP || link->state == QUIC_LINK_ENDING);
    assert(!link->verdict.code || !link->conn);
}
