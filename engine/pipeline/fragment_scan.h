/*
 * The fragments that an LDM is scanning: catalogue entries, extents and rows are brought into
 * chunks of a pool. Knows the pool and the files, but not the pipeline: what has ended is fetched
 * from it. Nothing is allocated after creation. Private to engine/pipeline/; the LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_FRAGMENT_SCAN_H
#define PST_ENGINE_PIPELINE_FRAGMENT_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/pipeline/chunk_pool.h"
#include "engine/protocol/step.h"
#include "engine/repository/unreadable.h"
#include "engine/source/source.h"

struct fragment_scans;
struct pst_base;

/* Borrowed for the life of the scans, with what it points to. */
struct fragment_scans_config {
    struct pst_ring *ring;
    struct chunk_pool *pool;
    struct pst_unreadable *unreadable; /* shared by the node's threads */
    struct pst_base *const *base;      /* pipeline.h */
    bool compares_runs;                /* likewise */
    const _Atomic uint32_t *files_max; /* that may be open at a time; NULL: SCAN_FILES_MAX */
    struct pst_pace_share *pace;       /* how fast it may read; NULL: as fast as it goes */
};

/* -ENOMEM. */
int fragment_scans_create(const struct fragment_scans_config *config,
                          struct fragment_scans **scans);

/* Asserts that they are idle. NULL is allowed. */
void fragment_scans_destroy(struct fragment_scans *scans);

/* A part begins: its sums are zero. Idle only. */
void fragment_scans_begin_part(struct fragment_scans *scans);

/* Begins to scan the fragment that a PST_WORK_SCAN names; at most PST_FRAGMENTS_AHEAD at a time.
 * source and fragment must stay until it has ended. */
void fragment_scans_start(struct fragment_scans *scans, const struct pst_work *work,
                          struct pst_source *source,
                          const struct pst_fragment_descriptor *fragment);

/* A bounded slice of work. stop: negative: all scans are to end with this error, as soon as what is
 * in flight has ended; 0: they go on. false: there was nothing that could be done now. */
bool fragment_scans_slice(struct fragment_scans *scans, int stop);

/* When a slice is wanted for what waits for descriptors or memory; PST_DEADLINE_NONE: none is. */
uint64_t fragment_scans_retry_ns(const struct fragment_scans *scans);

/* Fetches the result of a scan that has ended; its backup is left to the caller. false: none. */
bool fragment_scans_take_ended(struct fragment_scans *scans, struct pst_work_result *result);

bool fragment_scans_are_idle(const struct fragment_scans *scans);

/* "source NAME: PATH" of a file that is being read; false: it is none of the scans'. */
bool fragment_scans_name(const struct fragment_scans *scans, const struct pst_file *file,
                         char *text, size_t bytes);

/* Objects, unreadable and source_bytes since the part began; the rest is zero. */
struct pst_sums fragment_scans_sums(const struct fragment_scans *scans);

/* Asserts that scans, files and reads are in order. reads: in flight, by the pool's count. */
void fragment_scans_check(const struct fragment_scans *scans, uint32_t reads);

#endif
