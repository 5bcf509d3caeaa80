/*
 * A node: one hub, N LDMs, a source thread for each source, an archive thread, and a channel for
 * one client. docs/architecture.md draws the threads.
 */
#ifndef PST_ENGINE_NODE_NODE_H
#define PST_ENGINE_NODE_NODE_H

#include "engine/base/activity.h"
#include "engine/node/channel.h"
#include "engine/pace/pace.h"
#include "engine/protocol/outcome.h"
#include "engine/protocol/sender.h"
#include "engine/repository/base.h"
#include "engine/source/source.h"
#include "engine/transform/registry/compression.h"
#include "io/file.h"
#include "net/fabric.h"
#include "numa/plan.h"
#include "penstock/error.h"

struct pst_io_fault;
struct pst_node;
struct pst_eal_config;   /* net/eal.h */
struct pst_eal_ops;      /* likewise */
struct pst_quic_network; /* net/quic/quic_network.h */

#define PST_STALLS_MAX 16u
#define PST_STALL_THREAD_BYTES 80u

/* Opens the fabric of a cluster that spans hosts, with PST_MESSAGE_BYTES for why it cannot: what a
 * program links that runs such a node, and no other. The hub's thread. */
struct pst_cluster_config;
typedef int pst_network_opener(const struct pst_cluster_config *cluster,
                               const struct pst_fabric_hello *hello, struct pst_fabric **fabric,
                               char *message);

/* How a node finds the others. */
struct pst_cluster_config {
    const char *name; /* the same everywhere */
    uint32_t id;      /* likewise; not 0. Tells clusters of one name apart, and is in every file */
    pst_network_opener *open_network; /* NULL: all nodes are on this host, and use the shm fabric */
    const struct pst_quic_network *network; /* for open_network */
    struct pst_set near;          /* by id - 1: nodes that use the shm fabric beside open_network */
    const char *fabric_directory; /* of the shm fabric: net/shm/shm_config.h */
    uint64_t failure_ns;          /* how long another node may be silent; 0: the default */
    bool uses_eal;                /* rings in memory of DPDK's EAL; the same on all nodes */
    const struct pst_eal_ops *eal_ops; /* for the next; NULL: none is started */
    const struct pst_eal_config *eal;
    struct pst_set expected; /* by id - 1: a backup without one of these must be allowed */
};

/* Borrowed until pst_node_stop(), with what it points to; for good after a start that ended with
 * -ETIMEDOUT, and after a stop that lost a thread. */
struct pst_keyring;
struct pst_node_config {
    uint32_t node;                            /* id, 1…PST_NODES_MAX */
    const struct pst_cluster_config *cluster; /* NULL: a node alone */
    const char *directory;                    /* of the backups; created if its parent exists */
    struct pst_source *const *sources;        /* in name order, instance = index */
    const char *const *specs;                 /* of the sources, for the manifest */
    const char *const *paths;                 /* likewise, absolute, NULL where there is none; or
                                                 NULL */
    const char *const *choices; /* likewise, what is backed up of each: format/manifest.h
                                   says how; or NULL */
    const char *label;          /* of the backups that it is the master of, or NULL */
    uint32_t sources_count;
    const struct pst_topology *topology;
    const struct pst_plan *plan; /* who runs where */
    uint32_t chunk_bytes;
    uint32_t depth;
    enum pst_direct direct;
    struct pst_ring_polling polling; /* of the LDMs' rings */
    struct pst_pace_setting pace;    /* at first */
    bool discards_parts; /* they go to /dev/null: such a backup is for measuring alone */
    struct pst_compression_choice compression;
    struct pst_base_policy base;          /* of its backups */
    const struct pst_keyring *recipients; /* of sealed backups; NULL: they are not sealed */
    uint64_t freeze_wait_ns;              /* for the writers of one source */
    uint64_t freeze_hold_ns; /* a source thaws by itself when they are held up so long; 0: never */
    uint32_t headroom_percent;
    bool is_logical;                       /* rows, of the sources that can */
    bool check_pages;                      /* whether a database's own program could read them */
    const struct pst_table_filter *tables; /* NULL: all */
    struct pst_timeouts timeouts;
    uint64_t stall_warning_ns; /* a thread that is in one call so long is logged; 0: the default */
    uint64_t hang_limit_ns;  /* in which a backup that is given up must have ended, and a node that
                                stops its threads; 0: the default */
    uint64_t start_limit_ns; /* for the start of each thread; 0: the default */
    struct pst_io_fault *ldm_fault;     /* of LDM 1's ring (io/fault.h); NULL outside tests */
    struct pst_io_fault *archive_fault; /* of the archive's durable writes; likewise */
};

