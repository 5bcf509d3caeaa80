/*
 * The backup directory of a node: numbers, directories, manifests, removal. All blocking file work
 * that no LDM does, by one thread, the archive's.
 *
 * Functions return 0 or a negative error, having logged what failed on which file.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_H

#include "engine/format/manifest.h"
#include "engine/protocol/signal.h"
#include "engine/repository/layout.h"
#include "engine/repository/unreadable.h"
#include "penstock/error.h"
#include "penstock/source.h"

struct pst_io_fault;

/* What the archive needs to know of its node. */
struct pst_archive_config {
    uint32_t node;       /* id */
    uint32_t cluster_id; /* 0: a node alone */
    uint32_t ldms;
    uint32_t chunk_bytes;
    const char *directory;             /* for messages */
    struct pst_source *const *sources; /* in name order */
    const char *const *specs;          /* of the sources, for the manifest */
    uint32_t sources_count;
    struct pst_io_fault *fault; /* of durable writes (io/fault.h); NULL outside tests */
};

/* The backup in work, and what its manifests will say. */
struct pst_archive {
    const struct pst_archive_config *config; /* borrowed, with what it points to */
    int directory_fd;                        /* borrowed */
    struct pst_unreadable *unreadable;       /* borrowed */
    uint64_t backup;                         /* 0: none */
    bool directory_made;
    bool is_shared; /* other nodes may have the same directory */
    bool has_swept; /* since the process started */
    uint32_t parts;
    struct pst_node_manifest node;
    struct pst_cluster_manifest cluster;
    uint32_t unsaid; /* of this number it was logged already that nothing can be said of it */
    /* Told of each backup in doubt, by every sweep again; NULL: a node alone has nobody to ask. */
    void (*on_doubt)(void *context, const struct pst_doubt_rep *doubt);
    void *context;
};

/* The number to use: wanted, if it is free, or for 0 the highest that exists + 1. */
PST_MUST_USE int pst_archive_number(struct pst_archive *archive, uint32_t wanted, uint32_t *number);

/* Makes the directories of a backup. -PST_E_NUMBER_EXISTS: *highest is the highest that does.
 * -PST_E_BUSY: another is in work. */
PST_MUST_USE int pst_archive_define(struct pst_archive *archive,
                                    const struct pst_define_backup_req *define, uint32_t *highest);

void pst_archive_add_part(struct pst_archive *archive, const struct pst_archive_item *part);
void pst_archive_add_node(struct pst_archive *archive, const struct pst_archive_item *node);

/* Makes the parts' names durable and writes the node manifest, or the cluster manifest: the
 * decision. After an error nothing of that file is left. */
PST_MUST_USE int pst_archive_write_node(struct pst_archive *archive, const struct pst_gci *gci,
                                        struct pst_commit *written);
PST_MUST_USE int pst_archive_write_cluster(struct pst_archive *archive, const struct pst_gci *gci,
                                           struct pst_commit *written);

/* Whether the cluster manifest of the backup in work is here; stores a copy of one. */
bool pst_archive_is_committed(const struct pst_archive *archive);
PST_MUST_USE int pst_archive_store_cluster(struct pst_archive *archive, uint32_t number,
                                           const char *bytes, size_t size);

/* Whether this node has its copy of the cluster manifest. Ends the work on the backup, which is in
 * doubt after an error. */
PST_MUST_USE int pst_archive_commit(struct pst_archive *archive);

/* Ends the work on the backup with its outcome not known: what is prepared stays, in doubt. */
void pst_archive_leave(struct pst_archive *archive);

/* Removes what pst_archive_define() and the manifests made, LDMs having removed their parts. Ends
 * the work on the backup, which may be in doubt after an error. */
PST_MUST_USE int pst_archive_clean_up(struct pst_archive *archive);

/* ---- what was left (archive_sweep.c), judged by engine/protocol/debris.h ---- */

/* Removes what backups of this node left that never came to a decision, and never will, and tells
 * of those in doubt. Error: the directory cannot be read, or what is decided in it not be synced.
 */
PST_MUST_USE int pst_archive_sweep(struct pst_archive *archive);
int pst_archive_sweep_one(struct pst_archive *archive, uint32_t number);

/* Removes, durably, what this node has of a backup, its manifest first; what others have in the
 * same directory stays. uid: whose parts; NULL: whose ever. */
int pst_archive_remove(const struct pst_archive *archive, uint32_t number, const uint8_t *uid);

/* ---- backups that are in doubt (archive_settle.c) ---- */

/* A manifest on this node's disk, as far as it tells whose it is. */
struct pst_archive_file {
    int error; /* -ENOENT: there is none; else it cannot be read, or not be understood */
    uint8_t uid[16];
    uint64_t bytes;
    struct pst_digest digest;
    uint32_t cluster_id;
    uint32_t master_node;
    struct pst_set nodes; /* of a node manifest: who took part */
};

void pst_archive_read_node(const struct pst_archive *archive, int backup_fd, uint32_t number,
                           struct pst_archive_file *file);

/* What the disk says of a backup. -PST_E_BUSY: it is in work. Other errors: it cannot be said. */
PST_MUST_USE int pst_archive_outcome(struct pst_archive *archive, struct pst_outcome *asked);

/* Makes it so. Aborted: removes all that this node has of it; -PST_E_WRONG_STATE: it is committed.
 * Committed: stores the bytes, or for NULL looks at what is there; -PST_E_MISPLACED: that is not of
 * this backup, or does not say that this node's manifest belongs to it. */
PST_MUST_USE int pst_archive_settle_aborted(struct pst_archive *archive,
                                            const struct pst_outcome *settled);
PST_MUST_USE int pst_archive_settle_committed(struct pst_archive *archive,
                                              const struct pst_outcome *settled, const char *bytes,
                                              size_t size);

struct pst_durable_context;

/* ---- one directory for several nodes (archive_marks.c) ---- */

/* A backup of several nodes has a mark of each node that is at work in its directory: a file with
 * its uid. Makes the directory with this node's mark, or joins it where another node of the same
 * backup has made it. -EEXIST: it is another backup's. */
PST_MUST_USE int pst_archive_make_shared(const struct pst_archive *archive,
                                         const struct pst_define_backup_req *define,
                                         struct pst_durable_context *context);

/* Whether a directory is at work for other nodes, and not for this one. */
bool pst_archive_is_others(const struct pst_archive *archive, int backup_fd, uint32_t number);

/* The name of a cluster manifest while this node writes it: others may do so beside it. */
struct pst_name pst_archive_cluster_temporary(const struct pst_archive *archive, uint32_t number);

/* Removes a directory of that name, if it is one that this node left half-made. */
void pst_archive_sweep_temporary(const struct pst_archive *archive, const char *name);

#endif
