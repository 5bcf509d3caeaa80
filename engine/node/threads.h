/*
 * Private to engine/node: the threads of a node and what they share.
 */
#ifndef PST_ENGINE_NODE_THREADS_H
#define PST_ENGINE_NODE_THREADS_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "engine/node/node.h"
#include "engine/node/rates.h"
#include "engine/node/worker.h"
#include "engine/protocol/proxy.h"
#include "engine/repository/lease.h"
#include "engine/repository/unreadable.h"
#include "numa/place.h"

/* On lines of its own: two LDMs that scan write no line in common. */
struct pst_ldm_thread {
    struct pst_worker worker;
    uint32_t instance;
    struct pst_ldm_report report; /* the LDM's until it has ended */
    struct pst_activity io;       /* its oldest operation in flight, once that takes long */
    atomic_bool is_ending;        /* a machine of it ends a backup that was not made */
    _Atomic uint64_t zombies, stale, strays; /* struct pst_request_counters of its machines */
    _Atomic uint32_t state;                  /* enum pst_participant_state */
    _Atomic uint64_t backup;                 /* in work; 0: none */
    _Atomic uint64_t source_bytes;
    _Atomic uint64_t scan_began_ns; /* 0: it does not scan */
};
_Static_assert(_Alignof(struct pst_ldm_thread) == PST_LINE_BYTES &&
                   sizeof(struct pst_ldm_thread) % PST_LINE_BYTES == 0,
               "an array of them has each on its own lines");
_Static_assert(offsetof(struct pst_ldm_thread, worker.channel.hub_bell) % PST_LINE_BYTES == 0 &&
                   offsetof(struct pst_ldm_thread, worker.channel.bell) % PST_LINE_BYTES == 0,
               "what the hub rings has a line of its own");

struct pst_slot {
    struct pst_fragment_descriptor *descriptor;
    bool in_use; /* source thread's */
};

struct pst_source_thread {
    struct pst_worker worker;
    struct pst_source *source;
    struct pst_slot *slots;
    uint32_t slots_count;
    void *slots_memory;
    _Atomic uint64_t thaw_at_ns; /* of its freeze; PST_DEADLINE_NONE: not frozen, or no limit */
    atomic_bool is_left_frozen;  /* in its last backup */
};

/* What a decision by hand brings along. The client's until it has sent its RESOLVE_REQ, then the
 * archive's until that is answered. */
struct pst_hand {
    char manifest[PATH_MAX]; /* a file; "": none */
};

/* Of the backup that a proxy of the node is in; by the proxy's thread. */
struct node_progress {
    _Atomic uint32_t state; /* enum pst_proxy_state */
    _Atomic uint32_t number;
    _Atomic uint64_t began_ns;
    _Atomic uint64_t listed_bytes;
    atomic_bool is_listed;
};

struct pst_node {
    void *memory, *ldms_memory; /* of itself, and of ldms */
    struct pst_node_config config;
    bool queues_log;
    bool may_spin; /* its threads: pst_priority_let_spin() */
    /* A cut may hold up writers, on this node or another, for others' sources. The hub's. */
    atomic_bool holds_writers;
    /* A machine of LDM 1 holds them up now: the hub is on the way of what it waits for. */
    atomic_bool ldm_holds_writers;
    struct pst_repository_lease lease; /* of the backup directory, while the node runs */
    uint64_t incarnation;
    struct pst_pace pace; /* of the LDMs together */
    struct pst_doorbell hub_bell;
    struct pst_worker hub; /* its channel is not used */
    struct pst_ldm_thread *ldms;
    struct pst_source_thread *sources;
    struct pst_worker archive;
    struct pst_channel client;
    struct pst_unreadable unreadable;
    struct pst_base *base; /* the archive's, set before a backup is started; NULL: it has none */
    struct pst_sealing *sealing; /* NULL: backups are not sealed */
    atomic_bool is_cancelled; /* the client of a node alone has asked for the end of its backup */
    atomic_bool start_has_failed; /* an LDM has said why */
    atomic_bool is_hung;          /* a backup cannot be ended, for a thread hangs */
    struct pst_hand hand;
    _Atomic uint32_t files_max;    /* of a source, that an LDM may have open at a time */
    _Atomic uint64_t gci;          /* the highest known here: of earlier backups, and of freezes */
    _Atomic uint64_t proxy_backup; /* that the hub's proxy is in; 0: none */
    _Atomic uint64_t node_bytes[PST_NODES_MAX + 1]; /* as reported to LDM 1, the master */
    struct node_progress progress;
    pthread_mutex_t status_lock;
    struct rates rates;            /* of what the LDMs read; the lock's */
    struct pst_node_status status; /* the hub's part of it */
};

/* Chunks in flight of an LDM: references are gathered in a buffer of their own. */
uint32_t node_depth(const struct pst_node_config *config);

/* Whether a source of the node may hold up writers. */
static inline bool node_may_freeze(const struct pst_node_config *config)
{
    bool may_freeze = false;
    for (uint32_t i = 0; i < config->sources_count; i++)
        may_freeze |= config->sources[i]->freeze != NULL;
    return may_freeze;
}

/* Whether the proxy ends a backup that was not made. */
static inline bool proxy_is_ending(const struct pst_proxy *proxy)
{
    return proxy->state == PST_PROXY_ABORTED || proxy->state == PST_PROXY_CLEANING;
}

/* Whether writers may be held up until the proxy has done what it is at. */
static inline bool proxy_holds_writers(const struct pst_proxy *proxy)
{
    return proxy->state == PST_PROXY_FREEZING || proxy->state == PST_PROXY_FROZEN ||
           proxy->state == PST_PROXY_CUTTING;
}

/* What the LDMs have read for the last backup that they were in. Any thread. */
static inline uint64_t node_bytes_read(const struct pst_node *node)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < node->config.plan->ldms; i++)
        bytes += atomic_load_explicit(&node->ldms[i].source_bytes, memory_order_relaxed);
    return bytes;
}

/* Raises the highest GCI that the node knows. Any thread. */
void node_note_gci(struct pst_node *node, uint64_t gci);

/* A GCI for a cut that is made now: the time, where no clock was ever ahead of it, and always more
 * than any before. Any thread. */
uint64_t node_next_gci(struct pst_node *node, uint64_t now_unix_ns);

/* Thread functions; the argument is the worker. */
void *hub_run(void *argument);
void *ldm_run(void *argument);
void *source_run(void *argument);
void *archive_run(void *argument);

/* source_thread.c: slots for the fragments that a source lists ahead. */
PST_MUST_USE int source_slots_open(struct pst_source_thread *thread);
void source_slots_close(struct pst_source_thread *thread);
const struct pst_fragment_descriptor *source_fragment(const struct pst_node *node, uint32_t source,
                                                      uint64_t fragment);

#endif