/* Of the cluster; 0: of a node alone. */
static inline uint32_t pst_node_cluster_id(const struct pst_node_config *config)
{
    return config->cluster ? config->cluster->id : 0;
}

/* Of the buffers and contexts of each LDM; SIZE_MAX: there is no memory to find out. */
size_t pst_node_memory_bytes(const struct pst_node_config *config);

/* What one LDM did, and with what. */
struct pst_ldm_report {
    uint64_t backup;                   /* the last one: first 8 bytes of its uid; 0: none */
    struct pst_sums sums;              /* of it */
    uint64_t codec_chunks[PST_CODECS]; /* likewise: its chunks by codec */
    uint64_t references;               /* likewise: to earlier backups */
    uint64_t referenced_bytes;         /* of these */
    uint64_t cpu_ns;                   /* of its thread, since it started */
    uint64_t busy_ns;                  /* from the first fragment to the closed part */
    size_t arena_bytes;
    /* Of its buffers and rings, not on the NUMA node asked for, at the start: what is brought in
     * later lies where it is bound, and what cannot be bound is brought in then. */
    size_t misplaced_pages;
    bool arena_hugepages;
    int32_t numa_node;
    uint32_t cpu;
};

struct pst_ldm_status {
    const char *state;     /* static; of the participant */
    uint64_t backup;       /* first 8 bytes of the uid of what it is in, LDM 1 as the master or the
                              proxy too; 0: none */
    uint64_t source_bytes; /* of the last one that it was in */
    uint64_t scan_ns;      /* since it began to scan; 0: it does not */
    uint32_t cpu;
    int32_t numa_node; /* of its memory; -1: not asked for */
    uint64_t misplaced_pages;
};

/* Over how long rates are reckoned, in seconds. */
#define PST_RATES 3u
#define PST_RATE_SPANS_S                                                                           \
    {                                                                                              \
        1, 10, 60                                                                                  \
    }

enum pst_backup_end { PST_END_NONE, PST_END_COMPLETE, PST_END_ABORTED, PST_END_IN_DOUBT };

/* The last backup that the node took part in, as far as it is concerned. */
struct pst_last_backup {
    enum pst_backup_end end; /* NONE: there was none since the node started */
    uint32_t number;
    uint8_t uid[16];
    uint64_t ended_unix_ns;
    uint64_t elapsed_ns;
    uint32_t error;                    /* ABORTED: the reason; 0: unknown */
    pst_ref where;                     /* ABORTED: where it arose; 0: unknown */
    struct pst_sums sums;              /* COMPLETE: of this node; else source_bytes alone, about */
    uint64_t codec_chunks[PST_CODECS]; /* likewise: its chunks by codec */
    uint64_t referenced_bytes;         /* likewise: that lie in earlier backups */
    struct pst_set missing;            /* by id - 1: nodes of the cluster that are not in it */
};

/* Of the last ends, so many are kept for who looks now and then. */
#define PST_ENDS_KEPT 64u

/* The backups that the node took part in, since it started, by how they ended for it. */
struct pst_backup_totals {
    uint64_t complete;
    uint64_t partial; /* complete, but for nodes of the cluster that were missing */
    uint64_t aborted;
    uint64_t in_doubt;     /* whatever was decided later */
    uint64_t source_bytes; /* this node's share of those that are complete or partial */
    uint64_t stored_bytes;
    uint64_t elapsed_ns;
};

/* The backup that a cluster's node takes part in, as far as it is concerned. */
struct pst_running_status {
    const char *phase; /* static; NULL: there is none */
    bool reads;        /* or has read all */
    uint32_t number;
    uint64_t elapsed_ns;
    uint64_t listed_bytes;                /* of its sources, so far */
    bool is_listed;                       /* that is all */
    uint64_t bytes_per_second[PST_RATES]; /* read of late: in the last 1, 10 and 60 s */
};

