/*
 * Private to net/quic: the structs of the quic fabric, which all of its files share. The hub's
 * thread alone.
 */
#ifndef PST_NET_QUIC_QUIC_PARTS_H
#define PST_NET_QUIC_QUIC_PARTS_H

#include <ngtcp2/ngtcp2.h>

#include "net/fabric_ops.h"
#include "net/packet/packet.h"
#include "net/quic/quic_tls.h"
#include "net/quic/quic_wire.h"

/* A datagram that every network can carry that carries QUIC at all. */
#define QUIC_SMALL_BYTES (PST_QUIC_MTU_MIN - 28u)

#define QUIC_FAREWELL_BYTES (QUIC_REASON_BYTES + 128u)

/* Every connection id begins with the mark of the life that chose it. */
#define QUIC_CID_BYTES 8u

/*
 * A connection with one peer. quic_link_check() asserts what must hold in each state.
 *
 *     HELLO ──READY──▶ UP ──quic_link_end()──▶ ENDING ──FAILED──▶ CLOSED
 *       └──────────────────quic_link_end()────────────────────────▶
 *
 * In HELLO no event has mentioned it. CLOSED, it remembers how it took leave, for a peer that has
 * not heard it, until another link to the peer begins.
 */
enum quic_link_state { QUIC_LINK_HELLO, QUIC_LINK_UP, QUIC_LINK_ENDING, QUIC_LINK_CLOSED };

/* What is to become of a link when ngtcp2 has returned from a callback. */
struct quic_verdict {
    enum quic_close code; /* 0: nothing is */
    enum pst_fabric_failure failure;
    const char *reason; /* static, or the link's */
};

struct quic_fabric;

struct quic_link {
    struct quic_fabric *fabric;
    uint32_t node;
    enum quic_link_state state;
    bool is_server;
    bool is_small;      /* HELLO: its packets are, so that they arrive whatever the MTU. A client's
                           does not become UP: it only finds out whether the two agree */
    bool is_new;        /* JOINED is still to be reported */
    bool wants_write;   /* ngtcp2 may have something to send */
    bool is_due;        /* likewise, and it waits for no answer of the caller's */
    bool was_heard;     /* since the last tick a record has come */
    bool said_farewell; /* since the last tick */
    uint32_t pieces;    /* of the stream that have come since the last write */
    uint64_t silent_ticks;
    uint64_t deadline_ns; /* of the handshake */
    uint64_t expiry_ns;   /* when ngtcp2 must be called at the latest, as of the last write */
    uint64_t incarnation; /* of the peer */

    ngtcp2_conn *conn; /* NULL: ENDING, CLOSED */
    struct quic_handshake handshake;
    ngtcp2_cid client_cid; /* the server: what the client is called in its packets */
    struct sockaddr_in local, remote;
    ngtcp2_path path; /* of these two */
    int64_t stream;   /* -1: not open */
    struct quic_verdict verdict;

    struct pst_signal *out; /* a ring of fabric->slots records; NULL: ENDING, CLOSED */
    uint64_t put;           /* records */
    uint64_t put_at_beat;   /* likewise, at the last tick */
    uint64_t sent_bytes;    /* of the stream, handed to ngtcp2 */
    uint64_t acked_bytes;   /* of the stream; what follows stays in the ring */
    uint32_t out_sequence;

    struct pst_signal *in; /* likewise, of signals to be delivered; NULL: CLOSED */
    uint64_t arrived, taken;
    uint32_t in_sequence;
    struct pst_signal partial; /* a record of which this many bytes have come */
    uint32_t partial_bytes;
    struct quic_hello hello;            /* the peer's */
    uint32_t hello_records;             /* of it that have come */
    char difference[QUIC_REASON_BYTES]; /* in what the two nodes do not agree */

    enum pst_fabric_failure failure; /* ENDING */
    char reason[QUIC_REASON_BYTES];  /* ENDING */
    uint8_t farewell[QUIC_FAREWELL_BYTES];
    uint32_t farewell_bytes; /* CLOSED; 0: the peer knows */
};

/* What is remembered of a node between its links. */
struct quic_peer {
    struct quic_link *link; /* NULL: there was none yet */
    uint64_t next_try_ns;
    uint64_t backoff_ns;
    bool tries_small;     /* a client: the last packets, as large as they may be, had no answer */
    bool was_small_heard; /* and small ones had; a server: they have come, and no others since */
    uint32_t admissions;  /* connections that it has begun with a token of ours */
    char logged[QUIC_REASON_BYTES]; /* why it could not join, the last time; logged once */
    uint64_t next_log_ns;           /* of anything new: whoever has its address can cause it */
    uint64_t busy_since_ns;         /* since when one end of the link has been up, and the other has
                                       tried to begin another; 0: that was not so */
};

struct quic_fabric {
    struct pst_fabric base;
    struct pst_fabric_hello hello;
    const struct pst_quic_network *network;
    struct quic_tls tls;
    struct packet_port *port;
    uint32_t slots; /* of each ring */
    uint32_t mark;  /* of this life: see QUIC_CID_BYTES */
    uint64_t now_ns;
    uint64_t failure_ns;
    uint64_t tick_ns;
    uint64_t silent_ticks_max; /* as many, and a peer is suspected */
    uint64_t next_tick_ns;
    uint64_t next_stranger_ns; /* when one is logged again */
    struct pst_set linked;     /* by id - 1: the link is HELLO, UP or ENDING */
    uint32_t last;             /* of the other members, the highest id */
    uint32_t cursor;           /* of the round: the node that had its turn last */
    struct quic_peer peers[PST_NODES_MAX + 1];
    struct packet packets[PACKET_BURST];
    struct pst_signal burst[PST_FABRIC_BURST]; /* what an event points to */
    uint8_t options[PST_FABRIC_OPTIONS_BYTES]; /* likewise */
    char reason[QUIC_REASON_BYTES];            /* likewise */
};

#endif
