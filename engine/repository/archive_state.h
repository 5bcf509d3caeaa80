/*
 * The archive of a node: what it knows of its node, and the backup in work. Shared by the files
 * that work on it (archive.h, archive_sweep.h, archive_settle.h); the thread that owns it fills it
 * in.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_STATE_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_STATE_H

#include "engine/base/check.h"
#include "engine/format/manifest.h"
#include "engine/key/sealing.h"
#include "engine/pace/pace.h"
#include "engine/protocol/signal.h"
#include "engine/repository/base.h"
#include "engine/repository/repository.h"
#include "engine/repository/unreadable.h"
#include "penstock/error.h"
#include "penstock/source.h"

/* What the archive needs to know of its node. */
struct pst_archive_config {
    uint32_t node;          /* id */
    uint32_t cluster_id;    /* 0: a node alone */
    struct pst_set members; /* by id - 1: nodes that the cluster is to have, as far as known */
    uint32_t ldms;
    uint32_t chunk_bytes;
    struct pst_source *const *sources; /* in name order */
    const char *const *specs;          /* of the sources, for the manifest */
    const char *const *paths;          /* likewise, absolute; NULL: none has one, as an element */
    const char *const *choices;        /* likewise, of what is backed up of it; NULL: not known */
    const char *writer;                /* "penstock 1.2.3", for the manifest; NULL: none */
    bool discards_parts;               /* they go nowhere: a backup for measuring alone */
    const char *label;                 /* of the backups of this master; NULL: none */
    uint32_t sources_count;
    const struct pst_base_policy *base; /* NULL: its backups have no base */
    const struct pst_keyring *keyring;  /* that opens it; NULL: backups are not sealed */
};

/* Zeros but for the first lines, which its owner sets: no backup is in work. One thread's: the one
 * that `owner` is bound to. */
struct pst_archive {
    const struct pst_archive_config *config; /* borrowed, with what it points to */
    struct pst_repository *repository;       /* borrowed */
    struct pst_unreadable *unreadable;       /* borrowed */
    struct pst_pace *pace;       /* borrowed: of what it reads of parts; NULL: as fast as it goes */
    struct pst_sealing *sealing; /* borrowed: of its backups; NULL: they are not sealed */
    /* borrowed: where the base of the backup in work is, for all threads of the node, from its
     * definition to that of the next; NULL: its backups have no base */
    struct pst_base **base;
    struct pst_thread_owner owner;
    /* Called for each backup in doubt, by every sweep again; NULL: a node alone has nobody to ask.
     */
    void (*on_doubt)(void *context, const struct pst_doubt_rep *doubt);
    /* Called until has_synced with the latest GCI of each complete backup; may be NULL. */
    void (*on_gci)(void *context, uint64_t gci);
    /* Called for the backup in work once its decision is here, if this node looks for bases; may be
     * NULL. */
    void (*on_referred)(void *context, const struct pst_referred *referred);
    void *context;

    /* The backup in work, and what its manifests will hold. */
    uint64_t backup; /* the first 8 bytes of its uid; 0: none */
    bool directory_made;
    bool reads_back;          /* --verify: each manifest, before it has its name */
    bool is_shared;           /* other nodes may have the same directory */
    bool has_swept;           /* since the process started */
    bool left_unread;         /* the last sweep left a backup alone that could not be read */
    bool has_told_shut;       /* that it cannot open what it seals */
    bool has_synced;          /* a sweep has read and synced all that is committed */
    uint64_t warnings_before; /* in the log, before it began */
    uint32_t unanswered;      /* the number of which it was last logged that there is no answer */
    uint32_t parts;
    struct pst_node_manifest node;
    struct pst_cluster_manifest cluster;
    char host[65]; /* HOST_NAME_MAX and the terminator */
};

#endif
