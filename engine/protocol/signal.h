/*
 * Signals of the control protocol: fixed size, sent by value, two cache lines.
 *
 * A REQ is answered by exactly one CONF or REF with the REQ's sequence, sent to the REQ's sender
 * (senderRef). An ORD and a REP have no answer. docs/protocol.md writes the bytes down; the
 * _Static_asserts below hold both to it. All numbers are little-endian on every host we build for.
 */
#ifndef PST_ENGINE_PROTOCOL_SIGNAL_H
#define PST_ENGINE_PROTOCOL_SIGNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/limits.h"

#define PST_SIGNAL_BYTES 128u
#define PST_SIGNAL_PAYLOAD_BYTES 80u
#define PST_SIGNAL_VERSION 1u

/* Address of a protocol instance: node << 24 | block << 16 | instance. */
typedef uint32_t pst_ref;

enum pst_block {
    PST_BLOCK_CLIENT = 1,  /* who asked for the backup */
    PST_BLOCK_PROXY = 2,   /* instance 0: the BackupProxy, in the hub; 1: LDM 1 in its place */
    PST_BLOCK_BACKUP = 3,  /* instance 1…N: the participant in LDM n; the master is in LDM 1 */
    PST_BLOCK_SOURCE = 4,  /* instance 0…: a source's thread */
    PST_BLOCK_ARCHIVE = 5, /* instance 0: the thread that keeps the backup directory */
    PST_BLOCK_OUTCOME = 6, /* instance 0: what settles backups in doubt, in the hub */
};

static inline pst_ref pst_ref_make(uint32_t node, enum pst_block block, uint32_t instance)
{
    return node << 24 | (uint32_t)block << 16 | instance;
}

static inline uint32_t pst_ref_node(pst_ref ref)
{
    return ref >> 24;
}

static inline enum pst_block pst_ref_block(pst_ref ref)
{
    return (enum pst_block)(ref >> 16 & 0xff);
}

static inline uint32_t pst_ref_instance(pst_ref ref)
{
    return ref & 0xffff;
}

/* A set of up to 256 instances: LDMs by instance - 1, nodes by id - 1, sources by instance. */
struct pst_set {
    uint64_t words[4];
};

static inline void pst_set_add(struct pst_set *set, uint32_t member)
{
    set->words[member / 64] |= UINT64_C(1) << member % 64;
}

static inline void pst_set_remove(struct pst_set *set, uint32_t member)
{
    set->words[member / 64] &= ~(UINT64_C(1) << member % 64);
}

static inline bool pst_set_has(const struct pst_set *set, uint32_t member)
{
    return member < 256 && set->words[member / 64] >> member % 64 & 1;
}

static inline bool pst_set_is_empty(const struct pst_set *set)
{
    return !(set->words[0] | set->words[1] | set->words[2] | set->words[3]);
}

static inline uint32_t pst_set_count(const struct pst_set *set)
{
    uint32_t count = 0;
    for (int i = 0; i < 4; i++) {
        /* The compiler's own popcount would be a call into its library. */
        for (uint64_t word = set->words[i]; word != 0; word &= word - 1)
            count++;
    }
    return count;
}

/* The members 0 … count-1. */
static inline struct pst_set pst_set_first(uint32_t count)
{
    struct pst_set set = {{0}};
    for (uint32_t i = 0; i < count; i++)
        pst_set_add(&set, i);
    return set;
}

/* X(name, number, payload struct). Answers to NAME_REQ are NAME_CONF and NAME_REF: number + 1, + 2.
 */
