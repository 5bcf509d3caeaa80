/*
 * What nodes say to each other in the stream of a connection: records as large as a signal. A HELLO
 * of two each way, the client's READY, then signals; docs/protocol.md writes the bytes down.
 */
#ifndef PST_NET_QUIC_QUIC_WIRE_H
#define PST_NET_QUIC_QUIC_WIRE_H

#include "net/fabric.h"

#define QUIC_VERSION 1u             /* of the fabric: what this file says */
#define QUIC_ALPN "penstock/1"      /* with QUIC_VERSION */
#define QUIC_HELLO_MAGIC "PSTHELLO" /* 8 bytes */

struct quic_hello {
    uint8_t magic[8];
    uint32_t version; /* QUIC_VERSION */
    uint32_t signal_version;
    uint32_t cluster_id;
    uint32_t node;
    uint64_t incarnation;
    char cluster[PST_CLUSTER_NAME_MAX]; /* zeros behind the name */
    uint8_t options[PST_FABRIC_OPTIONS_BYTES];
    uint8_t reserved[96]; /* zeros */
};

#define QUIC_HELLO_RECORDS 2u
_Static_assert(sizeof(struct quic_hello) == QUIC_HELLO_RECORDS * PST_SIGNAL_BYTES, "whole records");

/* The fabric's own records: a signal's header with gsn 0, of which only sequence is used. */
enum quic_notice { QUIC_READY = 1, QUIC_BYE, QUIC_BEAT };

/* The codes of a CONNECTION_CLOSE of ours; its reason is text for people. */
enum quic_close { QUIC_CLOSE_LEFT = 1, QUIC_CLOSE_REFUSED, QUIC_CLOSE_DEAD };

void quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from);

/* Whether the node at the other end, a member of this id, may join. NULL, or why not. */
const char *quic_hello_fault(const struct quic_hello *hello, const struct pst_fabric_hello *own,
                             uint32_t node);

/* The record of a notice. */
void quic_notice_write(struct pst_signal *record, enum quic_notice notice);

/* Which one a record is; 0: none. */
uint32_t quic_notice_of(const struct pst_signal *record);

#endif
