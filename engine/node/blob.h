/*
 * Cluster manifests on their way from one node's archive to another's. They do not fit into a
 * signal: who wants one asks for a window of it, which comes as numbered pieces and is confirmed,
 * until it is whole; its digest says whether it is what was wanted.
 *
 * The archive's thread. Nothing here waits: who fetches goes on with other work between two
 * signals, so two archives may fetch from each other.
 */
#ifndef PST_ENGINE_NODE_BLOB_H
#define PST_ENGINE_NODE_BLOB_H

#include "engine/format/manifest.h"
#include "engine/protocol/signal.h"
#include "penstock/error.h"

/* BLOB_DATA_REPs that answer one BLOB_REQ, at most: rings have room for them. */
#define PST_BLOB_WINDOW 128u

/* One fetch; zeros: none is running. */
struct pst_blob_fetch {
    struct pst_signal request;  /* on whose behalf; answered when it has ended. gsn 0: none */
    struct pst_signal question; /* the BLOB_REQ that is out */
    uint64_t deadline_ns;       /* of that */
    char *bytes;                /* question.payload.blob.file_bytes of them */
};

/* Begins to fetch from the archive of a node. digest: as pst_manifest_text.digest. The first
 * question is to be sent. -EINVAL: no manifest has so many bytes; -ENOMEM. */
PST_MUST_USE int blob_fetch_begin(struct pst_blob_fetch *fetch, const struct pst_signal *request,
                                  uint32_t node, uint32_t number, uint64_t file_bytes,
                                  const uint8_t digest[16]);

/* Whether a signal belongs to the fetch: from the node that was asked, and in answer to the
 * question that is out. */
bool blob_fetch_expects(const struct pst_blob_fetch *fetch, const struct pst_signal *signal);

/* Takes a signal that is expected. 0: wait on; 1: the next question is to be sent; 2: whole, and it
 * is what was wanted. -PST_E_CORRUPT: it is not, or a piece is out of place; else what the other
 * node says. */
PST_MUST_USE int blob_fetch_take(struct pst_blob_fetch *fetch, const struct pst_signal *signal);

/* Ends it, whole or not. */
void blob_fetch_end(struct pst_blob_fetch *fetch);

/* Answers a BLOB_REQ out of the manifest's bytes: hands up to PST_BLOB_WINDOW pieces and the CONF
 * to send. -EINVAL: it asks for what is not there; nothing was sent. */
PST_MUST_USE int pst_blob_serve(const struct pst_signal *request, pst_ref self_ref,
                                const char *bytes, uint64_t size,
                                void (*send)(void *context, const struct pst_signal *signal),
                                void *context);

#endif
