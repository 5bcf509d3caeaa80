/*
 * The records of a link: HELLO, READY, signals, BYE. Called by quic_link.c, partly from within
 * ngtcp2, on the hub's thread.
 */
#include "net/quic/quic_stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/quic/quic_refusal.h"
#include "net/quic/quic_wire.h"
#include "net/signal_check.h"

int quic_stream_open(struct quic_link *link)
{
    size_t bytes = (size_t)link->fabric->slots * sizeof(struct pst_signal);
    link->stream = -1;
    link->out = aligned_alloc(_Alignof(struct pst_signal), bytes);
    link->in = aligned_alloc(_Alignof(struct pst_signal), bytes);
    return link->out && link->in ? 0 : -ENOMEM;
}

void quic_decide(struct quic_link *link, enum quic_close code, enum pst_fabric_failure failure,
                 const char *reason)
{
    if (!link->verdict.code)
        link->verdict = (struct quic_verdict){code, failure, reason};
}

/* ---- out ---- */

static uint64_t acked_records(const struct quic_link *link)
{
    return link->acked_bytes / PST_SIGNAL_BYTES;
}

static struct pst_signal *next_slot(struct quic_link *link)
{
    assert(link->put - acked_records(link) < link->fabric->slots);
    link->wants_write = true;
    return &link->out[link->put++ % link->fabric->slots];
}

static void put_notice(struct quic_link *link, enum quic_notice notice)
{
    quic_notice_write(next_slot(link), notice);
}

/* The last slot is BYE's. */
uint32_t quic_stream_room(const struct quic_link *link)
{
    uint64_t used = link->put - acked_records(link);
    return used + 1 < link->fabric->slots ? link->fabric->slots - 1 - (uint32_t)used : 0;
}

void quic_stream_put(struct quic_link *link, const struct pst_signal *signal)
{
    struct pst_signal *slot = next_slot(link);
    *slot = *signal;
    pst_spsc_stamp(slot, link->fabric->hello.incarnation, link->out_sequence++);
}

void quic_stream_bye(struct quic_link *link)
{
    put_notice(link, QUIC_BYE);
}

/* A full ring is a sign of life too, if the peer hears anything. */
void quic_stream_beat(struct quic_link *link)
{
    if (link->put == link->put_at_beat && quic_stream_room(link) > 0)
        put_notice(link, QUIC_BEAT);
    link->put_at_beat = link->put;
}

static void write_own(const struct quic_fabric *fabric, struct quic_hello *hello)
{
    quic_hello_write(hello, &fabric->hello, fabric->network, fabric->failure_ns);
}

void quic_stream_hello(struct quic_link *link)
{
    union {
        struct quic_hello hello;
        struct pst_signal records[QUIC_HELLO_RECORDS_MAX];
    } own;
    write_own(link->fabric, &own.hello);
    uint32_t count = quic_hello_records(&own.hello);
    for (uint32_t i = 0; i < count; i++)
        *next_slot(link) = own.records[i];
}

bool quic_stream_has_unsent(const struct quic_link *link)
{
    return link->put * PST_SIGNAL_BYTES > link->sent_bytes;
}

size_t quic_stream_unsent(const struct quic_link *link, ngtcp2_vec *pieces)
{
    uint64_t ring_bytes = (uint64_t)link->fabric->slots * PST_SIGNAL_BYTES;
    uint64_t left = link->put * PST_SIGNAL_BYTES - link->sent_bytes;
    uint64_t from = link->sent_bytes % ring_bytes;
    if (left == 0)
        return 0;
    uint64_t first = left < ring_bytes - from ? left : ring_bytes - from;
    pieces[0] = (ngtcp2_vec){(uint8_t *)link->out + from, first};
    pieces[1] = (ngtcp2_vec){(uint8_t *)link->out, left - first};
    return left > first ? 2 : 1;
}

void quic_stream_acknowledge(struct quic_link *link, uint64_t bytes)
{
    assert(bytes >= link->acked_bytes && bytes <= link->sent_bytes);
    link->acked_bytes = bytes;
}

/* ---- in ---- */

/* The peer may send as many records more. */
static void give_credit(struct quic_link *link, uint64_t records)
{
    uint64_t bytes = records * PST_SIGNAL_BYTES;
    (void)ngtcp2_conn_extend_max_stream_offset(link->conn, link->stream, bytes);
    ngtcp2_conn_extend_max_offset(link->conn, bytes);
    link->wants_write = true;
}

