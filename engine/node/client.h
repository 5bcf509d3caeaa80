/*
 * CLIENT instance 0 of a node: one thread, which may wait for other things besides. one_backup.h is
 * for a client that does nothing else.
 */
#ifndef PST_ENGINE_NODE_CLIENT_H
#define PST_ENGINE_NODE_CLIENT_H

#include "engine/node/node.h"

/* To poll for reading while asleep. The node's. */
int pst_client_fd(struct pst_node *node);

/* Announces a sleep: from now on signals make the fd readable. false: there are some already. */
PST_MUST_USE bool pst_client_may_sleep(struct pst_node *node);

/* Awake, whether it slept or not: up to PST_CHANNEL_BURST signals. */
uint32_t pst_client_take(struct pst_node *node, struct pst_signal *signals);

/* The texts of sources of any node, the last few of them. */
#define PST_CLIENT_TEXTS 16u
struct pst_client_text {
    uint64_t backup; /* first 8 bytes of its uid; 0: free */
    pst_ref where;
    enum pst_source_text_kind kind;
    uint32_t bytes; /* of it that came */
    bool is_whole;  /* and can be shown */
    char text[PST_SOURCE_SAYS_BYTES_MAX + 1];
};
struct pst_client_texts {
    struct pst_client_text texts[PST_CLIENT_TEXTS];
    uint32_t next;
};

/* Takes a SOURCE_TEXT_REP, of whatever node: what is malformed is left out. Returns the text, ready
 * to be shown, if that was the last piece of it; else NULL. */
const char *pst_client_take_text(struct pst_client_texts *texts, const struct pst_signal *signal);

/* "": it is not known that the source at where has failed in that backup, and said something. */
const char *pst_client_text(const struct pst_client_texts *texts, uint64_t backup, pst_ref where);

/* To be called with each NODE_FAILED_ORD taken, when nothing more is asked of that node. */
void pst_client_heard_failure(struct pst_node *node, const struct pst_signal *order);

struct pst_client_request {
    uint32_t master_node;
    uint8_t uid[16];
    uint64_t request_id;
    uint32_t number; /* 0: the next free one */
    uint32_t flags;  /* enum pst_backup_flags */
};

/* Chooses uid and request id at random. -EIO. */
PST_MUST_USE int pst_client_identify(struct pst_client_request *request);

/* Asks the master. BACKUP_CONF and an end follow, or BACKUP_REF. Its flags get what the node's own
 * configuration says: PST_BACKUP_SEALED. */
void pst_client_request_backup(struct pst_node *node, struct pst_client_request *request);

/* backup: first 8 bytes of its uid. No answer but the backup's end. */
void pst_client_request_abort(struct pst_node *node, uint32_t master_node, uint64_t backup);

/* The same for a reason of this node's, which the end of the backup then names: it stops, say. */
void pst_client_request_end(struct pst_node *node, uint32_t master_node, uint64_t backup,
                            uint32_t reason);

/* A backup in doubt, decided by hand. */
struct pst_client_decision {
    uint8_t uid[16];
    uint32_t number;
    bool commits;
    const char *manifest; /* to commit: absolute path of a copy of the cluster manifest, which the
                             archive reads and checks; NULL: it is in its place already */
};

/* Asks this node's outcome machine. RESOLVE_CONF or RESOLVE_REF follows, and until then no other
 * may be asked for. -ENAMETOOLONG. */
PST_MUST_USE int pst_client_request_resolve(struct pst_node *node,
                                            const struct pst_client_decision *decision);

#endif
