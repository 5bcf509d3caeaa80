/*
 * What signals carry: one struct for each kind of payload, of at most PST_SIGNAL_PAYLOAD_BYTES.
 * docs/protocol.md writes the bytes down, and a test compares the two. Little-endian; reserved
 * fields are zero.
 */
#ifndef PST_ENGINE_PROTOCOL_PAYLOAD_H
#define PST_ENGINE_PROTOCOL_PAYLOAD_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "engine/protocol/ref.h"
#include "engine/protocol/set.h"
#include "penstock/error.h"

#define PST_SIGNAL_PAYLOAD_BYTES 80u

/* Inside C an error is an int, 0 or negative; on the wire it is a reason, 0 or positive. These two
 * convert. */
#define PST_REASON_MAX 9999u

static inline uint32_t pst_reason_of(int error)
{
    assert(error <= 0 && (uint32_t)-error <= PST_REASON_MAX);
    return (uint32_t)-error;
}

/* Of a REF or an order to abort, which has a reason: what is none counts as a bad request. */
static inline int pst_error_of(uint32_t reason)
{
    return reason >= 1 && reason <= PST_REASON_MAX ? -(int)reason : -PST_E_BAD_REQUEST;
}

/* A count of which there may be more than a signal can say. */
static inline uint16_t pst_u16_at_most(uint32_t count)
{
    return count < UINT16_MAX ? (uint16_t)count : UINT16_MAX;
}

enum pst_backup_flags {
    PST_BACKUP_SINGLE_THREADED = 1, /* the master talks to LDM 1 of every node */
    PST_BACKUP_ALLOW_MISSING = 2,   /* of those nodes that are there, be it not all */
    PST_BACKUP_VERIFY = 4,          /* parts and manifests are read back before they count */
    PST_BACKUP_SEALED = 8,          /* each node seals what it writes; without it, none does */

    PST_BACKUP_FLAGS = 15, /* all that are known here: a backup with another one is refused */
    /* Each node must confirm these, for one of an older version obeys none that it does not know.
     * The others are as old as the protocol, of which not every version confirms them. */
    PST_BACKUP_CONFIRMED =
        PST_BACKUP_FLAGS & ~(PST_BACKUP_SINGLE_THREADED | PST_BACKUP_ALLOW_MISSING),
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
    pst_ref where;      /* where the trouble was first */
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
    uint32_t flags;       /* of the request, of which each node has confirmed those that it must */
    struct pst_set nodes; /* that take part, by id - 1 */
};

struct pst_backup_complete_rep {
    struct pst_sums sums;
    uint64_t request_id;
    uint64_t start_gci;
    uint32_t number;
    uint16_t warnings;     /* nodes that could not store their copy of the cluster manifest */
    uint16_t left_frozen;  /* as in pst_source_release_conf, of all nodes */
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

struct pst_define_backup_conf {
    pst_ref master_ref;
    uint32_t flags; /* of the request, which the node obeys; an LDM confirms none */
};

/* As in NDB, the request of an ABORT_BACKUP_ORD says which machine it is for. */
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
    uint32_t warnings;          /* BACKUP_STATUS_REP: as in pst_stop_backup_conf, of all nodes */
    struct pst_sums sums;       /* since the start of the backup */
    uint64_t expected_bytes;    /* listed so far; 0: not known */
    uint64_t expected_is_final; /* 1: the listing has ended */
    uint64_t request_id;
};

struct pst_stop_backup_conf {
    pst_ref master_ref;
    uint16_t warnings;    /* and errors that the node logged since the backup began; UINT16_MAX: or
                             more; an LDM: 0 */
    uint16_t left_frozen; /* as in pst_source_release_conf, of the node; an LDM: 0 */
    struct pst_sums sums;
    uint64_t file_bytes; /* of the part file, or of the node manifest */
    uint8_t digest[16];  /* likewise */
};

struct pst_commit {
    pst_ref master_ref;
    uint32_t warnings;   /* ARCHIVE_MANIFEST_CONF: as in pst_stop_backup_conf */
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

struct pst_source_release_conf {
    pst_ref master_ref;
    uint32_t left_frozen; /* 1: what its freeze did could not be undone, and may still be there */
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

/* What a node's disk has of a backup. */
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
    uint32_t node;       /* SETTLE, committed: the one that has the cluster manifest; 0: by hand */
    uint64_t file_bytes; /* committed: of the cluster manifest */
    uint8_t digest[16];
};

/* A backup in doubt, by its node manifest. */
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

#define PST_SOURCE_TEXT_PIECE_BYTES 64u
#define PST_SOURCE_SAYS_BYTES_MAX 324u /* a name, ": ", and PST_SOURCE_TEXT_BYTES */

enum pst_source_text_kind {
    PST_TEXT_FAILURE,     /* what it says of its failure, before the REF */
    PST_TEXT_LEFT_FROZEN, /* its name: it is released, and what its freeze did could not be undone
                           */
};

/* A piece of a text of a source, for people, in order. */
struct pst_source_text {
    pst_ref master_ref;
    pst_ref where;   /* the source */
    uint32_t offset; /* of the piece */
    uint16_t bytes;  /* of the whole, 1 … PST_SOURCE_SAYS_BYTES_MAX */
    uint16_t kind;   /* enum pst_source_text_kind */
    uint8_t text[PST_SOURCE_TEXT_PIECE_BYTES];
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
    struct pst_define_backup_conf define_conf;
    struct pst_abort_backup_ord abort;
    struct pst_gci gci;
    struct pst_fragment fragment;
    struct pst_fragment_conf fragment_conf;
    struct pst_backup_progress progress;
    struct pst_stop_backup_conf stop_conf;
    struct pst_commit commit;
    struct pst_source_list_conf list_conf;
    struct pst_source_release_conf release_conf;
    struct pst_archive_number archive_number;
    struct pst_archive_item archive_item;
    struct pst_outcome outcome;
    struct pst_doubt_rep doubt;
    struct pst_blob blob;
    struct pst_blob_data blob_data;
    struct pst_source_text source_text;
    struct pst_node_change node_change;
};

_Static_assert(sizeof(union pst_payload) == PST_SIGNAL_PAYLOAD_BYTES, "every payload fits");

static inline void pst_sums_add(struct pst_sums *sums, const struct pst_sums *more)
{
    sums->source_bytes += more->source_bytes;
    sums->stored_bytes += more->stored_bytes;
    sums->objects += more->objects;
    sums->chunks += more->chunks;
    sums->unreadable += more->unreadable;
}

/* The other way: less is a part of sums. */
static inline void pst_sums_subtract(struct pst_sums *sums, const struct pst_sums *less)
{
    sums->source_bytes -= less->source_bytes;
    sums->stored_bytes -= less->stored_bytes;
    sums->objects -= less->objects;
    sums->chunks -= less->chunks;
    sums->unreadable -= less->unreadable;
}

/* What an LDM or a node has prepared, as a line of a manifest. */
static inline struct pst_archive_item pst_archive_item_of(pst_ref master_ref, uint32_t item,
                                                          const struct pst_stop_backup_conf *conf)
{
    struct pst_archive_item line = {
        .master_ref = master_ref, .item = item, .sums = conf->sums, .file_bytes = conf->file_bytes};
    memcpy(line.digest, conf->digest, sizeof(line.digest));
    return line;
}

#endif
