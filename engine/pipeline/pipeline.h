/*
 * The scan pipeline of one LDM: reads fragments into chunks, checksums them, writes them into its
 * part. Payload is never copied: a read ends in the buffer that the write begins from.
 *
 * All buffers are given at creation; nothing is allocated afterwards. Everything is asynchronous
 * on the LDM's ring. The thread that creates a pipeline, the LDM's, is the only one that may call
 * the functions here; pst_pipeline_memory_bytes() alone is for any thread.
 */
#ifndef PST_ENGINE_PIPELINE_PIPELINE_H
#define PST_ENGINE_PIPELINE_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/pace/pace.h"
#include "engine/pipeline/chunk_encoder.h"
#include "engine/pipeline/chunk_pool.h"
#include "engine/protocol/step.h"
#include "engine/repository/unreadable.h"
#include "engine/source/source.h"
#include "io/file.h"
#include "penstock/error.h"

struct pst_base;
struct pst_pipeline;

/* Borrowed for the life of the pipeline, with what it points to. */
struct pst_pipeline_config {
    struct pst_ring *ring;
    void *memory;     /* pst_pipeline_memory_bytes(), aligned to PST_BLOCK_BYTES */
    int directory_fd; /* of the backup directory */
    uint32_t cluster_id;
    uint32_t node;
    uint32_t ldm;         /* instance, 1… */
    uint32_t ldms;        /* of the node */
    uint32_t chunk_bytes; /* PST_CHUNK_BYTES_MIN … MAX, a multiple of PST_BLOCK_BYTES */
    uint32_t depth;       /* chunks in flight, PST_DEPTH_MIN … MAX */
    enum pst_direct direct;
    bool discards; /* the part goes to /dev/null */
    /* Of its chunks; NULL: they are stored as they are. Any other takes one of the depth buffers.
     */
    const struct pst_chunk_encoder *encoder;
    struct pst_source *const *sources;
    /* The base of the backup that a part is begun for, which is NULL where it has none; NULL: there
     * is never one. One that may have one needs a buffer more in depth. */
    struct pst_base *const *base;
    bool compares_runs; /* large files are hashed in runs, so that a later backup finds them */
    struct pst_unreadable *unreadable; /* shared by the node's threads */
    const _Atomic uint32_t *files_max; /* of a source that may be open at a time; NULL: 64 */
    struct pst_pace_share *pace;       /* of the LDM's thread; NULL: as fast as it goes */
    /* The descriptor of a fragment that was listed and is not done. */
    const struct pst_fragment_descriptor *(*find_fragment)(void *context, uint32_t source,
                                                           uint64_t fragment);
    void *context;
};

/* Buffers of one LDM: what a backup costs in memory, and all that it costs. */
size_t pst_pipeline_memory_bytes(uint32_t chunk_bytes, uint32_t depth);

/* Registers its buffers with the ring, and belongs to the calling thread from now on. -ENOMEM. */
PST_MUST_USE int pst_pipeline_create(const struct pst_pipeline_config *config,
                                     struct pst_pipeline **pipeline);

/* Nothing runs. There is no part, or a complete one, whose file stays as it is. */
bool pst_pipeline_is_at_rest(const struct pst_pipeline *pipeline);

/* At rest only. NULL is allowed. */
void pst_pipeline_destroy(struct pst_pipeline *pipeline);

/* Starts a work of the participant's, which asks for them in the order of engine/pipeline/
 * part_state.h: any other is an assertion. HALT has no result; that of each other work comes out of
 * pst_pipeline_next_result(). */
void pst_pipeline_start(struct pst_pipeline *pipeline, const struct pst_work *work);

/* Takes the next result; false if there is none. */
bool pst_pipeline_next_result(struct pst_pipeline *pipeline, struct pst_work_result *result);

/* A bounded slice of scanning. false: there was nothing that could be done now. */
bool pst_pipeline_slice(struct pst_pipeline *pipeline);

/* When a slice is wanted though nothing happens, CLOCK_MONOTONIC: descriptors or memory have run
 * out, and may be there again, or the pace has room. PST_DEADLINE_NONE: none is. */
uint64_t pst_pipeline_deadline_ns(const struct pst_pipeline *pipeline);

/* Fragments have been begun and not ended: what it waits for is a disk, or the pace. Where there is
 * none, it waits for those who list. */
bool pst_pipeline_has_fragments(const struct pst_pipeline *pipeline);

/* The first error that spoils the part, once, negative; 0 if there is none. A work in progress is
 * answered with it too. */
int pst_pipeline_take_trouble(struct pst_pipeline *pipeline);

/* Since the part was opened. */
struct pst_sums pst_pipeline_sums(const struct pst_pipeline *pipeline);

/* Of the chunks in these, how many have which codec: PST_CODECS of them. The pipeline's. */
const uint64_t *pst_pipeline_codec_chunks(const struct pst_pipeline *pipeline);

/* What it refers to of earlier backups. */
struct pst_reference_sums pst_pipeline_references(const struct pst_pipeline *pipeline);

/* How much of the part has been read back, while STOP of a backup with PST_BACKUP_VERIFY does so;
 * else 0. Whether it waits for its pace meanwhile. And ends that early: STOP fails with -ECANCELED,
 * and nothing is wrong with the part. */
uint64_t pst_pipeline_verified_bytes(const struct pst_pipeline *pipeline);
bool pst_pipeline_waits_to_verify(const struct pst_pipeline *pipeline);
void pst_pipeline_stop_verifying(struct pst_pipeline *pipeline);

/* The file that an operation of the ring is on: "source NAME: PATH", or the part. */
void pst_pipeline_name(const struct pst_pipeline *pipeline, const struct pst_io_op *op, char *text,
                       size_t bytes);

#endif
