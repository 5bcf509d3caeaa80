/*
 * Private to the archive thread: archive_thread.c serves requests, archive_fetch.c moves cluster
 * manifests between nodes, archive_reply.c sends the answers of both.
 */
#ifndef PST_ENGINE_NODE_ARCHIVE_WORK_H
#define PST_ENGINE_NODE_ARCHIVE_WORK_H

#include "engine/node/blob.h"
#include "engine/node/threads.h"
#include "engine/protocol/outcome.h"
#include "engine/repository/archive.h"
#include "engine/repository/archive_settle.h"
#include "engine/repository/archive_sweep.h"

/* One for the backup in work, one for each that is in doubt. */
#define ARCHIVE_FETCHES_MAX (PST_DOUBTS_MAX + 1)

/* The cluster manifest that was asked for last; whoever wants one asks again and again. */
struct archive_served {
    uint32_t number; /* 0: none */
    uint8_t digest[16];
    char *bytes;
    size_t size;
};

struct archive_thread {
    struct pst_worker *worker;
    struct pst_archive *archive;
    struct pst_blob_fetch fetches[ARCHIVE_FETCHES_MAX];
    uint32_t fetch_sequence;
    struct archive_served served;
    /* The end of a fetch; error: 0 or negative. The bytes are lent for the call. */
    void (*on_fetched)(struct archive_thread *thread, const struct pst_signal *request, int error,
                       uint32_t number, const char *bytes, size_t size);
};

/* Answers a request: the CONF, filled in, for 0, or else the REF. */
void archive_answer(struct archive_thread *thread, const struct pst_signal *request, int error,
                    struct pst_signal *conf);

/* Sends one of many: waits while the hub's ring has no room but for requests and answers. */
void archive_send(struct archive_thread *thread, const struct pst_signal *signal);

/* Fetches a cluster manifest from a node on behalf of a request; on_fetched follows unless there
 * is an error. */
PST_MUST_USE int archive_fetch(struct archive_thread *thread, const struct pst_signal *request,
                               uint32_t node, uint32_t number, uint64_t file_bytes,
                               const uint8_t digest[16]);

/* A BLOB_… signal, the death of a node, the passing of time. */
void archive_fetch_take(struct archive_thread *thread, const struct pst_signal *signal);
void archive_fetch_lose(struct archive_thread *thread, uint32_t node);
void archive_fetch_time(struct archive_thread *thread);
uint64_t archive_fetch_deadline_ns(const struct archive_thread *thread);
void archive_fetch_close(struct archive_thread *thread);

#endif
