/*
 * What the archive of a node does for signals, without its thread: archive_server.c serves
 * requests, archive_fetch.c moves cluster manifests between nodes, archive_reply.c has the answers
 * of both. It blocks on the disk alone, and takes time and rings from whoever runs it:
 * archive_thread.c, or a simulator.
 *
 * One thread's: the archive's.
 */
#ifndef PST_ENGINE_NODE_ARCHIVE_WORK_H
#define PST_ENGINE_NODE_ARCHIVE_WORK_H

#include "engine/node/blob.h"
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

/* Zeros but for the first lines, which its owner sets. */
struct archive_server {
    struct pst_archive *archive; /* its on_doubt and context are the server's */
    uint64_t answer_ns;          /* how long another node's archive may take to answer */
    const char *hand_manifest;   /* a file that a client brought along; NULL, "": none */
    /* Before a backup begins: looks for the backup directory anew. NULL: it never changes. */
    int (*renew)(void *context);
    /* Before it is complete: whether that directory is still the one. NULL likewise. */
    int (*stays)(void *context);
    /* Sends to the hub. is_one_of_many: one of any number, which waits until the ring has room for
     * more than requests and answers; all others always have room. */
    void (*send)(void *context, const struct pst_signal *signal, bool is_one_of_many);
    void *context;

    uint64_t now_ns; /* of the call that runs, monotonic */
    struct pst_blob_fetch fetches[ARCHIVE_FETCHES_MAX];
    uint32_t fetch_sequence;
    struct archive_served served;
    /* The end of a fetch; error: 0 or negative. The bytes are lent for the call. */
    void (*on_fetched)(struct archive_server *server, const struct pst_signal *request, int error,
                       uint32_t number, const char *bytes, size_t size);
};

/* Makes the archive, which is the caller's, the server's: what is in doubt goes to `outcome` of
 * this node, unless it is alone. */
void archive_server_open(struct archive_server *server, struct pst_archive *archive, bool is_alone);
void archive_server_close(struct archive_server *server);

/* Serves one signal; what it sends in answer may go out later, when a fetch has ended. */
void archive_server_take(struct archive_server *server, const struct pst_signal *signal,
                         uint64_t now_ns);

/* The passing of time, and when it is to be called next: PST_DEADLINE_NONE, if nothing waits. */
void archive_server_time(struct archive_server *server, uint64_t now_ns);
uint64_t archive_server_deadline_ns(const struct archive_server *server);

/* ---- between the files of the archive ---- */

/* Answers a request: the CONF, filled in, for 0, or else the REF. */
void archive_answer(struct archive_server *server, const struct pst_signal *request, int error,
                    struct pst_signal *conf);

/* Fetches a cluster manifest from a node on behalf of a request; on_fetched follows unless
 * there is an error. */
PST_MUST_USE int archive_fetch(struct archive_server *server, const struct pst_signal *request,
                               uint32_t node, uint32_t number, uint64_t file_bytes,
                               const uint8_t digest[16]);

/* A BLOB_… signal, the death of a node, the end. */
void archive_fetch_take(struct archive_server *server, const struct pst_signal *signal);
void archive_fetch_lose(struct archive_server *server, uint32_t node);
void archive_fetch_close(struct archive_server *server);

#endif
