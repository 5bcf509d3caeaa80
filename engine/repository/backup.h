/*
 * One backup on disk, in one backup directory or several: its manifests, and keeping prune off it.
 * For engine/repository/, engine/restore/ and engine/api/. Blocking, one thread for one list.
 */
#ifndef PST_ENGINE_REPOSITORY_BACKUP_H
#define PST_ENGINE_REPOSITORY_BACKUP_H

#include "engine/format/manifest.h"
#include "engine/key/keyring.h"
#include "engine/repository/findings.h"
#include "engine/repository/repository.h"
#include "engine/repository/verified.h"
#include "penstock/run.h"

#define PST_DIRECTORIES_MAX 64u

/* Open backup directories, each once. */
struct pst_directories {
    uint32_t count;
    struct pst_repository repositories[PST_DIRECTORIES_MAX];
    const char *paths[PST_DIRECTORIES_MAX]; /* the caller's, for as long as the list */
    const struct pst_keyring *keyring; /* likewise: opens what is sealed; NULL: none is given */
};

/* Whether a state is one of which all that the backup is to have is there. */
static inline bool pst_backup_is_usable(enum pst_backup_state state)
{
    return state == PST_BACKUP_COMPLETE || state == PST_BACKUP_PARTIAL ||
           state == PST_BACKUP_MISNAMED;
}

/* Whether nothing ever said that a backup is complete, or can: it is being written, or was cut off.
 */
static inline bool pst_backup_was_never_completed(enum pst_backup_state state)
{
    return state == PST_BACKUP_INCOMPLETE || state == PST_BACKUP_CUT_OFF;
}

struct decision_pair; /* decision.h */

/* One backup. cluster is set where its manifest could be read, nodes where all of theirs could. */
struct pst_backup {
    uint32_t number;
    uint32_t
        stored_as; /* the number in the name of its directory: another one, if it was renamed */
    bool has_uid;  /* false: nothing that is there identifies the backup */
    int unread;    /* why its uid could not be looked for: -errno of a directory; else 0 */
    uint8_t uid[PST_UID_BYTES];
    struct pst_directories *directories; /* the list's */
    struct pst_backup_list *list;        /* that it is of */
    uint64_t found_in;                   /* bit i: the i-th of them holds some of it */
    bool is_pinned;                      /* pin.h, in any of them */
    struct pst_verified verified;        /* likewise; of one that has its cluster manifest */
    uint64_t here_since_ns;              /* verified.h: in the one where it was put last */
    bool is_pruned;                      /* prune.h: it is gone, or would be */
    bool is_prepared; /* no decision was found, but the manifest of a node of several */
    bool has_unknown; /* and one that cannot be read, so that what it refers to is not known */
    enum pst_backup_state state;
    int error; /* 0 if usable, else -PST_E_… or -errno */
    /* Why it is not complete, naming the file; where it is, a warning, or "". */
    char reason[PST_MESSAGE_BYTES];
    /* Of the seen_in-th directory, what was read of the decision while the list was made, with
     * cluster set from it; the first load takes it, and there is none after. */
    struct decision_pair *seen;
    uint32_t seen_in;
    bool has_cluster;
    struct pst_cluster_manifest cluster;
    struct pst_node_manifest *nodes; /* cluster.nodes_count of them, or NULL */
    bool is_sealed[PST_NODES_MAX];   /* by index: what the node wrote is */
    struct pst_data_key *keys;       /* by index, of those that are and were opened; or NULL */
    bool is_shut;                    /* some of it is sealed, and no key that was given opens it */
    char wanted[256]; /* the keys that open nodes which are shut: "key ID or key ID and key ID" */
    bool is_elsewhere[PST_NODES_MAX]; /* by index: the node's files are in directories not given */
    bool is_hit[PST_NODES_MAX];       /* by index: some part of the node's is not what it should be;
                                         set by who lists */
};

