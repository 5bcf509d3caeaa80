/*
 * A link: one QUIC connection with one peer, from its first packet to its farewell. Private to
 * net/quic; the hub's thread alone. A link belongs to its peer's entry in the fabric.
 */
#ifndef PST_NET_QUIC_QUIC_LINK_H
#define PST_NET_QUIC_QUIC_LINK_H

#include "net/quic/quic_parts.h"

/* The client's first packet, of an address that is proved to be its own. */
struct quic_arrival {
    const ngtcp2_pkt_hd *header;
    const ngtcp2_cid *first_dcid; /* that the client chose, before the Retry */
    bool is_small;                /* the packet is */
};

/* Begins a link in place of a closed one: as the server of an arrival, as the client for NULL.
 * false: out of memory, which is logged, and the client's next attempt may find more. */
bool quic_link_begin(struct quic_fabric *fabric, uint32_t node, const struct quic_arrival *arrival);

/* Whether it is HELLO or UP. NULL is allowed. */
static inline bool quic_link_is_open(const struct quic_link *link)
{
    return link && (link->state == QUIC_LINK_HELLO || link->state == QUIC_LINK_UP);
}

/* Of an open link: takes a datagram; sends what may be sent; does what is due at fabric->now_ns.
 * The link may end in each. */
void quic_link_read(struct quic_link *link, const struct packet *packet);
void quic_link_write(struct quic_link *link);
void quic_link_expire(struct quic_link *link);

/* Ends an open link, and says so to the peer. reason is copied. */
void quic_link_end(struct quic_link *link, enum pst_fabric_failure failure, enum quic_close code,
                   const char *reason);

/* Ends it with BYE, if the peer has joined, after all that was sent. Nothing is reported. */
void quic_link_leave(struct quic_link *link);

/* After FAILED: ENDING becomes CLOSED. */
void quic_link_close(struct quic_link *link);

/* Of a closed link: the peer still sends to it. Once in a tick it is told. */
void quic_link_repeat_farewell(struct quic_link *link);

/* Frees it with all that it has. NULL is allowed. */
void quic_link_free(struct quic_link *link);

/* A new connection id of this life. */
void quic_make_cid(const struct quic_fabric *fabric, ngtcp2_cid *cid);

/* Asserts what must hold of a peer's link. */
void quic_link_check(const struct quic_fabric *fabric, uint32_t node);

#endif