#define PST_SIGNAL_LIST(X)                                                                         \
    /* client and master */                                                                        \
    X(BACKUP_REQ, 1, pst_backup_req)                                                               \
    X(BACKUP_CONF, 2, pst_backup_conf)                                                             \
    X(BACKUP_REF, 3, pst_ref_payload)                                                              \
    X(BACKUP_STATUS_REP, 4, pst_backup_progress)                                                   \
    X(BACKUP_COMPLETE_REP, 5, pst_backup_complete_rep)                                             \
    X(BACKUP_ABORT_REP, 6, pst_ref_payload)                                                        \
    /* master, proxies, LDMs */                                                                    \
    X(ABORT_BACKUP_ORD, 9, pst_abort_backup_ord)                                                   \
    X(DEFINE_BACKUP_REQ, 10, pst_define_backup_req)                                                \
    X(DEFINE_BACKUP_CONF, 11, pst_order)                                                           \
    X(DEFINE_BACKUP_REF, 12, pst_ref_payload)                                                      \
    X(START_BACKUP_REQ, 13, pst_order)                                                             \
    X(START_BACKUP_CONF, 14, pst_order)                                                            \
    X(START_BACKUP_REF, 15, pst_ref_payload)                                                       \
    X(GCP_PREPARE_REQ, 16, pst_order)                                                              \
    X(GCP_PREPARE_CONF, 17, pst_gci)                                                               \
    X(GCP_PREPARE_REF, 18, pst_ref_payload)                                                        \
    X(GCP_COMMIT_REQ, 19, pst_gci)                                                                 \
    X(GCP_COMMIT_CONF, 20, pst_gci)                                                                \
    X(GCP_COMMIT_REF, 21, pst_ref_payload)                                                         \
    X(BACKUP_FRAGMENT_REQ, 22, pst_fragment)                                                       \
    X(BACKUP_FRAGMENT_CONF, 23, pst_fragment_conf)                                                 \
    X(BACKUP_FRAGMENT_REF, 24, pst_ref_payload)                                                    \
    X(STOP_BACKUP_REQ, 25, pst_gci)                                                                \
    X(STOP_BACKUP_CONF, 26, pst_stop_backup_conf)                                                  \
    X(STOP_BACKUP_REF, 27, pst_ref_payload)                                                        \
    X(COMMIT_BACKUP_REQ, 28, pst_commit)                                                           \
    X(COMMIT_BACKUP_CONF, 29, pst_order)                                                           \
    X(COMMIT_BACKUP_REF, 30, pst_ref_payload)                                                      \
    X(CLEANUP_BACKUP_REQ, 31, pst_order)                                                           \
    X(CLEANUP_BACKUP_CONF, 32, pst_order)                                                          \
    X(CLEANUP_BACKUP_REF, 33, pst_ref_payload)                                                     \
    X(BACKUP_PROGRESS_REP, 34, pst_backup_progress)                                                \
    /* nodes that meet again */                                                                    \
    X(OUTCOME_REQ, 35, pst_outcome)                                                                \
    X(OUTCOME_CONF, 36, pst_outcome)                                                               \
    X(OUTCOME_REF, 37, pst_ref_payload)                                                            \
    /* a node and its sources */                                                                   \
    X(SOURCE_FREEZE_REQ, 40, pst_order)                                                            \
    X(SOURCE_FREEZE_CONF, 41, pst_gci)                                                             \
    X(SOURCE_FREEZE_REF, 42, pst_ref_payload)                                                      \
    X(SOURCE_SNAPSHOT_REQ, 43, pst_gci)                                                            \
    X(SOURCE_SNAPSHOT_CONF, 44, pst_order)                                                         \
    X(SOURCE_SNAPSHOT_REF, 45, pst_ref_payload)                                                    \
    X(SOURCE_THAW_REQ, 46, pst_order)                                                              \
    X(SOURCE_THAW_CONF, 47, pst_order)                                                             \
    X(SOURCE_THAW_REF, 48, pst_ref_payload)                                                        \
    X(SOURCE_LIST_REQ, 49, pst_order)                                                              \
    X(SOURCE_LIST_CONF, 50, pst_source_list_conf)                                                  \
    X(SOURCE_LIST_REF, 51, pst_ref_payload)                                                        \
    X(SOURCE_FRAGMENT_REP, 52, pst_fragment)                                                       \
    X(SOURCE_FRAGMENT_DONE_ORD, 53, pst_fragment)                                                  \
    X(SOURCE_RELEASE_REQ, 54, pst_order)                                                           \
    X(SOURCE_RELEASE_CONF, 55, pst_order)                                                          \
    X(SOURCE_RELEASE_REF, 56, pst_ref_payload)                                                     \
    X(SOURCE_ABORT_ORD, 57, pst_order)                                                             \
    /* a node and its backup directory */                                                          \
    X(ARCHIVE_NUMBER_REQ, 60, pst_archive_number)                                                  \
    X(ARCHIVE_NUMBER_CONF, 61, pst_archive_number)                                                 \
    X(ARCHIVE_NUMBER_REF, 62, pst_ref_payload)                                                     \
    X(ARCHIVE_DEFINE_REQ, 63, pst_define_backup_req)                                               \
    X(ARCHIVE_DEFINE_CONF, 64, pst_order)                                                          \
    X(ARCHIVE_DEFINE_REF, 65, pst_ref_payload)                                                     \
    X(ARCHIVE_PART_ORD, 66, pst_archive_item)                                                      \
    X(ARCHIVE_MANIFEST_REQ, 67, pst_gci)                                                           \
    X(ARCHIVE_MANIFEST_CONF, 68, pst_commit)                                                       \
    X(ARCHIVE_MANIFEST_REF, 69, pst_ref_payload)                                                   \
    X(ARCHIVE_NODE_ORD, 70, pst_archive_item)                                                      \
    X(ARCHIVE_DECIDE_REQ, 71, pst_gci)                                                             \
    X(ARCHIVE_DECIDE_CONF, 72, pst_commit)                                                         \
    X(ARCHIVE_DECIDE_REF, 73, pst_ref_payload)                                                     \
    X(ARCHIVE_COMMIT_REQ, 74, pst_commit)                                                          \
    X(ARCHIVE_COMMIT_CONF, 75, pst_order)                                                          \
    X(ARCHIVE_COMMIT_REF, 76, pst_ref_payload)                                                     \
    X(ARCHIVE_CLEANUP_REQ, 77, pst_order)                                                          \
    X(ARCHIVE_CLEANUP_CONF, 78, pst_order)                                                         \
    X(ARCHIVE_CLEANUP_REF, 79, pst_ref_payload)                                                    \
    /* a node's backups in doubt, its backup directory, and who decides by hand */                 \
    X(ARCHIVE_LEAVE_ORD, 80, pst_order)                                                            \
    X(ARCHIVE_DOUBT_REP, 81, pst_doubt_rep)                                                        \
    X(ARCHIVE_SWEEP_REQ, 82, pst_order)                                                            \
    X(ARCHIVE_SWEEP_CONF, 83, pst_order)                                                           \
    X(ARCHIVE_SWEEP_REF, 84, pst_ref_payload)                                                      \
    X(ARCHIVE_OUTCOME_REQ, 85, pst_outcome)                                                        \
    X(ARCHIVE_OUTCOME_CONF, 86, pst_outcome)                                                       \
    X(ARCHIVE_OUTCOME_REF, 87, pst_ref_payload)                                                    \
    X(ARCHIVE_SETTLE_REQ, 88, pst_outcome)                                                         \
    X(ARCHIVE_SETTLE_CONF, 89, pst_order)                                                          \
    X(ARCHIVE_SETTLE_REF, 90, pst_ref_payload)                                                     \
    X(RESOLVE_REQ, 91, pst_outcome)                                                                \
    X(RESOLVE_CONF, 92, pst_order)                                                                 \
    X(RESOLVE_REF, 93, pst_ref_payload)                                                            \
    /* archives, of manifests; and a hub to its own threads */                                     \
    X(BLOB_REQ, 94, pst_blob)                                                                      \
    X(BLOB_CONF, 95, pst_blob)                                                                     \
    X(BLOB_REF, 96, pst_ref_payload)                                                               \
    X(BLOB_DATA_REP, 97, pst_blob_data)                                                            \
    X(NODE_JOINED_ORD, 98, pst_node_change)                                                        \
    X(NODE_FAILED_ORD, 99, pst_node_change)                                                        \
    X(NODE_FAILED_REP, 100, pst_node_change)

