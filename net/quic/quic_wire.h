/*
 * What nodes say to each other in the stream of a connection: records as large as a signal. A HELLO
 * of two each way, the client's READY, then signals; docs/protocol.md writes the bytes down.
 */
#ifndef PST_NET_QUIC_QUIC_WIRE_H
#define PST_NET_QUIC_QUIC_WIRE_H

#include "net/quic/quic_network.h"

#define QUIC_VERSION 2u             /* of the fabric: what this file says */
#define QUIC_ALPN "penstock/1"      /* of every version that can read the first fields of a HELLO */
#define QUIC_HELLO_MAGIC "PSTHELLO" /* 8 bytes */
#define QUIC_REASON_BYTES 256u

struct quic_member {
    uint32_t address; /* as it stands in an IP header */
    uint16_t port;    /* likewise */
    uint8_t node;
    uint8_t reserved;
};

struct quic_hello {
    uint8_t magic[8];
    uint32_t version; /* QUIC_VERSION */
    uint32_t signal_version;
    uint32_t cluster_id;
    uint32_t node;
    uint64_t incarnation;
    char cluster[PST_CLUSTER_NAME_MAX]; /* zeros behind the name */
    uint8_t options[PST_FABRIC_OPTIONS_BYTES];
    uint64_t failure_ns;
    uint32_t mtu_bytes;
    uint32_t members_count;
    uint8_t reserved[80];                           /* zeros */
    struct quic_member members[PST_NODES_MAX + 1u]; /* by id, the sender included, then zeros */
};

/* Of a HELLO with no members, and with all that there can be. */
#define QUIC_HELLO_RECORDS_MIN 2u
#define QUIC_HELLO_RECORDS_MAX 18u
_Static_assert(sizeof(struct quic_hello) == QUIC_HELLO_RECORDS_MAX * PST_SIGNAL_BYTES,
               "whole records");

/* The fabric's own records: a signal's header with gsn 0, of which only sequence is used. */
enum quic_notice { QUIC_READY = 1, QUIC_BYE, QUIC_BEAT };

/* The codes of a CONNECTION_CLOSE of ours; its reason is text for people. */
enum quic_close { QUIC_CLOSE_LEFT = 1, QUIC_CLOSE_REFUSED, QUIC_CLOSE_DEAD };

void quic_hello_write(struct quic_hello *hello, const struct pst_fabric_hello *from,
                      const struct pst_quic_network *network, uint64_t failure_ns);

/* How many records of it are sent, as far as its first two tell. */
uint32_t quic_hello_records(const struct quic_hello *hello);

/* Whether the node at the other end, a member of this id, may not join: then text
 * (QUIC_REASON_BYTES) says to both ends in what they differ. */
bool quic_hello_differs(const struct quic_hello *hello, const struct quic_hello *own, uint32_t node,
                        char *text);

/* The record of a notice. */
void quic_notice_write(struct pst_signal *record, enum quic_notice notice);

/* Which one a record is; 0: none. */
uint32_t quic_notice_of(const struct pst_signal *record);

#endif
