/*
 * The other nodes, on the hub's thread, which alone calls this: takes what the fabric brings, drops
 * what no sound node sends, and keeps an outbox for each node whose ring is full.
 */
#include "engine/node/peers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/node/archive_work.h"
#include "engine/node/threads.h"

/* What may be under way to one node: pieces that its archive asked for, what it asked in doubt and
 * what this one asks it, the trouble of each LDM, and requests and answers. */
_Static_assert(ARCHIVE_FETCHES_MAX *(PST_BLOB_WINDOW + 1) + PST_DOUBTS_MAX + PST_QUERIES_MAX +
                       PST_LDMS_MAX + PST_REQUESTS_UNANSWERED_MAX <=
                   PST_OUTBOX_SIGNALS,
               "the outbox of a node that lives can never be full");

struct peer {
    bool is_joined;            /* the machines think so */
    bool is_cut_off;           /* and fails with the next round */
    bool knows_texts;          /* FEATURE_TEXTS */
    bool may_freeze;           /* not FEATURE_NO_FREEZE */
    struct pst_signal *outbox; /* PST_OUTBOX_SIGNALS, a ring; NULL: never needed */
    uint32_t outbox_first;
    uint32_t outbox_count;
    struct pst_node_change change; /* what it joined with */
};

struct pst_peers {
    const struct pst_node_config *config;
    struct pst_peers_handlers handlers;
    struct pst_fabric *fabric;
    uint64_t refused;
    bool is_expelled;
    uint32_t freezing;                    /* of the nodes that have joined, those that may freeze */
    struct pst_thread_owner owner;        /* the hub */
    struct pst_set busy;                  /* by id - 1: signals wait in the outbox */
    struct peer peers[PST_NODES_MAX + 1]; /* by id */
};

/* What must hold of a node whenever nothing of it is being handled. */
static void peer_check(const struct pst_peers *peers, uint32_t node)
{
    const struct peer *peer = &peers->peers[node];
    assert(peer->outbox_count <= PST_OUTBOX_SIGNALS && peer->outbox_first < PST_OUTBOX_SIGNALS);
    assert(peer->outbox || peer->outbox_count == 0);
    assert(peer->outbox_count == 0 || pst_set_has(&peers->busy, node - 1));
    assert(peer->is_joined || peer->outbox_count == 0); /* a node that is gone is sent nothing */
    assert(!peer->is_joined || peer->change.node == node);
}

/* The options of a HELLO: how many LDMs the node has, and what it knows. */
#define FEATURES_OFFSET 4u
#define FEATURE_TEXTS 1u     /* SOURCE_TEXT_REP */
#define FEATURE_NO_FREEZE 2u /* none of its sources holds up writers */

struct pst_fabric_hello peers_hello(const struct pst_node_config *config, uint64_t incarnation)
{
    struct pst_fabric_hello hello = {
        .cluster_id = config->cluster->id, .node = config->node, .incarnation = incarnation};
    uint32_t ldms = config->plan->ldms;
    strncpy(hello.cluster, config->cluster->name, sizeof(hello.cluster) - 1);
    uint32_t features = FEATURE_TEXTS | (node_may_freeze(config) ? 0 : FEATURE_NO_FREEZE);
    memcpy(hello.options, &ldms, sizeof(ldms));
    memcpy(hello.options + FEATURES_OFFSET, &features, sizeof(features));
    return hello;
}

int pst_peers_open(const struct pst_node_config *config, struct pst_fabric *fabric,
                   const struct pst_peers_handlers *handlers, struct pst_peers **peers)
{
    struct pst_peers *made = calloc(1, sizeof(*made));
    if (!made) {
        pst_fabric_close(fabric);
        return -ENOMEM;
    }
    pst_thread_bind(&made->owner);
    made->config = config;
    made->handlers = *handlers;
    made->fabric = fabric;
    *peers = made;
    return 0;
}

static void empty_outbox(struct peer *peer)
{
    free(peer->outbox);
    peer->outbox = NULL;
    peer->outbox_first = 0;
    peer->outbox_count = 0;
}

void pst_peers_close(struct pst_peers *peers)
{
    if (!peers)
        return;
    PST_CHECK_THREAD(&peers->owner);
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++)
        empty_outbox(&peers->peers[node]);
    pst_fabric_close(peers->fabric);
    free(peers);
}

static void fail(struct pst_peers *peers, uint32_t node, const char *reason)
{
    struct peer *peer = &peers->peers[node];
    if (!peer->is_joined) { /* no machine knows of it */
        pst_fabric_readmit(peers->fabric, node);
        return;
    }
    const struct pst_alert alert = {.kind = PST_ALERT_NODE_LOST, .node = node};
    pst_log_alert(PST_LOG_WARNING, &alert, "node %u: gone: %s", node, reason);
    peer->is_joined = false;
    peers->freezing -= peer->may_freeze;
    empty_outbox(peer);
    peers->handlers.on_change(peers->handlers.context, false, &peer->change);
}

