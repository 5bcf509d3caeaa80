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
#include "engine/protocol/payload.h"
#include "engine/protocol/ref.h"
#include "engine/protocol/set.h"

#define PST_SIGNAL_BYTES 128u
#define PST_SIGNAL_VERSION 1u

/* Where a signal may go. What passes inside a node is never taken from another one. */
enum pst_reach {
    PST_REACH_INSIDE = 1, /* between the threads of one node */
    PST_REACH_BACKUP,     /* to client, master, proxy or LDM 1 of any node */
    PST_REACH_OUTCOME,    /* from outcome machine to outcome machine */
    PST_REACH_ARCHIVE,    /* from archive to archive */
};

/* X(name, number, payload struct, reach) */
#define PST_SIGNAL_LIST(X)                                                                         \
    /* client and master */                                                                        \
    X(BACKUP_REQ, 1, pst_backup_req, BACKUP)                                                       \
    X(BACKUP_CONF, 2, pst_backup_conf, BACKUP)                                                     \
    X(BACKUP_REF, 3, pst_ref_payload, BACKUP)                                                      \
    X(BACKUP_STATUS_REP, 4, pst_backup_progress, BACKUP)                                           \
    X(BACKUP_COMPLETE_REP, 5, pst_backup_complete_rep, BACKUP)                                     \
    X(BACKUP_ABORT_REP, 6, pst_ref_payload, BACKUP)                                                \
    /* master, proxies, LDMs */                                                                    \
    X(ABORT_BACKUP_ORD, 9, pst_abort_backup_ord, BACKUP)                                           \
    X(DEFINE_BACKUP_REQ, 10, pst_define_backup_req, BACKUP)                                        \
    X(DEFINE_BACKUP_CONF, 11, pst_define_backup_conf, BACKUP)                                      \
    X(DEFINE_BACKUP_REF, 12, pst_ref_payload, BACKUP)                                              \
    X(START_BACKUP_REQ, 13, pst_order, BACKUP)                                                     \
    X(START_BACKUP_CONF, 14, pst_order, BACKUP)                                                    \
    X(START_BACKUP_REF, 15, pst_ref_payload, BACKUP)                                               \
    X(GCP_PREPARE_REQ, 16, pst_order, BACKUP)                                                      \
    X(GCP_PREPARE_CONF, 17, pst_gci, BACKUP)                                                       \
    X(GCP_PREPARE_REF, 18, pst_ref_payload, BACKUP)                                                \
    X(GCP_COMMIT_REQ, 19, pst_gci, BACKUP)                                                         \
    X(GCP_COMMIT_CONF, 20, pst_gci, BACKUP)                                                        \
    X(GCP_COMMIT_REF, 21, pst_ref_payload, BACKUP)                                                 \
    X(BACKUP_FRAGMENT_REQ, 22, pst_fragment, BACKUP)                                               \
    X(BACKUP_FRAGMENT_CONF, 23, pst_fragment_conf, BACKUP)                                         \
    X(BACKUP_FRAGMENT_REF, 24, pst_ref_payload, BACKUP)                                            \
    X(STOP_BACKUP_REQ, 25, pst_gci, BACKUP)                                                        \
    X(STOP_BACKUP_CONF, 26, pst_stop_backup_conf, BACKUP)                                          \
    X(STOP_BACKUP_REF, 27, pst_ref_payload, BACKUP)                                                \
    X(COMMIT_BACKUP_REQ, 28, pst_commit, BACKUP)                                                   \
    X(COMMIT_BACKUP_CONF, 29, pst_order, BACKUP)                                                   \
    X(COMMIT_BACKUP_REF, 30, pst_ref_payload, BACKUP)                                              \
    X(CLEANUP_BACKUP_REQ, 31, pst_order, BACKUP)                                                   \
    X(CLEANUP_BACKUP_CONF, 32, pst_order, BACKUP)                                                  \
    X(CLEANUP_BACKUP_REF, 33, pst_ref_payload, BACKUP)                                             \
    X(BACKUP_PROGRESS_REP, 34, pst_backup_progress, BACKUP)                                        \
    /* nodes that meet again */                                                                    \
    X(OUTCOME_REQ, 35, pst_outcome, OUTCOME)                                                       \
    X(OUTCOME_CONF, 36, pst_outcome, OUTCOME)                                                      \
    X(OUTCOME_REF, 37, pst_ref_payload, OUTCOME)                                                   \
    /* a node and its sources */                                                                   \
    X(SOURCE_FREEZE_REQ, 40, pst_order, INSIDE)                                                    \
    X(SOURCE_FREEZE_CONF, 41, pst_gci, INSIDE)                                                     \
    X(SOURCE_FREEZE_REF, 42, pst_ref_payload, INSIDE)                                              \
    X(SOURCE_SNAPSHOT_REQ, 43, pst_gci, INSIDE)                                                    \
    X(SOURCE_SNAPSHOT_CONF, 44, pst_order, INSIDE)                                                 \
    X(SOURCE_SNAPSHOT_REF, 45, pst_ref_payload, INSIDE)                                            \
    X(SOURCE_PREPARE_REQ, 46, pst_order, INSIDE)                                                   \
    X(SOURCE_PREPARE_CONF, 47, pst_order, INSIDE)                                                  \
    X(SOURCE_PREPARE_REF, 48, pst_ref_payload, INSIDE)                                             \
    X(SOURCE_LIST_REQ, 49, pst_order, INSIDE)                                                      \
    X(SOURCE_LIST_CONF, 50, pst_source_list_conf, INSIDE)                                          \
    X(SOURCE_LIST_REF, 51, pst_ref_payload, INSIDE)                                                \
    X(SOURCE_FRAGMENT_REP, 52, pst_fragment, INSIDE)                                               \
    X(SOURCE_FRAGMENT_DONE_ORD, 53, pst_fragment, INSIDE)                                          \
    X(SOURCE_RELEASE_REQ, 54, pst_order, INSIDE)                                                   \
    X(SOURCE_RELEASE_CONF, 55, pst_source_release_conf, INSIDE)                                    \
    X(SOURCE_RELEASE_REF, 56, pst_ref_payload, INSIDE)                                             \
    X(SOURCE_ABORT_ORD, 57, pst_order, INSIDE)                                                     \
    X(SOURCE_TEXT_REP, 58, pst_source_text, BACKUP)                                                \
    /* a node and its backup directory */                                                          \
    X(ARCHIVE_NUMBER_REQ, 60, pst_archive_number, INSIDE)                                          \
    X(ARCHIVE_NUMBER_CONF, 61, pst_archive_number, INSIDE)                                         \
    X(ARCHIVE_NUMBER_REF, 62, pst_ref_payload, INSIDE)                                             \
    X(ARCHIVE_DEFINE_REQ, 63, pst_define_backup_req, INSIDE)                                       \
    X(ARCHIVE_DEFINE_CONF, 64, pst_order, INSIDE)                                                  \
    X(ARCHIVE_DEFINE_REF, 65, pst_ref_payload, INSIDE)                                             \
    X(ARCHIVE_PART_ORD, 66, pst_archive_item, INSIDE)                                              \
    X(ARCHIVE_MANIFEST_REQ, 67, pst_gci, INSIDE)                                                   \
    X(ARCHIVE_MANIFEST_CONF, 68, pst_commit, INSIDE)                                               \
    X(ARCHIVE_MANIFEST_REF, 69, pst_ref_payload, INSIDE)                                           \
    X(ARCHIVE_NODE_ORD, 70, pst_archive_item, INSIDE)                                              \
    X(ARCHIVE_DECIDE_REQ, 71, pst_gci, INSIDE)                                                     \
    X(ARCHIVE_DECIDE_CONF, 72, pst_commit, INSIDE)                                                 \
    X(ARCHIVE_DECIDE_REF, 73, pst_ref_payload, INSIDE)                                             \
    X(ARCHIVE_COMMIT_REQ, 74, pst_commit, INSIDE)                                                  \
    X(ARCHIVE_COMMIT_CONF, 75, pst_order, INSIDE)                                                  \
    X(ARCHIVE_COMMIT_REF, 76, pst_ref_payload, INSIDE)                                             \
    X(ARCHIVE_CLEANUP_REQ, 77, pst_order, INSIDE)                                                  \
    X(ARCHIVE_CLEANUP_CONF, 78, pst_order, INSIDE)                                                 \
    X(ARCHIVE_CLEANUP_REF, 79, pst_ref_payload, INSIDE)                                            \
    /* a node's backups in doubt, its backup directory, and decisions by hand */                   \
    X(ARCHIVE_LEAVE_ORD, 80, pst_order, INSIDE)                                                    \
    X(ARCHIVE_DOUBT_REP, 81, pst_doubt_rep, INSIDE)                                                \
    X(ARCHIVE_SWEEP_REQ, 82, pst_order, INSIDE)                                                    \
    X(ARCHIVE_SWEEP_CONF, 83, pst_order, INSIDE)                                                   \
    X(ARCHIVE_SWEEP_REF, 84, pst_ref_payload, INSIDE)                                              \
    X(ARCHIVE_OUTCOME_REQ, 85, pst_outcome, INSIDE)                                                \
    X(ARCHIVE_OUTCOME_CONF, 86, pst_outcome, INSIDE)                                               \
    X(ARCHIVE_OUTCOME_REF, 87, pst_ref_payload, INSIDE)                                            \
    X(ARCHIVE_SETTLE_REQ, 88, pst_outcome, INSIDE)                                                 \
    X(ARCHIVE_SETTLE_CONF, 89, pst_order, INSIDE)                                                  \
    X(ARCHIVE_SETTLE_REF, 90, pst_ref_payload, INSIDE)                                             \
    X(RESOLVE_REQ, 91, pst_outcome, INSIDE)                                                        \
    X(RESOLVE_CONF, 92, pst_order, INSIDE)                                                         \
    X(RESOLVE_REF, 93, pst_ref_payload, INSIDE)                                                    \
    /* archives, of manifests; and a hub to its own threads */                                     \
    X(BLOB_REQ, 94, pst_blob, ARCHIVE)                                                             \
    X(BLOB_CONF, 95, pst_blob, ARCHIVE)                                                            \
    X(BLOB_REF, 96, pst_ref_payload, ARCHIVE)                                                      \
    X(BLOB_DATA_REP, 97, pst_blob_data, ARCHIVE)                                                   \
    X(NODE_JOINED_ORD, 98, pst_node_change, INSIDE)                                                \
    X(NODE_FAILED_ORD, 99, pst_node_change, INSIDE)                                                \
    X(NODE_FAILED_REP, 100, pst_node_change, INSIDE)