/* A backup in doubt that the node works on. */
struct pst_doubt_status {
    uint32_t number;
    uint8_t uid[16];
    const char *state; /* static; of the outcome machine */
    uint32_t master_node;
    struct pst_set waits_for; /* by id - 1: participants that have not answered */
};

/* A thread that does not move, and the call that it is in. */
struct pst_stall_status {
    char thread[PST_STALL_THREAD_BYTES]; /* "LDM 2", "source NAME", "archive" */
    const char *what;                    /* "read"; static */
    char name[PST_ACTIVITY_NAME_BYTES];  /* "source NAME: PATH" */
    uint64_t since_ns;                   /* CLOCK_MONOTONIC */
};

/* Why another node cannot join. */
#define PST_REFUSALS_MAX 16u
struct pst_refusal_status {
    uint32_t node;
    char reason[256];
};

/* Some milliseconds old. */
struct pst_node_status {
    uint64_t updated_ns; /* CLOCK_MONOTONIC, of the last update by the hub of a cluster's node */
    uint64_t incarnation;
    struct pst_fabric_counters fabric; /* of all other nodes */
    uint64_t signals_refused;          /* in another's name, malformed, or to nobody */
    uint64_t nodes_failed;
    struct pst_request_counters requests; /* of all machines of the node */
    struct pst_set kept_out; /* by id - 1: until all threads have taken note of their failure */
    uint32_t refusals_count;
    struct pst_refusal_status refusals[PST_REFUSALS_MAX]; /* by id */
    uint32_t in_doubt; /* backups that wait for what other nodes know */
    bool has_more;     /* in doubt, on disk: taken on when one of these is settled */
    struct pst_doubt_status doubts[PST_DOUBTS_MAX]; /* in_doubt of them */
    uint32_t stalls_count;
    struct pst_stall_status stalls[PST_STALLS_MAX];
    bool is_hung;    /* a backup cannot be ended because of them: the node has left the cluster */
    uint64_t backup; /* first 8 bytes of the uid of what is in work, cleanup included; 0: none */
    bool is_broken;  /* the fabric is, and the node is no use any more */
    struct pst_referred referred; /* of the last backup that is decided here */
    struct pst_last_backup last;
    uint64_t ends;                               /* since the node started */
    struct pst_last_backup ended[PST_ENDS_KEPT]; /* number n, from 0 on, at n % PST_ENDS_KEPT */
    struct pst_last_backup last_success;         /* the last that is COMPLETE */
    struct pst_last_backup last_failure;         /* the last that is not */
    struct pst_backup_totals totals;
    struct pst_running_status running;
    uint64_t node_bytes[PST_NODES_MAX + 1]; /* read in the running backup, by id: of this node; of
                                               the others where LDM 1 is its master, else 0 */
    uint64_t scan_ns;                       /* since when, until now; 0: nothing is being read */
    struct pst_pace_status pace;
    struct pst_set left_frozen; /* by instance: sources that their last backup left so */
    uint32_t ldms_count;
    struct pst_ldm_status ldms[PST_LDMS_MAX];
};

/*
 * Starts all threads and waits until each is ready; main thread. -PST_E_BUSY: another process backs
 * up into the directory; other errors as of the system, already logged with what to do. On error
 * nothing runs.
 */
PST_MUST_USE int pst_node_start(const struct pst_node_config *config, struct pst_node **node);

/* Whether the nodes of this host could meet in the cluster's directory, which is not made. 0, or
 * -errno with message (PST_MESSAGE_BYTES). Any thread. */
PST_MUST_USE int pst_node_check_fabric(const struct pst_cluster_config *cluster, char *message);

/* Orderly: no backup may be running. reports (may be NULL): room for plan->ldms. false: a thread
 * hangs, and is left with all that it may still use: the config, and what that points to, stay
 * borrowed for good. */
bool pst_node_stop(struct pst_node *node, struct pst_ldm_report *reports);

/* Any thread. */
void pst_node_status(struct pst_node *node, struct pst_node_status *status);

/* From now on its LDMs keep this pace, in a backup that runs too. Any thread. */
void pst_node_set_pace(struct pst_node *node, const struct pst_pace_setting *setting);

/* The client's channel: the caller is CLIENT instance 0 of the node, on one thread. */
struct pst_channel *node_client(struct pst_node *node);

#endif
