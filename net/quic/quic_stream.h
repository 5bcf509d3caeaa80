/*
 * The stream of a link: a ring of records each way. What was put stays until the peer has
 * acknowledged it; the peer may send more only when what came has been taken. Private to net/quic;
 * the hub's thread alone.
 */
#ifndef PST_NET_QUIC_QUIC_STREAM_H
#define PST_NET_QUIC_QUIC_STREAM_H

#include "net/quic/quic_parts.h"

/* Makes the rings. 0 or -ENOMEM. */
PST_MUST_USE int quic_stream_open(struct quic_link *link);

/* Of an open link: as ngtcp2 calls back. They change link->verdict where the peer did wrong, or
 * left. */
void quic_stream_arrive(struct quic_link *link, const uint8_t *bytes, size_t count);
void quic_stream_acknowledge(struct quic_link *link, uint64_t bytes);

/* What is to be sent next, in one or two pieces. Returns how many; 0: nothing. */
size_t quic_stream_unsent(const struct quic_link *link, ngtcp2_vec *pieces);

bool quic_stream_has_unsent(const struct quic_link *link);

/* The client, when the handshake is done. */
void quic_stream_hello(struct quic_link *link);

/* Signals that fit into the ring of an open link. */
uint32_t quic_stream_room(const struct quic_link *link);

/* Puts a signal, for which there is room, or the link's BYE, for which there always is. */
void quic_stream_put(struct quic_link *link, const struct pst_signal *signal);
void quic_stream_bye(struct quic_link *link);

/* A sign of life, where nothing else has been put since the last one. */
void quic_stream_beat(struct quic_link *link);

/* Takes signals that have come, PST_FABRIC_BURST at most. Returns how many, or -PST_E_LINK: the
 * next one is not as it was put, and *fault says why. */
PST_MUST_USE int quic_stream_take(struct quic_link *link, struct pst_signal *signals,
                                  const char **fault);

/* Decides what becomes of the link; the first decision counts. reason: static. */
void quic_decide(struct quic_link *link, enum quic_close code, enum pst_fabric_failure failure,
                 const char *reason);

#endif