void pst_peers_cut_off(struct pst_peers *peers, uint32_t node, const char *reason)
{
    PST_CHECK_THREAD(&peers->owner);
    peers->peers[node].is_cut_off = true;
    pst_fabric_cut_off(peers->fabric, node, reason);
}

void pst_peers_readmit(struct pst_peers *peers, uint32_t node)
{
    PST_CHECK_THREAD(&peers->owner);
    pst_fabric_readmit(peers->fabric, node);
}

static void join(struct pst_peers *peers, const struct pst_fabric_event *event)
{
    struct peer *peer = &peers->peers[event->node];
    uint32_t ldms, features;
    memcpy(&ldms, event->options, sizeof(ldms));
    memcpy(&features, event->options + FEATURES_OFFSET, sizeof(features));
    assert(!peer->is_joined);
    if (ldms < 1 || ldms > PST_LDMS_MAX) {
        pst_log(PST_LOG_ERROR, "node %u: refused: it claims to have %u LDMs", event->node, ldms);
        return;
    }
    const struct pst_alert joined = {.kind = PST_ALERT_NODE_JOINED, .node = event->node};
    pst_log_alert(PST_LOG_INFO, &joined, "node %u: joined, with %u LDM%s", event->node, ldms,
                  ldms == 1 ? "" : "s");
    peer->change = (struct pst_node_change){
        .node = event->node, .ldms = ldms, .incarnation = event->incarnation};
    peer->is_cut_off = false;
    peer->is_joined = true;
    peer->knows_texts = features & FEATURE_TEXTS;
    peer->may_freeze = !(features & FEATURE_NO_FREEZE);
    peers->freezing += peer->may_freeze;
    peers->handlers.on_change(peers->handlers.context, true, &peer->change);
}

/* Whether one node may send this to another's machine. What passes within a node never comes from
 * elsewhere. */
static bool is_sound(const struct pst_peers *peers, uint32_t from, const struct pst_signal *signal)
{
    pst_ref to = signal->receiver_ref;
    if (pst_ref_node(signal->sender_ref) != from || pst_ref_node(to) != peers->config->node ||
        signal->version != PST_SIGNAL_VERSION || signal->length == 0 ||
        signal->length != pst_gsn_payload_bytes(signal->gsn))
        return false;
    enum pst_reach reach = pst_gsn_reach(signal->gsn);
    switch (pst_ref_block(to)) {
    case PST_BLOCK_CLIENT:
    case PST_BLOCK_PROXY:
        return pst_ref_instance(to) == 0 && reach == PST_REACH_BACKUP;
    case PST_BLOCK_BACKUP:
        return pst_ref_instance(to) == 1 && reach == PST_REACH_BACKUP;
    case PST_BLOCK_ARCHIVE:
        return reach == PST_REACH_ARCHIVE && pst_ref_block(signal->sender_ref) == PST_BLOCK_ARCHIVE;
    case PST_BLOCK_OUTCOME:
        return reach == PST_REACH_OUTCOME;
    default:
        return false;
    }
}

static bool is_heard(const struct peer *peer)
{
    return peer->is_joined && !peer->is_cut_off;
}

static void take_burst(struct pst_peers *peers, const struct pst_fabric_event *event)
{
    uint32_t node = event->node;
    for (uint32_t i = 0; i < event->signals_count && is_heard(&peers->peers[node]); i++) {
        const struct pst_signal *signal = &event->signals[i];
        if (is_sound(peers, node, signal))
            peers->handlers.on_signal(peers->handlers.context, signal);
        else
            peers->refused++;
    }
}

static void take(struct pst_peers *peers, const struct pst_fabric_event *event)
{
    const struct pst_alert lost = {.kind = PST_ALERT_NODE_LOST, .node = event->node};
    switch (event->type) {
    case PST_FABRIC_SIGNALS:
        take_burst(peers, event);
        break;
    case PST_FABRIC_JOINED:
        join(peers, event);
        break;
    case PST_FABRIC_FAILED:
        fail(peers, event->node, event->reason);
        break;
    case PST_FABRIC_EXPELLED:
        pst_log_alert(PST_LOG_WARNING, &lost,
                      "node %u declared this node dead: %s; this node joins again", event->node,
                      event->reason);
        peers->is_expelled = true;
        break;
    }
}