enum pst_gsn {
#define X(name, number, payload, reach) PST_##name = number,
    PST_SIGNAL_LIST(X)
#undef X
};

#define PST_GSN_MAX 100u

/* The requests. X(name, the block that answers it, whether a master sends it).
 * NAME_REQ is answered by NAME_CONF or NAME_REF: number + 1, + 2. */
#define PST_REQUEST_LIST(X)                                                                        \
    X(BACKUP, BACKUP, false)                                                                       \
    X(DEFINE_BACKUP, BACKUP, true)                                                                 \
    X(START_BACKUP, BACKUP, true)                                                                  \
    X(GCP_PREPARE, BACKUP, true)                                                                   \
    X(GCP_COMMIT, BACKUP, true)                                                                    \
    X(BACKUP_FRAGMENT, BACKUP, true)                                                               \
    X(STOP_BACKUP, BACKUP, true)                                                                   \
    X(COMMIT_BACKUP, BACKUP, true)                                                                 \
    X(CLEANUP_BACKUP, BACKUP, true)                                                                \
    X(OUTCOME, OUTCOME, false)                                                                     \
    X(SOURCE_PREPARE, SOURCE, false)                                                               \
    X(SOURCE_FREEZE, SOURCE, false)                                                                \
    X(SOURCE_SNAPSHOT, SOURCE, false)                                                              \
    X(SOURCE_LIST, SOURCE, false)                                                                  \
    X(SOURCE_RELEASE, SOURCE, false)                                                               \
    X(ARCHIVE_NUMBER, ARCHIVE, true)                                                               \
    X(ARCHIVE_DEFINE, ARCHIVE, false)                                                              \
    X(ARCHIVE_MANIFEST, ARCHIVE, false)                                                            \
    X(ARCHIVE_DECIDE, ARCHIVE, true)                                                               \
    X(ARCHIVE_COMMIT, ARCHIVE, false)                                                              \
    X(ARCHIVE_CLEANUP, ARCHIVE, false)                                                             \
    X(ARCHIVE_SWEEP, ARCHIVE, false)                                                               \
    X(ARCHIVE_OUTCOME, ARCHIVE, false)                                                             \
    X(ARCHIVE_SETTLE, ARCHIVE, false)                                                              \
    X(RESOLVE, OUTCOME, false)                                                                     \
    X(BLOB, ARCHIVE, false)