enum pst_gsn {
#define X(name, number, payload) PST_##name = number,
    PST_SIGNAL_LIST(X)
#undef X
};

#define PST_GSN_MAX 100u

/* The answers to a REQ. */
#define PST_CONF_OF(req) ((uint16_t)((req) + 1))
#define PST_REF_OF(req) ((uint16_t)((req) + 2))

enum pst_backup_flags {
    PST_BACKUP_SINGLE_THREADED = 1, /* the master talks to LDM 1 of every node */
    PST_BACKUP_ALLOW_MISSING = 2,   /* of those nodes that are there, be it not all */
};

/* What a backup did so far, or one part, one fragment, one node of it. */
struct pst_sums {
    uint64_t source_bytes; /* read from sources */
    uint64_t stored_bytes; /* written to part files */
    uint64_t objects;      /* files, directories, tables */
    uint64_t chunks;
    uint64_t unreadable; /* objects that could not be read, or changed while they were */
};

/* Begins every payload that passes between a backup's master, proxies, LDMs and their helpers. */
struct pst_order {
    pst_ref master_ref;
    uint32_t reserved;
};

/* REF: what was wrong, and where. */
struct pst_ref_payload {
    pst_ref master_ref; /* as in pst_order */
    uint32_t error;     /* an errno or PST_E_…, positive */
    pst_ref where;      /* who had the trouble first */
    uint32_t reserved;
    uint64_t request_id; /* BACKUP_REF and BACKUP_ABORT_REP only */
    uint32_t number;     /* BACKUP_ABORT_REP: the backup's; with PST_E_NUMBER_EXISTS in a REF of
                            DEFINE: the highest that the node has */
    uint32_t reserved2;
};