/* true: something was sent. */
static bool flush(struct pst_peers *peers, uint32_t node)
{
    struct peer *peer = &peers->peers[node];
    bool sent = false;
    while (peer->outbox_count > 0 &&
           pst_fabric_send(peers->fabric, node, &peer->outbox[peer->outbox_first]) == 0) {
        peer->outbox_first = (peer->outbox_first + 1) % PST_OUTBOX_SIGNALS;
        peer->outbox_count--;
        sent = true;
    }
    return sent;
}

static int rejoin(struct pst_peers *peers)
{
    uint64_t incarnation;
    peers->is_expelled = false;
    if (getrandom(&incarnation, sizeof(incarnation), 0) != (ssize_t)sizeof(incarnation))
        return -EIO;
    return pst_fabric_rejoin(peers->fabric, incarnation);
}

static int break_down(struct pst_peers *peers, int error)
{
    pst_log(PST_LOG_ERROR, "the fabric is broken: %s", pst_error_text(error));
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++)
        fail(peers, node, "the fabric is broken");
    return error;
}

/* The rounds are many and the busy few. true: something was sent. */
static bool serve_busy(struct pst_peers *peers)
{
    bool sent = false;
    for (uint32_t node = 1; node <= PST_NODES_MAX && !pst_set_is_empty(&peers->busy); node++) {
        if (!pst_set_has(&peers->busy, node - 1))
            continue;
        sent |= flush(peers, node);
        if (peers->peers[node].outbox_count == 0)
            pst_set_remove(&peers->busy, node - 1);
    }
    return sent;
}

int pst_peers_poll(struct pst_peers *peers)
{
    struct pst_fabric_event event;
    int worked = 0;
    int events; /* 1: one more; 0: the round is over; or -errno */
    PST_CHECK_THREAD(&peers->owner);
    while ((events = pst_fabric_poll(peers->fabric, pst_monotonic_ns(), &event)) > 0) {
        take(peers, &event);
        peer_check(peers, event.node);
        worked = 1;
    }
    if (events == 0 && peers->is_expelled)
        events = rejoin(peers);
    if (events < 0)
        return break_down(peers, events);
    return worked | serve_busy(peers);
}

static void put_by(struct pst_peers *peers, uint32_t node, const struct pst_signal *signal)
{
    struct peer *peer = &peers->peers[node];
    if (!peer->outbox)
        peer->outbox = calloc(PST_OUTBOX_SIGNALS, sizeof(*peer->outbox));
    if (!peer->outbox || peer->outbox_count == PST_OUTBOX_SIGNALS) {
        pst_peers_cut_off(peers, node, "it reads too little of what it is sent");
        return;
    }
    peer->outbox[(peer->outbox_first + peer->outbox_count++) % PST_OUTBOX_SIGNALS] = *signal;
    pst_set_add(&peers->busy, node - 1);
}

static bool may_be_missed(const struct pst_signal *signal)
{
    return signal->gsn == PST_BACKUP_PROGRESS_REP || signal->gsn == PST_SOURCE_TEXT_REP;
}

void pst_peers_send(struct pst_peers *peers, const struct pst_signal *signal)
{
    uint32_t node = pst_ref_node(signal->receiver_ref);
    PST_CHECK_THREAD(&peers->owner);
    assert(node <= PST_NODES_MAX && node != peers->config->node);
    struct peer *peer = &peers->peers[node];
    if (!is_heard(peer))
        return;
    int error = peer->outbox_count > 0 ? -EAGAIN : pst_fabric_send(peers->fabric, node, signal);
    if (error == -EAGAIN && !may_be_missed(signal))
        put_by(peers, node, signal); /* a report is followed by a newer one */
    peer_check(peers, node);
}

struct pst_set pst_peers_live(const struct pst_peers *peers)
{
    struct pst_set live = {{0}};
    PST_CHECK_THREAD(&peers->owner);
    pst_set_add(&live, peers->config->node - 1);
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        if (peers->peers[node].is_joined)
            pst_set_add(&live, node - 1);
    }
    return live;
}

struct pst_set pst_peers_with_texts(const struct pst_peers *peers)
{
    struct pst_set nodes = {{0}};
    PST_CHECK_THREAD(&peers->owner);
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        if (peers->peers[node].is_joined && peers->peers[node].knows_texts)
            pst_set_add(&nodes, node - 1);
    }
    return nodes;
}

bool peers_may_freeze(const struct pst_peers *peers)
{
    PST_CHECK_THREAD(&peers->owner);
    return peers->freezing > 0;
}

struct pst_fabric *pst_peers_fabric(struct pst_peers *peers)
{
    PST_CHECK_THREAD(&peers->owner);
    return peers->fabric;
}

uint64_t peers_refused(const struct pst_peers *peers)
{
    PST_CHECK_THREAD(&peers->owner);
    return peers->refused;
}