/* The answers to a REQ. */
#define PST_CONF_OF(req) ((uint16_t)((req) + 1))
#define PST_REF_OF(req) ((uint16_t)((req) + 2))

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

/* true for NAME_REQ. */
bool gsn_is_request(uint32_t gsn);

/* The block whose instances answer a REQ, of a REQ or of its answer; a master's orders are
 * BACKUP's, be it a proxy that serves them. 0 for a signal that is neither. */
enum pst_block pst_gsn_answered_by(uint32_t gsn);

/* Where a signal may go; 0 for a number that is not in the list. */
enum pst_reach pst_gsn_reach(uint32_t gsn);

/* A signal with this header and a payload of zeros, to be filled in. */
void pst_signal_init(struct pst_signal *signal, uint16_t gsn, pst_ref sender_ref,
                     pst_ref receiver_ref, uint64_t backup, uint32_t sequence);

/* The answer to a REQ, or a report that belongs to it: from the REQ's receiver to its sender, with
 * its sequence and masterRef. */
void pst_signal_init_answer(struct pst_signal *answer, uint16_t gsn,
                            const struct pst_signal *request);

/* Which half of a BACKUP instance a signal is for: the master's, or else the participant's. */
bool pst_signal_is_for_master(const struct pst_signal *signal);

/* The first 8 bytes of a uid, as they travel in signal.backup. */
uint64_t pst_uid_low(const uint8_t uid[16]);

#endif