static void join(struct quic_link *link)
{
    struct pst_fabric_counters *counters = &link->fabric->base.counters[link->node];
    link->state = QUIC_LINK_UP;
    link->is_new = true;
    counters->joins++;
    counters->joined_since = link->fabric->now_ns;
    counters->ring_bytes = 2 * (uint64_t)link->fabric->slots * sizeof(struct pst_signal);
}

/* The client spoke first, and is the first to know that both may join. */
static void take_hello(struct quic_link *link)
{
    struct quic_hello own;
    write_own(link->fabric, &own);
    if (quic_hello_differs(&link->hello, &own, link->node, link->difference)) {
        quic_decide(link, QUIC_CLOSE_REFUSED, PST_FABRIC_LOST, link->difference);
        return;
    }
    link->incarnation = link->hello.incarnation;
    if (link->is_server) {
        if (link->is_small)
            quic_refusal_answer_small(link);
        quic_stream_hello(link);
    } else if (link->is_small) {
        quic_refusal_hear_small(link);
        quic_decide(link, QUIC_CLOSE_DEAD, PST_FABRIC_LOST, "it is tried with larger packets");
    } else {
        put_notice(link, QUIC_READY);
        join(link);
    }
}

/* One of another version may have another length: then its first records are all that counts. */
static bool hello_is_whole(const struct quic_link *link)
{
    return link->hello_records >= QUIC_HELLO_RECORDS_MIN &&
           (link->hello.version != QUIC_VERSION ||
            link->hello_records >= quic_hello_records(&link->hello));
}

static void take_early(struct quic_link *link)
{
    give_credit(link, 1);
    if (!hello_is_whole(link)) {
        memcpy((uint8_t *)&link->hello + link->hello_records++ * sizeof(link->partial),
               &link->partial, sizeof(link->partial));
        if (hello_is_whole(link))
            take_hello(link);
    } else if (quic_notice_of(&link->partial) == QUIC_READY) {
        join(link);
    } else {
        quic_decide(link, QUIC_CLOSE_DEAD, PST_FABRIC_DAMAGED, "it sent a signal before READY");
    }
}

static void take_record(struct quic_link *link)
{
    link->was_heard = true;
    if (link->state == QUIC_LINK_HELLO)
        take_early(link);
    else if (quic_notice_of(&link->partial) == QUIC_BEAT)
        give_credit(link, 1);
    else if (quic_notice_of(&link->partial) == QUIC_BYE)
        quic_decide(link, QUIC_CLOSE_LEFT, PST_FABRIC_LEFT, "it has left the cluster");
    else if (link->arrived - link->taken == link->fabric->slots)
        quic_decide(link, QUIC_CLOSE_DEAD, PST_FABRIC_DAMAGED, "it sent more than it may");
    else
        link->in[link->arrived++ % link->fabric->slots] = link->partial;
}

void quic_stream_arrive(struct quic_link *link, const uint8_t *bytes, size_t count)
{
    while (count > 0 && !link->verdict.code) {
        size_t missing = sizeof(link->partial) - link->partial_bytes;
        size_t some = count < missing ? count : missing;
        memcpy((uint8_t *)&link->partial + link->partial_bytes, bytes, some);
        link->partial_bytes += (uint32_t)some;
        bytes += some;
        count -= some;
        if (link->partial_bytes == sizeof(link->partial)) {
            link->partial_bytes = 0;
            take_record(link);
        }
    }
}

int quic_stream_take(struct quic_link *link, struct pst_signal *signals, const char **fault)
{
    uint32_t count = 0;
    while (count < PST_FABRIC_BURST && link->taken != link->arrived) {
        signals[count] = link->in[link->taken % link->fabric->slots];
        enum pst_spsc_fault wrong =
            pst_spsc_fault(&signals[count], link->incarnation, link->in_sequence);
        if (wrong && count > 0)
            break;
        if (wrong) {
            *fault = pst_spsc_fault_text(wrong);
            return -PST_E_LINK;
        }
        link->taken++;
        link->in_sequence++;
        count++;
    }
    if (count > 0 && link->conn)
        give_credit(link, count);
    link->fabric->base.counters[link->node].signals_received += count;
    return (int)count;
}