struct pst_backup_req {
    uint8_t uid[16];     /* chosen at random by the client; its first 8 bytes are signal.backup */
    uint64_t request_id; /* echoed in every answer */
    uint32_t number;     /* 0: the next free one */
    uint32_t flags;      /* enum pst_backup_flags */
    uint8_t options[16]; /* hash of the options blob; zeros: the node's own configuration */
};

struct pst_backup_conf {
    uint8_t uid[16];
    uint64_t request_id;
    uint32_t number;
    uint32_t reserved;
};

struct pst_backup_complete_rep {
    struct pst_sums sums;
    uint64_t request_id;
    uint64_t start_gci;
    uint32_t number;
    uint32_t warnings;     /* nodes that could not store their copy of the cluster manifest */
    uint64_t manifest_low; /* first 8 bytes of the cluster manifest's digest */
};

struct pst_define_backup_req {
    pst_ref master_ref;
    uint32_t number;
    uint8_t uid[16];
    uint32_t flags;
    uint32_t reserved;
    uint8_t options[16];
    struct pst_set nodes; /* by id - 1 */
};

/* As in NDB, the request of an ABORT_BACKUP_ORD tells whom it is for. */
enum pst_abort_request {
    PST_ABORT_CLIENT = 1321,         /* to the master: the client wants no more of it */
    PST_ABORT_BACKUP_FAILURE = 1323, /* from the master, and from a proxy to its LDMs: stop */
    PST_ABORT_FILE_OR_SCAN = 1325,   /* to the master: an LDM's own trouble, past its proxy; or its
                                        node stops */
};

struct pst_abort_backup_ord {
    pst_ref master_ref;
    uint32_t request; /* enum pst_abort_request */
    uint32_t error;   /* why */
    pst_ref where;
};

struct pst_gci {
    pst_ref master_ref;
    uint32_t reserved;
    uint64_t start_gci; /* in a PREPARE_CONF: the highest that the sender knows */
    uint64_t stop_gci;
};

/* One fragment. From the master to a proxy, no fragment is named: the node scans all it has. */
struct pst_fragment {
    pst_ref master_ref;
    uint32_t source; /* instance of the SOURCE */
    uint64_t fragment;
    uint64_t bytes; /* about; for the dealing only */
    uint32_t owner; /* the only LDM that may scan it, or 0 for any */
    uint32_t reserved;
};

struct pst_fragment_conf {
    pst_ref master_ref;
    uint32_t source;
    uint64_t fragment;
    struct pst_sums sums;
};

struct pst_backup_progress {
    pst_ref master_ref;
    uint32_t reserved;
    struct pst_sums sums;       /* since the start of the backup */
    uint64_t expected_bytes;    /* listed so far; 0: not known */
    uint64_t expected_is_final; /* 1: the listing has ended */
    uint64_t request_id;
};

struct pst_stop_backup_conf {
    pst_ref master_ref;
    uint32_t reserved;
    struct pst_sums sums;
    uint64_t file_bytes; /* of the part file, or of the node manifest */
    uint8_t digest[16];  /* likewise */
};

struct pst_commit {
    pst_ref master_ref;
    uint32_t reserved;
    uint64_t file_bytes; /* of the manifest */
    uint8_t digest[16];
};

struct pst_source_list_conf {
    pst_ref master_ref;
    uint32_t reserved;
    uint64_t fragments; /* sent as SOURCE_FRAGMENT_REP in all */
    uint64_t bytes;
    uint64_t unreadable; /* objects that the walk could not read */
};

struct pst_archive_number {
    pst_ref master_ref;
    uint32_t number; /* REQ: the wanted one, or 0; CONF: the one to use */
};

/* One line of a manifest: what a part of this node holds, or what a node of the cluster wrote. */
struct pst_archive_item {
    pst_ref master_ref;
    uint32_t item; /* LDM instance, or node id */
    struct pst_sums sums;
    uint64_t file_bytes;
    uint8_t digest[16];
};

/* What a node's disk says of a backup. */
enum pst_outcome_state {
    PST_OUTCOME_NONE = 1,  /* neither of the two: it was never prepared, or is aborted */
    PST_OUTCOME_PREPARED,  /* its node manifest is there, and no cluster manifest */
    PST_OUTCOME_COMMITTED, /* its cluster manifest is there */
};

/* Of one backup: a question, its answer, or what is to be made of it. */
struct pst_outcome {
    pst_ref master_ref;
    uint32_t number;
    uint8_t uid[16];
    uint32_t state;      /* enum pst_outcome_state; 0 in a question */
    uint32_t node;       /* SETTLE, committed: who has the cluster manifest; 0: decided by hand */
    uint64_t file_bytes; /* committed: of the cluster manifest */
    uint8_t digest[16];
};

