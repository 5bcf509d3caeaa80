/*
 * Private to net/shm: the messages that two nodes of a host exchange over the socket between them,
 * one in each packet. The higher node id connects:
 *
 *     connector                         acceptor
 *     HELLO + its ring's descriptor ──▶
 *                                  ◀── HELLO + its ring's descriptor    or REFUSE
 *     READY ──────────────────────────▶                                 or REFUSE
 *     WAKE, BYE ◀────────────────────▶ WAKE, BYE
 */
#ifndef PST_NET_SHM_SHM_WIRE_H
#define PST_NET_SHM_SHM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/fabric.h"
#include "penstock/error.h"

#define SHM_MAGIC 0x4b545350u /* "PSTK" */
#define SHM_VERSION 2u
#define SHM_REASON_BYTES 128u

enum shm_message_type { SHM_HELLO = 1, SHM_READY, SHM_REFUSE, SHM_BYE, SHM_WAKE };

/* Why a connection is turned away; travels in REFUSE. */
enum shm_refusal {
    SHM_REFUSE_NONE,
    SHM_REFUSE_MALFORMED,
    SHM_REFUSE_STRANGER, /* another user's process */
    SHM_REFUSE_VERSION,  /* of the fabric, or of the signals */
    SHM_REFUSE_CLUSTER,  /* another name or id */
    SHM_REFUSE_NODE,     /* a node id that is not expected here */
    SHM_REFUSE_MEMORY,   /* its ring's */
    SHM_REFUSE_FAILURE,  /* another failure_ns: the two would not beat alike */
    SHM_REFUSE_BUSY,     /* come again: its earlier connection has not ended yet */
    SHM_REFUSE_DEAD,     /* this incarnation was declared dead */
    SHM_REFUSE_LATER,    /* come again: it has failed and was not readmitted yet */
    SHM_REFUSALS,
};

/* What no version changes, so that nodes of different versions can still refuse each other and say
 * why: the header of every message, HELLO up to the node id, and REFUSE with its codes. */
struct shm_header {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
};

struct shm_hello {
    struct shm_header header;
    uint32_t signal_version;
    uint32_t ring_signals;
    struct pst_fabric_hello node;
    uint32_t memory; /* enum pst_shm_memory: EAL or not */
    uint32_t failure_us;
    uint64_t ring_offset; /* in the descriptor that comes with the message */
    uint64_t ring_bytes;
};

/* REFUSE: code is an enum shm_refusal. BYE: code is an enum pst_fabric_failure: why the sender has
 * declared the receiver dead; LEFT: the sender itself leaves. */
struct shm_notice {
    struct shm_header header;
    uint32_t code;
    char reason[SHM_REASON_BYTES];
};

union shm_message {
    struct shm_header header;
    struct shm_hello hello;
    struct shm_notice notice;
};

#define SHM_HELLO_FIXED_BYTES 88u

_Static_assert(offsetof(struct shm_hello, signal_version) == 8, "fixed");
_Static_assert(offsetof(struct shm_hello, node.node) + 4 == SHM_HELLO_FIXED_BYTES, "fixed");
_Static_assert(sizeof(struct shm_hello) == 184, "no holes");
_Static_assert(sizeof(struct shm_notice) == 140, "no holes");

/* Sends without waiting; fd -1: none comes with it. 0 or -errno. */
PST_MUST_USE int shm_send(int socket, const void *message, uint32_t bytes, int fd);

/* Takes one message and the descriptor that came with it, which is the caller's, or -1. The
 * message's bytes, 0 at the end of the connection, -EAGAIN, or -errno. */
PST_MUST_USE int shm_receive(int socket, union shm_message *message, int *fd);

/* Sends if it can: the other side may be gone. */
void shm_send_notice(int socket, enum shm_message_type type, uint32_t code, const char *reason);
void shm_send_bare(int socket, enum shm_message_type type);

/* Whether a message of so many bytes is well formed. Terminates its texts. */
enum shm_refusal shm_check(union shm_message *message, uint32_t bytes);

/* Whether such a message is a HELLO of which the fixed fields can be read, be it of another
 * version.
 */
bool shm_is_hello(const union shm_message *message, uint32_t bytes);

/* Whether theirs matches ours: the versions, the cluster and the kind of memory are the same, and
 * the numbers are possible. */
enum shm_refusal shm_check_hello(const struct shm_hello *ours, const struct shm_hello *theirs);

const char *shm_refusal_text(enum shm_refusal refusal);

/* The same for both ends, with both values where two HELLOs differ; theirs: NULL if there was none;
 * of another version only what is fixed is read. text: SHM_REASON_BYTES; returned. */
char *shm_refusal_words(enum shm_refusal refusal, const struct shm_hello *ours,
                        const struct shm_hello *theirs, char *text);

#endif
