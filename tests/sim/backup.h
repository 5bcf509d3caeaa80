/*
 * Everything there is of one backup: in the clients' minds, and what the checkers know of it. The
 * files are on the model disks: disk.c.
 */
#ifndef PST_TESTS_SIM_BACKUP_H
#define PST_TESTS_SIM_BACKUP_H

#include "engine/format/manifest.h"
#include "engine/protocol/signal.h"

#define SIM_NODES_MAX 16u
#define SIM_LDMS_MAX 16u
#define SIM_SOURCES_MAX 2u
#define SIM_FRAGMENTS_MAX 12u
#define SIM_BACKUPS_MAX 24u
#define SIM_SHARES_MAX (SIM_NODES_MAX * SIM_BACKUPS_MAX)
#define SIM_WRITERS 2u

/* The files of a node's share. */
enum sim_file { SIM_NODE_MANIFEST, SIM_CLUSTER_MANIFEST, SIM_CLUSTER_COPY, SIM_PART };

/* A file's, as it was read; freed at the end of the run. */
struct sim_bytes {
    char *bytes; /* NULL: none */
    size_t size;
};

/* One LDM's part file. */
struct sim_part {
    uint32_t number; /* of the backup, when it was opened */
    uint32_t parts;
    bool open;   /* by its LDM, which has not closed, released or discarded it */
    bool closed; /* whole: no trouble can come of it any more */
    bool in_trouble;
    uint64_t digest; /* of its contents, when closed */
    struct pst_sums sums;
    uint16_t scanned[SIM_SOURCES_MAX]; /* fragments in it, a bit each */
};

/* What writers did to a source: of each writer's chain of writes, the last one that it holds. */
struct sim_history {
    uint32_t last[SIM_WRITERS];
};

/* A client that writes here and there, one after the other, having seen the write before. */
struct sim_writer {
    uint32_t written; /* writes of its chain */
    bool waits;       /* for the source that it writes to next, which is frozen */
    uint32_t node;
    uint32_t source;
};

/* What one source's snapshot holds of the writers' chains. */
struct sim_cut {
    bool taken;
    uint64_t gci;
    struct sim_history history;
    uint32_t first_after[SIM_WRITERS]; /* the first write after it; 0: none */
};

/* What one node has of one backup. */
struct sim_share {
    uint32_t backup; /* index */
    uint32_t node;   /* index */
    uint32_t number;
    uint32_t parts_count;
    bool may_remain; /* a removal failed: that was told */
    /* The node manifest, when it was confirmed, and what is in it: */
    struct sim_bytes node_manifest;
    struct pst_digest node_digest;
    uint64_t part_digests[SIM_LDMS_MAX];
    uint64_t manifest_gci;
    struct sim_part parts[SIM_LDMS_MAX];
    uint32_t fragments[SIM_SOURCES_MAX]; /* that the source has at the cut */
    struct sim_cut cuts[SIM_SOURCES_MAX];
};

/* The decision, as a cluster manifest has it. */
struct sim_manifest {
    uint32_t number;
    uint64_t start_gci;
    struct pst_set nodes;
    struct pst_digest digest;
    struct pst_digest node_digests[SIM_NODES_MAX];
    struct pst_part_sums sums;
};

/* What a node has of a backup. */
enum sim_held {
    SIM_HELD_ANY,
    SIM_HELD_NOTHING,
    SIM_HELD_DEBRIS,   /* files, and no manifest */
    SIM_HELD_PREPARED, /* its node manifest */
    SIM_HELD_COMMITTED,
    SIM_HELDS
};

extern const char *const sim_held_names[]; /* story.c */

enum sim_told { SIM_TOLD_NOTHING, SIM_TOLD_CONF, SIM_TOLD_REF, SIM_TOLD_COMPLETE, SIM_TOLD_ABORT };

struct sim_backup {
    uint64_t uid_low;
    uint64_t request_id;
    uint32_t number;   /* asked for */
    uint32_t sequence; /* of its BACKUP_REQ */
    uint32_t master;   /* index of the node that it is asked of */
    bool is_bad;       /* its request is malformed */
    bool single_threaded;
    bool allows_missing; /* nodes */
    bool may_fail;       /* faults are allowed */
    bool is_deaf;        /* the client is gone, or its node died: nothing more is heard */

    enum sim_told told;
    uint32_t error;    /* of the end */
    uint32_t requests; /* BACKUP_REQ, repeated ones too */
    uint32_t refusals; /* BACKUP_REF */
    uint32_t ends;
    uint64_t asked_ns;
    uint64_t ended_ns;
    struct pst_backup_complete_rep complete;

    bool
        began_to_decide; /* the archive was asked to: after a crash the disk says what came of it */
    bool was_decided;
    struct sim_bytes cluster_manifest; /* of the decision */
    struct sim_manifest manifest;
    struct sim_share *shares[SIM_NODES_MAX]; /* NULL: the node has never heard of it */
};

#endif
