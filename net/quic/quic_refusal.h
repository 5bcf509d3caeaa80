/*
 * Nodes that do not join. Private to net/quic; the hub's thread alone.
 */
#ifndef PST_NET_QUIC_QUIC_REFUSAL_H
#define PST_NET_QUIC_QUIC_REFUSAL_H

#include "engine/base/log.h"
#include "net/quic/quic_parts.h"

/* Counts a node that is refused, and logs why, if that is news. */
void quic_refusal_log(struct quic_fabric *fabric, uint32_t node, const char *what,
                      const char *reason);

/* Whether a second process has its address: an end of the link has been up for longer than a dead
 * one can be, while the other has tried to begin another. */
bool quic_refusal_is_doubled(struct quic_fabric *fabric, uint32_t node);

/* Of a client's link: the alert that the server sent, whom nothing proves to have the key; that it
 * has a link that is up; that it did not answer. */
void quic_refusal_hear_alert(struct quic_link *link, uint64_t alert);
void quic_refusal_hear_busy(struct quic_link *link);
void quic_refusal_hear_nothing(struct quic_link *link);

/* Of a server's link with small packets: both agree. */
void quic_refusal_answer_small(struct quic_link *link);

/* Of a client's link with small packets: it would be let in. */
void quic_refusal_hear_small(struct quic_link *link);

#endif
