/*
 * A node set up from specs, and trees for it to back up. Whatever cannot be set up ends the
 * program.
 */
#ifndef PST_TESTS_SUPPORT_NODE_RIG_H
#define PST_TESTS_SUPPORT_NODE_RIG_H

#include <CUnit/Basic.h>

#include "engine/node/one_backup.h"
#include "tests/support/scratch.h"
#include "tests/support/stderr_capture.h"

#define RIG_SOURCES_MAX 4u
#define KIB (1024u)
#define MIB (1024u * 1024u)

/* A race shows in the first of many like runs; under ThreadSanitizer each takes ten times as long,
 * and a repetition does 1 of RIG_STRIDE of its rounds. */
#ifdef __SANITIZE_THREAD__
#define RIG_STRIDE 4u
#else
#define RIG_STRIDE 1u
#endif

/* A node's configuration, ready to run; options may be changed before each run. */
struct rig {
    struct pst_source *sources[RIG_SOURCES_MAX];
    const char *specs[RIG_SOURCES_MAX];
    struct pst_topology *topology;
    struct pst_plan *plan;
    struct pst_node_backup options;
    struct pst_node_backup_report *report;
};

/* to and specs stay the caller's. Chunks of 64 KiB, depth 4, buffered where it must be. */
void rig_open(struct rig *rig, const char *to, uint32_t ldms, const char *const *specs,
              uint32_t count);
int rig_run(struct rig *rig); /* pst_node_run_backup() */
void rig_close(struct rig *rig);

/* Files for a source: bytes that tell their file (seed) and place. */
void make_file(const char *directory, const char *name, uint64_t bytes, uint64_t seed);
void make_directory(const char *directory, const char *name);
/* Some of everything: empty, small, large, sparse, links, directories, an empty directory. */
void make_sample_tree(const char *directory);

/* Runs the suites given; a main()'s result. */
int run_suites(CU_SuiteInfo *suites);

#endif
