/*
 * Moves a cluster manifest in numbered pieces: the state of one fetch, and the answer to one
 * question. Sends and waits for nothing itself; archive_fetch.c calls it on the archive thread.
 */
#include "engine/node/blob.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int blob_fetch_begin(struct pst_blob_fetch *fetch, const struct pst_signal *request, uint32_t node,
                     uint32_t number, uint64_t file_bytes, const uint8_t digest[16])
{
    assert(fetch->request.gsn == 0);
    if (file_bytes == 0 || file_bytes > PST_MANIFEST_BYTES_MAX)
        return -EINVAL;
    fetch->bytes = malloc(file_bytes);
    if (!fetch->bytes)
        return -ENOMEM;
    fetch->request = *request;
    pst_signal_init(&fetch->question, PST_BLOB_REQ, request->receiver_ref,
                    pst_ref_make(node, PST_BLOCK_ARCHIVE, 0), request->backup, 0);
    struct pst_blob *wanted = &fetch->question.payload.blob;
    wanted->master_ref = request->payload.order.master_ref;
    wanted->number = number;
    wanted->file_bytes = file_bytes;
    memcpy(wanted->digest, digest, sizeof(wanted->digest));
    return 0;
}

bool blob_fetch_expects(const struct pst_blob_fetch *fetch, const struct pst_signal *signal)
{
    return fetch->request.gsn != 0 && signal->sender_ref == fetch->question.receiver_ref &&
           signal->backup == fetch->question.backup && signal->sequence == fetch->question.sequence;
}

static int take_piece(struct pst_blob_fetch *fetch, const struct pst_blob_data *piece)
{
    struct pst_blob *wanted = &fetch->question.payload.blob;
    uint64_t left = wanted->file_bytes - wanted->offset;
    if (piece->bytes == 0 || piece->bytes > PST_BLOB_DATA_BYTES || piece->bytes > left ||
        piece->offset != wanted->offset)
        return -PST_E_CORRUPT;
    memcpy(fetch->bytes + wanted->offset, piece->data, piece->bytes);
    wanted->offset += piece->bytes;
    return 0;
}

static int check_whole(const struct pst_blob_fetch *fetch)
{
    const struct pst_blob *wanted = &fetch->question.payload.blob;
    struct pst_cluster_manifest *manifest = malloc(sizeof(*manifest));
    struct pst_digest digest;
    struct pst_damage damage;
    if (!manifest)
        return -ENOMEM;
    int error =
        pst_manifest_decode_cluster(fetch->bytes, wanted->file_bytes, manifest, &digest, &damage);
    if (!error && memcmp(digest.bytes, wanted->digest, sizeof(wanted->digest)) != 0)
        error = -PST_E_CORRUPT;
    free(manifest);
    return error ? error : 2;
}

int blob_fetch_take(struct pst_blob_fetch *fetch, const struct pst_signal *signal)
{
    const struct pst_blob *wanted = &fetch->question.payload.blob;
    switch (signal->gsn) {
    case PST_BLOB_DATA_REP:
        return take_piece(fetch, &signal->payload.blob_data);
    case PST_BLOB_CONF:
        if (signal->payload.blob.offset != wanted->offset)
            return -PST_E_CORRUPT;
        return wanted->offset < wanted->file_bytes ? 1 : check_whole(fetch);
    case PST_BLOB_REF:
        return signal->payload.ref.error > 0 && signal->payload.ref.error < 10000
                   ? -(int)signal->payload.ref.error
                   : -PST_E_CORRUPT;
    default:
        return -PST_E_CORRUPT;
    }
}

void blob_fetch_end(struct pst_blob_fetch *fetch)
{
    free(fetch->bytes);
    memset(fetch, 0, sizeof(*fetch));
}

int pst_blob_serve(const struct pst_signal *request, pst_ref self_ref, const char *bytes,
                   uint64_t size, void (*send)(void *context, const struct pst_signal *signal),
                   void *context)
{
    const struct pst_blob *wanted = &request->payload.blob;
    if (wanted->file_bytes != size || wanted->offset >= size)
        return -EINVAL;
    struct pst_signal answer;
    pst_signal_init(&answer, PST_BLOB_DATA_REP, self_ref, request->sender_ref, request->backup,
                    request->sequence);
    uint64_t offset = wanted->offset;
    for (uint32_t i = 0; i < PST_BLOB_WINDOW && offset < size; i++) {
        struct pst_blob_data *piece = &answer.payload.blob_data;
        uint64_t left = size - offset;
        memset(piece, 0, sizeof(*piece));
        piece->master_ref = wanted->master_ref;
        piece->bytes = left < PST_BLOB_DATA_BYTES ? (uint32_t)left : PST_BLOB_DATA_BYTES;
        piece->offset = offset;
        memcpy(piece->data, bytes + offset, piece->bytes);
        send(context, &answer);
        offset += piece->bytes;
    }
    pst_signal_init(&answer, PST_BLOB_CONF, self_ref, request->sender_ref, request->backup,
                    request->sequence);
    answer.payload.blob = *wanted;
    answer.payload.blob.offset = offset;
    send(context, &answer);
    return 0;
}