/* A backup in doubt, as its node manifest tells it. */
struct pst_doubt_rep {
    pst_ref master_ref;
    uint32_t number;
    uint8_t uid[16];
    struct pst_set nodes; /* its participants, by id - 1 */
};

/* A piece of a cluster manifest, which is known by its digest: asked for, or what was sent of it.
 */
struct pst_blob {
    pst_ref master_ref; /* of its backup */
    uint32_t number;
    uint64_t file_bytes; /* of the whole */
    uint64_t offset;     /* REQ: from where on; CONF: how far it was sent */
    uint8_t digest[16];
};

#define PST_BLOB_DATA_BYTES 64u

struct pst_blob_data {
    pst_ref master_ref;
    uint32_t bytes; /* of data in use */
    uint64_t offset;
    uint8_t data[PST_BLOB_DATA_BYTES];
};

/* Another node has come or gone. */
struct pst_node_change {
    uint32_t node;
    uint32_t ldms; /* of it; more than one have a proxy */
    uint64_t incarnation;
};

union pst_payload {
    uint8_t bytes[PST_SIGNAL_PAYLOAD_BYTES];
    struct pst_order order;
    struct pst_ref_payload ref;
    struct pst_backup_req backup_req;
    struct pst_backup_conf backup_conf;
    struct pst_backup_complete_rep complete;
    struct pst_define_backup_req define;
    struct pst_abort_backup_ord abort;
    struct pst_gci gci;
    struct pst_fragment fragment;
    struct pst_fragment_conf fragment_conf;
    struct pst_backup_progress progress;
    struct pst_stop_backup_conf stop_conf;
    struct pst_commit commit;
    struct pst_source_list_conf list_conf;
    struct pst_archive_number archive_number;
    struct pst_archive_item archive_item;
    struct pst_outcome outcome;
    struct pst_doubt_rep doubt;
    struct pst_blob blob;
    struct pst_blob_data blob_data;
    struct pst_node_change node_change;
};

struct pst_signal {
    uint16_t gsn;
    uint8_t version; /* PST_SIGNAL_VERSION */
    uint8_t flags;   /* 0 */
    uint16_t length; /* bytes of payload in use; the rest is zero */
    uint16_t reserved;
    pst_ref sender_ref;
    pst_ref receiver_ref;
    uint64_t backup;        /* first 8 bytes of the backup's uid, little-endian */
    uint32_t sequence;      /* a REQ's, chosen by its sender and echoed by its answer */
    uint32_t link_sequence; /* set and checked by net/ */
    uint64_t incarnation;   /* of the sending node; set and checked by net/ */
    uint64_t checksum;      /* of all other bytes; set and checked by net/ */
    union pst_payload payload;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct pst_signal) == PST_SIGNAL_BYTES, "two cache lines");
_Static_assert(sizeof(union pst_payload) == PST_SIGNAL_PAYLOAD_BYTES, "every payload fits");
_Static_assert(offsetof(struct pst_signal, sender_ref) == 8, "docs/protocol.md");
_Static_assert(offsetof(struct pst_signal, backup) == 16, "docs/protocol.md");
_Static_assert(offsetof(struct pst_signal, sequence) == 24, "docs/protocol.md");
_Static_assert(offsetof(struct pst_signal, incarnation) == 32, "docs/protocol.md");
_Static_assert(offsetof(struct pst_signal, checksum) == 40, "docs/protocol.md");
_Static_assert(offsetof(struct pst_signal, payload) == 48, "docs/protocol.md");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "signals travel as they lie in memory");

/* "DEFINE_BACKUP_REQ"; "unknown" for a number that is not in the list. Static storage. */
const char *pst_gsn_name(uint32_t gsn);

/* Payload bytes of a gsn; 0 for a number that is not in the list. */
uint16_t pst_gsn_payload_bytes(uint32_t gsn);

/* The REQ that a CONF or REF answers; 0 for a signal that is no answer. */
uint16_t pst_gsn_answered(uint32_t gsn);

/* Which half of a BACKUP instance a signal is for: the master's, or else the participant's. */
bool pst_signal_is_for_master(const struct pst_signal *signal);

/* The first 8 bytes of a uid, as they travel in signal.backup. */
uint64_t pst_uid_low(const uint8_t uid[16]);

static inline void pst_sums_add(struct pst_sums *sums, const struct pst_sums *more)
{
    sums->source_bytes += more->source_bytes;
    sums->stored_bytes += more->stored_bytes;
    sums->objects += more->objects;
    sums->chunks += more->chunks;
    sums->unreadable += more->unreadable;
}

#endif
