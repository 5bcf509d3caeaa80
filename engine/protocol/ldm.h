/*
 * The BACKUP block of one LDM: its participant; in LDM 1 also the master (used while this node is
 * the master node) and a proxy for single-threaded backups. Takes what comes in for any of them,
 * and passes on among them what never needs to leave the thread.
 */
#ifndef PST_ENGINE_PROTOCOL_LDM_H
#define PST_ENGINE_PROTOCOL_LDM_H

#include "engine/protocol/master.h"
#include "engine/protocol/participant.h"
#include "engine/protocol/proxy.h"

struct pst_ldm_block {
    struct pst_participant participant;
    struct pst_proxy *proxy;   /* LDM 1; else NULL. Owned by the caller, as is master */
    struct pst_master *master; /* LDM 1; else NULL */
};

/* What the BACKUP instances of a node are made with. */
struct pst_ldm_config {
    uint32_t node;
    uint32_t instance; /* 1…N */
    uint32_t sources;
    struct pst_set nodes;
    struct pst_set multithreaded;
    struct pst_timeouts timeouts;
};

/* proxy and master: memory for LDM 1's, which must outlive the block; NULL for the others. */
void pst_ldm_block_init(struct pst_ldm_block *block, const struct pst_ldm_config *config,
                        struct pst_proxy *proxy, struct pst_master *master);

void pst_ldm_block_step(struct pst_ldm_block *block, const struct pst_event *event,
                        struct pst_actions *actions);

uint64_t pst_ldm_block_deadline_ns(const struct pst_ldm_block *block);

/* The backup that one of its machines is in; 0: none. */
uint64_t pst_ldm_block_backup(const struct pst_ldm_block *block);

#endif