/* Reads the manifests of a backup, of which number, directories and found_in are set; what is wrong
 * goes to findings. Returns -errno only where reading itself failed (memory). Sets has_cluster,
 * cluster, nodes (an element whose manifest could not be had has parts_count 0), is_elsewhere (no
 * finding); *manifest_bytes
 * and *files count what was read. -PST_E_INCOMPLETE, -PST_E_NO_BACKUP, without a finding: no
 * cluster manifest, no directory. */
int pst_backup_load(struct pst_backup *backup, struct pst_findings *findings, uint64_t *files,
                    uint64_t *manifest_bytes) PST_MUST_USE;

/* Whether a node's files are sealed. */
static inline bool backup_is_sealed(const struct pst_backup *backup, uint32_t node_index)
{
    return backup->is_sealed[node_index];
}

/* Whether no key that was given opens them. */
static inline bool backup_is_shut(const struct pst_backup *backup, uint32_t node_index)
{
    return backup->is_sealed[node_index] && !backup->keys[node_index].secret;
}

/* Whether any node's are sealed. */
bool pst_backup_is_sealed(const struct pst_backup *backup);

/* "it is sealed: give the key ID", in text, PST_MESSAGE_BYTES; returns it. */
const char *pst_backup_shut_text(const struct pst_backup *backup, char *text);

/* Whether the sums of the manifests add up: nodes to the cluster's, parts to each node's; and,
 * where objects is not NULL, whether each node has so many, by its index. Nodes whose manifest is
 * not loaded are left out. What is wrong goes to findings. */
void pst_backup_check_sums(const struct pst_backup *backup, const uint64_t *objects,
                           struct pst_findings *findings);

/* The nodes of the cluster that are not in the backup: how many, and their ids, ascending. 0 where
 * it was of all of them, or is not known to have lacked one. */
uint32_t pst_backup_missing(const struct pst_backup *backup, uint32_t ids[PST_NODES_MAX]);

/* "node 2 is missing", "nodes 2, 3 are missing", "": text is PST_MESSAGE_BYTES; returns it. */
const char *pst_backup_missing_text(const struct pst_backup *backup, char *text);

/* The nodes whose files lie in directories that are not given, likewise. A node that has written
 * into a directory of its own leaves there nothing of the others but the decision. */
uint32_t pst_backup_elsewhere(const struct pst_backup *backup, uint32_t ids[PST_NODES_MAX]);

/* "files of node 2 are not in the directories given: name theirs too", "": likewise. */
const char *backup_elsewhere_text(const struct pst_backup *backup, char *text);

/* Frees what pst_backup_load allocated, not the backup. */
void pst_backup_unload(struct pst_backup *backup);

/* The first of the directories that hold some of a backup, from i on; PST_DIRECTORIES_MAX: none.
 *     for (uint32_t i = backup_next_in(b, 0); i < …MAX; i = backup_next_in(b, i + 1)) */
uint32_t backup_next_in(const struct pst_backup *backup, uint32_t i);

/* The name of a file (layout.h) of a backup in the i-th directory; PST_DIRECTORIES_MAX: in none.
 * For engine/repository. */
struct pst_file_name backup_file_name(const struct pst_backup *backup, uint32_t i,
                                      const char *name);

/* Keeps `penstock prune` off a backup of the list, and off its origins, until pst_backup_let_go, by
 * a lock on their directories; what else works on them is not held up. -PST_E_CHANGED: one is being
 * pruned, or was; -ENOMEM.
 */
struct pst_backup_hold {
    struct pst_directories *directories; /* the list's, which stays until pst_backup_let_go */
    int handles[PST_DIRECTORIES_MAX];    /* -1: none */
    struct pst_backup_hold *origins;     /* so many, of origins; they have none themselves */
    uint32_t origins_count;
};
int pst_backup_keep(const struct pst_backup *backup, struct pst_backup_hold *hold) PST_MUST_USE;
void pst_backup_let_go(struct pst_backup_hold *hold);

#endif
