/*
 * A pipeline that is given works one by one, in a directory of its own: what the tests of
 * pipeline.h share. Its one source has one fragment, which the test fills.
 */
#ifndef PST_TESTS_PIPELINE_WORKS_H
#define PST_TESTS_PIPELINE_WORKS_H

#include <CUnit/Basic.h>

#include "engine/pipeline/pipeline.h"
#include "tests/unit/pipeline/rig.h"

#define WORKS_DEPTH 2u
/* Where backup 1 of node 1, LDM 1 of 1 has its part. */
#define WORKS_PART "BACKUP-1/BACKUP-1-PART-1-OF-1/BACKUP-1.1.data"

struct works {
    struct rig rig;
    struct pst_pipeline *pipeline;
    struct pst_source source;
    struct pst_source *sources[1];
    struct pst_fragment_descriptor *fragment;
    struct pst_unreadable unreadable;
    struct pst_chunk_encoder encoder;
    struct pst_pace_share pace; /* as fast as it goes, until the test opens it */
    uint32_t flags;             /* enum pst_backup_flags, of OPEN */
};

/* kind: of the fragment. transform: NULL: none. */
void works_open(struct works *works, enum pst_fragment_kind kind,
                const struct pst_transform *transform);

/* Discards, if need be. */
void works_close(struct works *works);

/* An object of the fragment; the file of add_file has rig_byte(id, …), in one extent. */
void works_add_entry(struct works *works, const struct pst_object *object);
void works_add_file(struct works *works, const char *name, uint64_t id, uint32_t bytes);

void works_start(struct works *works, enum pst_work_type type);

/* One slice, and a wait for something to complete if there was nothing to do. */
void works_slice(struct works *works);

/* Runs until the next result. */
struct pst_work_result works_wait(struct works *works);

/* works_start, works_wait: the error of a result of this type. */
int works_do(struct works *works, enum pst_work_type type);

/* Runs the suite as it is, and again with *transform being zstd's. The sum of their results. */
int works_run_suites(const char *name, const char *name_with_zstd, CU_TestInfo *tests,
                     const struct pst_transform **transform);

bool works_part_exists(const struct works *works);

#endif
