/*
 * The backups in one directory or several: which there are, in what state, and which one an ID
 * names. Nodes that write into directories of their own leave a backup in several: it is the union
 * of what they hold under its uid. Any copy of the cluster manifest will do; of everything else,
 * copies must be the same.
 *
 * Blocking, any thread. Only manifests are read, and the parts' sizes looked at: pst_verify
 * (verify.h) reads the rest. Hostile contents end in a state and a reason, never worse.
 */
#ifndef PST_ENGINE_REPOSITORY_CATALOG_H
#define PST_ENGINE_REPOSITORY_CATALOG_H

#include <stddef.h>

#include "engine/format/manifest.h"
#include "penstock/run.h"

#define PST_DIRECTORIES_MAX 64u

/* Open directories of backups, each once. */
struct pst_directories {
    uint32_t count;
    int fds[PST_DIRECTORIES_MAX];
    const char *paths[PST_DIRECTORIES_MAX]; /* the caller's, for as long as the list */
};

/* One backup. cluster is set where its manifest could be read, nodes where all of theirs could. */
struct pst_backup {
    uint32_t number;
    bool has_uid; /* false: nothing that is there says which backup it is */
    uint8_t uid[PST_UID_BYTES];
    const struct pst_directories *directories; /* the list's */
    uint64_t found_in;                         /* bit i: the i-th of them holds some of it */
    bool is_prepared; /* no decision was found, but the manifest of a node of several */
    enum pst_backup_state state;
    int error;                      /* 0 if complete, else -PST_E_… or -errno */
    char reason[PST_MESSAGE_BYTES]; /* why it is not complete, naming the file; "" if it is */
    bool has_cluster;
    struct pst_cluster_manifest cluster;
    struct pst_node_manifest *nodes; /* cluster.nodes_count of them, or NULL */
};

/* Ascending by number, then by when they were started. Stays where it is while it is used. */
struct pst_backup_list {
    struct pst_directories directories;
    struct pst_backup **backups;
    size_t count;
};

/* "complete", "incomplete", "damaged", "newer". Static. */
const char *pst_backup_state_text(enum pst_backup_state state);

/* Reads all backups below count directories; one that is named twice counts once. -errno (-ENOENT,
 * -ENOTDIR, …) if one cannot be read: message (PST_MESSAGE_BYTES) says which; directories without
 * backups are an empty list. The list is the caller's: pst_backup_list_release. */
int pst_backup_list_read(const char *const *paths, uint32_t count, struct pst_backup_list *list,
                         char *message) PST_MUST_USE;
void pst_backup_list_release(struct pst_backup_list *list);

/* Keeps `penstock prune` off a backup of the list until pst_backup_let_go, by a lock on its
 * directories; what else works on them is not held up. -PST_E_CHANGED: it is being pruned, or was.
 */
struct pst_backup_hold {
    int fds[PST_DIRECTORIES_MAX]; /* -1: none */
};
int pst_backup_keep(const struct pst_backup *backup, struct pst_backup_hold *hold) PST_MUST_USE;
void pst_backup_let_go(struct pst_backup_hold *hold);

/* Which one is meant where no ID is given. */
enum pst_backup_pick {
    PST_PICK_COMPLETE, /* restore: the newest complete one */
    PST_PICK_DECIDED,  /* verify, show: the newest that has a cluster manifest, however damaged */
};

/* The backup in the list that id names: a number, or a prefix of at least 4 digits of a uid; NULL:
 * pick. It may be in any state: look. The list keeps it. -PST_E_NO_BACKUP: none, or more than one
 * (directories of two clusters may hold two of one number); message (PST_MESSAGE_BYTES) says which.
 */
int pst_backup_find(const struct pst_backup_list *list, const char *id, enum pst_backup_pick pick,
                    const struct pst_backup **backup, char *message) PST_MUST_USE;

#endif
