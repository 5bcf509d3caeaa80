/*
 * The backups in a directory: which there are, in what state, and which one an ID names.
 *
 * Blocking, any thread. Only manifests are read, and the parts' sizes looked at: pst_verify
 * (verify.h) reads the rest. Hostile contents end in a state and a reason, never worse.
 */
#ifndef PST_ENGINE_RESTORE_CATALOG_H
#define PST_ENGINE_RESTORE_CATALOG_H

#include "engine/format/manifest.h"
#include "engine/restore/verify.h"
#include "penstock/run.h"

#include <stddef.h>

/* One backup. cluster is set where its manifest could be read, nodes where all of theirs could. */
struct pst_backup {
    uint32_t number;
    enum pst_backup_state state;
    int error;                      /* 0 if complete, else -PST_E_… or -errno */
    char reason[PST_MESSAGE_BYTES]; /* why it is not complete, naming the file; "" if it is */
    bool has_cluster;
    struct pst_cluster_manifest cluster;
    struct pst_node_manifest *nodes; /* cluster.nodes_count of them, or NULL */
};

/* Ascending by number. */
struct pst_backup_list {
    struct pst_backup **backups;
    size_t count;
};

/* "complete", "incomplete", "damaged", "newer". Static. */
const char *pst_backup_state_text(enum pst_backup_state state);

/* Reads all backups below directory `from`. -errno (-ENOENT, -ENOTDIR, …) if it cannot be read; a
 * directory without backups is an empty list. The list is the caller's: pst_backup_list_release. */
int pst_backup_list_read(const char *from, struct pst_backup_list *list) PST_MUST_USE;
void pst_backup_list_release(struct pst_backup_list *list);

/* Which one is meant where no ID is given. */
enum pst_backup_pick {
    PST_PICK_COMPLETE, /* restore: the newest complete one */
    PST_PICK_DECIDED,  /* verify, show: the newest that has a cluster manifest, however damaged */
};

/* The backup in the list that id names: a number, or a prefix of at least 4 digits of a uid; NULL:
 * pick. It may be in any state: look. The list keeps it. -PST_E_NO_BACKUP: none, or more than one;
 * message (PST_MESSAGE_BYTES) says which. */
int pst_backup_find(const struct pst_backup_list *list, const char *id, enum pst_backup_pick pick,
                    const struct pst_backup **backup, char *message) PST_MUST_USE;

#endif
