/*
 * One backup by a node of this process: starts it, is its client, stops it. Blocks the caller.
 */
#ifndef PST_ENGINE_NODE_ONE_BACKUP_H
#define PST_ENGINE_NODE_ONE_BACKUP_H

#include "engine/node/node.h"

struct pst_node_backup {
    struct pst_node_config node;
    uint32_t number; /* 0: the next free one */
    bool single_threaded;
    bool verify;   /* each part is read back before the decision */
    int cancel_fd; /* readable: abort the backup, orderly; -1: none */
    /* Called on the caller's thread about every timeouts.progress_ns. expected_bytes may grow until
     * expected_is_final. May be NULL. */
    void (*on_status)(void *context, const struct pst_backup_progress *status);
    void *context;
};

struct pst_node_backup_report {
    int error;    /* 0, or why there is no backup, positive: an errno or PST_E_… */
    bool is_lost; /* a thread of the node has not started or ended in time, and may yet: what the
                     options point to stays borrowed for good */
    pst_ref where;
    char says[PST_SOURCE_SAYS_BYTES_MAX + 1]; /* of a source: its name, and what it said; or "" */
    uint8_t uid[16];
    uint32_t number; /* 0: none was chosen */
    uint32_t flags;  /* confirmed */
    uint64_t start_gci;
    struct pst_sums sums;
    uint32_t base;       /* number of the backup that it refers to; 0: it has none */
    uint64_t elapsed_ns; /* from BACKUP_REQ to the end */
    struct pst_pace_status pace;
    struct pst_ldm_report ldms[PST_LDMS_MAX]; /* node.plan->ldms of them */
};

/* 0: there is a complete backup; else -report->error. About 60 KiB: *report on the heap. */
PST_MUST_USE int pst_node_run_backup(const struct pst_node_backup *options,
                                     struct pst_node_backup_report *report);

#endif
